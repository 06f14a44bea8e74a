//! Why a rank takes no part in what others wait for.

use serde::{Deserialize, Serialize};

/// Why a rank that is waited for will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Absence {
    /// Its process has died.
    Died,
    /// It has ended: its universe was dropped, or MPI is being finalized there.
    Ended,
    /// The same, while its thread panicked.
    Panicked,
    /// It has left the `#[collective]` call that the waiting rank is still in.
    Left,
}

impl Absence {
    /// The value of the word [`Member::ended`](crate::shm::segment::Member::ended).
    pub(super) fn of_word(word: u32) -> Option<Self> {
        match word {
            0 => None,
            1 => Some(Absence::Ended),
            _ => Some(Absence::Panicked),
        }
    }

    /// The word of a rank that ends.
    pub(super) fn word(panicking: bool) -> u32 {
        1 + u32::from(panicking)
    }
}
