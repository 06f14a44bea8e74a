//! The stage of a rank: two buffers, one being filled while the other is emptied.

use crate::shm::atomic::AtomicU64;
use crate::shm::cells;
use crate::shm::segment::STAGE_WORDS;

/// How many bytes one buffer of a stage holds.
pub(crate) const CHUNK: usize = CHUNK_WORDS * size_of::<u64>();
const CHUNK_WORDS: usize = STAGE_WORDS / 2;

/// How many chunks `length` bytes make.
pub(crate) fn chunks(length: u64) -> u64 {
    length.div_ceil(CHUNK as u64)
}

/// The buffer of the chunk with this number.
fn buffer(stage: &[AtomicU64], number: u64) -> &[AtomicU64] {
    let at = (number % 2) as usize * CHUNK_WORDS;
    &stage[at..at + CHUNK_WORDS]
}

/// How many bytes the chunk of this number has, of a value of `length` bytes.
pub(crate) fn chunk_length(length: u64, number: u64) -> usize {
    (length - number * CHUNK as u64).min(CHUNK as u64) as usize
}

/// Puts a chunk into its buffer.
pub(crate) fn put(stage: &[AtomicU64], number: u64, bytes: &[u8]) {
    cells::copy_in(buffer(stage, number), bytes);
}

/// Takes a chunk out of its buffer.
pub(crate) fn take(stage: &[AtomicU64], number: u64, bytes: &mut [u8]) {
    cells::copy_out(buffer(stage, number), bytes);
}
