//! The side of the list's node.

use super::{Answer, Manner, WaitWord};
use crate::cluster::{Hub, Reply};
use crate::memory::Surroundings;
use crate::memory::annex::Cargo;
use crate::memory::block::Block;
use crate::memory::waitlist::Seats;
use crate::wait::{INSPECTION, Stop};
use crate::waitlist::{Inheritance, Waitlist};
use std::collections::BTreeMap;
use std::time::Instant;

/// Who stands in the list for the ranks of other nodes.
pub(crate) struct Deputy {
    list: Waitlist<Seats>,
    cargo: Cargo,
    /// Those who wait, by seat.
    requests: BTreeMap<usize, Request>,
    /// When ranks were looked after last.
    inspected: Instant,
}

struct Request {
    asker: u32,
    number: u32,
    ticket: u64,
}

impl Deputy {
    /// For the list behind the agent's block.
    pub(crate) fn new(block: &Block, cargo: Cargo, inheritance: Inheritance) -> Self {
        Deputy {
            list: Waitlist {
                memory: Seats::new(block),
                inheritance,
            },
            cargo,
            requests: BTreeMap::new(),
            inspected: Instant::now(),
        }
    }

    /// Does what a rank of another node asks for.
    pub(crate) fn handle(&mut self, hub: &Hub, number: u64, word: WaitWord) {
        let list = &self.list;
        let seat = |rank| list.memory.seat_of(rank);
        let tell = |asker, request, answer| tell(hub, number, asker, request, answer);
        match word {
            WaitWord::Join {
                asker,
                request,
                count,
                manner,
            } => self.join(hub, number, (asker, request, count, manner)),
            WaitWord::Leave { asker, request } => {
                let seat = seat(asker);
                let is_this = |waiting: &mut Request| waiting.number == request;
                // One that has been granted, or is about to be, gets it.
                if let Some(waiting) = self.requests.get_mut(&seat)
                    && is_this(waiting)
                    && list.leave(seat, waiting.ticket)
                {
                    self.requests.remove(&seat);
                    tell(asker, request, Answer::Left);
                }
            }
            WaitWord::Release {
                asker,
                count,
                cargo,
            } => {
                if list.holds(seat(asker), count) {
                    if let Some(bytes) = cargo {
                        // SAFETY: the asker has the permit.
                        unsafe { self.cargo.write(&list.memory, &bytes) };
                    }
                    list.release(seat(asker), count);
                }
            }
            WaitWord::Keep {
                asker,
                request,
                count,
            } => {
                // Of one that was taken for dead meanwhile, they have gone back; so below.
                if list.holds(seat(asker), count) {
                    list.keep(seat(asker), count);
                }
                tell(asker, request, Answer::Done(count));
            }
            WaitWord::Fill {
                asker,
                request,
                cargo,
            } => {
                if list.holds(seat(asker), 1) {
                    // SAFETY: the asker has the permit.
                    unsafe { self.cargo.write(&list.memory, &cargo) };
                    list.release(seat(asker), 1);
                }
                tell(asker, request, Answer::Done(1));
            }
            WaitWord::Supply {
                asker,
                request,
                count,
                most,
            } => {
                let supplied = list.supply(count, most);
                tell(asker, request, Answer::Done(supplied.into()));
            }
            WaitWord::Wake {
                asker,
                request,
                most,
            } => tell(asker, request, Answer::Done(list.wake(most))),
            WaitWord::AskFree { asker, request } => {
                tell(asker, request, Answer::Done(list.free()));
            }
            WaitWord::Look { asker, request } => {
                let cargo = self.cargo.look(&list.memory);
                tell(asker, request, Answer::Cargo(cargo));
            }
        }
    }

    fn join(
        &mut self,
        hub: &Hub,
        number: u64,
        (asker, request, count, manner): (u32, u32, u32, Manner),
    ) {
        let seat = self.list.memory.seat_of(asker);
        let tell = |answer| tell(hub, number, asker, request, answer);
        // Who waits for a wake-up has none by being alone.
        if manner != Manner::WaitAndTell && self.list.try_acquire(seat, count) {
            return tell(self.granted(None));
        }
        if manner == Manner::Try && self.inspected.elapsed() >= INSPECTION {
            // Nobody may wait who would find that the permits are a dead rank's.
            self.inspected = Instant::now();
            let _ = self.list.inspect();
        }
        if let Err(broken) = self.broken() {
            return tell(broken);
        }
        if manner == Manner::Try {
            return tell(Answer::Refused);
        }
        let ticket = self.list.join(seat, count);
        let waiting = Request {
            asker,
            number: request,
            ticket,
        };
        self.requests.insert(seat, waiting);
        if manner == Manner::WaitAndTell {
            tell(Answer::Joined);
        }
    }

    fn granted(&self, ticket: Option<u64>) -> Answer {
        // SAFETY: the permit belongs to who gets this answer.
        let cargo = unsafe { self.cargo.read(&self.list.memory) };
        Answer::Granted { ticket, cargo }
    }

    /// Whether a rank of this node may have served somebody who stands here.
    pub(crate) fn is_called(&self) -> bool {
        !self.requests.is_empty() && self.list.memory.is_called()
    }

    /// Tells those who have been served.
    pub(crate) fn go_on(&mut self, hub: &Hub, number: u64) {
        // First, so that who serves somebody from here on calls again.
        self.list.memory.take_call();
        let is_served = |seat: &usize| self.list.is_granted(*seat);
        let served: Vec<usize> = self.requests.keys().copied().filter(is_served).collect();
        for seat in served {
            // It is taken back from who has died meanwhile.
            if self.list.memory.is_alive(seat)
                && let Some(waiting) = self.requests.remove(&seat)
            {
                let ticket = self.list.take_up(seat);
                let answer = self.granted(Some(ticket));
                tell(hub, number, waiting.asker, waiting.number, answer);
            }
        }
    }

    /// Looks after ranks that may have died.
    pub(crate) fn inspect(&mut self, hub: &Hub, number: u64) {
        let _ = self.list.inspect();
        self.go_on(hub, number);
        if let Err(broken) = self.broken() {
            // Not those that have just been served: they are told so.
            self.requests.retain(|seat, waiting| {
                let left = self.list.leave(*seat, waiting.ticket);
                if left {
                    tell(hub, number, waiting.asker, waiting.number, broken.clone());
                }
                !left
            });
        }
        let is_alive = |seat: &usize| self.list.memory.is_alive(*seat);
        self.requests.retain(|seat, _| is_alive(seat));
    }

    fn broken(&self) -> Result<(), Answer> {
        match self.list.check() {
            Err(Stop::Died(seat)) => {
                let rank = self.list.memory.rank_of(seat);
                // The agent's own: its rank is the node's lowest.
                let rank = rank.or_else(|| self.list.memory.rank_of(0));
                let rank = rank.expect("a node has ranks");
                Err(Answer::Broken { rank })
            }
            _ => Ok(()),
        }
    }
}

fn tell(hub: &Hub, number: u64, asker: u32, request: u32, answer: Answer) {
    hub.reply(asker, number, request, Reply::Wait(answer));
}
