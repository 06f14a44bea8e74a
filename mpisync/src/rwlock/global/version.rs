//! The version of the data behind the lock.
//!
//! A writer may leave with a change that it has sent to the other nodes, and not wait until they have it. It makes a new
//! version of the data, and the lock waits in its place: a node acts on a message that opens or closes its gate, or hands
//! the token over, only once its copy of the data has the version that the message names. So no rank of it reads or writes
//! an old copy. A writer closes the gates of all nodes before it enters, so all nodes have a version before there is
//! another one.

use serde::{Deserialize, Serialize};

/// A version of the data. The default is the first one.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub(crate) struct Version {
    /// Counted through all writers; wraps around.
    pub(crate) number: u32,
    /// The rank that has made it.
    pub(crate) writer: u32,
}

impl Version {
    /// The version after this one, made by `writer`.
    pub(crate) fn next(self, writer: u32) -> Self {
        let number = self.number.wrapping_add(1);
        Version { number, writer }
    }

    /// Whether data of this version have all changes of the `other` one.
    pub(crate) fn includes(self, other: Version) -> bool {
        self.number.wrapping_sub(other.number) as i32 >= 0
    }

    /// The later of two versions.
    pub(crate) fn later(self, other: Version) -> Version {
        if self.includes(other) { self } else { other }
    }
}
