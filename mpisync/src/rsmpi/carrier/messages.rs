//! Transport by MPI messages.

use crate::error::CreateError;
use crate::rsmpi::carrier::incoming::Inbox;
use crate::rsmpi::carrier::pending::{PATIENCE, Pending, Sends};
use crate::rsmpi::carrier::{Handle, OwnComm, Unsent};
use crate::shm::buffer::Buffer;
use crate::shm::lock;
use mpi::ffi;
use std::ffi::{c_int, c_void};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// All messages of mpisync have this tag.
pub(super) const TAG: c_int = 77;

/// How many bytes may be in flight to one receiver from a rank that does not poll: no more than the
/// buffers of a connection hold without progress on either side.
const CREDIT: usize = 16 << 10;
/// The credit that a message takes in addition to its bytes, for MPI's header.
const HEADER: usize = 100;

/// The messages of a rank.
pub(super) struct Messages {
    /// The messages that MPI has not sent yet.
    outbox: Mutex<Sends<Buffer>>,
    /// How many bytes have been sent to each rank since its last acknowledgement; None if a
    /// progress thread lets MPI make progress on all sends.
    ///
    /// A rank without this thread may compute after a send. Then MPI delays the first message to a
    /// rank, which establishes the connection, and messages that exceed the buffers of the
    /// connection.
    unanswered: Option<Vec<AtomicUsize>>,
    inbox: Mutex<Inbox>,
}

/// Begins a send. If it `is_answered`, it is complete only after the receiver has begun to receive
/// it.
fn start(
    comm: &OwnComm,
    rank: u32,
    bytes: Buffer,
    is_answered: bool,
) -> Result<Pending<Buffer>, CreateError> {
    let count = c_int::try_from(bytes.len()).expect("a message of less than 2 GiB");
    let (rank, comm) = (rank as c_int, comm.raw());
    if is_answered {
        Pending::begin("MPI_Issend", bytes, |bytes, request| {
            let start = bytes.as_ptr().cast::<c_void>();
            // SAFETY: the bytes are kept with the request until it is complete.
            unsafe { ffi::MPI_Issend(start, count, ffi::RSMPI_UINT8_T, rank, TAG, comm, request) }
        })
    } else {
        Pending::begin("MPI_Isend", bytes, |bytes, request| {
            let start = bytes.as_ptr().cast::<c_void>();
            // SAFETY: as above.
            unsafe { ffi::MPI_Isend(start, count, ffi::RSMPI_UINT8_T, rank, TAG, comm, request) }
        })
    }
}

impl Messages {
    /// `has_thread` tells whether a thread of this process lets MPI make progress; `ranks` is the
    /// number of ranks.
    pub(super) fn new(ranks: usize, has_thread: bool) -> Self {
        let connecting = || AtomicUsize::new(CREDIT);
        Messages {
            outbox: Mutex::default(),
            inbox: Mutex::default(),
            unanswered: (!has_thread).then(|| (0..ranks).map(|_| connecting()).collect()),
        }
    }

    /// Messages to one rank arrive in the order in which they were sent. Waits only if the message
    /// may need this rank's progress, and not any more once `give_up` holds.
    pub(super) fn send(
        &self,
        comm: &OwnComm,
        rank: u32,
        bytes: Buffer,
        give_up: &dyn Fn() -> bool,
    ) -> Result<(), CreateError> {
        let Some(unanswered) = &self.unanswered else {
            let sending = start(comm, rank, bytes, false)?;
            let mut outbox = lock(&self.outbox);
            outbox.add(rank, sending);
            outbox.forget_sent();
            return Ok(());
        };
        let unanswered = &unanswered[rank as usize];
        let takes = bytes.len() + HEADER;
        let is_answered = unanswered.fetch_add(takes, Ordering::Relaxed) + takes > CREDIT;
        let mut sending = start(comm, rank, bytes, is_answered)?;
        let start = Instant::now();
        while !sending.is_sent() {
            if start.elapsed() > PATIENCE || give_up() {
                lock(&self.outbox).add(rank, sending);
                return Ok(());
            }
            std::thread::yield_now();
        }
        if is_answered {
            unanswered.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(super) fn unsent(&self, counts: &dyn Fn(u32) -> bool) -> usize {
        let mut outbox = lock(&self.outbox);
        outbox.forget_sent();
        outbox.count(counts)
    }

    /// Passes the messages that have arrived to `handle`. Returns whether one is arriving.
    pub(super) fn poll(&self, comm: &OwnComm, handle: Handle<'_>) -> Result<bool, Unsent> {
        if let Ok(mut outbox) = self.outbox.try_lock() {
            outbox.forget_sent();
        }
        let mut inbox = lock(&self.inbox);
        inbox.receive(comm, handle)?;
        Ok(inbox.is_receiving())
    }
}
