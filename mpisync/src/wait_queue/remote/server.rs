//! The side of the list's node.

use crate::net::{Port, Progress, Request, Service, Tail};
use crate::shm::block::Block;
use crate::shm::wait::{INSPECTION, Stop, Surroundings};
use crate::shm::waiting::want::{Kept, Tally, Wanted};
use crate::wait_queue::cargo::Cargo;
use crate::wait_queue::memory::{Slots, WaitMemory};
use crate::wait_queue::poison::TakeOver;
use crate::wait_queue::remote::kept::permits;
use crate::wait_queue::remote::messages::{Manner, WaitAnswer, WaitQuestion};
use crate::wait_queue::{OnDeath, WaitQueue};
use serde_bytes::ByteBuf;
use std::collections::BTreeMap;
use std::time::Instant;

/// Stands in the list for the ranks of other nodes.
pub(super) struct WaitServer {
    port: Port,
    list: WaitQueue<Slots>,
    cargo: Cargo,
    /// Those who wait, by slot.
    waiting: BTreeMap<usize, Waiting>,
    /// Those who take over, as soon as that can be done.
    successors: Vec<Successor>,
    /// When ranks were looked after last.
    inspected: Instant,
}

/// A rank that takes over from dead ranks.
struct Successor {
    rank: u32,
    request: u32,
    wanted: u32,
}

/// A rank that waits.
struct Waiting {
    rank: u32,
    /// The number of its request.
    request: u32,
    ticket: u64,
    /// Whether it waits without a time limit until another rank wakes it.
    is_endless: bool,
}

impl WaitServer {
    /// For the list behind the server's block.
    pub(super) fn new(port: Port, block: &Block, cargo: Cargo, on_death: OnDeath) -> Self {
        WaitServer {
            port,
            list: WaitQueue {
                memory: Slots::new(block),
                on_death,
            },
            cargo,
            waiting: BTreeMap::new(),
            successors: Vec::new(),
            inspected: Instant::now(),
        }
    }

    /// Does what `rank` wants that needs no waiting; the answer to it.
    fn answer(&mut self, rank: u32, question: WaitQuestion) -> Option<WaitAnswer> {
        let list = &self.list;
        let slot = list.memory.slot_of(rank);
        Some(match question {
            WaitQuestion::Join { .. } | WaitQuestion::TakeOver { .. } => return None,
            WaitQuestion::Leave { request } => {
                self.leave(slot, request);
                return None;
            }
            WaitQuestion::Abandon {
                request,
                count,
                held,
            } => {
                self.abandon(slot, request, count, held);
                return None;
            }
            WaitQuestion::Release { count, cargo } => {
                list.release_for(slot, count, || {
                    if let Some(bytes) = cargo {
                        // SAFETY: the rank had the permit, and nobody has it yet.
                        unsafe { self.cargo.write(&list.memory, &bytes) };
                    }
                });
                return None;
            }
            WaitQuestion::Keep { count } => {
                // Of one that was taken for dead meanwhile, they have gone back; so below.
                if list.holds(slot, count) {
                    list.keep(slot, count);
                }
                WaitAnswer::Done(count)
            }
            WaitQuestion::Fill { cargo } => {
                list.release_for(slot, 1, || {
                    // SAFETY: the rank had the permit, and nobody has it yet.
                    unsafe { self.cargo.write(&list.memory, &cargo) };
                });
                WaitAnswer::Done(1)
            }
            WaitQuestion::Supply { count, most } => {
                WaitAnswer::Done(list.supply(count, most).into())
            }
            WaitQuestion::Wake { most } => WaitAnswer::Done(list.wake(most)),
            WaitQuestion::Free => WaitAnswer::Done(list.free()),
            WaitQuestion::Look => {
                WaitAnswer::Cargo(self.cargo.look(&list.memory).map(ByteBuf::from))
            }
        })
    }

