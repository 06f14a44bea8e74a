//! Tests of the coordinator alone.

use crate::channel::remote::messages::NodeStatus;
use crate::channel::remote::{Coordinator, Grant, Report};

/// The grant for one node, if there is one.
fn grant_for(coordinator: &mut Coordinator, node: usize) -> Option<Grant> {
    let grants: Vec<_> = coordinator.grants().collect();
    let mut grants = grants.into_iter().filter(|(to, _)| *to == node);
    grants.next().map(|(_, grant)| grant)
}

/// Reports for a node that puts `puts` messages.
fn report(coordinator: &mut Coordinator, node: usize, status: &NodeStatus, puts: u64) {
    let report = Report {
        puts: std::iter::repeat_n([1], puts as usize).collect(),
        status: status.clone(),
        ..Report::default()
    };
    coordinator.receive(node, report);
}

#[test]
fn nothing_is_sent_ahead_to_a_node_where_nobody_takes() {
    let mut coordinator = Coordinator::new(2, 100, 10);
    // Node 1 puts as much as it may.
    let (mut status, mut credits) = (NodeStatus::default(), 0);
    while status.granted < 40 {
        status.wanted_credits.lasting = u64::from(credits == 0);
        report(&mut coordinator, 1, &status, credits);
        credits = grant_for(&mut coordinator, 1).map_or(0, |grant| grant.credits);
        status.granted += credits;
    }
    // Only node 0 takes, so it gets more and more messages in advance.
    let (mut status, mut there) = (NodeStatus::default(), 0);
    while there < 5 {
        status.taken = status.received;
        status.wanted_messages.lasting = 1;
        report(&mut coordinator, 0, &status, 0);
        there = grant_for(&mut coordinator, 0).map_or(0, |grant| grant.messages.len());
        status.received += there as u64;
    }
    // The node returns all messages, because its only consumer is gone.
    status.no_consumer = true;
    status.wanted_messages.lasting = 0;
    let back = std::iter::repeat_n([1], there).collect();
    let report = Report {
        back,
        status,
        ..Report::default()
    };
    coordinator.receive(0, report);
    assert_eq!(grant_for(&mut coordinator, 0), None);
}

#[test]
fn the_last_node_that_takes_is_notified_once() {
    let mut coordinator = Coordinator::new(3, 10, 10);
    let gone = NodeStatus {
        no_consumer: true,
        ..NodeStatus::default()
    };
    report(&mut coordinator, 1, &gone, 0);
    assert_eq!(grant_for(&mut coordinator, 0), None, "node 2 takes");
    report(&mut coordinator, 2, &gone, 0);
    let grant = grant_for(&mut coordinator, 0).expect("it is the last one");
    assert!(grant.is_alone);
    report(&mut coordinator, 2, &gone, 0);
    assert_eq!(grant_for(&mut coordinator, 0), None, "it knows");
    report(&mut coordinator, 0, &gone, 0);
    let grant = grant_for(&mut coordinator, 0).expect("there is news");
    assert!(grant.closed && !grant.is_alone);
}

#[test]
fn a_node_that_returns_what_it_got_is_not_the_next() {
    let mut coordinator = Coordinator::new(2, 1, 1);
    let mut putter = NodeStatus::default();
    putter.wanted_credits.lasting = 1;
    report(&mut coordinator, 0, &putter, 0);
    putter.granted = grant_for(&mut coordinator, 0).expect("room").credits;
    putter.wanted_credits.lasting = 0;
    // Both nodes wait. Then node 0 has a message but no waiting rank.
    putter.wanted_messages.lasting = 1;
    report(&mut coordinator, 0, &putter, 1);
    let given = grant_for(&mut coordinator, 0).expect("a message").messages;
    putter.received = 1;
    let mut other = NodeStatus::default();
    other.wanted_messages.lasting = 1;
    report(&mut coordinator, 1, &other, 0);
    putter.excess_messages = 1;
    putter.wanted_messages.lasting = 0;
    report(&mut coordinator, 0, &putter, 0);
    let recalled = grant_for(&mut coordinator, 0)
        .expect("a demand")
        .recall_messages;
    assert!(recalled, "the other one waits");
    putter.excess_messages = 0;
    putter.wanted_messages.lasting = 1;
    let report = Report {
        back: given.into_iter().collect(),
        returned_messages: true,
        status: putter,
        ..Report::default()
    };
    coordinator.receive(0, report);
    let given = grant_for(&mut coordinator, 1).expect("its turn").messages;
    assert_eq!(given.len(), 1);
}
