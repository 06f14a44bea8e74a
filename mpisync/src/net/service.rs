//! How an object handles messages.

use crate::net::tail::Tail;
use crate::shm::waiting::want::{Kept, Tally, Wanted};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A message between the ranks and services of an object.
pub(crate) trait Message: Serialize {
    /// The approximate size of its long values in bytes.
    fn size(&self) -> usize {
        0
    }
}

/// A part of an object on a node's leader, which acts for the ranks of the node.
///
/// No method may wait. They are called by one thread at a time.
pub(crate) trait Service: Send + 'static {
    type Message: DeserializeOwned;

    /// Handles a message from `from`, and the bytes that it has appended to the message.
    /// [`go_on`](Self::go_on) follows.
    fn receive(&mut self, from: u32, message: Self::Message, tail: Tail<'_>);

    /// Whether a rank of this node has called for this service. [`go_on`](Self::go_on) follows
    /// then.
    fn is_called(&self) -> bool {
        false
    }

    /// Does everything that is possible without waiting.
    fn go_on(&mut self) -> Progress {
        Progress::Done
    }

    /// Checks for events that no message announces, such as deaths of ranks. Called about five
    /// times a second; [`go_on`](Self::go_on) follows.
    fn inspect(&mut self) {}

    /// How much a rank of this node, which waits, keeps of what another rank wants, as far as its own
    /// words tell. `waits_here` is whether it waits on this object.
    fn keeps(&self, _local_rank: usize, _want: &Wanted, _waits_here: bool) -> Kept {
        Kept::default()
    }

    /// What this node knows of a want that any one of several ranks can meet. None if others know it.
    fn tally(&self, _want: &Wanted) -> Option<Tally> {
        None
    }
}

/// Whether a service has more to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// There is nothing to do until a rank calls or a message arrives.
    Done,
    /// It has to continue.
    Busy,
    /// No rank of any node uses the object any more.
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

/// A part of an object on one rank, which receives replies and notifications.
pub(crate) trait Client: Send + Sync + 'static {
    type Message: DeserializeOwned;

    /// Handles a message from `from`. Any thread of the process may call this. Must not wait.
    fn receive(&self, from: u32, message: Self::Message);
}

/// A [`Service`] with any message type.
pub(super) trait ErasedService: Send {
    fn receive(&mut self, from: u32, message: Tail<'_>);
    fn is_called(&self) -> bool;
    fn go_on(&mut self) -> Progress;
    fn inspect(&mut self);
    fn keeps(&self, local_rank: usize, want: &Wanted, waits_here: bool) -> Kept;
    fn tally(&self, want: &Wanted) -> Option<Tally>;
}

impl<S: Service> ErasedService for S {
    fn receive(&mut self, from: u32, mut message: Tail<'_>) {
        let (decoded, rest) = postcard::take_from_bytes(message.bytes()).expect(SAME);
        let length = message.bytes().len() - rest.len();
        message.skip(length);
        Service::receive(self, from, decoded, message);
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

    fn keeps(&self, local_rank: usize, want: &Wanted, waits_here: bool) -> Kept {
        Service::keeps(self, local_rank, want, waits_here)
    }

    fn tally(&self, want: &Wanted) -> Option<Tally> {
        Service::tally(self, want)
    }
}

/// A [`Client`] with any message type.
pub(super) trait ErasedClient: Send + Sync {
    fn receive(&self, from: u32, message: &[u8]);
}

impl<C: Client> ErasedClient for C {
    fn receive(&self, from: u32, message: &[u8]) {
        Client::receive(self, from, decode(message));
    }
}

fn decode<M: DeserializeOwned>(message: &[u8]) -> M {
    postcard::from_bytes(message).expect(SAME)
}

/// Why a message can be decoded.
const SAME: &str = "as it was sent by the same program";