    fn leave(&mut self, slot: usize, request: u32) {
        // One that has been granted, or is about to be, gets it.
        if let Some(waiting) = self.waiting.get(&slot)
            && waiting.request == request
            && self.list.leave(slot, waiting.ticket)
        {
            self.port.reply(waiting.rank, request, WaitAnswer::Left);
            self.waiting.remove(&slot);
        }
    }

    /// Takes a rank out of the list, or gives its permits back if they have been granted. It `held` so
    /// many before, and has sent what it gave back and kept since.
    fn abandon(&mut self, slot: usize, request: u32, count: u32, held: u32) {
        let is_meant = |waiting: &Waiting| waiting.request == request;
        if self.waiting.get(&slot).is_some_and(is_meant)
            && let Some(waiting) = self.waiting.remove(&slot)
        {
            if self.list.leave(slot, waiting.ticket) {
                return;
            }
            self.list.take_up(slot);
        }
        // It has no more than before if the answer was an error, or it was taken for dead.
        if self.list.held(slot) >= held + count {
            self.list.release_for(slot, count, || {});
        }
    }

    fn join(&mut self, rank: u32, request: u32, count: u32, manner: Manner) {
        let slot = self.list.memory.slot_of(rank);
        // Who waits for a wake-up has none by being alone.
        let is_endless = matches!(manner, Manner::WaitAndTell { is_endless: true });
        self.list.set_endless(slot, is_endless);
        let wants_permits = !matches!(manner, Manner::WaitAndTell { .. });
        if wants_permits && self.list.try_acquire(slot, count) {
            return self.port.reply(rank, request, self.granted(None));
        }
        if manner == Manner::Try && self.inspected.elapsed() >= INSPECTION {
            // Nobody may wait who would find that the permits are a dead rank's.
            self.inspected = Instant::now();
            let _ = self.list.inspect();
        }
        if let Err(broken) = self.broken() {
            return self.port.reply(rank, request, broken);
        }
        if manner == Manner::Try {
            return self.port.reply(rank, request, WaitAnswer::Refused);
        }
        let ticket = self.list.join(slot, count);
        let waiting = Waiting {
            rank,
            request,
            ticket,
            is_endless,
        };
        self.waiting.insert(slot, waiting);
        if !wants_permits {
            self.port.reply(rank, request, WaitAnswer::Joined);
        }
    }

    fn granted(&self, ticket: Option<u64>) -> WaitAnswer {
        // SAFETY: the permit belongs to who gets this answer.
        let cargo = unsafe { self.cargo.read(&self.list.memory) };
        let cargo = cargo.map(ByteBuf::from);
        WaitAnswer::Granted { ticket, cargo }
    }

    /// Tells those who have been served.
    fn tell_served(&mut self) {
        // First, so that who serves somebody from here on calls again.
        self.list.memory.take_call();
        let is_served = |slot: &usize| self.list.is_granted(*slot);
        let served: Vec<usize> = self.waiting.keys().copied().filter(is_served).collect();
        for slot in served {
            // It is taken back from who has died meanwhile.
            if self.list.memory.is_alive(slot)
                && let Some(waiting) = self.waiting.remove(&slot)
            {
                let ticket = self.list.take_up(slot);
                let answer = self.granted(Some(ticket));
                self.port.reply(waiting.rank, waiting.request, answer);
            }
        }
    }

    /// Takes waiting ranks out of the queue and gives them this answer; not those that have just
    /// been served, which are told so.
    fn turn_away(
        &mut self,
        is_meant: impl Fn(&WaitQueue<Slots>, &Waiting) -> bool,
        answer: &WaitAnswer,
    ) {
        self.waiting.retain(|slot, waiting| {
            let is_meant = is_meant(&self.list, waiting);
            let has_left = is_meant && self.list.leave(*slot, waiting.ticket);
            if has_left {
                let (rank, request) = (waiting.rank, waiting.request);
                self.port.reply(rank, request, answer.clone());
            }
            !has_left
        });
    }

