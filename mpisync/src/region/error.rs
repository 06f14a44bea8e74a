//! What can go wrong with a region that exists.

use crate::error::{CollectiveError, LockError};

/// Why a region was not changed. Where a call is collective, all ranks get the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegionError {
    /// The ranks do not agree on the root.
    #[error(
        "rank 0 names rank {root} as root, and rank {rank} names rank {there}; name the same on all ranks"
    )]
    RootsDiffer {
        /// The root that rank 0 names.
        root: i32,
        /// The lowest rank that names another.
        rank: i32,
        /// Which one that is.
        there: i32,
    },
    /// The root is not a rank of the communicator.
    #[error("root {root} is not a rank of the communicator, whose ranks are 0 to {}", .size - 1)]
    RootOutOfRange {
        /// The root that was named.
        root: i32,
        /// The size of the communicator.
        size: i32,
    },
    /// The root has passed no data.
    #[error("rank {root}, the root, passed no data; pass `Some(data)` there")]
    NoData {
        /// The root.
        root: i32,
    },
    /// No rank has passed data.
    #[error("no rank passed data; pass `Some(data)` on one of them")]
    NoRoot,
    /// More than one rank has passed data.
    #[error("ranks {first} and {second} both passed data; pass `Some(data)` on one rank only")]
    SeveralRoots {
        /// The lowest rank that did.
        first: i32,
        /// The next one.
        second: i32,
    },
    /// The data, or the offset, has another number of dimensions than the region.
    #[error("rank {root} passed {what} of {dimensions} dimensions for a region of {expected}")]
    Dimensions {
        /// Who passed it.
        root: i32,
        /// What it is: data, or an offset.
        what: &'static str,
        /// How many dimensions it has.
        dimensions: usize,
        /// How many the region has.
        expected: usize,
    },
    /// The data would lie outside of the region.
    #[error(
        "rank {root} passed {length} items at offset {offset} along axis {axis}, of which the region has {extent}"
    )]
    OutOfBounds {
        /// Who passed it.
        root: i32,
        /// Along which axis, counted from 0.
        axis: usize,
        /// Where the data is to begin.
        offset: usize,
        /// How much of it there is.
        length: usize,
        /// How much the region has room for.
        extent: usize,
    },
    /// The lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The ranks are not in the same call, or one of them failed in it.
    #[error(transparent)]
    Call(CollectiveError),
}

impl From<CollectiveError> for RegionError {
    fn from(error: CollectiveError) -> Self {
        match error {
            CollectiveError::Lock(error) => RegionError::Lock(error),
            error => RegionError::Call(error),
        }
    }
}
