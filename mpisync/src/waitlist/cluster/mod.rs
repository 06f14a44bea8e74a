//! A waiting list that ranks of other nodes stand in: they ask the agent of its node, the [`deputy`], which takes their seats
//! there. It answers the rank itself, so that taking a permit that is free takes one round trip, and giving it back half of
//! one, for which nobody waits.

mod asker;
mod deputy;

pub(crate) use asker::{Asker, Granted};
pub(crate) use deputy::Deputy;
use serde::{Deserialize, Serialize};

/// What is said about a waiting list to the agent of its node.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum WaitWord {
    /// `asker` wants so many permits.
    Join {
        asker: u32,
        request: u32,
        count: u32,
        manner: Manner,
    },
    /// `asker` does not want to wait any longer.
    Leave { asker: u32, request: u32 },
    /// `asker` gives permits back, and what goes with them where it has changed.
    Release {
        asker: u32,
        count: u32,
        cargo: Option<Vec<u8>>,
    },
    /// `asker` keeps permits for good.
    Keep {
        asker: u32,
        request: u32,
        count: u32,
    },
    /// `asker` puts this beside the only permit, and gives that back.
    Fill {
        asker: u32,
        request: u32,
        cargo: Vec<u8>,
    },
    /// Puts permits into the stock, up to so many.
    Supply {
        asker: u32,
        request: u32,
        count: u32,
        most: u32,
    },
    /// Wakes so many of those who wait.
    Wake { asker: u32, request: u32, most: u32 },
    /// How many permits are free?
    AskFree { asker: u32, request: u32 },
    /// What goes with the permit?
    Look { asker: u32, request: u32 },
}

impl WaitWord {
    /// How many bytes of cargo travel with it.
    pub(crate) fn size(&self) -> usize {
        match self {
            WaitWord::Fill { cargo, .. } => cargo.len(),
            WaitWord::Release { cargo, .. } => cargo.as_ref().map_or(0, Vec::len),
            _ => 0,
        }
    }
}

impl Answer {
    /// How many bytes of cargo travel with it.
    pub(crate) fn size(&self) -> usize {
        match self {
            Answer::Granted { cargo, .. } | Answer::Cargo(cargo) => {
                cargo.as_ref().map_or(0, Vec::len)
            }
            _ => 0,
        }
    }
}

/// What becomes of who asks for permits that are not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Manner {
    /// It is refused.
    Try,
    /// It waits in the line.
    Wait,
    /// It waits in the line, and wants to know when it stands there.
    WaitAndTell,
}

/// The answer to a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The asker stands in the line.
    Joined,
    /// It has the permits, and what goes with them. The ticket is that of who had to wait.
    Granted {
        ticket: Option<u64>,
        cargo: Option<Vec<u8>>,
    },
    /// It does not have them.
    Refused,
    /// It has left the line.
    Left,
    /// This rank died with what nobody else may have.
    Broken { rank: u32 },
    /// It is done, to so many.
    Done(u32),
    /// What goes with the permit.
    Cargo(Option<Vec<u8>>),
}
