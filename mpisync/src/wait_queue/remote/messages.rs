//! What is said about a wait queue between its node and the ranks of other nodes.

use crate::net::Message;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// What a rank wants of the list. [`WaitAnswer`] follows but for `Leave`, `Abandon` and `Release`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum WaitQuestion {
    /// It wants so many permits.
    Join { count: u32, manner: Manner },
    /// It does not want to wait any longer for what it has asked for in this request.
    Leave { request: u32 },
    /// It does not want any longer what it has asked for in this request, even if that has been granted:
    /// `count` permits, beside those that it `held` before.
    Abandon { request: u32, count: u32, held: u32 },
    /// It gives permits back, and what goes with them where it has changed.
    Release { count: u32, cargo: Option<ByteBuf> },
    /// It keeps permits for good.
    Keep { count: u32 },
    /// It puts this beside the only permit, and gives that back.
    Fill { cargo: ByteBuf },
    /// It adds free permits, up to so many.
    Supply { count: u32, most: u32 },
    /// It wakes so many of those who wait.
    Wake { most: u32 },
    /// How many permits are free?
    Free,
    /// What goes with the permit?
    Look,
    /// It takes over from dead ranks, and takes at most this number of permits that are free then.
    TakeOver { wanted: u32 },
}

/// What becomes of who asks for permits that are not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Manner {
    /// It is refused.
    Try,
    /// It waits in the line.
    Wait,
    /// It waits in the line until another rank wakes it, and wants to know when it stands there.
    WaitAndTell { is_endless: bool },
}

/// The answer to a question.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum WaitAnswer {
    /// The rank stands in the line.
    Joined,
    /// It has the permits, and what goes with them. The ticket is that of who had to wait.
    Granted {
        ticket: Option<u64>,
        cargo: Option<ByteBuf>,
    },
    /// It does not have them.
    Refused,
    /// It has left the line.
    Left,
    /// This rank died with what nobody else may have.
    Broken { rank: u32 },
    /// This rank has ended and still has what others wait for.
    Ended { rank: u32 },
    /// No rank is left that could wake it.
    Alone,
    /// It is done, to so many.
    Done(u32),
    /// What goes with the permit.
    Cargo(Option<ByteBuf>),
}

impl Message for WaitQuestion {
    fn size(&self) -> usize {
        match self {
            WaitQuestion::Fill { cargo } => cargo.len(),
            WaitQuestion::Release { cargo, .. } => cargo.as_ref().map_or(0, |cargo| cargo.len()),
            _ => 0,
        }
    }
}

impl Message for WaitAnswer {
    fn size(&self) -> usize {
        match self {
            WaitAnswer::Granted { cargo, .. } | WaitAnswer::Cargo(cargo) => {
                cargo.as_ref().map_or(0, |cargo| cargo.len())
            }
            _ => 0,
        }
    }
}
