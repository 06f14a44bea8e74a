//! A writer's way through the queue of nodes: what it does between the points where it waits.

use crate::rwlock::global::site::{LockMessage, Site, below, enqueue_at_home, tell_below};
use crate::rwlock::global::standing::{Leave, Standing, Step, Turn};
use crate::rwlock::global::tree::Node;
use crate::rwlock::node::Closed;

/// What a writer that has its node's turn comes to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Next {
    /// It writes.
    Enter,
    /// The turn has to be handed over to the node: [`Site::take_granted`], then [`receive`].
    AwaitTurn,
    /// All readers have to leave: [`have_drained`], then [`note_drained`], or [`reopen`] for one
    /// that gives up.
    AwaitReaders(Drain),
    /// The lock cannot be had: this rank died as a writer.
    GiveUp(u32),
}

/// What the gates that a writer has closed still let through.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Drain {
    count: u32,
    /// How many nodes were told, and have to answer.
    told: u32,
    /// This node's gate.
    closed: Closed,
}

/// Goes on as far as can be without waiting.
pub(crate) fn advance(site: &impl Site) -> Next {
    let mut standing = site.standing();
    loop {
        match standing.advance() {
            Step::Enqueue => {
                site.set_standing(&standing);
                if site.home() == site.node() {
                    enqueue_at_home(site, site.node());
                } else {
                    let node = site.node();
                    site.tell(site.home(), LockMessage::Enqueue { node });
                }
            }
            Step::Await => return Next::AwaitTurn,
            Step::Close(turn) => {
                standing.note_closed();
                site.set_standing(&standing);
                return Next::AwaitReaders(close(site, turn));
            }
            Step::Enter => return Next::Enter,
            Step::GiveUp(rank) => return Next::GiveUp(rank),
        }
    }
}

/// Closes all gates, but for that of a node known to be empty.
fn close(site: &impl Site, turn: Turn) -> Drain {
    let (root, count) = (site.node(), turn.openings);
    let asker = site.asker();
    site.expect_answers(count);
    let word = LockMessage::Close { count, root, asker };
    // The nodes below it have to be told through it.
    let is_needless =
        |&node: &Node| turn.empty == Some(node) && below(site, node, root).next().is_none();
    let told = below(site, root, root).filter(|node| !is_needless(node));
    let told = told.map(|node| site.tell(node, word)).count() as u32;
    let closed = site.close_gate(count);
    let closed = closed.expect("nobody but who has the turn opens the gate");
    Drain {
        count,
        told,
        closed,
    }
}

/// Takes the turn that was handed over.
pub(crate) fn receive(site: &impl Site, turn: Turn) {
    let mut standing = site.standing();
    standing.receive(turn);
    site.set_standing(&standing);
}

/// Whether all readers have left.
pub(crate) fn have_drained(site: &impl Site, drain: Drain) -> bool {
    site.answers(drain.count) == drain.told && site.readers_have_left(drain.closed)
}

/// All readers have left.
pub(crate) fn note_drained(site: &impl Site) {
    let mut standing = site.standing();
    standing.note_drained();
    site.set_standing(&standing);
}

/// The writer goes on as a reader.
pub(crate) fn note_reader(site: &impl Site) {
    let mut standing = site.standing();
    standing.note_reader();
    site.set_standing(&standing);
}

/// Opens the gates for a writer that gives up while it waits for readers.
pub(crate) fn reopen(site: &impl Site) {
    let mut standing = site.standing();
    let open = standing.give_up_closing();
    site.set_standing(&standing);
    carry_out(site, Leave { open, grant: None });
}

/// Hands the cluster's turn on where that is due, and lets the node's turn go.
pub(crate) fn release(site: &impl Site) {
    loop {
        let standing = hand_on(site);
        if !let_go(site, standing) {
            return;
        }
    }
}

/// Decides what becomes of the lock, and does it; where the node stands then.
pub(crate) fn hand_on(site: &impl Site) -> Standing {
    let mut standing = site.standing();
    let leave = standing.leave(
        site.successor(),
        site.writers_wait(),
        site.max_local_handovers(),
    );
    if leave.grant.is_some() {
        site.take_successor();
    }
    carry_out(site, leave);
    site.set_standing(&standing);
    standing
}

/// Lets the node's turn go. True if this writer has it again: the one for which the gates stay
/// closed may have given up in the meantime.
pub(crate) fn let_go(site: &impl Site, standing: Standing) -> bool {
    site.pass_turn();
    standing.keeps_gates_closed() && site.try_turn()
}

/// Opens the gates where they are closed for no writer.
pub(crate) fn tidy(site: &impl Site) {
    if site.try_turn() {
        release(site);
    }
}

fn carry_out(site: &impl Site, leave: Leave) {
    if let Some(count) = leave.open {
        site.open_gate(count);
        let root = site.node();
        tell_below(site, root, LockMessage::Open { count, root });
    }
    if let Some((node, mut turn)) = leave.grant {
        // The gate of this node would be closed in a moment anyway, by word that can be saved.
        if leave.open.is_none() && turn.may_be_closed_ahead() {
            let closed = site.close_gate(turn.openings);
            let is_empty = closed.is_some_and(|closed| site.readers_have_left(closed));
            turn.note_closed_at(site.node(), is_empty);
        }
        site.tell(node, LockMessage::Grant(turn));
    }
}
