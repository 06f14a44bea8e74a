//! The coordinator: stores all messages that are not at a node, and decides which node gets
//! messages and credits.

use crate::channel::remote::gathered::Bytes;
use crate::channel::remote::messages::{Grant, NodeStatus, Report};
use std::collections::{BTreeMap, VecDeque};

/// A node gets the lease if more reports than this found it to be the only waiting node.
const LEASE_AFTER: u32 = 4;

/// A channel that spans nodes, as the coordinator sees it.
pub(crate) struct Coordinator {
    capacity: u64,
    /// The number of messages that fit into a node's queue.
    ring: u64,
    /// The messages stored here, by number. Messages are numbered in the order of arrival.
    store: BTreeMap<u64, Bytes>,
    next: u64,
    nodes: Vec<Account>,
    /// The first node to consider for messages, and for credits: the one after the last that got
    /// some.
    next_to_send: usize,
    next_to_grant: usize,
    lease: Lease,
    is_closed: bool,
    /// Whether the last node with consumers knows that no other has any.
    last_is_notified: bool,
}

/// The coordinator's state of one node.
#[derive(Default)]
struct Account {
    status: NodeStatus,
    /// The number of credits that the node was granted, and of those that, as far as is known, are
    /// neither used nor returned.
    granted: u64,
    credits: u64,
    /// The number of credits to grant in advance.
    advance_credits: u64,
    /// The number of messages that were sent to the node, and the numbers of those that, as far as
    /// is known, were neither taken nor returned.
    sent: u64,
    outstanding: VecDeque<u64>,
    answered: u64,
    ends: u32,
    recalls_credits: bool,
    recalls_messages: bool,
    /// The next grant for the node.
    grant: Grant,
}

/// The node that may have messages that no rank waits for.
#[derive(Default)]
struct Lease {
    /// The last node that was the only one to wait, and how many reports found it so.
    node: usize,
    alone: u32,
    /// The number of messages the node may have. 0 if no node has the lease.
    limit: u64,
}

impl Account {
    /// The number of messages that its ranks wait for and that are not in flight.
    fn wanted_messages(&self) -> u64 {
        if self.status.ends != self.ends {
            // They are about to get an end.
            return 0;
        }
        let in_flight = self.sent - self.status.received;
        (self.status.wanted_messages)
            .left(in_flight, self.answered)
            .count()
    }

    /// The number of credits that its ranks wait for and that are not in flight.
    fn wanted_credits(&self) -> u64 {
        let in_flight = self.granted - self.status.granted;
        (self.status.wanted_credits)
            .left(in_flight, self.answered)
            .count()
    }

    /// Whether the node sends no message unless it receives one.
    fn is_idle(&self) -> bool {
        self.status.no_producer || (self.status.idle && self.status.ends == self.ends)
    }

    fn grant(&mut self, credits: u64) {
        self.granted += credits;
        self.credits += credits;
        self.grant.credits += credits;
    }

    fn recall_credits(&mut self) {
        // A node whose credits other nodes need gets none in advance.
        self.advance_credits = 0;
        if !self.recalls_credits {
            self.recalls_credits = true;
            self.grant.recall_credits = true;
        }
    }

    fn recall_messages(&mut self) {
        if !self.recalls_messages {
            self.recalls_messages = true;
            self.grant.recall_messages = true;
        }
    }
}

impl Coordinator {
    /// A channel for `capacity` messages on `nodes` nodes, with queues of `ring` messages at each
    /// node.
    pub(crate) fn new(nodes: usize, capacity: u64, ring: u64) -> Self {
        Coordinator {
            capacity,
            ring,
            store: BTreeMap::new(),
            next: 0,
            nodes: (0..nodes).map(|_| Account::default()).collect(),
            next_to_send: 0,
            next_to_grant: 0,
            lease: Lease::default(),
            is_closed: false,
            last_is_notified: false,
        }
    }

    /// The number of messages for which the channel has room.
    pub(super) fn room(&self) -> i64 {
        self.capacity as i64
    }

    /// The number of ends of the stream that were sent, to all nodes together.
    pub(super) fn ends(&self) -> i64 {
        self.nodes
            .iter()
            .map(|account| i64::from(account.ends))
            .sum()
    }

