//! The server's part of the protocol. It acts for a node whatever the node's ranks do.

use crate::rwlock::global::site::{Asker, LockMessage, Site};
use crate::rwlock::global::writer;
use crate::rwlock::global::writer::enqueue_at_home;
use crate::rwlock::node::Closed;

/// The unfinished work of a node's server.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct NodeServer {
    closing: Option<Closing>,
    /// The token may have to be taken or handed over, for which a writer had the turn.
    unsettled: bool,
}

/// A close that is not answered yet.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Closing {
    count: u32,
    asker: Asker,
    closed: Closed,
    /// The number of children that have not answered.
    pending: u32,
}

impl NodeServer {
    /// Handles a message, as far as possible without waiting; [`Self::go_on`] does the rest.
    pub(crate) fn handle(&mut self, site: &impl Site, message: LockMessage) {
        match message {
            LockMessage::Enqueue { node } => self.unsettled |= enqueue_at_home(site, node),
            LockMessage::Link { successor } => {
                site.set_successor(successor);
                self.unsettled = true;
            }
            LockMessage::Grant(token) => {
                site.put_granted(&token);
                // If no writer takes it, the server hands it on.
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
                site.send_down(root, message);
                site.open_gate(count);
                self.closing.take_if(|closing| closing.count < count);
            }
        }
    }

    fn close(&mut self, site: &impl Site, count: u32, root: u32, asker: Asker) {
        let message = LockMessage::Close {
            count,
            root,
            asker: Asker::Server(site.node()),
        };
        let pending = site.send_down(root, message);
        // If the gate has advanced since, the asker does not wait any more, and somebody else may.
        if let Some(closed) = site.close_gate(count) {
            self.closing = Some(Closing {
                count,
                asker,
                closed,
                pending,
            });
        }
    }

    /// Does what can be done now. Returns whether work is left.
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

    /// Whether it waits for readers of this node or of its children.
    pub(crate) fn waits_for_readers(&self) -> bool {
        self.closing.is_some()
    }
}

/// Takes a token that came too late for the writer that had asked, and hands it over to the
/// successor. Returns false if a writer of the node has the turn and the server has to try again.
fn settle(site: &impl Site) -> bool {
    if site.successor().is_none() && !site.has_arrived() {
        return true;
    }
    if !site.try_turn() {
        return false;
    }
    if let Some(token) = site.take_granted() {
        writer::receive(site, token);
    }
    writer::release(site);
    true
}
