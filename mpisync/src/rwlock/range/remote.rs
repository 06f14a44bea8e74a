//! Ranges over several nodes. All ranks ask the server of the home node, which has the table.
//!
//! A rank that shall open a group takes the write lock on its own node, as any writer does, and gives
//! the turn of that node to the group. When the group has no members any more, the home node's server
//! tells that node's server to release the lock.

use crate::net::{Link, Message, Port, Remote, Request, Service, Tail};
use crate::rwlock::global::lock::GlobalLock;
use crate::rwlock::memory::{LockMemory, Memory};
use crate::rwlock::node::NodeLock;
use crate::rwlock::range::table::{Next, Slot, State, Table};
use crate::shm::block::Block;
use crate::shm::topology::RankLocation;
use crate::shm::wait::{Deadline, Stop};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What a rank asks the home node's server, which answers `Join` and `Opened`, and what the servers
/// tell each other.
#[derive(Debug, Serialize, Deserialize)]
enum RangeQuestion {
    /// It wants this range.
    Join {
        start: u64,
        end: u64,
        /// Whether somebody on its node waits for the lock itself.
        others_wait: bool,
        /// Whether it waits if it cannot have the range at once.
        waits: bool,
    },
    /// It has the write lock, and its node's turn is that of the group.
    Opened,
    /// It ceases to wait for the answer to this request.
    Leave { request: u32 },
    /// It gives its range back.
    Release,
    /// From the home node's server to that of the node with the write lock: the group of `opener` has
    /// ended, and `dead` has died with a range of it.
    End { opener: u32, dead: Option<u32> },
    /// From the home node's server to that of this rank's node: it has died, and has got its range.
    /// `Found` follows.
    Look { rank: u32 },
    /// To the home node's server: whether this rank, which has died, held its range.
    Found { rank: u32, held: bool },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum RangeAnswer {
    /// It has the range.
    Holds,
    /// It has to take the write lock, and to open a group.
    Opens,
    /// It does not have the range, and does not wait.
    Left,
    /// This rank died with a range of the group.
    Broken { rank: u32 },
    /// This rank has ended and still has a range of the group.
    Ended { rank: u32 },
}

impl Message for RangeQuestion {}
impl Message for RangeAnswer {}

/// The ranges of an object that spans nodes, as one rank sees them.
pub(super) struct RangeClient {
    remote: Remote<RangeQuestion, RangeAnswer>,
    rank: u32,
}

/// How a rank takes a range.
pub(super) struct Asking<'a, F> {
    pub(super) block: &'a Block,
    pub(super) lock: NodeLock<&'a LockMemory>,
    pub(super) range: Range<u64>,
    pub(super) deadline: Deadline<'a>,
    pub(super) waits: bool,
    /// Takes the write lock.
    pub(super) open: F,
}

impl RangeClient {
    /// Opens the port of an object's ranges. Leaders begin to serve it.
    pub(super) fn open(link: &Link, global: &GlobalLock, rank: u32) -> Self {
        let remote = Remote::open_on_all(link, |port, block| RangeServer {
            table: Table::new(port.net().topology().size()),
            is_home: link.is_home(),
            group: None,
            opening: None,
            waiting: BTreeMap::new(),
            looked_for: BTreeSet::new(),
            global: global.for_server(),
            memory: LockMemory::new(block.first_part()),
            port,
        });
        RangeClient { remote, rank }
    }

    /// Takes a range; waits until it is granted. Returns false if it does not wait.
    pub(super) fn take<F: FnMut() -> Result<bool, Stop>>(
        &self,
        asking: Asking<'_, F>,
    ) -> Result<bool, Stop> {
        let Asking {
            block,
            lock,
            range,
            mut deadline,
            waits,
            mut open,
        } = asking;
        let mut request = self.remote.request(RangeQuestion::Join {
            start: range.start,
            end: range.end,
            others_wait: lock.others_wait(),
            waits,
        });
        let mut given_up = None;
        loop {
            match self.remote.reply(block, request, deadline) {
                Ok(RangeAnswer::Holds) => {
                    lock.memory.my_words().range.take_up(&range);
                    return Ok(true);
                }
                Ok(RangeAnswer::Left) => return given_up.map_or(Ok(false), Err),
                Ok(RangeAnswer::Broken { rank }) => return Err(Stop::RankDied(rank)),
                Ok(RangeAnswer::Ended { rank }) => return Err(Stop::RankEnded(rank)),
                Ok(RangeAnswer::Opens) => {
                    if let Some(stop) = given_up {
                        // The server has the message that this rank has left.
                        return Err(stop);
                    }
                    let opened = open();
                    if opened != Ok(true) {
                        self.remote.notify(RangeQuestion::Leave { request });
                        return opened;
                    }
                    lock.share_turn(self.rank);
                    request = self.remote.request(RangeQuestion::Opened);
                }
                Err(stop) => {
                    self.remote.notify(RangeQuestion::Leave { request });
                    if let Stop::HostLost(_) = stop {
                        return Err(stop);
                    }
                    // It may have been granted meanwhile; an answer comes in either case.
                    given_up = Some(stop);
                    deadline = deadline.extended();
                }
            }
        }
    }

