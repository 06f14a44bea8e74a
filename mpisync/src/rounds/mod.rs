//! What ranks do round after round: one after the other ([`turn`]), all together ([`barrier`]), or each for itself, to tell the
//! first of them what came of it (`vote`).
//!
//! Each node has words of its own. What has to be known on another node goes there in one message, to its agent, which
//! changes the words there.

pub(crate) mod barrier;
pub(crate) mod remote;
pub(crate) mod turn;
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
