//! The long values behind a message, which are not copied where it is decoded.

use crate::shm::buffer::Buffer;

/// The bytes of a message that has arrived. What is left of them when it is decoded was appended by
/// its sender.
pub(crate) struct Tail<'a> {
    memory: &'a mut Vec<u8>,
    start: usize,
}

/// A shorter tail is copied, so that the memory is there for the next message.
const SHORT: usize = 4 << 10;

impl<'a> Tail<'a> {
    /// The bytes of `memory` from `start` on.
    pub(super) fn new(memory: &'a mut Vec<u8>, start: usize) -> Self {
        Tail { memory, start }
    }

    /// The bytes that are left.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..]
    }

    /// Leaves out some bytes at the beginning.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.start += bytes;
    }

    /// The bytes, which are not copied if they are many.
    pub(crate) fn into_buffer(self) -> Buffer {
        if self.bytes().len() < SHORT {
            return Buffer::from(self.bytes().to_vec());
        }
        Buffer::new(std::mem::take(self.memory), self.start)
    }
}
