//! By MPI's own messages.

use crate::error::CreateError;
use crate::rsmpi::carrier::OwnComm;
use crate::rsmpi::carrier::pending::{PATIENCE, Pending};
use crate::rsmpi::comm::{SUCCESS, check};
use crate::shm::lock;
use mpi::ffi;
use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// All messages of mpisync have this tag.
const TAG: c_int = 77;

/// How many bytes may be under way from a rank that does not help them along to one receiver: no
/// more than the buffers of a connection hold without either side's doing.
const CREDIT: usize = 16 << 10;
/// What a message takes of it beside its bytes, for MPI's own header.
const HEADER: usize = 100;

/// A rank's messages.
pub(super) struct Messages {
    /// Those that MPI has not taken over yet.
    outbox: Mutex<VecDeque<Pending<Vec<u8>>>>,
    /// How many bytes each rank can have got without an answer, by rank; none where a thread lets
    /// MPI make progress on whatever is sent.
    ///
    /// A rank without that thread may compute after it has sent something, and what MPI keeps back
    /// then stays where it is: the first message to a rank, because MPI connects the two when it is
    /// sent, and what the buffers of the connection do not hold.
    unanswered: Option<Vec<AtomicUsize>>,
    /// The last message that came.
    received: Mutex<Vec<u8>>,
}

/// Begins to send. It `is_answered` if it is not complete before the receiver has begun to receive
/// it.
fn start(
    comm: &OwnComm,
    rank: u32,
    bytes: Vec<u8>,
    is_answered: bool,
) -> Result<Pending<Vec<u8>>, CreateError> {
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
    /// `has_thread` tells whether a thread of this process lets MPI make progress; `ranks` is how
    /// many ranks there are.
    pub(super) fn new(ranks: usize, has_thread: bool) -> Self {
        let connecting = || AtomicUsize::new(CREDIT);
        Messages {
            outbox: Mutex::default(),
            received: Mutex::default(),
            unanswered: (!has_thread).then(|| (0..ranks).map(|_| connecting()).collect()),
        }
    }

    /// Messages to one rank arrive in the order in which they were sent. Does not wait, but where
    /// they may need this rank's help.
    pub(super) fn send(
        &self,
        comm: &OwnComm,
        rank: u32,
        bytes: Vec<u8>,
    ) -> Result<(), CreateError> {
        let Some(unanswered) = &self.unanswered else {
            let sending = start(comm, rank, bytes, false)?;
            let mut outbox = lock(&self.outbox);
            outbox.push_back(sending);
            Pending::forget_sent(&mut outbox);
            return Ok(());
        };
        let unanswered = &unanswered[rank as usize];
        let takes = bytes.len() + HEADER;
        let is_answered = unanswered.fetch_add(takes, Ordering::Relaxed) + takes > CREDIT;
        let mut sending = start(comm, rank, bytes, is_answered)?;
        let start = Instant::now();
        while !sending.is_sent() {
            if start.elapsed() > PATIENCE {
                lock(&self.outbox).push_back(sending);
                return Ok(());
            }
            std::thread::yield_now();
        }
        if is_answered {
            unanswered.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(super) fn unsent(&self) -> usize {
        let mut outbox = lock(&self.outbox);
        Pending::forget_sent(&mut outbox);
        outbox.len()
    }

    /// Hands the messages that have come to `handle`.
    pub(super) fn poll(&self, comm: &OwnComm, handle: &mut dyn FnMut(&[u8])) {
        if let Ok(mut outbox) = self.outbox.try_lock()
            && !outbox.is_empty()
        {
            Pending::forget_sent(&mut outbox);
        }
        let mut bytes = lock(&self.received);
        while receive(comm, &mut bytes) {
            handle(&bytes);
        }
    }
}

/// Receives the next message, if one has come; whether one had.
///
/// # Panics
/// If MPI has a message and does not give it: whoever waits for what it says would wait for ever.
fn receive(comm: &OwnComm, bytes: &mut Vec<u8>) -> bool {
    let mut found: c_int = 0;
    // SAFETY: a constant of MPI.
    let mut message = unsafe { ffi::RSMPI_MESSAGE_NULL };
    let mut status = MaybeUninit::uninit();
    // SAFETY: a matched probe of a valid communicator, so that no other thread can receive this message; the results go to
    // live variables.
    let code = unsafe {
        ffi::MPI_Improbe(
            ffi::RSMPI_ANY_SOURCE,
            TAG,
            comm.raw(),
            &mut found,
            &mut message,
            status.as_mut_ptr(),
        )
    };
    if code != SUCCESS || found == 0 {
        // An MPI that notices the death of a rank may say so here; the others' messages come all the same.
        return false;
    }
    let mut length: c_int = 0;
    // SAFETY: MPI has set the status, for it has found a message.
    let code = unsafe { ffi::MPI_Get_count(status.as_ptr(), ffi::RSMPI_UINT8_T, &mut length) };
    check("MPI_Get_count", code).unwrap_or_else(|error| panic!("a message is lost: {error}"));
    bytes.resize(usize::try_from(length).expect("a message of bytes"), 0);
    // SAFETY: the message was found and nobody else receives it; the buffer is as long as it is.
    let code = unsafe {
        ffi::MPI_Mrecv(
            bytes.as_mut_ptr().cast::<c_void>(),
            length,
            ffi::RSMPI_UINT8_T,
            &mut message,
            ffi::RSMPI_STATUS_IGNORE,
        )
    };
    check("MPI_Mrecv", code).unwrap_or_else(|error| panic!("a message is lost: {error}"));
    true
}
