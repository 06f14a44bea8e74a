//! By MPI's own messages.

use super::OwnComm;
use super::pending::{PATIENCE, Pending};
use crate::memory::lock;
use mpi::ffi;
use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// All messages of mpisync have this tag.
const TAG: c_int = 77;

/// How many bytes may be under way from a rank that does not help them along to one receiver: no more than the buffers of
/// a connection hold without either side's doing.
const CREDIT: usize = 16 << 10;
/// What a message takes of it beside its bytes, for MPI's own header.
const HEADER: usize = 100;

/// A rank's messages.
pub(super) struct Messages {
    /// Those that MPI has not taken over yet.
    outbox: Mutex<VecDeque<Pending<Vec<u8>>>>,
    /// How many bytes each rank can have got without an answer, by rank; none where a thread lets MPI make progress on
    /// whatever is sent.
    ///
    /// A rank without that thread may compute after it has sent something, and what MPI keeps back then stays where it is:
    /// the first message to a rank, because MPI connects the two when it is sent, and what the buffers of the connection do
    /// not hold.
    unanswered: Option<Vec<AtomicUsize>>,
    /// The last message that came.
    received: Mutex<Vec<u8>>,
}

/// Begins to send. It `is_answered` if it is not complete before the receiver has begun to receive it.
fn start(comm: &OwnComm, rank: u32, bytes: Vec<u8>, is_answered: bool) -> Pending<Vec<u8>> {
    let send = if is_answered {
        ffi::MPI_Issend
    } else {
        ffi::MPI_Isend
    };
    let mut request = MaybeUninit::uninit();
    // SAFETY: the bytes are kept with the request until it is complete.
    let request = unsafe {
        send(
            bytes.as_ptr().cast::<c_void>(),
            c_int::try_from(bytes.len()).expect("a message of less than 2 GiB"),
            ffi::RSMPI_UINT8_T,
            rank as c_int,
            TAG,
            comm.raw(),
            request.as_mut_ptr(),
        );
        request.assume_init()
    };
    Pending::new(request, bytes)
}

impl Messages {
    /// `has_thread` tells whether a thread of this process lets MPI make progress; `ranks` is how many ranks there are.
    pub(super) fn new(ranks: usize, has_thread: bool) -> Self {
        let connecting = || AtomicUsize::new(CREDIT);
        Messages {
            outbox: Mutex::default(),
            received: Mutex::default(),
            unanswered: (!has_thread).then(|| (0..ranks).map(|_| connecting()).collect()),
        }
    }

    /// Messages to one rank arrive in the order in which they were sent. Does not wait, but where they may need this rank's
    /// help.
    pub(super) fn send(&self, comm: &OwnComm, rank: u32, bytes: Vec<u8>) {
        let Some(unanswered) = &self.unanswered else {
            let sending = start(comm, rank, bytes, false);
            let mut outbox = lock(&self.outbox);
            outbox.push_back(sending);
            return Pending::forget_complete(&mut outbox);
        };
        let unanswered = &unanswered[rank as usize];
        let takes = bytes.len() + HEADER;
        let is_answered = unanswered.fetch_add(takes, Ordering::Relaxed) + takes > CREDIT;
        let mut sending = start(comm, rank, bytes, is_answered);
        let start = Instant::now();
        while !sending.is_complete() {
            if start.elapsed() > PATIENCE {
                return lock(&self.outbox).push_back(sending);
            }
            std::thread::yield_now();
        }
        if is_answered {
            unanswered.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn unsent(&self) -> usize {
        let mut outbox = lock(&self.outbox);
        Pending::forget_complete(&mut outbox);
        outbox.len()
    }

    /// Hands the messages that have come to `handle`.
    pub(super) fn poll(&self, comm: &OwnComm, handle: &mut dyn FnMut(&[u8])) {
        if let Ok(mut outbox) = self.outbox.try_lock()
            && !outbox.is_empty()
        {
            Pending::forget_complete(&mut outbox);
        }
        let mut bytes = lock(&self.received);
        while receive(comm, &mut bytes) {
            handle(&bytes);
        }
    }
}

/// Receives the next message, if one has come; whether one had.
fn receive(comm: &OwnComm, bytes: &mut Vec<u8>) -> bool {
    let mut found: c_int = 0;
    let mut length: c_int = 0;
    let mut message = MaybeUninit::uninit();
    let mut status = MaybeUninit::uninit();
    // SAFETY: a matched probe of a valid communicator, so that no other thread can receive this message; the buffer
    // is as long as the message.
    unsafe {
        ffi::MPI_Improbe(
            ffi::RSMPI_ANY_SOURCE,
            TAG,
            comm.raw(),
            &mut found,
            message.as_mut_ptr(),
            status.as_mut_ptr(),
        );
        if found == 0 {
            return false;
        }
        ffi::MPI_Get_count(status.as_ptr(), ffi::RSMPI_UINT8_T, &mut length);
        bytes.resize(length as usize, 0);
        ffi::MPI_Mrecv(
            bytes.as_mut_ptr().cast::<c_void>(),
            length,
            ffi::RSMPI_UINT8_T,
            message.as_mut_ptr(),
            ffi::RSMPI_STATUS_IGNORE,
        );
    }
    true
}
