//! The steps of a writer across nodes, between the points where it waits.
//!
//! The nodes queue as the threads do in an MCS lock: a node exchanges the tail, is linked behind its
//! predecessor, and waits in its own memory until the predecessor hands the token over. One thing
//! differs: a node that leaves while no other node waits keeps the token, so its next writer asks
//! nobody. The node's server hands the token over as soon as a successor is linked. For the sources
//! see [`rwlock`](crate::rwlock).
//!
//! The token also says how often the gates have been opened, and whether all readers have left.

use crate::rwlock::global::site::{LockMessage, Site};
use crate::rwlock::global::token::{QueueState, Token};
use crate::rwlock::global::tree::Node;
use crate::rwlock::global::version::Version;
use crate::rwlock::node::Closed;

/// The most consecutive writers, of all nodes together, before readers are let in.
pub(crate) const RUN: u32 = 64;

/// The next step of a writer that has its node's turn.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Next {
    /// It has the lock.
    Enter,
    /// Wait for the token: [`Site::take_granted`], then [`receive`].
    AwaitToken,
    /// Wait for the readers: [`have_drained`], then [`note_drained`]; or [`reopen`] to give up.
    AwaitReaders(Drain),
    /// The lock is poisoned: this rank died as a writer. [`forgive`] makes it usable.
    GiveUp(u32),
}

/// The gates that a writer has closed, of which some readers may not have left yet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Drain {
    count: u32,
    /// The number of nodes that have to answer.
    asked: u32,
    /// This node's gate.
    closed: Closed,
}

/// Goes on as far as possible without waiting.
pub(crate) fn advance(site: &impl Site) -> Next {
    let mut state = site.queue_state();
    match &mut state {
        QueueState::Idle => {
            site.set_queue_state(&QueueState::Queued);
            enqueue(site);
            Next::AwaitToken
        }
        QueueState::Queued => Next::AwaitToken,
        QueueState::Owner { token, .. } => {
            if let Some(rank) = token.broken_by {
                return Next::GiveUp(rank);
            }
            if token.drained {
                return Next::Enter;
            }
            token.closed = true;
            let token = *token;
            site.set_queue_state(&state);
            Next::AwaitReaders(close(site, token))
        }
    }
}

fn enqueue(site: &impl Site) {
    let node = site.node();
    if site.home() == node {
        enqueue_at_home(site, node);
    } else {
        site.send(site.home(), LockMessage::Enqueue { node });
    }
}

/// On the home node: puts `node` into the queue. Returns true if its predecessor is the home node.
pub(super) fn enqueue_at_home(site: &impl Site, node: Node) -> bool {
    let before = site.exchange_tail(node).unwrap_or(site.node());
    if before == site.node() {
        site.set_successor(node);
        return true;
    }
    site.send(before, LockMessage::Link { successor: node });
    false
}

/// Closes all gates except that of a node known to be empty.
fn close(site: &impl Site, token: Token) -> Drain {
    let (root, count) = (site.node(), token.openings);
    let asker = site.asker();
    site.expect_answers(count);
    let message = LockMessage::Close {
        count,
        root,
        asker,
        version: token.version,
    };
    // A node with children passes the message on to them, empty or not.
    let is_needless =
        |&node: &Node| token.empty == Some(node) && site.children(node, root).next().is_none();
    let asked = site
        .children(root, root)
        .filter(|node| !is_needless(node))
        .map(|node| site.send(node, message))
        .count() as u32;
    let closed = site.close_gate(count);
    let closed = closed.expect("only the holder of the token opens the gate");
    Drain {
        count,
        asked,
        closed,
    }
}

/// Takes the token that was handed over.
pub(crate) fn receive(site: &impl Site, token: Token) {
    debug_assert_eq!(
        site.queue_state(),
        QueueState::Queued,
        "only a node that has asked gets the token"
    );
    site.set_queue_state(&QueueState::Owner {
        token,
        handovers: 0,
    });
}

/// Whether all readers have left.
pub(crate) fn have_drained(site: &impl Site, drain: Drain) -> bool {
    site.answers(drain.count) == drain.asked && site.readers_have_left(drain.closed)
}

