//! What an object does with messages.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What an object sends between its sides.
pub(crate) trait Message: Serialize {
    /// About how many bytes its long values have.
    fn size(&self) -> usize {
        0
    }
}

/// A part of an object on a node's leader: it acts for the ranks of the node.
///
/// Nothing in here may wait. All of it is called by one thread at a time.
pub(crate) trait Service: Send + 'static {
    type Message: DeserializeOwned;

    /// Handles a message from `from`. [`go_on`](Self::go_on) follows.
    fn receive(&mut self, from: u32, message: Self::Message);

    /// Whether a rank of this node has called for this service. [`go_on`](Self::go_on) follows
    /// then.
    fn is_called(&self) -> bool {
        false
    }

    /// Does what can be done now.
    fn go_on(&mut self) -> Progress {
        Progress::Done
    }

    /// Looks at what no message announces, such as ranks that died; about five times a second.
    /// [`go_on`](Self::go_on) follows.
    fn inspect(&mut self) {}
}

/// How far a service has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// There is nothing to do until it is called or a message arrives.
    Done,
    /// It has to go on.
    Busy,
    /// All ranks of all nodes are done with the object.
    Over,
}

impl Progress {
    pub(crate) fn busy_if(is_busy: bool) -> Self {
        if is_busy {
            Progress::Busy
        } else {
            Progress::Done
        }
    }
}

/// A part of an object on one rank: what it waits for.
pub(crate) trait Client: Send + Sync + 'static {
    type Message: DeserializeOwned;

    /// Handles a message from `from`. May be called by any thread of the process, and must not
    /// wait.
    fn receive(&self, from: u32, message: Self::Message);
}

/// A [`Service`] of whatever message type.
pub(super) trait ErasedService: Send {
    fn receive(&mut self, from: u32, message: &[u8]);
    fn is_called(&self) -> bool;
    fn go_on(&mut self) -> Progress;
    fn inspect(&mut self);
}

impl<S: Service> ErasedService for S {
    fn receive(&mut self, from: u32, message: &[u8]) {
        Service::receive(self, from, decode(message));
    }

    fn is_called(&self) -> bool {
        Service::is_called(self)
    }

    fn go_on(&mut self) -> Progress {
        Service::go_on(self)
    }

    fn inspect(&mut self) {
        Service::inspect(self);
    }
}

/// A [`Client`] of whatever message type.
pub(super) trait ErasedClient: Send + Sync {
    fn receive(&self, from: u32, message: &[u8]);
}

impl<C: Client> ErasedClient for C {
    fn receive(&self, from: u32, message: &[u8]) {
        Client::receive(self, from, decode(message));
    }
}

fn decode<M: DeserializeOwned>(message: &[u8]) -> M {
    postcard::from_bytes(message).expect("as it was sent by the same program")
}
