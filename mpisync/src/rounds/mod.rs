//! What ranks do round after round: one after the other ([`turn`]), all together ([`barrier`]), or each for itself, to tell the
//! first of them what came of it (`vote`).
//!
//! Each node has words of its own. What has to be known on another node goes there in one message, to its agent, which
//! changes the words there.

pub(crate) mod barrier;
pub(crate) mod turn;
#[cfg(feature = "mpi")]
pub(crate) mod vote;

use serde::{Deserialize, Serialize};

/// What a rank makes of something that ranks do together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Ballot {
    /// It has done its part.
    Done,
    /// It has failed, for this reason.
    Failed(String),
    /// It has not done its part.
    Open,
    /// It takes no part any more, from this round on.
    Left,
}

/// What nodes tell each other about a turn, a barrier or a vote. It goes to the agent of a node, but for the last two.
#[cfg_attr(
    not(feature = "mpi"),
    expect(dead_code, reason = "on one node nobody is told")
)]
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum RoundWord {
    /// So many turns are over, and the next one is that of a rank of the node that gets this.
    Over { turns: u64 },
    /// A rank died before its turn was over.
    TurnLost { rank: u32 },
    /// All ranks that could be heard of before this round have come so often.
    Heard { round: usize, time: u64 },
    /// A rank died when it had come so often.
    Lost { rank: u32, after: u64 },
    /// Which ranks of the node that gets this have not come for that time?
    AskMissing { asker: u32, request: u32, time: u64 },
    /// To the asker: these.
    Missing {
        request: u32,
        node: u32,
        ranks: Vec<u32>,
    },
    /// To the first rank: what `rank` makes of a round.
    #[cfg(feature = "mpi")]
    Vote {
        rank: u32,
        round: u64,
        ballot: Ballot,
    },
}
