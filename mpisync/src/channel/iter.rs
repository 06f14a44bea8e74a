//! Channels as iterators.

use crate::channel::ends::CanTake;
use crate::channel::message::Message;
use crate::channel::shared::Shared;
use crate::channel::take::take_or_panic;
use crate::channel::{Consumer, RemoteChannel};
use std::fmt;
use std::iter::FusedIterator;

/// Takes messages until the end of the stream; see [`RemoteChannel::iter`].
pub struct Iter<'a, T: Message + ?Sized> {
    shared: &'a Shared<T>,
    is_over: bool,
}

/// Takes messages until the end of the stream; closes the consumer on drop.
pub struct IntoIter<T: Message + ?Sized> {
    consumer: Consumer<T>,
    is_over: bool,
}

impl<'a, T: Message + ?Sized> Iter<'a, T> {
    pub(super) fn new(shared: &'a Shared<T>) -> Self {
        Iter {
            shared,
            is_over: false,
        }
    }
}

#[track_caller]
fn next<T: Message + ?Sized>(shared: &Shared<T>, is_over: &mut bool) -> Option<T::Owned> {
    if *is_over {
        return None;
    }
    let message = take_or_panic(shared);
    *is_over = message.is_none();
    message
}

impl<T: Message + ?Sized> Iterator for Iter<'_, T> {
    type Item = T::Owned;

    #[track_caller]
    fn next(&mut self) -> Option<T::Owned> {
        next(self.shared, &mut self.is_over)
    }
}

impl<T: Message + ?Sized> Iterator for IntoIter<T> {
    type Item = T::Owned;

    #[track_caller]
    fn next(&mut self) -> Option<T::Owned> {
        next(&self.consumer.shared, &mut self.is_over)
    }
}

impl<T: Message + ?Sized> FusedIterator for Iter<'_, T> {}

impl<T: Message + ?Sized> FusedIterator for IntoIter<T> {}

impl<'a, T: Message + ?Sized, E: CanTake> IntoIterator for &'a RemoteChannel<T, E> {
    type Item = T::Owned;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T: Message + ?Sized> IntoIterator for Consumer<T> {
    type Item = T::Owned;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter {
            consumer: self,
            is_over: false,
        }
    }
}

impl<T: Message + ?Sized> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt("Iter", f)
    }
}

impl<T: Message + ?Sized> fmt::Debug for IntoIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.consumer.shared.fmt("IntoIter", f)
    }
}
