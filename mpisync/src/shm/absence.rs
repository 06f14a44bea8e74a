//! Why a rank takes no part in what others wait for.

use crate::error::{CreateError, HostRanks, LockError};
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
    /// The value of the word [`Member::ended`](crate::shm::members::Member::ended).
    pub(super) fn of_word(word: u32) -> Option<Self> {
        let panicked = word > 1;
        (word > 0).then_some(Absence::Ended { panicked })
    }

    /// The word of a rank that ends.
    pub(super) fn word(panicking: bool) -> u32 {
        1 + u32::from(panicking)
    }
}

/// Why the ranks of a host cannot be reached any more. No wait across hosts can be relied on then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostLoss {
    pub(crate) ranks: HostRanks,
    /// Whether the host does not answer; otherwise its leader has died.
    pub(crate) is_silent: bool,
}

impl From<HostLoss> for LockError {
    fn from(HostLoss { ranks, is_silent }: HostLoss) -> Self {
        if is_silent {
            return LockError::HostSilent { ranks };
        }
        let rank = ranks.leader();
        LockError::LeaderDied { rank }
    }
}

impl From<HostLoss> for CreateError {
    fn from(HostLoss { ranks, is_silent }: HostLoss) -> Self {
        if is_silent {
            return CreateError::HostSilent { ranks };
        }
        let rank = ranks.leader();
        CreateError::RankDied { rank }
    }
}

/// Defines `absent`, the error for a rank that does not come, of an error type with a variant for
/// each reason; or with `$left` for one that has left the call.
macro_rules! absent {
    ($error:ident) => {
        absent!($error, rank => $error::RankLeft { rank });
    };
    ($error:ident, $rank:ident => $left:expr) => {
        impl $error {
            pub(crate) fn absent($rank: u32, absence: $crate::shm::absence::Absence) -> Self {
                use $crate::shm::absence::Absence;
                let $rank = $rank as i32;
                match absence {
                    Absence::Died => $error::RankDied { rank: $rank },
                    Absence::Ended { panicked } => {
                        let rank = $rank;
                        $error::RankEnded { rank, panicked }
                    }
                    Absence::Left => $left,
                }
            }
        }
    };
}

pub(crate) use absent;

#[cfg(feature = "mpi")]
absent!(CreateError, rank => unreachable!("rank {rank} cannot take part in any call"));
