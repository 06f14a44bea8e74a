//! Errors of an existing region.

use crate::error::{CollectiveError, LockError, ObjectCall};

/// Why a region was not changed. A collective call returns the same error on all ranks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegionError {
    /// The ranks do not agree on the root.
    #[error(
        "rank {first}, in {first_call}, names rank {root} as root, and rank {rank}, in {there_call}, names rank {there}; name the same \
         root on all ranks"
    )]
    RootsDiffer {
        /// The lowest rank that takes part: rank 0, as long as that is left.
        first: i32,
        /// The root that it names.
        root: i32,
        /// The lowest rank that names another.
        rank: i32,
        /// The root that this rank names.
        there: i32,
        /// The call of the lowest rank.
        first_call: ObjectCall,
        /// The call of the other rank.
        there_call: ObjectCall,
    },
    /// The root is not a rank of the communicator.
    #[error("{argument} {rank} is not a rank of the communicator, whose ranks are 0 to {}", .size - 1)]
    RankOutOfRange {
        /// The name of the argument.
        argument: &'static str,
        /// Its value.
        rank: i32,
        /// The size of the communicator.
        size: i32,
    },
    /// The root passed no data.
    #[error("rank {root}, the root, passed no data; pass `Some(data)` there")]
    NoData {
        /// The root.
        root: i32,
    },
    /// No rank passed data.
    #[error("no rank passed data; pass `Some(data)` on one of them")]
    NoRoot,
    /// More than one rank passed data.
    #[error(
        "rank {first}, in {first_call}, and rank {second}, in {second_call}, both passed data; pass `Some(data)` on one rank only"
    )]
    SeveralRoots {
        /// The lowest of these ranks.
        first: i32,
        /// The next rank.
        second: i32,
        /// The call of the lowest rank.
        first_call: ObjectCall,
        /// The call of the next one.
        second_call: ObjectCall,
    },
    /// The data, or the offset, has another number of dimensions than the region.
    #[error("rank {root} passed {what} of {dimensions} dimensions for a region of {expected}")]
    Dimensions {
        /// The rank that passed it.
        root: i32,
        /// The argument: data or an offset.
        what: &'static str,
        /// Its number of dimensions.
        dimensions: usize,
        /// The region's number of dimensions.
        expected: usize,
    },
    /// The data does not fit into the region at this offset.
    #[error(
        "rank {root} passed {length} items at offset {offset} along axis {axis}, of which the region has {extent}"
    )]
    OutOfBounds {
        /// The rank that passed it.
        root: i32,
        /// The axis, counted from 0.
        axis: usize,
        /// The offset along the axis.
        offset: usize,
        /// The length of the data along the axis.
        length: usize,
        /// The length of the region along the axis.
        extent: usize,
    },
    /// A part is not inside the region.
    #[error(
        "the rows {start}..{end} are no part of the region, which has {rows}; pass a range inside 0..{rows}, whose start is not above its end"
    )]
    PartOutOfBounds {
        /// The first row.
        start: usize,
        /// The row after the last one.
        end: usize,
        /// The number of rows: the length of the region along its first axis.
        rows: usize,
    },
    /// A part of a region without axes, which has no rows.
    #[error("a region without axes has no rows to take a part of; use `write`")]
    NoRows,
    /// The lock could not be acquired.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The ranks are in different calls, or one of them failed.
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
