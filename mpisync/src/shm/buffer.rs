//! Buffers for messages between nodes. They have room before their bytes, so that a header can be
//! put before long values without moving them, and large ones are used again: the system clears the
//! memory of each new one, page by page, which takes longer than to copy a message.

use crate::shm::lock;
use std::sync::Mutex;

/// How many bytes may be put before those of a buffer that [has room](Buffer::with_room).
const ROOM: usize = 512;
/// A larger memory is used again. The allocator keeps smaller ones.
const LARGE: usize = 64 << 10;
/// How many bytes of unused memory a process keeps at most.
const MOST: usize = 16 << 20;

/// The unused memory of this process.
static UNUSED: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Bytes that begin somewhere in their memory.
#[derive(Default, Debug)]
pub(crate) struct Buffer {
    memory: Vec<u8>,
    start: usize,
}

impl Buffer {
    /// The bytes of `memory` from `start` on.
    pub(crate) fn new(memory: Vec<u8>, start: usize) -> Self {
        Buffer { memory, start }
    }

    /// No bytes yet, with room for a header before them. `capacity` is how many bytes will be
    /// appended at least.
    pub(crate) fn with_room(capacity: usize) -> Self {
        let mut memory = empty_memory(ROOM + capacity);
        memory.resize(ROOM, 0);
        let start = ROOM;
        Buffer { memory, start }
    }

    /// Appends bytes.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.memory.extend_from_slice(bytes);
    }

    /// Leaves out all bytes but the first `length`.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.memory.truncate(self.start + length);
    }

    /// Puts bytes before the others, which move if there is no room.
    pub(crate) fn prepend(&mut self, bytes: &[u8]) {
        match self.start.checked_sub(bytes.len()) {
            Some(start) => {
                self.memory[start..self.start].copy_from_slice(bytes);
                self.start = start;
            }
            None => *self = Buffer::from([bytes, self].concat()),
        }
    }

    /// The memory, and where the bytes begin in it.
    pub(crate) fn into_parts(mut self) -> (Vec<u8>, usize) {
        (std::mem::take(&mut self.memory), self.start)
    }
}

/// Memory without bytes, and with room for as many as this.
pub(crate) fn empty_memory(capacity: usize) -> Vec<u8> {
    if capacity >= LARGE {
        let mut unused = lock(&UNUSED);
        // The last ones may be in a cache still. One that is much too large is for others.
        let fits = |memory: &Vec<u8>| (capacity..=4 * capacity).contains(&memory.capacity());
        if let Some(index) = unused.iter().rposition(fits) {
            return unused.swap_remove(index);
        }
    }
    Vec::with_capacity(capacity)
}

/// Keeps the memory for later, or frees it.
pub(crate) fn put_back(mut memory: Vec<u8>) {
    if memory.capacity() < LARGE {
        return;
    }
    memory.clear();
    let mut unused = lock(&UNUSED);
    let kept: usize = unused.iter().map(Vec::capacity).sum();
    if kept + memory.capacity() <= MOST {
        unused.push(memory);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        put_back(std::mem::take(&mut self.memory));
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(memory: Vec<u8>) -> Self {
        Buffer { memory, start: 0 }
    }
}

impl std::ops::Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.start..]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        Buffer::from(self.to_vec())
    }
}

impl PartialEq for Buffer {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Buffer {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_before_the_bytes() {
        for length in [0, 3, ROOM, ROOM + 1, 3 * ROOM] {
            let mut buffer = Buffer::with_room(2);
            buffer.append(&[1, 2]);
            let header = vec![7; length];
            buffer.prepend(&header);
            buffer.prepend(&[8]);
            assert_eq!(*buffer, *[&[8][..], &header, &[1, 2]].concat());
            let (memory, start) = buffer.into_parts();
            assert_eq!(memory[start..].len(), length + 3);
        }
    }

    #[test]
    fn large_memory_is_used_again_and_little_of_it_is_kept() {
        // No other test has buffers of this size.
        let size = 3 << 20;
        let buffers: Vec<Buffer> = (0..8).map(|_| Buffer::with_room(size)).collect();
        let addresses: Vec<*const u8> = buffers
            .iter()
            .map(|buffer| buffer.memory.as_ptr())
            .collect();
        drop(buffers);
        let kept = lock(&UNUSED).iter().map(Vec::capacity).sum::<usize>();
        assert!((size..=MOST).contains(&kept), "{kept} bytes");
        let again = Buffer::with_room(size);
        assert!(addresses.contains(&again.memory.as_ptr()));
        assert!(again.is_empty());
    }
}