    /// Gives the range back; does not wait.
    pub(super) fn release(&self, lock: NodeLock<&LockMemory>) {
        lock.memory.my_words().range.give_back();
        self.remote.notify(RangeQuestion::Release);
    }
}

/// The table on the home node, and the node's part in a group on any node.
struct RangeServer {
    port: Port,
    is_home: bool,
    /// By rank of the communicator. On the home node only, as what follows up to `looked_for`.
    table: Table,
    /// The rank that has opened the group that has the write lock.
    group: Option<u32>,
    /// The rank that takes the write lock to open a group.
    opening: Option<u32>,
    /// The ranks that wait for an answer.
    waiting: BTreeMap<u32, Waiting>,
    /// The dead ranks whose nodes look whether they held the ranges that they have got.
    looked_for: BTreeSet<u32>,
    global: GlobalLock,
    memory: LockMemory,
}

/// A rank that waits for an answer.
#[derive(Clone, Copy)]
struct Waiting {
    request: u32,
    others_wait: bool,
    waits: bool,
}

impl RangeServer {
    fn node(&self) -> NodeLock<&LockMemory> {
        NodeLock {
            memory: &self.memory,
        }
    }

    fn answer(&mut self, rank: u32, answer: RangeAnswer) {
        if let Some(waiting) = self.waiting.remove(&rank) {
            self.port.reply(rank, waiting.request, answer);
        }
    }

    /// Answers all ranks for which something has changed.
    fn serve(&mut self) {
        self.end_group();
        self.advance();
        // The last member may have been one that does not wait.
        while self.end_group() {
            self.advance();
        }
    }

    /// Goes on with all ranks that wait, in the order of their tickets.
    fn advance(&mut self) {
        let ticket = |rank: &u32| self.table.slots[*rank as usize].ticket;
        let mut ranks: Vec<u32> = self.waiting.keys().copied().collect();
        ranks.sort_by_key(ticket);
        for rank in ranks {
            let Waiting {
                others_wait, waits, ..
            } = self.waiting[&rank];
            let others_wait = others_wait || self.node().others_wait();
            let next = self
                .table
                .advance(rank as usize, self.group.is_some(), others_wait);
            match next {
                Next::Holds => self.answer(rank, RangeAnswer::Holds),
                Next::Opens => {
                    self.opening = Some(rank);
                    self.answer(rank, RangeAnswer::Opens);
                }
                Next::Broken(dead) => {
                    self.table.leave(rank as usize);
                    self.answer(rank, RangeAnswer::Broken { rank: dead });
                }
                Next::Waits if waits => {}
                Next::Waits => {
                    self.table.leave(rank as usize);
                    self.answer(rank, RangeAnswer::Left);
                }
            }
        }
    }

    /// Lets the write lock be released if the group has no members. Returns whether it has ended.
    fn end_group(&mut self) -> bool {
        let has_members = self.table.has_members();
        let Some(opener) = self.group.take_if(|_| !has_members) else {
            return false;
        };
        self.end_at_node(opener, self.table.group.broken_by);
        true
    }

    /// The group of `opener` has ended, on the node of that rank.
    fn end_at_node(&self, opener: u32, dead: Option<u32>) {
        self.tell_node_of(opener, RangeQuestion::End { opener, dead });
    }

    /// Sends a message to the server of this rank's node.
    fn tell_node_of(&self, rank: u32, question: RangeQuestion) {
        let node = self.port.net().topology().node_of(rank);
        let number = None;
        self.port.send(node, &Request { number, question });
    }

    /// As the server of the node with the write lock.
    fn end(&self, opener: u32, dead: Option<u32>) {
        let node = self.node();
        if !node.has_group_of(opener) {
            return;
        }
        match dead {
            Some(dead) => node.break_group(dead),
            None => self.global.unlock_write(node),
        }
    }

