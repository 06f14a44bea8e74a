//! The proxy of a channel on one of its nodes: the server's side of the node's two queues.

use crate::channel::remote::messages::{Bytes, Demand, Grant, NodeStatus, Report};
use crate::channel::ring::layout::{
    NO_CONSUMER, NO_NUMBER, NO_PRODUCER, Position, Relay, Shape, SlotState, WAITING,
};
use crate::channel::ring::memory::{Opaque, QueueMemory, RelaySlots, Slots};
use crate::channel::ring::relay::Futures;
use crate::channel::ring::termination::one_more_end;
use crate::channel::ring::{Generation, Queue};
use crate::shm::atomic::Ordering;
use crate::shm::wait::LONGEST_SLEEP;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The usual [`NodeProxy::discretion`].
const DISCRETION: Duration = Duration::from_micros(50);
/// For how long something is kept for futures that wait for it: it is seen when they are polled
/// next.
const KEPT_FOR_FUTURES: Duration = LONGEST_SLEEP.saturating_mul(3);
/// How many bytes of messages a report may have, beside one message.
const MAX_REPORT_BYTES: usize = 64 << 10;

/// A node's part of a channel, for the node's server.
pub(crate) struct NodeProxy {
    takes: Queue<Slots<Opaque>>,
    puts: Queue<Slots<Opaque>>,
    /// The next slot of `puts` to be opened. Those from the head of the queue up to here are the
    /// credits.
    open: Position,
    /// Messages that have come and have no slot in `takes` yet.
    early: VecDeque<Bytes>,
    /// How many messages the server itself has taken out of `takes`.
    withdrawn: u64,
    granted: u64,
    received: u64,
    ends: u32,
    /// When messages, or credits, came last.
    granted_at: Instant,
    /// For how long the coordinator may be left in the dark about messages that were taken.
    pub(super) discretion: Duration,
    owes_credits: bool,
    owes_messages: bool,
    told: NodeStatus,
    told_at: Instant,
}

/// Who waits in a queue.
#[derive(Default)]
struct Waiters {
    calls: Demand,
    futures: u64,
}

impl Waiters {
    /// What the coordinator can do for them, where there is so much and questions up to this one
    /// are answered.
    fn demand(mut self, here: u64, answered: u64) -> Demand {
        self.calls.lasting += self.futures;
        self.calls.left(here, answered)
    }
}

impl NodeProxy {
    /// Before any rank uses the queues.
    pub(crate) fn new(slots: RelaySlots<Opaque>) -> Self {
        let RelaySlots { takes, puts } = slots;
        // The server is not one of those who put and take.
        let ends = &takes.rank_state(takes.me()).ends;
        ends.store(NO_PRODUCER | NO_CONSUMER, Ordering::SeqCst);
        // In the lap to which the stamps, all zero, do not belong: no slot is open.
        let shape = puts.shape();
        let start = shape.after(Position(0), shape.capacity());
        let words = puts.words();
        for word in [&words.head.0, &words.tail.0, &words.account.0.start] {
            word.store(start.0, Ordering::SeqCst);
        }
        let now = Instant::now();
        NodeProxy {
            takes: Queue { memory: takes },
            puts: Queue { memory: puts },
            open: start,
            early: VecDeque::new(),
            withdrawn: 0,
            granted: 0,
            received: 0,
            ends: 0,
            granted_at: now,
            discretion: DISCRETION,
            owes_credits: false,
            owes_messages: false,
            told: NodeStatus::default(),
            told_at: now,
        }
    }

    fn relay(&self) -> &Relay {
        self.takes.memory.relay().expect("of a relay")
    }

    fn shape(&self) -> Shape {
        self.puts.memory.shape()
    }

    /// Whether a rank has called the server since this was asked last.
    pub(crate) fn is_called(&self) -> bool {
        let called = &self.relay().called;
        called.load(Ordering::Relaxed) != 0 && called.swap(0, Ordering::SeqCst) != 0
    }

    /// Passes on what the coordinator has sent.
    pub(crate) fn receive(&mut self, grant: Grant) {
        self.open(grant.credits);
        if grant.credits > 0 || !grant.messages.is_empty() {
            self.granted_at = Instant::now();
        }
        self.received += grant.messages.len() as u64;
        self.early.extend(grant.messages);
        self.stock();
        self.owes_credits |= grant.call_back_credits;
        self.owes_messages |= grant.call_back_messages;
        if grant.closed {
            let account = &self.puts.memory.words().account.0;
            account.closed.store(1, Ordering::SeqCst);
            self.puts.notify_not_full();
        }
        if grant.is_alone {
            // A rank that waits for room polls this word.
            self.relay().is_alone.store(1, Ordering::Relaxed);
        }
        if let Some(missing) = grant.end {
            self.ends = self.ends.wrapping_add(1);
            self.relay().missing.store(missing, Ordering::SeqCst);
            let endings = &self.takes.memory.words().account.0.endings;
            let next = one_more_end(endings.load(Ordering::SeqCst), missing > 0);
            endings.store(next, Ordering::SeqCst);
            self.takes.notify_not_empty();
            self.told.wanted_messages = Demand::default();
        }
        if let Some(answered) = grant.answered {
            self.relay().len.store(grant.len, Ordering::Relaxed);
            self.relay().answered.store(answered, Ordering::Release);
            self.takes.notify_not_empty();
            self.puts.notify_not_full();
        }
    }

