//! The proxy of a channel on one of its nodes: the server's side of the node's two queues.

use crate::channel::remote::gathered::{Bytes, Gathered};
use crate::channel::remote::messages::{Demand, Grant, NodeStatus, Report};
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

/// The usual [`NodeProxy::report_delay`].
const REPORT_DELAY: Duration = Duration::from_micros(50);
/// How long messages and credits are kept for waiting futures, which notice them only when polled.
const KEPT_FOR_FUTURES: Duration = LONGEST_SLEEP.saturating_mul(3);
/// The largest number of bytes of messages in a report with several: with its header, MPIs send it
/// without asking the receiver.
const MAX_REPORT_BYTES: usize = 60 << 10;

/// A node's part of a channel, for the node's server.
pub(crate) struct NodeProxy {
    takes: Queue<Slots<Opaque>>,
    puts: Queue<Slots<Opaque>>,
    /// The next slot of `puts` to open. The open slots, from the head of the queue to here, are the
    /// credits.
    open: Position,
    /// Received messages that have no slot in `takes` yet.
    undelivered: VecDeque<Bytes>,
    /// The number of messages that the server itself took out of `takes`.
    withdrawn: u64,
    /// The number of messages that it took out of `puts`.
    put: u64,
    granted: u64,
    received: u64,
    ends: u32,
    /// The time of the last grant with messages or credits.
    granted_at: Instant,
    /// How long a report is delayed if it only says that messages were taken.
    pub(super) report_delay: Duration,
    credits_recalled: bool,
    messages_recalled: bool,
    reported: NodeStatus,
    reported_at: Instant,
}

/// The waiters at a queue.
#[derive(Default)]
struct Waiters {
    calls: Demand,
    futures: u64,
}

impl Waiters {
    /// The demand that the coordinator can satisfy, with `here` items in the queue and all
    /// questions up to `answered` answered.
    fn demand(mut self, here: u64, answered: u64) -> Demand {
        self.calls.lasting += self.futures;
        self.calls.left(here, answered)
    }
}

