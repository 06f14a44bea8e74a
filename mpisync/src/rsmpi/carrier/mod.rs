//! The transport of messages between the ranks of a communicator: sends that do not wait, and
//! polls.

mod incoming;
mod messages;
mod pending;
mod pieces;
mod windows;

use crate::error::CreateError;
use crate::rsmpi::attribute::CallBeforeEnd;
use crate::rsmpi::carrier::messages::Messages;
pub(crate) use crate::rsmpi::carrier::pieces::Piece;
use crate::rsmpi::carrier::windows::Windows;
use crate::rsmpi::comm::OwnComm;
use crate::shm::buffer::Buffer;
use crate::shm::lock;
use crate::shm::topology::Topology;
use crate::transport::Transport;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, TryLockError};

/// The receiver of messages.
pub(crate) trait Handler: Send + Sync {
    /// Handles a message, and may keep its memory. Returns whether more may follow soon.
    fn receive(&self, bytes: &mut Vec<u8>) -> bool;

    /// Continues unfinished work. Returns whether there is more.
    fn tend(&self) -> bool;
}

/// The messages of one communicator, as this process sees them. Any thread may send and poll.
pub(crate) struct Carrier {
    way: Way,
    /// The messages of this rank to itself, in the order in which they were sent.
    own: Mutex<VecDeque<Buffer>>,
    /// Called by one thread at a time.
    handler: OnceLock<Box<dyn Handler>>,
    polling: Mutex<()>,
    /// Held while a message and its piece are sent, so that no other message comes in between.
    pairing: Mutex<()>,
    /// How many threads of this process poll because they wait.
    active_pollers: AtomicU32,
    /// Whether there is a progress thread, which polls when no other thread does.
    pub(crate) has_thread: bool,
}

/// A failure of MPI to send to this rank, or to receive from it.
pub(crate) struct Unsent {
    pub(crate) rank: u32,
    pub(crate) error: CreateError,
}

/// Handles a message, and may keep its memory.
type Handle<'a> = &'a mut dyn FnMut(&mut Vec<u8>);

enum Way {
    Messages(Messages),
    Windows(Windows),
}

impl Carrier {
    /// By MPI's own messages.
    pub(super) fn by_messages(topology: &Topology, has_thread: bool) -> Self {
        // Without any thread, MPI makes progress when the ranks call it, and waiting does not help.
        let helped = topology.is_leader() || !has_thread;
        let messages = Messages::new(topology.size(), helped);
        Self::new(Way::Messages(messages), has_thread)
    }

    /// By a window, which is made here. Collective, with the same outcome on all ranks.
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

    /// This thread begins to poll in a loop, so that no other thread has to, or ends the loop.
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

    /// Sets the receiver of messages; called once.
    pub(crate) fn set_handler(&self, handler: Box<dyn Handler>) {
        let set = self.handler.set(handler);
        debug_assert!(set.is_ok(), "a carrier has one handler");
    }

    /// Sends `bytes` to `rank`. Messages to one rank arrive in the order in which they were sent.
    /// The next poll handles messages of this rank to itself.
    ///
    /// A message is delivered even if this rank does not call MPI again. So a rank without a
    /// progress thread waits sometimes: for the receipt of its first message to each rank, and if
    /// too many bytes are unacknowledged; not any more once `give_up` holds.
    ///
    /// # Errors
    /// If MPI cannot start the send. A later failure to deliver is no error: the receiver has died,
    /// or will be found dead soon.
    pub(crate) fn send(
        &self,
        comm: &OwnComm,
        rank: u32,
        bytes: Buffer,
        give_up: &dyn Fn() -> bool,
    ) -> Result<(), Unsent> {
        let Some(_call) = CallBeforeEnd::begin() else {
            return Ok(());
        };
        if rank as i32 == comm.rank() {
            lock(&self.own).push_back(bytes);
            return Ok(());
        }
        match &self.way {
            Way::Messages(messages) => {
                let sent = messages.send(comm, rank, bytes, give_up);
                sent.map_err(|error| Unsent { rank, error })
            }
            Way::Windows(windows) => windows.send(comm, rank, &bytes, give_up),
        }
    }

    /// The number of messages of this process in flight to ranks that count.
    pub(crate) fn unsent(&self, counts: &dyn Fn(u32) -> bool) -> usize {
        match &self.way {
            Way::Messages(messages) => messages.unsent(counts),
            Way::Windows(windows) => windows.unsent(counts),
        }
    }

    /// Handles the messages that have arrived and, without a progress thread, continues unfinished
    /// work. Returns whether there was anything to do. Does nothing if another thread of this
    /// process polls.
    ///
    /// # Errors
    /// If a waiting message, or a reply, could not be sent, or a message not received. All messages
    /// that arrived have been handled.
    pub(crate) fn poll(&self, comm: &OwnComm) -> Result<bool, Unsent> {
        let Some(_call) = CallBeforeEnd::begin() else {
            return Ok(false);
        };
        let _alone = match self.polling.try_lock() {
            Ok(alone) => alone,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(false),
        };
        let Some(handler) = self.handler.get() else {
            return Ok(false);
        };
        let mut any = false;
        let mut receive = |bytes: &mut Vec<u8>| {
            any |= handler.receive(bytes);
        };
        let polled = match &self.way {
            Way::Messages(messages) => messages.poll(comm, &mut receive),
            Way::Windows(windows) => windows.poll(comm, &mut receive).map(|()| false),
        };
        while let Some(bytes) = self.next_own() {
            let (mut memory, start) = bytes.into_parts();
            memory.drain(..start);
            receive(&mut memory);
        }
        if !self.has_thread {
            any |= handler.tend();
        }
        polled.map(|is_receiving| any || is_receiving)
    }

    /// Takes the next message of this rank to itself.
    fn next_own(&self) -> Option<Buffer> {
        lock(&self.own).pop_front()
    }

    /// Whether a message of this rank to itself has not been handled yet.
    pub(crate) fn has_own(&self) -> bool {
        !lock(&self.own).is_empty()
    }

    /// Frees the resources that have to be freed before MPI is finalized. Collective.
    pub(crate) fn close(&self) {
        if let Way::Windows(windows) = &self.way {
            windows.free();
        }
    }
}
