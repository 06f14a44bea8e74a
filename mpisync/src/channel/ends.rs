//! Which ends of a channel a handle has, as a type.

/// The ends of a channel that a [`RemoteChannel`](super::RemoteChannel) has. Implemented by
/// [`Both`], [`PutOnly`] and [`TakeOnly`], and by no other type.
pub trait Ends: sealed::Sealed {}

/// The ends of a handle that puts messages.
pub trait CanPut: Ends {}

/// The ends of a handle that takes messages.
pub trait CanTake: Ends {}

/// Both ends of a channel.
#[derive(Debug)]
pub enum Both {}

/// The end of a channel that puts.
#[derive(Debug)]
pub enum PutOnly {}

/// The end of a channel that takes.
#[derive(Debug)]
pub enum TakeOnly {}

pub(super) mod sealed {
    /// What differs between handles.
    pub trait Sealed {
        /// The name of the handle in debugging output.
        const NAME: &str;
        const PUTS: bool;
        const TAKES: bool;
    }
}

impl sealed::Sealed for Both {
    const NAME: &str = "RemoteChannel";
    const PUTS: bool = true;
    const TAKES: bool = true;
}

impl sealed::Sealed for PutOnly {
    const NAME: &str = "Producer";
    const PUTS: bool = true;
    const TAKES: bool = false;
}

impl sealed::Sealed for TakeOnly {
    const NAME: &str = "Consumer";
    const PUTS: bool = false;
    const TAKES: bool = true;
}

impl Ends for Both {}
impl Ends for PutOnly {}
impl Ends for TakeOnly {}

impl CanPut for Both {}
impl CanPut for PutOnly {}

impl CanTake for Both {}
impl CanTake for TakeOnly {}
