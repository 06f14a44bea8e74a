//! Putting what a writer on another node shares into this node's mailbox.

use crate::error::CollectiveError;
use crate::share::Call;
use crate::share::layout::{FAILED, INLINE_VALUE, OBJECT_VALUE, STAGED_VALUE};
use crate::share::mailbox::MailboxMemory;
use crate::share::remote::Value;
use crate::share::stream::Sink;
use crate::shm::atomic::{AtomicU64, Ordering};
use crate::shm::cells;
use crate::shm::event::{ALL, Event};
use crate::shm::mapping::{Mapping, SharedName};
use std::borrow::Cow;

/// The values on their way into one mailbox.
#[derive(Default)]
pub(super) struct Receiver {
    /// Not in the mailbox yet.
    coming: Vec<Incoming>,
    /// Large ones that were not collected by all yet, with their calls.
    collected: Vec<(Call, Object)>,
}

struct Incoming {
    value: Value,
    object: Option<Object>,
}

/// A large value in shared memory of its own.
struct Object {
    memory: Mapping,
    name: SharedName,
    /// How many bytes have come.
    filled: u64,
}

impl Object {
    fn new(length: u64) -> std::io::Result<Self> {
        // Whole words: bytes are copied by the word.
        let room = (length as usize).next_multiple_of(size_of::<u64>());
        let (memory, name) = Mapping::create_shared(room)?;
        Ok(Object {
            memory,
            name,
            filled: 0,
        })
    }

    fn add(&mut self, bytes: &[u8]) {
        let words = bytes.len().div_ceil(size_of::<u64>());
        cells::copy_in(self.memory.slice(self.filled as usize, words), bytes);
        self.filled += bytes.len() as u64;
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        self.name.remove();
    }
}

impl Receiver {
    /// A value comes; a large one follows in pieces.
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

    /// The next piece of the value shared in `call`; all but the last are whole words.
    pub(super) fn add(&mut self, call: u64, writer: u32, bytes: &[u8]) {
        let mut coming = self.coming.iter_mut();
        let value = coming.find(|it| it.value.call == call && it.value.writer == writer);
        if let Some(object) = value.and_then(|it| it.object.as_mut()) {
            object.add(bytes);
        }
    }

    /// Puts into the mailbox what has come and finds its place free, and tells `accept` the writer
    /// and the call; whether there is more to do.
    pub(super) fn go_on(
        &mut self,
        mailbox: &MailboxMemory,
        mut accept: impl FnMut(u32, u64),
    ) -> bool {
        let is_ready = |incoming: &Incoming| {
            let object = incoming.object.as_ref();
            let is_whole = object.is_none_or(|object| object.filled == incoming.value.length);
            let before = Call(incoming.value.call).same_record_before();
            let record = &mailbox.words().records[(incoming.value.call % 2) as usize];
            is_whole
                && before.is_none_or(|before| mailbox.all_local_are_done(before.0))
                && record.try_to_fill()
        };
        // Values of different writers arrive in any order.
        while let Some(index) = self.coming.iter().position(is_ready) {
            let Incoming { value, object } = self.coming.swap_remove(index);
            publish(mailbox, &value, object.as_ref());
            accept(value.writer, value.call);
            let call = Call(value.call);
            self.collected.extend(object.map(|object| (call, object)));
        }
        self.collected
            .retain(|(call, _)| !mailbox.all_local_are_done(call.0));
        !self.coming.is_empty() || !self.collected.is_empty()
    }
}

/// Puts `value` into its record, which this thread has begun to fill, as a writer of this node
/// would.
fn publish(mailbox: &MailboxMemory, value: &Value, object: Option<&Object>) {
    let mailbox = mailbox.words();
    let record = &mailbox.records[(value.call % 2) as usize];
    if record.call.load(Ordering::Relaxed) >= value.call {
        // Another writer was first, or nobody waits any more.
        record.filling.store(0, Ordering::Release);
        return;
    }
    record.writer.store(value.writer, Ordering::Relaxed);
    record.claimed.store(value.call, Ordering::Relaxed);
    record.set_kind(value.kind, value.layout, || Cow::Borrowed(&value.label));
    record.length.store(value.length, Ordering::Relaxed);
    record.set_site(value.site, &value.file, value.line);
    record.reason.set(&value.reason);
    let outcome = match object {
        Some(object) => {
            record.staged.store(object.name.bits(), Ordering::Relaxed);
            OBJECT_VALUE
        }
        None => value.outcome,
    };
    if outcome == INLINE_VALUE {
        cells::copy_in(&record.data, &value.data);
    }
    record.outcome.store(outcome, Ordering::Relaxed);
    // An exchange, so that the look at the sleepers comes after it.
    record.call.swap(value.call, Ordering::SeqCst);
    record.filling.store(0, Ordering::Release);
    let published = Event {
        word: &mailbox.published,
        sleepers: &mailbox.published_sleepers,
    };
    published.notify(ALL);
}

/// Copies the value of `length` bytes in the object of that name, piece by piece.
pub(crate) fn read_object(
    name: u64,
    length: u64,
    sink: &mut impl Sink,
) -> Result<(), CollectiveError> {
    const PIECE: usize = 32 << 10;
    let room = (length as usize).next_multiple_of(size_of::<u64>());
    let memory = Mapping::open_shared(SharedName::from_bits(name), room)
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