    /// Processes a report. [`Self::grants`] returns the results.
    pub(crate) fn receive(&mut self, node: usize, report: Report) {
        let account = &mut self.nodes[node];
        account.credits -= report.puts.len() as u64 + report.unused;
        for message in report.puts.into_messages() {
            self.store.insert(self.next, message);
            self.next += 1;
        }
        let taken = report.status.taken - account.status.taken;
        account.outstanding.drain(..taken as usize);
        // Messages in flight to the node were sent after those that it returns.
        let in_flight = account.sent - report.status.received;
        let end = account.outstanding.len() - in_flight as usize;
        let numbers = account.outstanding.drain(end - report.back.len()..end);
        self.store.extend(numbers.zip(report.back.into_messages()));
        if report.returned_credits {
            account.recalls_credits = false;
        }
        if report.returned_messages {
            account.recalls_messages = false;
            if node == self.lease.node {
                self.lease = Lease::default();
            }
        }
        account.status = report.status;
        self.serve();
    }

    /// The grants that are to be sent, with their nodes.
    pub(crate) fn grants(&mut self) -> impl Iterator<Item = (usize, Grant)> {
        let nodes = self.nodes.iter_mut().enumerate();
        nodes.filter_map(|(node, account)| {
            let nothing = Grant::default();
            (account.grant != nothing).then(|| (node, std::mem::take(&mut account.grant)))
        })
    }

    fn serve(&mut self) {
        if self.nodes.iter().all(|account| account.status.is_gone()) {
            for account in &mut self.nodes {
                account.grant.forget = true;
            }
            return;
        }
        let mut consumers = (self.nodes.iter_mut()).filter(|account| !account.status.no_consumer);
        if !self.last_is_notified
            && let (Some(last), None) = (consumers.next(), consumers.next())
        {
            self.last_is_notified = true;
            last.grant.is_alone = true;
        }
        if !self.is_closed && self.nodes.iter().all(|account| account.status.no_consumer) {
            self.is_closed = true;
            for account in &mut self.nodes {
                account.grant.closed = true;
            }
        }
        if self.is_closed {
            self.store.clear();
        }
        self.send_messages();
        self.grant_credits();
        self.end();
        self.answer();
    }

    /// The nodes for which `holds` returns true, in circular order from `first`.
    fn in_turn(&self, first: usize, holds: impl Fn(&Account) -> bool) -> Vec<usize> {
        let count = self.nodes.len();
        (0..count)
            .map(|index| (first + index) % count)
            .filter(|&node| holds(&self.nodes[node]))
            .collect()
    }

    fn send_messages(&mut self) {
        let wanting = self.in_turn(self.next_to_send, |account| account.wanted_messages() > 0);
        if self.lease.limit > 0 && wanting.iter().any(|&node| node != self.lease.node) {
            let holder = &mut self.nodes[self.lease.node];
            if !holder.outstanding.is_empty() {
                // All other messages are newer: they wait until the holder has returned its excess.
                return holder.recall_messages();
            }
            self.lease = Lease::default();
        }
        loop {
            let mut sent = false;
            for &node in &wanting {
                if self.nodes[node].wanted_messages() > 0 && self.send_next(node) {
                    sent = true;
                    self.next_to_send = (node + 1) % self.nodes.len();
                }
            }
            if !sent {
                break;
            }
        }
        if let [node] = wanting[..] {
            self.extend_lease(node);
        } else if wanting.len() > 1 {
            self.lease = Lease::default();
        }
        if self.lease.limit > 0 {
            let node = self.lease.node;
            while (self.nodes[node].outstanding.len() as u64) < self.lease.limit
                && self.send_next(node)
            {}
        }
        if wanting
            .iter()
            .any(|&node| self.nodes[node].wanted_messages() > 0)
        {
            // A rank there has stopped waiting, so its messages are recalled.
            for account in &mut self.nodes {
                if account.status.excess_messages > 0 && !account.outstanding.is_empty() {
                    account.recall_messages();
                }
            }
        }
    }