impl NodeProxy {
    /// Called before any rank uses the queues.
    pub(crate) fn new(slots: RelaySlots<Opaque>) -> Self {
        let RelaySlots { takes, puts } = slots;
        // The server itself neither puts nor takes.
        let ends = &takes.rank_state(takes.me()).ends;
        ends.store(NO_PRODUCER | NO_CONSUMER, Ordering::SeqCst);
        // The queue starts in the second lap. The stamps are zero, which belongs to the first lap,
        // so no slot is open.
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
            undelivered: VecDeque::new(),
            withdrawn: 0,
            put: 0,
            granted: 0,
            received: 0,
            ends: 0,
            granted_at: now,
            report_delay: REPORT_DELAY,
            credits_recalled: false,
            messages_recalled: false,
            reported: NodeStatus::default(),
            reported_at: now,
        }
    }

    pub(super) fn relay(&self) -> &Relay {
        self.takes.memory.relay().expect("of a relay")
    }

    fn shape(&self) -> Shape {
        self.puts.memory.shape()
    }

    /// Whether a rank has called the server since the last check.
    pub(crate) fn is_called(&self) -> bool {
        let called = &self.relay().called;
        called.load(Ordering::Relaxed) != 0 && called.swap(0, Ordering::SeqCst) != 0
    }

    /// Applies a grant of the coordinator.
    pub(crate) fn receive(&mut self, grant: Grant) {
        self.open(grant.credits);
        if grant.credits > 0 || !grant.messages.is_empty() {
            self.granted_at = Instant::now();
        }
        self.received += grant.messages.len() as u64;
        self.undelivered.extend(grant.messages);
        self.deliver();
        self.credits_recalled |= grant.recall_credits;
        self.messages_recalled |= grant.recall_messages;
        if grant.closed {
            let account = &self.puts.memory.words().account.0;
            account.closed.store(1, Ordering::SeqCst);
            self.puts.notify_not_full();
        }
        if grant.is_alone {
            // A rank that waits for room checks this word repeatedly.
            self.relay().is_alone.store(1, Ordering::Relaxed);
        }
        if let Some(missing) = grant.end {
            self.ends = self.ends.wrapping_add(1);
            self.relay().missing.store(missing, Ordering::SeqCst);
            let endings = &self.takes.memory.words().account.0.endings;
            let next = one_more_end(endings.load(Ordering::SeqCst), missing > 0);
            endings.store(next, Ordering::SeqCst);
            self.takes.notify_not_empty();
            self.reported.wanted_messages = Demand::default();
        }
        if let Some(answered) = grant.answered {
            self.relay().len.store(grant.len, Ordering::Relaxed);
            self.relay().answered.store(answered, Ordering::Release);
            self.takes.notify_not_empty();
            self.puts.notify_not_full();
        }
    }

    /// Opens slots for ranks to put into.
    fn open(&mut self, credits: u64) {
        self.granted += credits;
        let shape = self.shape();
        for _ in 0..credits {
            let stamp = self.puts.memory.stamp(shape.index(self.open));
            // Release: the slot's previous message has been read.
            stamp.store(shape.stamp(self.open, SlotState::Free), Ordering::Release);
            self.open = shape.next(self.open);
        }
        if credits > 0 {
            self.puts.notify_not_full();
        }
    }

    /// Moves received messages to the queue that ranks take from, as far as there is room.
    fn deliver(&mut self) {
        while !self.undelivered.is_empty() {
            let Ok(mut putting) = self.takes.try_put(self.undelivered.len()) else {
                // The queue is full until a rank has read its message, or no rank of this node
                // takes any more.
                return;
            };
            while let Some(index) = putting.index() {
                let message = self
                    .undelivered
                    .pop_front()
                    .expect("no more than there are");
                // SAFETY: the slot is reserved.
                unsafe { self.takes.memory.copy_from(index, &message) };
                putting.publish();
            }
        }
    }

    /// The report for the coordinator, if it must be sent now. Also returns whether there may soon
    /// be more to report.
    pub(crate) fn report(&mut self) -> (Option<Report>, bool) {
        self.deliver();
        let mut report = Report::default();
        let mut may_be_more = self.collect(&mut report);
        if self.credits_recalled {
            self.credits_recalled = false;
            report.returned_credits = true;
            self.return_credits();
            may_be_more |= self.collect(&mut report);
        }
        if self.messages_recalled || self.no_consumer() {
            report.returned_messages = std::mem::take(&mut self.messages_recalled);
            self.return_messages(&mut report.back);
        }
        report.status = self.status();
        let is_due = self.reported_at.elapsed() >= self.report_delay;
        let has_content = !report.puts.is_empty()
            || !report.back.is_empty()
            || report.unused > 0
            || report.returned_credits
            || report.returned_messages;
        let is_silent = !has_content && !self.is_reportable(&report.status, is_due);
        // There may be more to collect, or a delayed report becomes due.
        let is_busy = may_be_more || (is_silent && report.status.taken > self.reported.taken);
        if is_silent {
            return (None, is_busy);
        }
        self.reported = report.status.clone();
        self.reported_at = Instant::now();
        (Some(report), is_busy)
    }

    /// Collects the messages that were put, and counts the slots that will never have one. Returns
    /// whether there may be more.
    fn collect(&mut self, report: &mut Report) -> bool {
        let shape = self.shape();
        let head = &self.puts.memory.words().head.0;
        let mut bytes = 0;
        loop {
            // Only the server stores the head.
            let position = Position(head.load(Ordering::Relaxed));
            if self.puts.is(position, SlotState::Full) {
                // SAFETY: the slot holds a message, and only the server opens the slot again.
                let message = unsafe { self.puts.memory.bytes_of(shape.index(position)) };
                bytes += message.len();
                if bytes > MAX_REPORT_BYTES && !report.puts.is_empty() {
                    return true;
                }
                self.put += 1;
                report.puts.push(message);
            } else if self.puts.is(position, SlotState::Void) {
                report.unused += 1;
            } else {
                return false;
            }
            // Includes release: the message has been read.
            head.store(shape.next(position).0, Ordering::SeqCst);
        }
    }

    /// Withdraws the credits that no rank waits for, by making their slots void.
    fn return_credits(&mut self) {
        let kept = self.kept(&Self::waiters(&self.puts, NO_NUMBER));
        let excess_credits = self.credits().saturating_sub(kept);
        let mut left = excess_credits as usize;
        while left > 0
            && let Ok(putting) = self.puts.try_put(left)
        {
            left -= putting.left();
        }
    }

    /// Returns the last messages that no rank waits for.
    fn return_messages(&mut self, back: &mut Gathered) {
        let mut messages = VecDeque::new();
        while let Some(mut taking) = self.takes.try_take(usize::MAX) {
            self.withdrawn += taking.left() as u64;
            while let Some(index) = taking.index() {
                // SAFETY: the message belongs to the server until it frees the slot.
                let message = unsafe { self.takes.memory.bytes_of(index) };
                messages.push_back(Bytes::copy_of(message));
                taking.free();
            }
        }
        // The waiters are counted when no message is left to take, so that a rank that has just
        // taken its message is not counted.
        let kept = if self.no_consumer() {
            0
        } else {
            self.kept(&Self::waiters(&self.takes, NO_NUMBER))
        };
        messages.append(&mut self.undelivered);
        *back = messages
            .split_off(messages.len().min(kept as usize))
            .into_iter()
            .collect();
        // The kept messages are delivered again, as if they had just arrived.
        self.undelivered = messages;
        self.deliver();
    }

    /// The number of slots of `puts` that are open and free.
    fn credits(&self) -> u64 {
        let tail = Position(self.puts.memory.words().tail.0.load(Ordering::SeqCst));
        self.shape().distance(tail, self.open)
    }

    /// The waiters at a queue that, as far as the server knows, will continue to wait.
    ///
    /// `asked` is the number of the last question asked before this call.
    fn waiters(queue: &Queue<Slots<Opaque>>, asked: u64) -> Waiters {
        let memory = &queue.memory;
        let endings = memory.words().account.0.endings.load(Ordering::SeqCst);
        let mut waiters = Waiters::default();
        for rank in 0..memory.ranks() - 1 {
            let rank_state = memory.rank_state(rank);
            if rank_state.ends.load(Ordering::Relaxed) == NO_PRODUCER | NO_CONSUMER {
                // The rank has died, or uses the channel no more.
                continue;
            }
            if !rank_state.taking.is_withdrawn() {
                // The rank has got its message, or will check again.
                continue;
            }
            // Ranks that began to wait before the last end are about to continue.
            if rank_state.call.load(Ordering::SeqCst) == endings | WAITING {
                match rank_state.question.load(Ordering::SeqCst) {
                    0 => waiters.calls.lasting += 1,
                    // A question without a number either gets a number of at most `asked`, or was
                    // asked later. In the second case a later report counts it correctly.
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

    /// The number of items of a queue that are kept for its waiters.
    fn kept(&self, waiters: &Waiters) -> u64 {
        let keeps_for_futures = self.granted_at.elapsed() < KEPT_FOR_FUTURES;
        let futures = if keeps_for_futures {
            waiters.futures
        } else {
            0
        };
        waiters.calls.count() + futures
    }

    /// The number of messages that ranks of this node took.
    pub(super) fn taken(&self) -> u64 {
        self.takes.taken() - self.withdrawn
    }

    /// The number of messages that the server has got from ranks of this node.
    pub(super) fn collected(&self) -> u64 {
        self.put
    }

    /// Whether ranks of this node have put no other messages, and are about to put none.
    pub(super) fn has_collected_all(&self) -> bool {
        self.puts.is_empty()
    }

    /// The number of ends of the stream that have come here.
    pub(super) fn ends(&self) -> u32 {
        self.ends
    }

    /// The queue that ranks take from.
    pub(super) fn queue_of_messages(&self) -> &Slots<Opaque> {
        &self.takes.memory
    }

    /// Whether no rank of this node takes any more.
    fn no_consumer(&self) -> bool {
        let account = &self.takes.memory.words().account.0;
        account.closed.load(Ordering::SeqCst) != 0
    }

    fn status(&self) -> NodeStatus {
        // Loaded first: a rank begins to wait, or promises, before it asks.
        let relay = self.relay();
        let asked = relay.asked.load(Ordering::SeqCst);
        // The ranks are checked before the queue: once a rank is idle or has closed its producer,
        // everything it put is in the queue. Only the server wakes an idle rank.
        let all_closed = self.takes.all_have_closed(NO_PRODUCER);
        let all_idle = self.undelivered.is_empty() && self.takes.all_are_idle();
        let is_empty = self.puts.is_empty();
        let here = self.takes.local_len() + self.undelivered.len() as u64;
        let credits = self.credits();
        let answered = relay.answered.load(Ordering::SeqCst);
        let takers = Self::waiters(&self.takes, asked);
        let putters = Self::waiters(&self.puts, asked);
        NodeStatus {
            granted: self.granted,
            received: self.received,
            taken: self.taken(),
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

    /// Whether the coordinator must get this status.
    fn is_reportable(&self, status: &NodeStatus, is_due: bool) -> bool {
        let reported = &self.reported;
        // The demand that the coordinator assumes after its grants.
        let answered = self.relay().answered.load(Ordering::SeqCst);
        let wanted_messages =
            (reported.wanted_messages).left(status.received - reported.received, answered);
        let wanted_credits =
            (reported.wanted_credits).left(status.granted - reported.granted, answered);
        let states = |status: &NodeStatus| {
            let (excess_messages, excess_credits) =
                (status.excess_messages > 0, status.excess_credits > 0);
            let closed = (status.no_producer, status.no_consumer, status.is_gone());
            (excess_messages, excess_credits, closed)
        };
        status.wanted_messages != wanted_messages
            || status.wanted_credits != wanted_credits
            || status.asked != reported.asked
            || (status.idle && (!reported.idle || status.ends != reported.ends))
            || states(status) != states(reported)
            || (status.taken > reported.taken && is_due)
    }

    /// Handles ranks of this node that are known to have died.
    pub(crate) fn inspect(&mut self) {
        let domain = self.takes.memory.domain();
        let ranks = domain.topology().local_ranks().len();
        if !(0..ranks).any(|local_rank| domain.is_known_dead(local_rank)) {
            return;
        }
        for queue in [&self.takes, &self.puts] {
            let mut inspector = queue.inspector();
            for _ in 0..queue.memory.ranks() {
                // The server runs in this process, so it is alive.
                let _ = inspector.inspect();
            }
        }
    }
}
