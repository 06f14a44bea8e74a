//! Why a rank takes no part in what others wait for.

use serde::{Deserialize, Serialize};

/// Why a rank that is waited for will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Absence {
    /// Its process has died.
    Died,
    /// It has ended: its universe was dropped, or MPI is being finalized there.
    Ended {
        /// Whether its thread was panicking.
        panicked: bool,
    },
    /// It has left the `#[collective]` call that the waiting rank is still in.
    Left,
}

impl Absence {
    /// The value of the word [`Member::ended`](crate::shm::segment::Member::ended).
    pub(super) fn of_word(word: u32) -> Option<Self> {
        let panicked = word > 1;
        (word > 0).then_some(Absence::Ended { panicked })
    }

    /// The word of a rank that ends.
    pub(super) fn word(panicking: bool) -> u32 {
        1 + u32::from(panicking)
    }
}

/// Defines `absent`, the error for a rank that does not come, of an error type with a variant for
/// each reason.
macro_rules! absent {
    ($error:ident) => {
        impl $error {
            pub(crate) fn absent(rank: u32, absence: $crate::shm::absence::Absence) -> Self {
                use $crate::shm::absence::Absence;
                let rank = rank as i32;
                match absence {
                    Absence::Died => $error::RankDied { rank },
                    Absence::Ended { panicked } => $error::RankEnded { rank, panicked },
                    Absence::Left => $error::RankLeft { rank },
                }
            }
        }
    };
}

pub(crate) use absent;
