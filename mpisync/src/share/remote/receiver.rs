//! The receiver of values from other nodes, which puts them into this node's mailbox.

use crate::error::CollectiveError;
use crate::share::CallNumber;
use crate::share::layout::{FAILED, Filling, INLINE_VALUE, OBJECT_VALUE, Record, STAGED_VALUE};
use crate::share::mailbox::MailboxMemory;
use crate::share::remote::Value;
use crate::share::stream::Sink;
use crate::shm::atomic::{AtomicU64, Ordering};
use crate::shm::cells;
use crate::shm::event::ALL;
use crate::shm::mapping::{Handle, Mapping, SharedFile};
use std::borrow::Cow;

/// The values that come for one mailbox.
#[derive(Default)]
pub(super) struct Receiver {
    /// Those that are not in the mailbox yet.
    coming: Vec<Incoming>,
    /// Large ones that are in the mailbox and not collected by all ranks yet, with their calls.
    collected: Vec<(CallNumber, Object)>,
}

struct Incoming {
    value: Value,
    object: Option<Object>,
}

/// A large value in a shared-memory object of its own.
struct Object {
    memory: Mapping,
    file: SharedFile,
    /// The number of bytes that have come.
    filled: u64,
}

impl Object {
    fn new(length: u64) -> std::io::Result<Self> {
        // Whole words: bytes are copied by the word.
        let room = (length as usize).next_multiple_of(size_of::<u64>());
        let (memory, file) = Mapping::create_shared(room, room)?;
        Ok(Object {
            memory,
            file,
            filled: 0,
        })
    }

    fn add(&mut self, bytes: &[u8]) {
        let words = bytes.len().div_ceil(size_of::<u64>());
        cells::copy_in(self.memory.slice(self.filled as usize, words), bytes);
        self.filled += bytes.len() as u64;
    }
}

impl Receiver {
    /// Takes a value. A large one follows in pieces.
    pub(super) fn begin(&mut self, mut value: Value) {
        let mut object = None;
        if value.outcome == STAGED_VALUE {
            match Object::new(value.length) {
                Ok(new) => object = Some(new),
                Err(error) => {
                    value.outcome = FAILED;
                    value.reason =
                        format!("a node has no shared memory for a value of this size: {error}");
                }
            }
        }
        self.coming.push(Incoming { value, object });
    }

    /// Takes the next piece of the value that `writer` shares in `call`. All but the last are whole
    /// words.
    pub(super) fn add(&mut self, call: u64, writer: u32, bytes: &[u8]) {
        let mut coming = self.coming.iter_mut();
        let value = coming.find(|it| it.value.call == call && it.value.writer == writer);
        if let Some(object) = value.and_then(|it| it.object.as_mut()) {
            object.add(bytes);
        }
    }

    /// Puts complete values into the mailbox if their record is free, and passes writer and call to
    /// `accept`. Returns whether work is left.
    pub(super) fn go_on(
        &mut self,
        mailbox: &MailboxMemory,
        mut accept: impl FnMut(u32, u64),
    ) -> bool {
        let ready = |incoming: &Incoming| {
            let object = incoming.object.as_ref();
            let is_whole = object.is_none_or(|object| object.filled == incoming.value.length);
            let before = CallNumber(incoming.value.call).same_record_before();
            let record = &mailbox.words().records[CallNumber(incoming.value.call).record()];
            if !is_whole || before.is_some_and(|before| !mailbox.all_local_are_done(before.0)) {
                return None;
            }
            mailbox.try_to_fill(record)
        };
        // The rest of a value does not come.
        let takes_part = |writer: u32| mailbox.domain().takes_part(writer as usize);
        self.coming
            .retain(|incoming| takes_part(incoming.value.writer));
        // Values of different writers arrive in any order.
        while let Some((index, filling)) = (self.coming.iter().enumerate())
            .find_map(|(index, incoming)| Some((index, ready(incoming)?)))
        {
            let Incoming { value, object } = self.coming.swap_remove(index);
            publish(mailbox, &value, object.as_ref(), filling);
            accept(value.writer, value.call);
            let call = CallNumber(value.call);
            self.collected.extend(object.map(|object| (call, object)));
        }
        self.collected
            .retain(|(call, _)| !mailbox.all_local_are_done(call.0));
        !self.coming.is_empty() || !self.collected.is_empty()
    }
}

/// Puts `value` into its record, as a writer of this node does. This thread has begun to fill the
/// record.
fn publish(mailbox: &MailboxMemory, value: &Value, object: Option<&Object>, filling: Filling<'_>) {
    let mailbox = mailbox.words();
    let record = &mailbox.records[CallNumber(value.call).record()];
    if record.call.load(Ordering::Relaxed) >= value.call
        || record.claimed.load(Ordering::Relaxed) > value.call
    {
        // Another writer was first, or no rank waits any more.
        return;
    }
    record.writer.store(value.writer, Ordering::Relaxed);
    record.claimed.store(value.call, Ordering::Relaxed);
    record.set_kind(value.kind, value.layout, || Cow::Borrowed(&value.label));
    record.length.store(value.length, Ordering::Relaxed);
    record.set_site(value.site, &value.name, &value.file, value.line);
    record.reason.set(&value.reason);
    let outcome = match object {
        Some(object) => {
            for (word, part) in record.data.iter().zip(object.file.handle().to_words()) {
                word.store(part, Ordering::Relaxed);
            }
            OBJECT_VALUE
        }
        None => value.outcome,
    };
    if outcome == INLINE_VALUE {
        cells::copy_in(&record.data, &value.data);
    }
    record.outcome.store(outcome, Ordering::Relaxed);
    // An exchange, so that the check for sleepers comes after it.
    record.call.swap(value.call, Ordering::SeqCst);
    drop(filling);
    mailbox.published().notify(ALL);
}

/// Copies a value of `length` bytes from the object that `record` names, piece by piece.
pub(crate) fn read_object(
    record: &Record,
    length: u64,
    sink: &mut impl Sink,
) -> Result<(), CollectiveError> {
    const PIECE: usize = 32 << 10;
    let room = (length as usize).next_multiple_of(size_of::<u64>());
    let handle = std::array::from_fn(|index| record.data[index].load(Ordering::Relaxed));
    let (memory, _) = Mapping::open_shared(Handle::from_words(handle), room)
        .map_err(|error| CollectiveError::Decode(format!("its memory cannot be had: {error}")))?;
    let words: &[AtomicU64] = memory.slice(0, room / size_of::<u64>());
    let mut left = length as usize;
    let mut bytes = vec![0; PIECE];
    for words in words.chunks(PIECE / size_of::<u64>()) {
        let bytes = &mut bytes[..left.min(PIECE)];
        cells::copy_out(words, bytes);
        sink.put(bytes);
        left -= bytes.len();
    }
    Ok(())
}
