//! A latch for ranks of other nodes. They send requests to the server of the root's node.

use crate::net::{Link, Message, Port, Progress, Remote, Request, Service, Tail};
use crate::shm::absence::HostLoss;
use crate::shm::block::Block;
use crate::shm::wait::{Deadline, Stop};
use crate::shm::waiting::want::{Tally, Wanted};
use crate::sync::latch::Remaining;
use crate::sync::latch::node::LatchState;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A request of a rank to the root's node. Each is answered.
#[derive(Debug, Serialize, Deserialize)]
enum LatchQuestion {
    /// Counts down by `count`.
    CountDown { count: u64 },
    /// Waits until the latch is open. The next question of the same rank ends the wait.
    Wait { is_endless: bool },
    /// Asks for the remaining count and the missing ranks.
    Missing,
}

/// The answer to a [`LatchQuestion`].
#[derive(Debug, Serialize, Deserialize)]
enum LatchAnswer {
    /// To `CountDown`: success, or the remaining count if that is less.
    Counted(Result<(), u64>),
    /// To `Wait`: the latch is open, or it cannot open without this dead rank.
    Waited(Result<(), u32>),
    /// To `Missing`.
    Missing(Remaining),
}

impl Message for LatchQuestion {}
impl Message for LatchAnswer {}

/// How long a rank whose time limit has passed waits for the answer of the root's node.
const ANSWER_TIME: Duration = Duration::from_millis(200);

/// A latch on another node.
pub(super) struct LatchClient {
    remote: Remote<LatchQuestion, LatchAnswer>,
    /// Whether this rank knows that the latch is open. An open latch stays open.
    is_open: Cell<bool>,
}

impl LatchClient {
    /// Opens the port of a latch. None on the root's node.
    pub(super) fn open(link: &Link) -> Option<Self> {
        let serve = |port, block: &Arc<Block>| LatchServer {
            port,
            latch: LatchState::new(block),
            waiting: BTreeMap::new(),
        };
        Remote::open(link, serve).map(|remote| LatchClient {
            remote,
            is_open: Cell::new(false),
        })
    }

    /// Counts down. Fails with the remaining count if that is less than `count`.
    /// The outer error is a host that is lost.
    pub(super) fn count_down(
        &self,
        block: &Block,
        count: u64,
    ) -> Result<Result<(), u64>, HostLoss> {
        match self.remote.ask(block, LatchQuestion::CountDown { count })? {
            LatchAnswer::Counted(counted) => Ok(counted),
            answer => unreachable!("no answer to this question: {answer:?}"),
        }
    }

    /// Waits until the latch is open.
    pub(super) fn wait(&self, block: &Block, deadline: Deadline<'_>) -> Result<(), Stop> {
        if self.is_open.get() {
            return Ok(());
        }
        let is_endless = deadline.is_never();
        let request = self.remote.request(LatchQuestion::Wait { is_endless });
        let reply = self.remote.reply(block, request, deadline);
        if matches!(reply, Err(Stop::Deadlock | Stop::Interrupted)) {
            // Another question ends the wait on the root's node, too.
            self.remote.request(LatchQuestion::Missing);
        }
        match reply? {
            LatchAnswer::Waited(Ok(())) => {
                self.is_open.set(true);
                Ok(())
            }
            LatchAnswer::Waited(Err(rank)) => Err(block.domain().stop_for(rank)),
            answer => unreachable!("no answer to this question: {answer:?}"),
        }
    }

    pub(super) fn remaining(&self, block: &Block) -> Result<u64, HostLoss> {
        if self.is_open.get() {
            return Ok(0);
        }
        let missing = self.missing_within(block, Deadline::NEVER);
        Ok(missing.map_err(Stop::expect_host_loss)?.0)
    }

    /// The remaining count, and the ranks that have not counted down at all. None if the root's
    /// node does not answer in time.
    pub(super) fn missing(&self, block: &Block) -> Option<Remaining> {
        self.missing_within(block, Deadline::after(ANSWER_TIME))
            .ok()
    }

    fn missing_within(&self, block: &Block, deadline: Deadline<'_>) -> Result<Remaining, Stop> {
        let request = self.remote.request(LatchQuestion::Missing);
        match self.remote.reply(block, request, deadline)? {
            LatchAnswer::Missing(missing) => {
                self.is_open.set(missing.0 == 0);
                Ok(missing)
            }
            answer => unreachable!("no answer to this question: {answer:?}"),
        }
    }
}

/// The server of a latch, for the ranks of other nodes.
struct LatchServer {
    port: Port,
    latch: LatchState,
    /// The waiting ranks, with the numbers of their requests.
    waiting: BTreeMap<u32, u32>,
}

impl LatchServer {
    /// Answers all ranks that wait.
    fn answer_waiting(&mut self, waited: Result<(), u32>) {
        for (rank, request) in std::mem::take(&mut self.waiting) {
            self.latch.set_waits(rank, false);
            let answer = LatchAnswer::Waited(waited);
            self.port.reply(rank, request, answer);
        }
    }
}

impl Service for LatchServer {
    type Message = Request<LatchQuestion>;

    fn receive(&mut self, from: u32, request: Request<LatchQuestion>, _: Tail<'_>) {
        let number = request.number.expect("each question has an answer");
        self.waiting.remove(&from);
        self.latch.set_waits(from, false);
        let answer = match request.question {
            LatchQuestion::CountDown { count } => {
                LatchAnswer::Counted(self.latch.count_down(from, count))
            }
            LatchQuestion::Wait { is_endless } => {
                self.latch.set_waits(from, is_endless);
                self.waiting.insert(from, number);
                return;
            }
            LatchQuestion::Missing => LatchAnswer::Missing(self.latch.missing()),
        };
        self.port.reply(from, number, answer);
    }

    fn is_called(&self) -> bool {
        !self.waiting.is_empty() && self.latch.is_open()
    }

    fn go_on(&mut self) -> Progress {
        if self.latch.is_open() {
            self.answer_waiting(Ok(()));
        }
        Progress::Done
    }

    fn inspect(&mut self) {
        if !self.waiting.is_empty()
            && let Some(rank) = self.latch.lost()
        {
            self.answer_waiting(Err(rank));
        }
    }

    /// A rank that waits has the answers to all that it has counted down, so nothing is under way but
    /// the news that the latch is open.
    fn tally(&self, want: &Wanted) -> Option<Tally> {
        (*want == Wanted::Open).then(|| Tally::of_root(!self.latch.is_open()))
    }
}
