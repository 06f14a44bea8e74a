//! The coordinator: all messages that are not on a node, and who gets what.

use crate::channel::remote::messages::{Bytes, Grant, NodeStatus, Report};
use std::collections::{BTreeMap, VecDeque};

/// After how many reports in which one node alone waited for messages it gets the lease.
const ALONE: u32 = 4;

/// A channel over several nodes, on the node of its coordinator.
pub(crate) struct Coordinator {
    capacity: u64,
    /// How many messages fit into the queue of a node.
    ring: u64,
    /// The messages that are here, by number: the order in which they came.
    store: BTreeMap<u64, Bytes>,
    next: u64,
    nodes: Vec<Account>,
    /// Who is next to be given a message, and room: the node behind the one that was last.
    next_fed: usize,
    next_granted: usize,
    lease: Lease,
    is_closed: bool,
    /// Whether the node that is the only one left with consumers knows that it is.
    has_told_last: bool,
}

/// What the coordinator knows of a node, and has given to it.
#[derive(Default)]
struct Account {
    status: NodeStatus,
    /// How many credits it was granted, and how many of them are neither used nor returned as far
    /// as is known.
    granted: u64,
    credits: u64,
    /// How many credits it may have ahead of time.
    credit_line: u64,
    /// How many messages it was sent, and which of them are there, as far as is known.
    sent: u64,
    there: VecDeque<u64>,
    answered: u64,
    ends: u32,
    calls_credits_back: bool,
    calls_messages_back: bool,
    /// What it will be told.
    grant: Grant,
}

/// Which node may have messages that nobody waits for.
#[derive(Default)]
struct Lease {
    /// The node that was alone in waiting, and in how many reports.
    node: usize,
    alone: u32,
    /// How many it may have; none if it has no lease.
    line: u64,
}

impl Account {
    /// How many messages its ranks wait for that are not on their way.
    fn wanted_messages(&self) -> u64 {
        if self.status.ends != self.ends {
            // They are about to hear of an end.
            return 0;
        }
        let on_their_way = self.sent - self.status.received;
        (self.status.wanted_messages)
            .left(on_their_way, self.answered)
            .count()
    }

    /// How many of its ranks wait for credits that are not on their way.
    fn wanted_credits(&self) -> u64 {
        let on_their_way = self.granted - self.status.granted;
        (self.status.wanted_credits)
            .left(on_their_way, self.answered)
            .count()
    }

    /// Whether nothing will come from it unless it is sent something.
    fn is_idle(&self) -> bool {
        self.status.no_producer || (self.status.idle && self.status.ends == self.ends)
    }

    fn grant(&mut self, credits: u64) {
        self.granted += credits;
        self.credits += credits;
        self.grant.credits += credits;
    }

    fn call_credits_back(&mut self) {
        // What is ahead of time is for those who do not keep others waiting.
        self.credit_line = 0;
        if !self.calls_credits_back {
            self.calls_credits_back = true;
            self.grant.call_back_credits = true;
        }
    }

    fn call_messages_back(&mut self) {
        if !self.calls_messages_back {
            self.calls_messages_back = true;
            self.grant.call_back_messages = true;
        }
    }
}

impl Coordinator {
    /// A channel for `capacity` messages over so many nodes, `ring` of which fit into the queues of
    /// a node.
    pub(crate) fn new(nodes: usize, capacity: u64, ring: u64) -> Self {
        Coordinator {
            capacity,
            ring,
            store: BTreeMap::new(),
            next: 0,
            nodes: (0..nodes).map(|_| Account::default()).collect(),
            next_fed: 0,
            next_granted: 0,
            lease: Lease::default(),
            is_closed: false,
            has_told_last: false,
        }
    }

    /// Takes a report in; what follows from it is in [`Self::grants`].
    pub(crate) fn receive(&mut self, node: usize, report: Report) {
        let account = &mut self.nodes[node];
        account.credits -= report.puts.len() as u64 + report.unused;
        for message in report.puts {
            self.store.insert(self.next, message);
            self.next += 1;
        }
        let taken = report.status.taken - account.status.taken;
        account.there.drain(..taken as usize);
        // What is on its way there came later than what comes back.
        let on_their_way = account.sent - report.status.received;
        let end = account.there.len() - on_their_way as usize;
        let numbers = account.there.drain(end - report.back.len()..end);
        self.store.extend(numbers.zip(report.back));
        if report.returned_credits {
            account.calls_credits_back = false;
        }
        if report.returned_messages {
            account.calls_messages_back = false;
            if node == self.lease.node {
                self.lease = Lease::default();
            }
        }
        account.status = report.status;
        self.serve();
    }

    /// What there is to tell, and to which nodes.
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
        if !self.has_told_last
            && let (Some(last), None) = (consumers.next(), consumers.next())
        {
            self.has_told_last = true;
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
        self.give_messages();
        self.give_room();
        self.end();
        self.answer();
    }

    /// The nodes for which that holds, from the first one on.
    fn in_turn(&self, first: usize, holds: impl Fn(&Account) -> bool) -> Vec<usize> {
        let count = self.nodes.len();
        (0..count)
            .map(|index| (first + index) % count)
            .filter(|&node| holds(&self.nodes[node]))
            .collect()
    }

