//! The staging buffer of a rank, through which large values travel in chunks: it holds two chunks,
//! one being filled while the other is emptied.

use crate::error::CollectiveError;
use crate::share::calls::FencedCall;
use crate::share::collector::Interrupted;
use crate::share::stream::{Sink, Source};
use crate::shm::absence::HostLoss;
use crate::shm::atomic::AtomicU64;
use crate::shm::cells;
use crate::shm::event::ALL;
use crate::shm::segment::STAGE_WORDS;
use crate::shm::topology::RankLocation;
use crate::shm::wait::{Deadline, wait};
use crate::shm::waiting::Awaited;
use std::sync::atomic::Ordering;

/// The size of a chunk in bytes.
pub(super) const CHUNK: usize = CHUNK_WORDS * size_of::<u64>();
const CHUNK_WORDS: usize = STAGE_WORDS / 2;

/// The number of chunks of a value of `length` bytes.
fn chunks(length: u64) -> u64 {
    length.div_ceil(CHUNK as u64)
}

/// The length in bytes of a chunk of a value of `length` bytes.
fn chunk_length(length: u64, number: u64) -> usize {
    (length - number * CHUNK as u64).min(CHUNK as u64) as usize
}

/// The words of the chunk with this number.
fn chunk(buffer: &[AtomicU64], number: u64) -> &[AtomicU64] {
    let start = (number % 2) as usize * CHUNK_WORDS;
    &buffer[start..start + CHUNK_WORDS]
}

impl FencedCall<'_> {
    /// As the writer: passes a value through this rank's staging buffer, at most two chunks ahead
    /// of the slowest collector. Stops if a host is lost, as the collectors do.
    pub(super) fn send_chunks(&self, source: &mut impl Source, length: u64) {
        let me = self.block.me();
        let buffer = self.block.domain().segment().stage(me);
        let mut bytes = vec![0; CHUNK];
        let chunks = chunks(length);
        for number in 0..chunks {
            let bytes = &mut bytes[..chunk_length(length, number)];
            source.fill(bytes);
            if number >= 2 && self.wait_for_takers(number - 1).is_err() {
                return;
            }
            if let Some(mailboxes) = self.mailboxes {
                // If it fails, so does the next wait.
                let _ = mailboxes.send_piece(self.block, self.number, bytes);
            }
            cells::copy_in(chunk(buffer, number), bytes);
            self.record().staged.swap(number + 1, Ordering::SeqCst);
            self.published().notify(ALL);
        }
        // If a host is lost, this rank shares nothing any more, and the buffer stays as it is.
        let _ = self.wait_for_takers(chunks);
    }

    /// Waits until all others have taken that many chunks of this call, or are done with it.
    ///
    /// # Errors
    /// If a host is lost.
    fn wait_for_takers(&self, chunks: u64) -> Result<(), HostLoss> {
        self.wait_for_all(|record| {
            // Acquire: the number is that of this call, not of an earlier one.
            record.done.load(Ordering::Acquire) >= self.number.0
                || record.takes_in.load(Ordering::Acquire) == self.number.0
                    && record.taken.load(Ordering::Acquire) >= chunks
        })
    }

    /// As a collector: takes the chunks that `writer` passes through its staging buffer.
    pub(super) fn receive_chunks(
        &self,
        writer: usize,
        length: u64,
        sink: &mut impl Sink,
    ) -> Result<(), CollectiveError> {
        let mut chunks = self.begin_chunks(writer, length);
        let awaited = || Awaited::all([writer as u32], "shares its value");
        let subject = self.awaits(awaited);
        let deadline = Deadline::NEVER.of(self.waiting(&subject, "collect"));
        while !chunks.are_all_taken() {
            wait(
                self.block,
                self.published(),
                deadline,
                || self.is_staged(&chunks).then_some(()),
                || self.check_present(writer).map_err(Interrupted::Failed),
            )
            .map_err(Interrupted::into_error)?;
            self.take_chunk(&mut chunks, sink);
        }
        Ok(())
    }

    /// Begins to take the chunks of a value of `length` bytes, which `writer` passes.
    pub(super) fn begin_chunks(&self, writer: usize, length: u64) -> Chunks {
        let location = self.block.domain().topology().location(writer);
        let RankLocation::Local(local_rank) = location else {
            unreachable!("a staged value comes from this node");
        };
        let mine = self.my_record();
        mine.taken.store(0, Ordering::Relaxed);
        mine.takes_in.store(self.number.0, Ordering::Release);
        Chunks {
            local_rank,
            length,
            taken: 0,
            bytes: vec![0; CHUNK],
        }
    }

    /// Whether the next chunk is there.
    pub(super) fn is_staged(&self, chunks: &Chunks) -> bool {
        self.record().staged.load(Ordering::Acquire) > chunks.taken
    }

    /// Takes the next chunk, which is there.
    pub(super) fn take_chunk(&self, chunks: &mut Chunks, sink: &mut impl Sink) {
        let buffer = self.block.domain().segment().stage(chunks.local_rank);
        let number = chunks.taken;
        let bytes = &mut chunks.bytes[..chunk_length(chunks.length, number)];
        cells::copy_out(chunk(buffer, number), bytes);
        chunks.taken += 1;
        self.my_record().taken.swap(chunks.taken, Ordering::SeqCst);
        self.collected().notify(1);
        sink.put(bytes);
    }
}

/// The chunks of a value, as a collector takes them.
pub(super) struct Chunks {
    /// The writer's index on the node.
    local_rank: usize,
    /// The length of the value in bytes.
    length: u64,
    /// The number of chunks taken so far.
    taken: u64,
    bytes: Vec<u8>,
}

impl Chunks {
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    pub(super) fn are_all_taken(&self) -> bool {
        self.taken == chunks(self.length)
    }
}
