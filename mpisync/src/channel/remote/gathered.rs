//! Messages one behind the other in one buffer, as they go from node to node.

use crate::shm::buffer::Buffer;
use serde::{Deserialize, Serialize};
use std::ops::Deref;

/// Messages one behind the other in one buffer.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Gathered {
    lengths: Lengths,
    bytes: Buffer,
}

/// A message between nodes.
#[derive(Clone, Debug)]
pub(crate) enum Bytes {
    /// In a buffer of its own, which goes on to the next node.
    Whole(Buffer),
    /// Beside others in a buffer.
    Part(bytes::Bytes),
}

/// The lengths of messages in bytes: how many messages of one length follow each other, and their
/// length.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Lengths(Vec<(u64, u64)>);

impl Gathered {
    /// The number of messages.
    pub(crate) fn len(&self) -> usize {
        self.lengths
            .0
            .iter()
            .map(|(count, _)| *count as usize)
            .sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lengths.0.is_empty()
    }

    /// Appends a message.
    pub(crate) fn push(&mut self, message: &[u8]) {
        if self.is_empty() {
            self.bytes = Buffer::with_room(message.len());
        }
        self.lengths.push(message.len());
        self.bytes.append(message);
    }

    /// The messages of these lengths at the beginning of a buffer.
    pub(crate) fn from_parts(lengths: Lengths, bytes: Buffer) -> Self {
        Gathered { lengths, bytes }
    }

    /// The lengths, and the buffer with room for a header.
    pub(crate) fn into_parts(self) -> (Lengths, Buffer) {
        (self.lengths, self.bytes)
    }

    /// The messages. One alone keeps the buffer, several share it.
    pub(crate) fn into_messages(self) -> Vec<Bytes> {
        let Gathered { lengths, mut bytes } = self;
        if let [(1, length)] = lengths.0[..] {
            bytes.truncate(length as usize);
            return vec![Bytes::Whole(bytes)];
        }
        let mut bytes = bytes::Bytes::from_owner(bytes);
        let parts = lengths.into_iter();
        parts
            .map(|length| Bytes::Part(bytes.split_to(length)))
            .collect()
    }

    /// These messages. One alone is not copied if it has a buffer of its own.
    pub(crate) fn of(messages: Vec<Bytes>) -> Self {
        match <[Bytes; 1]>::try_from(messages) {
            Ok([Bytes::Whole(bytes)]) => Gathered {
                lengths: Lengths(vec![(1, bytes.len() as u64)]),
                bytes,
            },
            Ok(one) => one.into_iter().collect(),
            Err(several) => several.into_iter().collect(),
        }
    }
}

impl Bytes {
    /// A copy of a message.
    pub(crate) fn copy_of(message: &[u8]) -> Self {
        Bytes::Part(bytes::Bytes::copy_from_slice(message))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Whole(buffer) => buffer,
            Bytes::Part(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl Lengths {
    /// The sum.
    pub(crate) fn total(&self) -> usize {
        let bytes = self.0.iter().map(|(count, length)| count * length);
        bytes.sum::<u64>() as usize
    }

    fn push(&mut self, length: usize) {
        let length = length as u64;
        match self.0.last_mut() {
            Some((count, last)) if *last == length => *count += 1,
            _ => self.0.push((1, length)),
        }
    }

    fn into_iter(self) -> impl Iterator<Item = usize> {
        let lengths = |(count, length)| std::iter::repeat_n(length as usize, count as usize);
        self.0.into_iter().flat_map(lengths)
    }
}

impl<M: AsRef<[u8]>> FromIterator<M> for Gathered {
    fn from_iter<I: IntoIterator<Item = M>>(messages: I) -> Self {
        let mut gathered = Gathered::default();
        gathered.extend(messages);
        gathered
    }
}

impl<M: AsRef<[u8]>> Extend<M> for Gathered {
    fn extend<I: IntoIterator<Item = M>>(&mut self, messages: I) {
        for message in messages {
            self.push(message.as_ref());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_the_same_after_the_way() {
        let sent: Vec<Vec<u8>> = [8, 8, 0, 0, 3, 5000, 3]
            .iter()
            .enumerate()
            .map(|(number, &length)| vec![number as u8; length])
            .collect();
        for messages in [&sent[..], &sent[..2], &[]] {
            let gathered: Gathered = messages.iter().collect();
            assert_eq!(gathered.len(), messages.len());
            assert_eq!(gathered.is_empty(), messages.is_empty());
            let (lengths, mut tail) = gathered.into_parts();
            assert_eq!(lengths.total(), messages.concat().len());
            tail.append(&[9; 4]);
            let arrived = Gathered::from_parts(lengths, tail).into_messages();
            assert!(
                arrived
                    .iter()
                    .map(|bytes| &bytes[..])
                    .eq(messages.iter().map(|message| &message[..]))
            );
            let (again, tail) = Gathered::of(arrived).into_parts();
            assert_eq!(again.total(), messages.concat().len());
            assert_eq!(*tail, *messages.concat());
        }
    }

    #[test]
    fn one_message_alone_is_not_copied() {
        let gathered: Gathered = [vec![7; 5000]].iter().collect();
        let place = gathered.bytes.as_ptr();
        let (_, tail) = Gathered::of(gathered.into_messages()).into_parts();
        assert_eq!(tail.as_ptr(), place);
    }

    #[test]
    fn equal_lengths_take_one_entry() {
        let gathered: Gathered = (0..1000).map(|number: u64| number.to_ne_bytes()).collect();
        assert_eq!(gathered.into_parts().0.0, [(1000, 8)]);
    }
}