    /// Sends the next message to a node. Returns whether there was one, with room for it and a
    /// consumer.
    fn send_next(&mut self, node: usize) -> bool {
        let account = &mut self.nodes[node];
        if account.outstanding.len() as u64 == self.ring || account.status.no_consumer {
            return false;
        }
        let Some((number, message)) = self.store.pop_first() else {
            return false;
        };
        account.sent += 1;
        account.outstanding.push_back(number);
        account.grant.messages.push(message);
        true
    }

    /// Called if this node is the only one that waits. Raises the limit of its lease.
    fn extend_lease(&mut self, node: usize) {
        let lease = &mut self.lease;
        if lease.node != node {
            *lease = Lease::default();
            lease.node = node;
        }
        lease.alone = lease.alone.saturating_add(1);
        let mut others = (self.nodes.iter().enumerate()).filter(|&(other, _)| other != node);
        if lease.alone > LEASE_AFTER && others.all(|(_, account)| account.outstanding.is_empty()) {
            lease.limit = (lease.limit * 2).clamp(1, self.ring);
        }
    }

    fn grant_credits(&mut self) {
        let wanting = self.in_turn(self.next_to_grant, |account| account.wanted_credits() > 0);
        let credits = self.nodes.iter().map(|account| account.credits);
        let mut free = self.capacity - self.len() - credits.sum::<u64>();
        let count = self.nodes.len();
        loop {
            let before = free;
            for &node in &wanting {
                let account = &mut self.nodes[node];
                if free > 0 && account.wanted_credits() > 0 && account.credits < self.ring {
                    account.grant(1);
                    free -= 1;
                    self.next_to_grant = (node + 1) % count;
                }
            }
            if free == before {
                break;
            }
        }
        for &node in &wanting {
            let account = &mut self.nodes[node];
            account.advance_credits = (account.advance_credits * 2).clamp(1, self.ring);
        }
        if wanting
            .iter()
            .any(|&node| self.nodes[node].wanted_credits() > 0)
        {
            for account in &mut self.nodes {
                if account.status.excess_credits > 0 && account.credits > 0 {
                    account.recall_credits();
                }
            }
            return;
        }
        for account in &mut self.nodes {
            // Many credits at a time, and more each time that a node has used half of them.
            if account.credits <= account.advance_credits / 2 {
                account.advance_credits = (account.advance_credits * 2).min(self.ring);
                let more = (account.advance_credits - account.credits).min(free / 2);
                account.grant(more);
                free -= more;
            }
        }
    }

    /// Ends the stream for all waiting ranks, if it has ended.
    fn end(&mut self) {
        let is_empty = self.store.is_empty();
        let wanting = self.in_turn(0, |account| account.wanted_messages() > 0);
        if wanting.is_empty() || !is_empty {
            return;
        }
        let sum = |count: fn(&NodeStatus) -> u64| {
            let status = self.nodes.iter().map(|account| count(&account.status));
            status.sum::<u64>()
        };
        let (claimed, taken) = (sum(|status| status.claimed), sum(|status| status.taken));
        // These include messages in flight.
        let all_taken = self
            .nodes
            .iter()
            .all(|account| account.outstanding.is_empty());
        let is_kept = claimed > 0 && taken >= claimed;
        if !all_taken || !(is_kept || self.nodes.iter().all(Account::is_idle)) {
            return;
        }
        let missing = claimed.saturating_sub(taken);
        for node in wanting {
            let account = &mut self.nodes[node];
            account.ends = account.ends.wrapping_add(1);
            account.grant.end = Some(missing);
        }
    }

    /// Answers the questions of nodes that have got everything available.
    fn answer(&mut self) {
        let messages_recalled = self.nodes.iter().any(|account| account.recalls_messages);
        let credits_recalled = self.nodes.iter().any(|account| account.recalls_credits);
        let len = self.len();
        for account in &mut self.nodes {
            let waits = messages_recalled && account.wanted_messages() > 0;
            let waits = waits || (credits_recalled && account.wanted_credits() > 0);
            if account.status.asked > account.answered && !waits {
                account.answered = account.status.asked;
                account.grant.answered = Some(account.answered);
                account.grant.len = len;
            }
        }
    }

    /// The number of messages in the channel, including those at nodes.
    fn len(&self) -> u64 {
        let at_nodes = self
            .nodes
            .iter()
            .map(|account| account.outstanding.len() as u64);
        at_nodes.sum::<u64>() + self.store.len() as u64
    }
}