    /// Lets ranks take over, if that can be done now.
    fn let_take_over(&mut self) {
        if let Err(broken) = self.broken() {
            self.turn_away(|_, _| true, &broken);
        }
        let (list, port) = (&self.list, &self.port);
        let mut answers = Vec::new();
        self.successors.retain(|successor| {
            let slot = list.memory.slot_of(successor.rank);
            let taken = list.try_take_over(slot, successor.wanted);
            if taken != TakeOver::NotYet {
                answers.push((successor.rank, successor.request, taken));
            }
            taken == TakeOver::NotYet
        });
        for (rank, request, taken) in answers {
            let answer = match taken {
                TakeOver::Taken(1) => self.granted(None),
                TakeOver::Taken(count) => WaitAnswer::Done(count),
                _ => WaitAnswer::Refused,
            };
            port.reply(rank, request, answer);
        }
    }

    fn broken(&self) -> Result<(), WaitAnswer> {
        match self.list.check() {
            Err(Stop::Died(slot)) => {
                let rank = self.list.memory.rank_of(slot);
                // The server's own: its rank is the node's lowest.
                let rank = rank.or_else(|| self.list.memory.rank_of(0));
                let rank = rank.expect("a node has ranks");
                Err(WaitAnswer::Broken { rank })
            }
            _ => Ok(()),
        }
    }
}

impl Service for WaitServer {
    type Message = Request<WaitQuestion>;

    fn receive(&mut self, from: u32, request: Request<WaitQuestion>, _: Tail<'_>) {
        match (request.question, request.number) {
            (WaitQuestion::Join { count, manner }, Some(number)) => {
                self.join(from, number, count, manner);
            }
            (WaitQuestion::TakeOver { wanted }, Some(request)) => {
                let rank = from;
                self.successors.push(Successor {
                    rank,
                    request,
                    wanted,
                });
            }
            (question, number) => {
                let answer = self.answer(from, question);
                if let (Some(answer), Some(number)) = (answer, number) {
                    self.port.reply(from, number, answer);
                }
            }
        }
    }

    /// Whether a rank of this node may have served somebody who stands here.
    fn is_called(&self) -> bool {
        !self.waiting.is_empty() && self.list.memory.is_called()
    }

    fn go_on(&mut self) -> Progress {
        self.tell_served();
        if !self.successors.is_empty() {
            self.let_take_over();
        }
        Progress::busy_if(!self.successors.is_empty())
    }

    fn inspect(&mut self) {
        let found = self.list.inspect();
        self.tell_served();
        let ended = || match found {
            Err(Stop::Ended(slot)) => self.list.memory.rank_of(slot),
            _ => None,
        };
        if let Err(broken) = self.broken() {
            self.turn_away(|_, _| true, &broken);
        } else if let Some(rank) = ended() {
            self.turn_away(|_, _| true, &WaitAnswer::Ended { rank });
        } else {
            let is_alone = |queue: &WaitQueue<Slots>, waiting: &Waiting| {
                waiting.is_endless && queue.check_wakers(waiting.ticket).is_err()
            };
            self.turn_away(is_alone, &WaitAnswer::Alone);
        }
        let is_alive = |slot: &usize| self.list.memory.is_alive(*slot);
        self.waiting.retain(|slot, _| is_alive(slot));
    }

    fn keeps(&self, local_rank: usize, want: &Wanted, _: bool) -> Kept {
        let held_at = &self.list.memory.slot(local_rank).held_at;
        let held = self.list.held(local_rank);
        permits(want, held, held_at, self.port.net().domain(), local_rank)
    }

    /// A rank that waits has the answers to all its notifications. So one that still stands in the line
    /// has not been notified by any of those that wait.
    fn tally(&self, want: &Wanted) -> Option<Tally> {
        let Wanted::Notification(rank) = *want else {
            return None;
        };
        let slot = self.list.memory.slot_of(rank);
        Some(Tally::of_root(self.list.is_waiting(slot)))
    }
}