    /// Opens slots for what ranks put.
    fn open(&mut self, credits: u64) {
        self.granted += credits;
        let shape = self.shape();
        for _ in 0..credits {
            let stamp = self.puts.memory.stamp(shape.index(self.open));
            // Release: the message that was there before was read.
            stamp.store(shape.stamp(self.open, SlotState::Free), Ordering::Release);
            self.open = shape.next(self.open);
        }
        if credits > 0 {
            self.puts.notify_not_full();
        }
    }

    /// Puts messages that have come where ranks take them, as far as there is room.
    fn stock(&mut self) {
        while !self.early.is_empty() {
            let Ok(mut putting) = self.takes.try_put(self.early.len()) else {
                // Full, until a rank has read what it takes; or nobody is left here who does.
                return;
            };
            while let Some(index) = putting.index() {
                let message = self.early.pop_front().expect("no more than there are");
                // SAFETY: the slot is reserved.
                unsafe { self.takes.memory.copy_from(index, &message) };
                putting.publish();
            }
        }
    }

    /// What there is to tell the coordinator, if there is anything; and whether something is left
    /// to come back to.
    pub(crate) fn report(&mut self) -> (Option<Report>, bool) {
        self.stock();
        let mut report = Report::default();
        let mut may_be_more = self.collect(&mut report);
        if self.owes_credits {
            self.owes_credits = false;
            report.returned_credits = true;
            self.close();
            may_be_more |= self.collect(&mut report);
        }
        if self.owes_messages || self.no_consumer() {
            report.returned_messages = std::mem::take(&mut self.owes_messages);
            self.give_back(&mut report.back);
        }
        report.status = self.status();
        let is_due = self.told_at.elapsed() >= self.discretion;
        let has_news = !report.puts.is_empty()
            || !report.back.is_empty()
            || report.unused > 0
            || report.returned_credits
            || report.returned_messages;
        let is_told = !has_news && !self.is_news(&report.status, is_due);
        // There may be more; or the coordinator will have to know of it soon.
        let is_busy = may_be_more || (is_told && report.status.taken > self.told.taken);
        if is_told {
            return (None, is_busy);
        }
        self.told = report.status.clone();
        self.told_at = Instant::now();
        (Some(report), is_busy)
    }

    /// Collects what was put, and the slots that will have no message; whether there may be more.
    fn collect(&mut self, report: &mut Report) -> bool {
        let shape = self.shape();
        let head = &self.puts.memory.words().head.0;
        let mut bytes = 0;
        while bytes <= MAX_REPORT_BYTES {
            // Stored by the server only.
            let position = Position(head.load(Ordering::Relaxed));
            if self.puts.is(position, SlotState::Full) {
                // SAFETY: the slot holds a message, and only the server opens it again.
                let message = unsafe { self.puts.memory.bytes_of(shape.index(position)) };
                bytes += message.len();
                report.puts.push(Bytes::from(message));
            } else if self.puts.is(position, SlotState::Void) {
                report.unused += 1;
            } else {
                return false;
            }
            // Release: it was read.
            head.store(shape.next(position).0, Ordering::SeqCst);
        }
        true
    }

    /// Takes credits that nobody waits for away: the slots are passed over.
    fn close(&mut self) {
        let kept = self.kept(&Self::waiters(&self.puts, NO_NUMBER));
        let excess_credits = self.credits().saturating_sub(kept);
        let mut left = excess_credits as usize;
        while left > 0
            && let Ok(putting) = self.puts.try_put(left)
        {
            left -= putting.left();
        }
    }

    /// Takes messages back that nobody waits for: the last ones.
    fn give_back(&mut self, back: &mut Vec<Bytes>) {
        let mut messages = VecDeque::new();
        while let Some(mut taking) = self.takes.try_take(usize::MAX) {
            self.withdrawn += taking.left() as u64;
            while let Some(index) = taking.index() {
                // SAFETY: the message is the server's until it frees the slot.
                let message = unsafe { self.takes.memory.bytes_of(index) };
                messages.push_back(Bytes::from(message));
                taking.free();
            }
        }
        // Counted when no rank can take any more, so that none is counted that has just taken its message.
        let kept = if self.no_consumer() {
            0
        } else {
            self.kept(&Self::waiters(&self.takes, NO_NUMBER))
        };
        messages.append(&mut self.early);
        *back = messages.split_off(messages.len().min(kept as usize)).into();
        // Those that are kept are still to come, as far as the ranks see.
        self.early = messages;
        self.stock();
    }