    /// A rank does not wait for the answer to this request any more.
    fn leave(&mut self, rank: u32, request: u32) {
        let is_asked = (self.waiting.get(&rank)).is_some_and(|waiting| waiting.request == request);
        let slot = &self.table.slots[rank as usize];
        if slot.state != State::Waits {
            // It has been granted, and has the answer.
            return;
        }
        self.table.leave(rank as usize);
        self.opening.take_if(|opening| *opening == rank);
        if is_asked {
            self.answer(rank, RangeAnswer::Left);
        }
    }

    /// Takes the ranges of dead ranks from them. If one of them has got its range, its node has to tell
    /// first whether it held it: the answer may have come after its death.
    fn reclaim_dead(&mut self) {
        for rank in 0..self.table.slots.len() {
            let is_alive = || self.port.net().domain().rank_is_alive(rank);
            let slot = &self.table.slots[rank];
            if *slot == Slot::default() || is_alive() {
                continue;
            }
            let number = rank as u32;
            if slot.state == State::Holds {
                if self.looked_for.insert(number) {
                    self.tell_node_of(number, RangeQuestion::Look { rank: number });
                }
                continue;
            }
            self.table.leave(rank);
            self.waiting.remove(&number);
            if self.opening.take_if(|opening| *opening == number).is_some() {
                // It may have the write lock for a group already, and may have died before it told so.
                // No rank has got a range of that group.
                self.end_at_node(number, None);
            }
        }
    }

    /// As the server of a dead rank's node: tells the home node's whether that rank held its range.
    fn look(&self, rank: u32, home: u32) {
        let held = match self.port.net().topology().location(rank as usize) {
            RankLocation::Local(local_rank) => self.memory.rank_words(local_rank).range.holds(),
            RankLocation::Remote(_) => unreachable!("the rank is of this node"),
        };
        self.tell_node_of(home, RangeQuestion::Found { rank, held });
    }

    /// A dead rank has got its range, and held it or not.
    fn reclaim(&mut self, rank: u32, held: bool) {
        self.looked_for.remove(&rank);
        match held {
            true => self.table.reclaim(rank as usize, rank),
            // It has changed nothing.
            false => self.table.leave(rank as usize),
        }
    }

    /// A rank that has ended and holds a range.
    fn ended_holder(&self) -> Option<u32> {
        let domain = self.port.net().domain();
        let mut holders = self.table.holders().map(|rank| rank as u32);
        holders.find(|rank| {
            !self.looked_for.contains(rank) && domain.departure(*rank as usize).is_some()
        })
    }
}

impl Service for RangeServer {
    type Message = Request<RangeQuestion>;

    fn receive(
        &mut self,
        from: u32,
        Request { number, question }: Request<RangeQuestion>,
        _: Tail<'_>,
    ) {
        match question {
            RangeQuestion::End { opener, dead } => return self.end(opener, dead),
            RangeQuestion::Look { rank } => return self.look(rank, from),
            RangeQuestion::Found { rank, held } => self.reclaim(rank, held),
            RangeQuestion::Join {
                start,
                end,
                others_wait,
                waits,
            } => {
                let others_wait = others_wait || self.node().others_wait();
                self.table.join(from as usize, start..end);
                self.table
                    .admit(from as usize, self.group.is_some(), others_wait);
                let waiting = Waiting {
                    request: number.expect("it waits for the answer"),
                    others_wait,
                    waits,
                };
                self.waiting.insert(from, waiting);
            }
            RangeQuestion::Opened => {
                // Otherwise it has died, and the group with it.
                if self.opening.take_if(|opening| *opening == from).is_some() {
                    self.table.open();
                    self.group = Some(from);
                    let waiting = Waiting {
                        request: number.expect("it waits for the answer"),
                        others_wait: false,
                        waits: true,
                    };
                    self.waiting.insert(from, waiting);
                }
            }
            RangeQuestion::Leave { request } => self.leave(from, request),
            RangeQuestion::Release => self.table.leave(from as usize),
        }
        self.serve();
    }

    fn inspect(&mut self) {
        if !self.is_home {
            return;
        }
        self.reclaim_dead();
        if let Some(rank) = self.ended_holder() {
            let waiting: Vec<u32> = self.waiting.keys().copied().collect();
            for asking in waiting {
                self.table.leave(asking as usize);
                self.answer(asking, RangeAnswer::Ended { rank });
            }
        }
        self.serve();
    }
}
