//! The calls that `#[single_write]` on a function of a region expands to.

use crate::collective::fenced::FencedError;
use crate::location::{CallSite, Function};
use crate::plain::Plain;
use crate::region::{Region, RegionWriteGuard};
use ndarray::Dimension;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Display;
use std::panic::Location;

/// The call of `#[single_write]`: the master writes.
#[track_caller]
pub fn update<T: Plain, D: Dimension, R, E>(
    region: &mut Region<T, D>,
    function: Function,
    write: impl FnOnce(&mut RegionWriteGuard<'_, T, D>) -> Result<R, E>,
) -> Result<R, E>
where
    R: Serialize + DeserializeOwned,
    E: FencedError + Display,
{
    update_on(region, region.master(), function, write)
}

/// The call of `#[single_write(on = …)]`: this rank writes.
#[track_caller]
pub fn update_on<T: Plain, D: Dimension, R, E>(
    region: &mut Region<T, D>,
    rank: i32,
    function: Function,
    write: impl FnOnce(&mut RegionWriteGuard<'_, T, D>) -> Result<R, E>,
) -> Result<R, E>
where
    R: Serialize + DeserializeOwned,
    E: FencedError + Display,
{
    region.update_at(rank, CallSite::of(function, Location::caller()), write)
}
