//! Carrying messages between the ranks of a communicator: sends that nobody waits for, and polls.

mod messages;
mod pending;
#[cfg(feature = "region")]
mod pieces;
mod windows;

use crate::error::CreateError;
use crate::rsmpi::attribute::is_finalized;
use crate::rsmpi::carrier::messages::Messages;
#[cfg(feature = "region")]
pub(crate) use crate::rsmpi::carrier::pieces::Piece;
use crate::rsmpi::carrier::windows::Windows;
use crate::rsmpi::comm::OwnComm;
use crate::shm::lock;
use crate::shm::topology::Topology;
use crate::transport::Transport;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, TryLockError};

/// What is done with what arrives.
pub(crate) trait Handler: Send + Sync {
    /// Handles a message.
    fn receive(&self, bytes: &[u8]);

    /// Goes on with what could not be done at once; whether there is more.
    fn tend(&self) -> bool;
}

/// The messages of one communicator, as this process sees them. Any thread may send and poll.
pub(crate) struct Carrier {
    way: Way,
    /// From this rank to itself, in the order in which they were sent.
    own: Mutex<VecDeque<Vec<u8>>>,
    /// Called by one thread at a time.
    handler: OnceLock<Box<dyn Handler>>,
    polling: Mutex<()>,
    /// Held while a message and the piece that belongs to it are sent, so that no other comes in
    /// between.
    #[cfg(feature = "region")]
    pairing: Mutex<()>,
    /// How many threads of this process poll anyway, because they wait for something.
    active_pollers: AtomicU32,
    /// Whether a thread of its own polls when no other does.
    pub(crate) has_thread: bool,
}

/// MPI has failed to send to this rank.
pub(crate) struct Unsent {
    pub(crate) rank: u32,
    pub(crate) error: CreateError,
}

enum Way {
    Messages(Messages),
    Windows(Windows),
}

impl Carrier {
    /// By MPI's own messages.
    pub(super) fn by_messages(topology: &Topology, has_thread: bool) -> Self {
        // Without any thread MPI makes progress when the ranks call it, and waiting would not help.
        let helped = topology.is_leader() || !has_thread;
        let messages = Messages::new(topology.size(), helped);
        Self::new(Way::Messages(messages), has_thread)
    }

    /// Through a window, which is made here; collective, and the same on all ranks.
    pub(super) fn by_windows(
        comm: &OwnComm,
        topology: &Topology,
        has_thread: bool,
    ) -> Result<Self, CreateError> {
        Ok(Self::new(
            Way::Windows(Windows::new(comm, topology)?),
            has_thread,
        ))
    }

    fn new(way: Way, has_thread: bool) -> Self {
        Carrier {
            way,
            own: Mutex::default(),
            handler: OnceLock::new(),
            polling: Mutex::default(),
            #[cfg(feature = "region")]
            pairing: Mutex::default(),
            active_pollers: AtomicU32::new(0),
            has_thread,
        }
    }

    pub(crate) fn transport(&self) -> Transport {
        match self.way {
            Way::Messages(_) => Transport::Messages,
            Way::Windows(_) => Transport::Windows,
        }
    }

    /// A thread begins to poll again and again, so that no other need do so, or ends that.
    pub(crate) fn poll_actively(&self, begins: bool) {
        if begins {
            self.active_pollers.fetch_add(1, Ordering::Relaxed);
        } else {
            self.active_pollers.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_polled_actively(&self) -> bool {
        self.active_pollers.load(Ordering::Relaxed) > 0
    }

    /// Says what is done with messages; once.
    pub(crate) fn set_handler(&self, handler: Box<dyn Handler>) {
        let set = self.handler.set(handler);
        debug_assert!(set.is_ok(), "a carrier has one handler");
    }

    /// Sends `bytes` to `rank`. Messages to one rank arrive in the order in which they were sent.
    /// Those to this rank itself are handled by the next poll.
    ///
    /// What is sent goes on its way whether this rank calls MPI again or not, so a rank without a
    /// thread of mpisync waits now and then: for the answer to its first message to each rank, and
    /// whenever much is unanswered.
    ///
    /// # Errors
    /// What MPI has taken over and cannot deliver is no error: the receiver has died, or is about
    /// to be found dead.
    pub(crate) fn send(&self, comm: &OwnComm, rank: u32, bytes: Vec<u8>) -> Result<(), Unsent> {
        if is_finalized() {
            return Ok(());
        }
        if rank as i32 == comm.rank() {
            lock(&self.own).push_back(bytes);
            return Ok(());
        }
        match &self.way {
            Way::Messages(messages) => {
                let sent = messages.send(comm, rank, bytes);
                sent.map_err(|error| Unsent { rank, error })
            }
            Way::Windows(windows) => windows.send(comm, rank, &bytes),
        }
    }

    /// How many messages are under way from this process.
    pub(crate) fn unsent(&self) -> usize {
        match &self.way {
            Way::Messages(messages) => messages.unsent(),
            Way::Windows(windows) => windows.unsent(),
        }
    }

    /// Handles the messages that have come, and goes on with what waits where no thread does that;
    /// whether there were any. Where another thread of this process is at it, it is left to that
    /// one.
    ///
    /// # Errors
    /// Something could not be sent that had waited, or an answer to what came; all that came was
    /// handled.
    pub(crate) fn poll(&self, comm: &OwnComm) -> Result<bool, Unsent> {
        if is_finalized() {
            return Ok(false);
        }
        let _alone = match self.polling.try_lock() {
            Ok(alone) => alone,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(false),
        };
        let Some(handler) = self.handler.get() else {
            return Ok(false);
        };
        let mut any = false;
        let mut receive = |bytes: &[u8]| {
            any = true;
            handler.receive(bytes);
        };
        let mut sent = Ok(());
        match &self.way {
            Way::Messages(messages) => messages.poll(comm, &mut receive),
            Way::Windows(windows) => sent = windows.poll(comm, &mut receive),
        }
        while let Some(bytes) = self.next_own() {
            receive(&bytes);
        }
        if !self.has_thread {
            any |= handler.tend();
        }
        sent.map(|()| any)
    }

    /// The next message of this rank to itself.
    fn next_own(&self) -> Option<Vec<u8>> {
        lock(&self.own).pop_front()
    }

    /// Whether this rank has sent itself a message that is not handled yet.
    pub(crate) fn has_own(&self) -> bool {
        !lock(&self.own).is_empty()
    }

    /// Gives back what has to be given back before MPI ends; collective.
    pub(crate) fn close(&self) {
        if let Way::Windows(windows) = &self.way {
            windows.free();
        }
    }
}
