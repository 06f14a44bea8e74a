//! Bytes on their way out of a value and into one.

/// Where the bytes of a shared value come from.
pub(crate) trait Source {
    /// How many bytes there are to come.
    fn length(&self) -> u64;

    /// The next bytes; as many as `buffer` has, which are never more than there are.
    fn fill(&mut self, buffer: &mut [u8]);
}

/// Where the bytes of a collected value go.
pub(crate) trait Sink {
    /// Takes the next bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Source for &[u8] {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn fill(&mut self, buffer: &mut [u8]) {
        let (now, later) = self.split_at(buffer.len());
        buffer.copy_from_slice(now);
        *self = later;
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// A sink for a value that is not kept.
pub(crate) struct Discard;

impl Sink for Discard {
    fn put(&mut self, _bytes: &[u8]) {}
}
