//! How often a task is tried, and how long a worker may have it.

use crate::batch::table::TableLimits;
use crate::batch::table::layout::TaskByte;
use crate::error::CreateError;
use std::time::Duration;

/// The limits of a batch's tasks. The same on all ranks.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Limits {
    pub(super) tries: Option<u32>,
    pub(super) task_timeout: Option<Duration>,
}

impl Limits {
    /// The most tries of a task: a table tells no more takings apart.
    pub(super) const MOST_TRIES: u32 = TaskByte::MOST - 1;

    /// The error for limits that cannot be kept, if there is one.
    pub(super) fn invalid(&self) -> Option<CreateError> {
        let flaw = |argument, value: String, allowed: String| {
            Some(CreateError::TaskLimit {
                argument,
                value,
                allowed,
            })
        };
        match self {
            Limits {
                tries: Some(tries), ..
            } if !(1..=Self::MOST_TRIES).contains(tries) => flaw(
                "tries",
                tries.to_string(),
                format!("1 to {}", Self::MOST_TRIES),
            ),
            Limits {
                task_timeout: Some(Duration::ZERO),
                ..
            } => flaw("task_timeout", "0".to_owned(), "more than 0".to_owned()),
            _ => None,
        }
    }

    /// Those that the table keeps. With a directory the tries are counted there.
    pub(super) fn of_table(&self, has_directory: bool) -> TableLimits {
        TableLimits {
            tries: self.tries.filter(|_| !has_directory),
            time: self.task_timeout,
            has_directory,
        }
    }
}