    /// How many slots of `puts` are open and free.
    fn credits(&self) -> u64 {
        let tail = Position(self.puts.memory.words().tail.0.load(Ordering::SeqCst));
        self.shape().distance(tail, self.open)
    }

    /// What ranks of this node wait for in that queue, and will go on waiting for, as far as the
    /// server knows.
    ///
    /// The last question that had been asked before this was called is `asked`.
    fn waiters(queue: &Queue<Slots<Opaque>>, asked: u64) -> Waiters {
        let memory = &queue.memory;
        let endings = memory.words().account.0.endings.load(Ordering::SeqCst);
        let mut waiters = Waiters::default();
        for rank in 0..memory.ranks() - 1 {
            let rank_state = memory.rank_state(rank);
            if rank_state.ends.load(Ordering::Relaxed) == NO_PRODUCER | NO_CONSUMER {
                // It has died, or wants nothing.
                continue;
            }
            if !rank_state.taking.is_withdrawn() {
                // It has what it waited for, or will look again.
                continue;
            }
            // Those who have waited since before the last end are about to go on.
            if rank_state.call.load(Ordering::SeqCst) == endings | WAITING {
                match rank_state.question.load(Ordering::SeqCst) {
                    0 => waiters.calls.lasting += 1,
                    // One without a number has this one at the most, or will be asked later and looked at then.
                    number => waiters.calls.questions.push(number.min(asked)),
                }
            }
            let waiting = Futures::of(rank_state);
            if waiting.began == Generation(endings) {
                waiters.futures += u64::from(waiting.count);
            }
        }
        waiters.calls.questions.sort_unstable();
        waiters
    }

    /// How much of a queue is not given to others, because these wait for it.
    fn kept(&self, waiters: &Waiters) -> u64 {
        let keeps_for_futures = self.granted_at.elapsed() < KEPT_FOR_FUTURES;
        let futures = if keeps_for_futures {
            waiters.futures
        } else {
            0
        };
        waiters.calls.count() + futures
    }

    /// Whether nobody is left here who takes.
    fn no_consumer(&self) -> bool {
        let account = &self.takes.memory.words().account.0;
        account.closed.load(Ordering::SeqCst) != 0
    }

    fn status(&self) -> NodeStatus {
        // First: who asks waits, or has promised, before that.
        let relay = self.relay();
        let asked = relay.asked.load(Ordering::SeqCst);
        // The ranks before the queue: what one has put that is idle, or has closed its producer, is there by then. And nobody but
        // the server wakes a rank that is idle.
        let all_closed = self.takes.all_have_closed(NO_PRODUCER);
        let all_idle = self.early.is_empty() && self.takes.all_are_idle();
        let is_empty = self.puts.is_empty();
        let here = self.takes.local_len() + self.early.len() as u64;
        let credits = self.credits();
        let answered = relay.answered.load(Ordering::SeqCst);
        let takers = Self::waiters(&self.takes, asked);
        let putters = Self::waiters(&self.puts, asked);
        NodeStatus {
            granted: self.granted,
            received: self.received,
            taken: self.takes.taken() - self.withdrawn,
            excess_messages: here.saturating_sub(self.kept(&takers)),
            excess_credits: credits.saturating_sub(self.kept(&putters)),
            wanted_messages: takers.demand(here, answered),
            wanted_credits: putters.demand(credits, answered),
            asked,
            claimed: relay.claimed.load(Ordering::SeqCst),
            ends: self.ends,
            idle: all_idle && is_empty,
            no_producer: all_closed && is_empty,
            no_consumer: self.no_consumer(),
        }
    }

    /// Whether the coordinator has to know of these status.
    fn is_news(&self, status: &NodeStatus, is_due: bool) -> bool {
        let told = &self.told;
        // What the coordinator takes ranks to wait for.
        let answered = self.relay().answered.load(Ordering::SeqCst);
        let wanted_messages =
            (told.wanted_messages).left(status.received - told.received, answered);
        let wanted_credits = (told.wanted_credits).left(status.granted - told.granted, answered);
        let states = |status: &NodeStatus| {
            let (excess_messages, excess_credits) =
                (status.excess_messages > 0, status.excess_credits > 0);
            let closed = (status.no_producer, status.no_consumer, status.is_gone());
            (excess_messages, excess_credits, closed)
        };
        status.wanted_messages != wanted_messages
            || status.wanted_credits != wanted_credits
            || status.asked != told.asked
            || (status.idle && (!told.idle || status.ends != told.ends))
            || states(status) != states(told)
            || (status.taken > told.taken && is_due)
    }

    /// Looks after ranks that are known to have died.
    pub(crate) fn inspect(&mut self) {
        let domain = self.takes.memory.domain();
        let ranks = domain.topology().local_ranks().len();
        if !(0..ranks).any(|local_rank| domain.is_known_dead(local_rank)) {
            return;
        }
        for queue in [&self.takes, &self.puts] {
            let mut inspector = queue.inspector();
            for _ in 0..queue.memory.ranks() {
                // The server is this process.
                let _ = inspector.inspect();
            }
        }
    }
}
