//! What a channel carries: values of one plain type, or slices of them, whose lengths vary.

#![expect(
    private_interfaces,
    reason = "users cannot name the functions of `Carried`"
)]

use crate::channel::error::ChannelError;
use crate::channel::ring::memory::Slots;
use crate::channel::ring::{Putting, Taking};
use crate::plain::Plain;
use std::borrow::Borrow;

/// A type of messages: a [`Plain`] type, or a slice of one. Implemented for these, and for no other type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a message of a channel",
    label = "neither a plain type nor a slice of one",
    note = "numbers can, and arrays and slices of them, and structs that have `#[derive(Clone, Copy, mpisync::Equivalence)]`",
    note = "instead of a `String`, a `Vec` or a reference, which point into the memory of one process, use an array such as `[u8; 32]`, or `[u8]` for messages of varying length",
    note = "instead of a `bool`, a `char` or an enum, which not all bits are a value of, use a number such as `u8`"
)]
pub trait Message: Carried + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Plain> Message for T {}

#[diagnostic::do_not_recommend]
impl<T: Plain> Message for [T] {}

/// How messages get into slots and out of them. Users cannot name it, and call none of its functions.
pub trait Carried {
    /// A message that a rank has taken: a value, or a `Vec` of items.
    type Owned: Borrow<Self>;

    /// An error if the message is too long for a slot.
    #[doc(hidden)]
    fn check(&self, _memory: &Slots<Self>) -> Result<(), ChannelError> {
        Ok(())
    }

    /// Puts a message into the next slot; there must be one.
    #[doc(hidden)]
    fn put(putting: &mut Putting<'_, Slots<Self>>, message: &Self);

    /// Takes the next message; there must be one.
    #[doc(hidden)]
    fn take(taking: &mut Taking<'_, Slots<Self>>) -> Self::Owned;
}

impl<T: Plain> Carried for T {
    type Owned = T;

    #[inline]
    fn put(putting: &mut Putting<'_, Slots<T>>, message: &T) {
        putting.put(message);
    }

    #[inline]
    fn take(taking: &mut Taking<'_, Slots<T>>) -> T {
        taking.take()
    }
}

impl<T: Plain> Carried for [T] {
    type Owned = Vec<T>;

    fn check(&self, memory: &Slots<[T]>) -> Result<(), ChannelError> {
        match memory.most_items() {
            longest if self.len() <= longest => Ok(()),
            longest => Err(ChannelError::TooLong {
                length: self.len(),
                longest,
            }),
        }
    }

    fn put(putting: &mut Putting<'_, Slots<[T]>>, message: &[T]) {
        putting.put(message);
    }

    fn take(taking: &mut Taking<'_, Slots<[T]>>) -> Vec<T> {
        taking.take()
    }
}
