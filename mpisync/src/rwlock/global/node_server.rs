//! The server's part of the protocol. It acts for a node whatever the node's ranks do.

use crate::rwlock::global::site::{Asker, LockMessage, Site};
use crate::rwlock::global::version::Version;
use crate::rwlock::global::writer;
use crate::rwlock::global::writer::enqueue_at_home;
use crate::rwlock::node::Closed;

/// The unfinished work of a node's server.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct NodeServer {
    closing: Option<Closing>,
    /// The token may have to be taken or handed over, for which a writer had the turn.
    unsettled: bool,
    /// Messages that came before the version of the data which they name.
    held: Vec<LockMessage>,
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
        if may_act(site, &message) {
            self.act_on(site, message);
        } else {
            self.held.push(message);
        }
    }

    fn act_on(&mut self, site: &impl Site, message: LockMessage) {
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
            LockMessage::Close {
                count,
                root,
                asker,
                version,
            } => {
                let message = LockMessage::Close {
                    count,
                    root,
                    asker: Asker::Server(site.node()),
                    version,
                };
                let pending = site.send_down(root, message);
                self.close(site, count, asker, pending);
            }
            LockMessage::Drained { count, .. } => {
                if let Some(closing) = &mut self.closing
                    && closing.count == count
                {
                    closing.pending -= 1;
                }
            }
            LockMessage::Open { count, root, .. } => {
                site.send_down(root, message);
                site.open_gate(count);
                self.closing.take_if(|closing| closing.count < count);
            }
        }
    }

    fn close(&mut self, site: &impl Site, count: u32, asker: Asker, pending: u32) {
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
        let held = std::mem::take(&mut self.held);
        (held.into_iter()).for_each(|message| self.handle(site, message));
        let drained =
            |closing: &mut Closing| closing.pending == 0 && site.readers_have_left(closing.closed);
        if let Some(closing) = self.closing.take_if(drained) {
            site.answer(closing.asker, closing.count);
        }
        if self.unsettled {
            self.unsettled = !settle(site);
        }
        self.unsettled || self.closing.is_some() || !self.held.is_empty()
    }

    /// The version of the data that it waits for.
    pub(crate) fn awaited_version(&self) -> Option<Version> {
        let versions = self.held.iter().filter_map(LockMessage::version);
        versions.reduce(Version::later)
    }

    /// Whether it has the token and has not put it where the node's writers find it.
    #[cfg(test)]
    pub(crate) fn holds_token(&self) -> bool {
        let is_grant = |message: &LockMessage| matches!(message, LockMessage::Grant(_));
        self.held.iter().any(is_grant)
    }

    /// Whether it waits for readers of this node or of its children.
    pub(crate) fn waits_for_readers(&self) -> bool {
        self.closing.is_some()
    }
}

/// Whether this node has the version that the message names.
fn may_act(site: &impl Site, message: &LockMessage) -> bool {
    let version = message.version();
    version.is_none_or(|version| site.version().includes(version))
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