/// Notes that all readers have left.
pub(crate) fn note_drained(site: &impl Site) {
    update_token(site, |token| {
        token.drained = true;
        token.empty = None;
    });
}

/// Notes that the writer goes on as a reader, for which the next writer has to wait.
pub(crate) fn note_reader(site: &impl Site) {
    update_token(site, |token| token.drained = false);
}

/// Notes that the writer has made this version, which the next writer has to wait for.
pub(crate) fn note_version(site: &impl Site, version: Version) {
    update_token(site, |token| {
        token.version = version;
        token.drained = false;
    });
}

/// Takes the poison off the token, for a writer that takes over. The gates open when it leaves,
/// which tells all nodes.
pub(crate) fn forgive(site: &impl Site) {
    update_token(site, |token| {
        token.broken_by = None;
        token.closed = true;
        token.run = RUN;
    });
}

/// Puts the poison back, for a writer that gives up while it takes over.
pub(crate) fn poison(site: &impl Site, dead: Option<u32>) {
    update_token(site, |token| token.broken_by = dead);
}

/// Opens the gates for a writer that gives up while it waits for readers.
pub(crate) fn reopen(site: &impl Site) {
    if let Some(token) = update_token(site, Token::open) {
        open_gates(site, token);
    }
}

/// Changes the token, if this node has it.
fn update_token<T>(site: &impl Site, change: impl FnOnce(&mut Token) -> T) -> Option<T> {
    let mut state = site.queue_state();
    let QueueState::Owner { token, .. } = &mut state else {
        return None;
    };
    let changed = change(token);
    site.set_queue_state(&state);
    Some(changed)
}

/// Leaves: hands the token over if necessary, and releases the node's turn.
pub(crate) fn release(site: &impl Site) {
    loop {
        let state = hand_on(site);
        if !let_go(site, state) {
            return;
        }
    }
}

/// Opens the gates and hands the token over if necessary, as a writer that leaves or as the node's
/// server. Returns the new state of the node.
pub(crate) fn hand_on(site: &impl Site) -> QueueState {
    let mut state = site.queue_state();
    let QueueState::Owner { token, handovers } = &mut state else {
        return state;
    };
    token.run += 1;
    *handovers += 1;
    let (successor, others_wait) = (site.successor(), site.writers_wait());
    let may_leave = !others_wait || *handovers >= site.max_local_handovers();
    let successor = successor.filter(|_| may_leave);
    let nobody_waits = successor.is_none() && !others_wait;
    let is_poisoned = token.broken_by.is_some();
    let opens = token.closed && !is_poisoned && (nobody_waits || token.run >= RUN);
    if opens {
        open_gates(site, token.open());
    }
    if let Some(node) = successor {
        site.take_successor();
        grant(site, node, *token, !opens);
        state = QueueState::Idle;
    }
    site.set_queue_state(&state);
    state
}

/// Hands the token over to `node`.
fn grant(site: &impl Site, node: Node, mut token: Token, may_close: bool) {
    // The next writer would close the gate of this node at once: close it now and save the message.
    if may_close && !token.drained && token.broken_by.is_none() {
        let closed = site.close_gate(token.openings);
        let is_empty = closed.is_some_and(|closed| site.readers_have_left(closed));
        token.closed = true;
        token.empty = is_empty.then_some(site.node());
    }
    site.send(node, LockMessage::Grant(token));
}

/// Opens all gates, for the time that the token counts.
fn open_gates(site: &impl Site, token: Token) {
    let (count, root, version) = (token.openings, site.node(), token.version);
    site.open_gate(count);
    site.send_down(
        root,
        LockMessage::Open {
            count,
            root,
            version,
        },
    );
}

/// Releases the node's turn. Returns true if this rank has it again: the writer for which the gates
/// stay closed may have given up in the meantime.
pub(crate) fn let_go(site: &impl Site, state: QueueState) -> bool {
    site.pass_turn();
    state.keeps_gates_closed() && site.try_turn()
}

/// Opens the gates if no writer needs them closed.
pub(crate) fn tidy(site: &impl Site) {
    if site.try_turn() {
        release(site);
    }
}
