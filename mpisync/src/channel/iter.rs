//! Messages as iterators.

use crate::channel::{Consumer, RemoteChannel};
use crate::plain::Plain;
use std::fmt;
use std::iter::FusedIterator;

/// Takes messages until the end of the stream; see [`RemoteChannel::iter`].
pub struct Iter<'a, T: Plain> {
    consumer: &'a Consumer<T>,
    is_over: bool,
}

/// Takes messages until the end of the stream, and then closes the consumer.
pub struct IntoIter<T: Plain> {
    consumer: Consumer<T>,
    is_over: bool,
}

impl<'a, T: Plain> Iter<'a, T> {
    pub(super) fn new(consumer: &'a Consumer<T>) -> Self {
        Iter {
            consumer,
            is_over: false,
        }
    }
}

fn next<T: Plain>(consumer: &Consumer<T>, is_over: &mut bool) -> Option<T> {
    if *is_over {
        return None;
    }
    let message = consumer.take();
    *is_over = message.is_none();
    message
}

impl<T: Plain> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        next(self.consumer, &mut self.is_over)
    }
}

impl<T: Plain> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        next(&self.consumer, &mut self.is_over)
    }
}

impl<T: Plain> FusedIterator for Iter<'_, T> {}

impl<T: Plain> FusedIterator for IntoIter<T> {}

impl<'a, T: Plain> IntoIterator for &'a Consumer<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<'a, T: Plain> IntoIterator for &'a RemoteChannel<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T: Plain> IntoIterator for Consumer<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter {
            consumer: self,
            is_over: false,
        }
    }
}

impl<T: Plain> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Iter").field(self.consumer).finish()
    }
}

impl<T: Plain> fmt::Debug for IntoIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IntoIter").field(&self.consumer).finish()
    }
}
