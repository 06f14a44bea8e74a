//! The functions that `#[single_write]` and `#[collective]` expand to. Their bounds on the user's
//! types have error messages that name the correction.

use crate::collective::fence::{Fence, Writer};
use crate::error::CollectiveError;
use crate::location::Function;
use crate::plain::Plain;
use crate::{Collective, WindowController};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::thread;

/// An error type that can represent the failure of another rank.
///
/// The compiler does not recommend its implementation, so it shows this message and not one about a
/// `?` or a `From` that the user has not written.
#[diagnostic::on_unimplemented(
    message = "the error type `{Self}` cannot say that another rank failed",
    label = "`From<mpisync::CollectiveError>` is missing",
    note = "`mpisync::CollectiveError`, `std::io::Error`, `anyhow::Error` and `Box<dyn std::error::Error>` have it",
    note = "for a type of your own, write `impl From<mpisync::CollectiveError> for …`, or with `thiserror` a variant `Fence(#[from] mpisync::CollectiveError)`"
)]
pub trait FencedError: From<CollectiveError> {}

#[diagnostic::do_not_recommend]
impl<E: From<CollectiveError>> FencedError for E {}

/// The outcome on a rank that does not write.
pub fn outcome<T, E: FencedError>(collected: Result<T, CollectiveError>) -> Result<T, E> {
    collected.map_err(E::from)
}

/// The outcome of a call that could not begin.
pub fn failed<T, E: FencedError>(error: CollectiveError) -> Result<T, E> {
    Err(error.into())
}

/// The outcome on the writer.
pub fn share<T, E>(fence: Fence<'_, Writer>, outcome: Result<T, E>) -> Result<T, E>
where
    T: Serialize,
    E: FencedError + Display,
{
    fence.share_result(outcome)
}

/// [`share`] for items of a plain type.
pub fn share_vec<T, E>(fence: Fence<'_, Writer>, outcome: Result<Vec<T>, E>) -> Result<Vec<T>, E>
where
    T: Plain,
    E: FencedError + Display,
{
    fence.share_vec_result(outcome)
}

/// [`Collective::agree`].
pub fn agree<T, E>(
    call: Collective,
    ctrl: &mut WindowController,
    outcome: thread::Result<Result<T, E>>,
) -> Result<T, E>
where
    E: FencedError + Display,
{
    call.agree(ctrl, outcome)
}

/// [`Collective::agree_on`].
pub fn agree_on<T, E>(
    call: Collective,
    ctrl: &mut WindowController,
    rank: i32,
    outcome: thread::Result<Result<T, E>>,
) -> Result<T, E>
where
    T: Serialize + DeserializeOwned,
    E: FencedError + Display,
{
    call.agree_on(ctrl, rank, outcome)
}

/// Runs `write` on one rank, with a controller or a region. For a parameter whose type the macro
/// does not know by its name.
#[track_caller]
pub fn write_alone<L, W, R, E>(
    lock: &mut L,
    rank: Option<i32>,
    function: Function,
    write: W,
) -> Result<R, E>
where
    E: FencedError,
    L: SingleWrite<W, R, E>,
{
    lock.write_alone(rank, function, write)
}

/// A controller or a region with which a body `W` can write alone.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a controller nor a region",
    label = "no rank can write alone with it",
    note = "take a `&mut WindowController` or a `&mut Region<…>`, or say which parameter is one: `#[single_write(ctrl = NAME)]`"
)]
pub trait SingleWrite<W, R, E> {
    /// Runs `write` on that rank, or on the master, and returns its value on all ranks.
    fn write_alone(&mut self, rank: Option<i32>, function: Function, write: W) -> Result<R, E>;
}

#[diagnostic::do_not_recommend]
impl<W, R, E> SingleWrite<W, R, E> for WindowController
where
    W: FnOnce(&WindowController) -> Result<R, E>,
    R: Serialize + DeserializeOwned,
    E: FencedError + Display,
{
    #[track_caller]
    fn write_alone(&mut self, rank: Option<i32>, function: Function, write: W) -> Result<R, E> {
        let access = match rank {
            None => crate::__private::single_write(self, function),
            Some(rank) => crate::__private::single_write_on(self, rank, function),
        };
        access?.run(write)
    }
}