    fn give_messages(&mut self) {
        let hungry = self.in_turn(self.next_fed, |account| account.wanted_messages() > 0);
        if self.lease.line > 0 && hungry.iter().any(|&node| node != self.lease.node) {
            let holder = &mut self.nodes[self.lease.node];
            if !holder.there.is_empty() {
                // All that comes later waits for what is there.
                return holder.call_messages_back();
            }
            self.lease = Lease::default();
        }
        loop {
            let mut gave = false;
            for &node in &hungry {
                if self.nodes[node].wanted_messages() > 0 && self.give(node) {
                    gave = true;
                    self.next_fed = (node + 1) % self.nodes.len();
                }
            }
            if !gave {
                break;
            }
        }
        if let [node] = hungry[..] {
            self.lease_to(node);
        } else if hungry.len() > 1 {
            self.lease = Lease::default();
        }
        if self.lease.line > 0 {
            let node = self.lease.node;
            while (self.nodes[node].there.len() as u64) < self.lease.line && self.give(node) {}
        }
        if hungry
            .iter()
            .any(|&node| self.nodes[node].wanted_messages() > 0)
        {
            // Those that have more than they wait for: somebody there gave up waiting.
            for account in &mut self.nodes {
                if account.status.excess_messages > 0 && !account.there.is_empty() {
                    account.call_messages_back();
                }
            }
        }
    }

    /// Gives the next message to a node, if there is one and a place for it, and somebody who
    /// takes.
    fn give(&mut self, node: usize) -> bool {
        let account = &mut self.nodes[node];
        if account.there.len() as u64 == self.ring || account.status.no_consumer {
            return false;
        }
        let Some((number, message)) = self.store.pop_first() else {
            return false;
        };
        account.sent += 1;
        account.there.push_back(number);
        account.grant.messages.push(message);
        true
    }

    /// This node waits, and no other.
    fn lease_to(&mut self, node: usize) {
        let lease = &mut self.lease;
        if lease.node != node {
            *lease = Lease::default();
            lease.node = node;
        }
        lease.alone = lease.alone.saturating_add(1);
        let mut others = (self.nodes.iter().enumerate()).filter(|&(other, _)| other != node);
        if lease.alone > ALONE && others.all(|(_, account)| account.there.is_empty()) {
            lease.line = (lease.line * 2).clamp(1, self.ring);
        }
    }

    fn give_room(&mut self) {
        let thirsty = self.in_turn(self.next_granted, |account| account.wanted_credits() > 0);
        let credits = self.nodes.iter().map(|account| account.credits);
        let mut free = self.capacity - self.len() - credits.sum::<u64>();
        let count = self.nodes.len();
        loop {
            let before = free;
            for &node in &thirsty {
                let account = &mut self.nodes[node];
                if free > 0 && account.wanted_credits() > 0 && account.credits < self.ring {
                    account.grant(1);
                    free -= 1;
                    self.next_granted = (node + 1) % count;
                }
            }
            if free == before {
                break;
            }
        }
        for &node in &thirsty {
            let account = &mut self.nodes[node];
            account.credit_line = (account.credit_line * 2).clamp(1, self.ring);
        }
        if thirsty
            .iter()
            .any(|&node| self.nodes[node].wanted_credits() > 0)
        {
            for account in &mut self.nodes {
                if account.status.excess_credits > 0 && account.credits > 0 {
                    account.call_credits_back();
                }
            }
            return;
        }
        for account in &mut self.nodes {
            // Many at a time.
            if account.credits <= account.credit_line / 2 {
                let more = (account.credit_line - account.credits).min(free / 2);
                account.grant(more);
                free -= more;
            }
        }
    }

    /// Ends the stream for those who wait, if it is at its end.
    fn end(&mut self) {
        let is_empty = self.store.is_empty();
        let hungry = self.in_turn(0, |account| account.wanted_messages() > 0);
        if hungry.is_empty() || !is_empty {
            return;
        }
        let sum = |count: fn(&NodeStatus) -> u64| {
            let status = self.nodes.iter().map(|account| count(&account.status));
            status.sum::<u64>()
        };
        let (claimed, taken) = (sum(|status| status.claimed), sum(|status| status.taken));
        // Nor is any on its way.
        let all_taken = self.nodes.iter().all(|account| account.there.is_empty());
        let is_kept = claimed > 0 && taken >= claimed;
        if !all_taken || !(is_kept || self.nodes.iter().all(Account::is_idle)) {
            return;
        }
        let missing = claimed.saturating_sub(taken);
        for node in hungry {
            let account = &mut self.nodes[node];
            account.ends = account.ends.wrapping_add(1);
            account.grant.end = Some(missing);
        }
    }

    /// Answers the questions of nodes that have got what there is.
    fn answer(&mut self) {
        let messages_come = self.nodes.iter().any(|account| account.calls_messages_back);
        let credits_come = self.nodes.iter().any(|account| account.calls_credits_back);
        let len = self.len();
        for account in &mut self.nodes {
            let waits = messages_come && account.wanted_messages() > 0;
            let waits = waits || (credits_come && account.wanted_credits() > 0);
            if account.status.asked > account.answered && !waits {
                account.answered = account.status.asked;
                account.grant.answered = Some(account.answered);
                account.grant.len = len;
            }
        }
    }

    /// How many messages there are, on nodes too.
    fn len(&self) -> u64 {
        let there = self.nodes.iter().map(|account| account.there.len() as u64);
        there.sum::<u64>() + self.store.len() as u64
    }
}
