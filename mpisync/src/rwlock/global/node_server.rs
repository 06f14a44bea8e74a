//! What the server of a node does for the lock, whatever the node's ranks do.

use crate::rwlock::global::site::{Asker, LockMessage, Site, enqueue_at_home, tell_below};
use crate::rwlock::global::writer;
use crate::rwlock::node::Closed;

/// What the server has to come back to.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct NodeServer {
    closing: Option<Closing>,
    /// The turn has to be taken up or handed over, and a writer was at it.
    unsettled: bool,
}

/// A close that has been answered neither here nor below.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Closing {
    count: u32,
    asker: Asker,
    closed: Closed,
    /// How many nodes below have not answered yet.
    pending: u32,
}

impl NodeServer {
    /// Does what another node asks for, as far as that can be without waiting; [`Self::go_on`] does
    /// the rest.
    pub(crate) fn handle(&mut self, site: &impl Site, word: LockMessage) {
        match word {
            LockMessage::Enqueue { node } => self.unsettled |= enqueue_at_home(site, node),
            LockMessage::Link { successor } => {
                site.set_successor(successor);
                self.unsettled = true;
            }
            LockMessage::Grant(turn) => {
                site.put_granted(&turn);
                // If nobody takes it up, it goes on from here.
                self.unsettled = true;
            }
            LockMessage::Close { count, root, asker } => self.close(site, count, root, asker),
            LockMessage::Drained { count, .. } => {
                if let Some(closing) = &mut self.closing
                    && closing.count == count
                {
                    closing.pending -= 1;
                }
            }
            LockMessage::Open { count, root } => {
                tell_below(site, root, word);
                site.open_gate(count);
                self.closing.take_if(|closing| closing.count < count);
            }
        }
    }

    fn close(&mut self, site: &impl Site, count: u32, root: u32, asker: Asker) {
        let below = LockMessage::Close {
            count,
            root,
            asker: Asker::Server(site.node()),
        };
        let pending = tell_below(site, root, below);
        // Where the gate has gone on since, whoever asked does not wait any more, and somebody else may.
        if let Some(closed) = site.close_gate(count) {
            self.closing = Some(Closing {
                count,
                asker,
                closed,
                pending,
            });
        }
    }

    /// Does what can be done now; whether something is left.
    pub(crate) fn go_on(&mut self, site: &impl Site) -> bool {
        let drained =
            |closing: &mut Closing| closing.pending == 0 && site.readers_have_left(closing.closed);
        if let Some(closing) = self.closing.take_if(drained) {
            site.answer(closing.asker, closing.count);
        }
        if self.unsettled {
            self.unsettled = !settle(site);
        }
        self.unsettled || self.closing.is_some()
    }

    /// Whether it waits for readers of this node or below.
    pub(crate) fn waits_for_readers(&self) -> bool {
        self.closing.is_some()
    }
}

/// Takes up a turn that came too late for who had asked, and hands over to the node behind. False
/// where a writer of the node is at it and the server has to come again.
fn settle(site: &impl Site) -> bool {
    if site.successor().is_none() && !site.has_arrived() {
        return true;
    }
    if !site.try_turn() {
        return false;
    }
    if let Some(turn) = site.take_granted() {
        writer::receive(site, turn);
    }
    writer::release(site);
    true
}
