//! One node of the simulated machine.

use crate::rwlock::global::node_server::NodeServer;
use crate::rwlock::global::site::LockMessage;
use crate::rwlock::global::token::{QueueState, Token};
use crate::rwlock::global::tree::Node as Number;
use crate::rwlock::global::writer::Drain;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// The words of a node and the state of its ranks.
pub(super) struct Node {
    pub(super) queue_state: QueueState,
    pub(super) successor: Option<Number>,
    pub(super) granted: Option<Token>,
    /// The server; None while it is at work.
    pub(super) server: Option<NodeServer>,
    /// Whether the server has unfinished work.
    pub(super) busy: bool,
    /// The server and the writer.
    workers: [Worker; 2],
    pub(super) turn: Option<Writer>,
    /// The ranks that wait for the turn, and the times of their requests.
    pub(super) queue: VecDeque<(u32, u64)>,
    pub(super) gate: Gate,
    pub(super) readers: Readers,
}

/// A writer or a server, which does one thing at a time.
#[derive(Default)]
pub(super) struct Worker {
    /// Until when it is busy.
    pub(super) works_until: u64,
    /// The messages that wait until then.
    pub(super) inbox: VecDeque<LockMessage>,
}

/// The rank that has the node's turn.
#[derive(Clone, Copy)]
pub(super) struct Writer {
    /// None for the server.
    pub(super) rank: Option<u32>,
    /// When it requested to write.
    pub(super) since: u64,
    pub(super) waits: Option<Waits>,
    /// When it closed the gates.
    pub(super) closed_at: Option<u64>,
    /// The number of the close, and how many nodes have answered it.
    pub(super) answers: (u32, u32),
    /// How many messages it sent before it entered.
    pub(super) sent: u64,
}

/// The condition that a writer waits for.
#[derive(Clone, Copy)]
pub(super) enum Waits {
    Turn,
    Readers(Drain),
}

/// A node's gate.
#[derive(Clone, Copy, Default)]
pub(super) struct Gate {
    pub(super) openings: u32,
    pub(super) closed: bool,
    /// When the last reader leaves after the gate was closed.
    pub(super) empty_at: u64,
}

/// The ranks of a node that read. Their time passes while the gate is open.
#[derive(Default)]
pub(super) struct Readers {
    /// When each requests to write next, in that time.
    requests: BinaryHeap<Reverse<(u64, u32)>>,
    /// The time that has passed up to `since`.
    passed: u64,
    /// When the gate was opened; None while it is closed.
    since: Option<u64>,
    /// The total reading time of all ranks.
    sum: u128,
    /// Changes whenever the next request does.
    pub(super) change: u64,
}

impl Writer {
    pub(super) fn new(rank: Option<u32>, since: u64) -> Self {
        Self {
            rank,
            since,
            waits: None,
            closed_at: None,
            answers: (0, 0),
            sent: 0,
        }
    }
}

impl Node {
    pub(super) fn new(queue_state: QueueState) -> Self {
        Self {
            queue_state,
            successor: None,
            granted: None,
            server: Some(NodeServer::default()),
            busy: false,
            workers: Default::default(),
            turn: None,
            queue: VecDeque::new(),
            gate: Gate::default(),
            readers: Readers {
                since: Some(0),
                ..Readers::default()
            },
        }
    }

    /// The writer, or the server.
    pub(super) fn worker(&mut self, is_writer: bool) -> &mut Worker {
        &mut self.workers[usize::from(is_writer)]
    }
}

impl Readers {
    /// Lets time pass up to `now`.
    pub(super) fn pass(&mut self, now: u64) {
        if let Some(since) = &mut self.since {
            let passed = now.saturating_sub(*since);
            self.passed += passed;
            self.sum += u128::from(passed) * self.requests.len() as u128;
            *since = now.max(*since);
        }
    }

    pub(super) fn stop(&mut self, now: u64) {
        self.pass(now);
        self.since = None;
        self.change += 1;
    }

    pub(super) fn start(&mut self, now: u64) {
        self.since.get_or_insert(now);
        self.change += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Adds `rank`, which reads for this time before it requests to write.
    pub(super) fn add(&mut self, now: u64, rank: u32, time: u64) {
        self.pass(now);
        self.requests.push(Reverse((self.passed + time, rank)));
        self.change += 1;
    }

    /// When the next rank requests to write, if the gate does not close before.
    pub(super) fn next_at(&self) -> Option<u64> {
        let Reverse((request, _)) = self.requests.peek()?;
        Some(self.since? + request.saturating_sub(self.passed))
    }

    /// Takes a rank whose time to write has come.
    pub(super) fn take(&mut self, now: u64) -> Option<u32> {
        self.pass(now);
        let Reverse((request, rank)) = *self.requests.peek()?;
        if request > self.passed {
            return None;
        }
        self.requests.pop();
        self.change += 1;
        Some(rank)
    }

    /// The total reading time of all ranks.
    pub(super) fn sum(&mut self, now: u64) -> u128 {
        self.pass(now);
        self.sum
    }
}
