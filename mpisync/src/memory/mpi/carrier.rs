//! Carrying messages between the ranks of a communicator: sends that nobody waits for, and polls.

use super::attribute::is_finalized;
use super::comm::OwnComm;
use mpi::ffi;
use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, TryLockError};

/// All messages of mpisync have this tag.
const TAG: c_int = 77;

/// What is done with a message.
pub(crate) type Handler = Box<dyn Fn(&[u8]) + Send + Sync>;

/// The messages of one communicator, as this process sees them. Any thread may send and poll.
pub(crate) struct Carrier {
    outbox: Mutex<VecDeque<Sending>>,
    /// Called with each message, by one thread at a time.
    handler: OnceLock<Handler>,
    polling: Mutex<()>,
    /// How many threads of this process poll anyway, because they wait for something.
    attendants: AtomicU32,
}

/// A message that MPI has not taken over yet.
struct Sending {
    request: ffi::MPI_Request,
    /// Read by MPI until the request is complete.
    _bytes: Vec<u8>,
}

// SAFETY: a request is a handle, and with MPI_THREAD_MULTIPLE, which the maker of a carrier has checked, any thread
// may complete it; the mutex around them lets one thread at a time do so.
unsafe impl Send for Sending {}

impl Carrier {
    pub(crate) fn new() -> Self {
        Carrier {
            outbox: Mutex::default(),
            handler: OnceLock::new(),
            polling: Mutex::default(),
            attendants: AtomicU32::new(0),
        }
    }

    /// A thread begins to poll again and again, so that no other need do so, or ends that.
    pub(crate) fn attend(&self, attends: bool) {
        if attends {
            self.attendants.fetch_add(1, Ordering::Relaxed);
        } else {
            self.attendants.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_attended(&self) -> bool {
        self.attendants.load(Ordering::Relaxed) > 0
    }

    /// Says what is done with messages; once.
    pub(crate) fn set_handler(&self, handler: Handler) {
        let set = self.handler.set(handler);
        debug_assert!(set.is_ok(), "a carrier has one handler");
    }

    /// Sends `bytes` to `rank`; does not wait. Messages to one rank arrive in the order in which they were sent.
    pub(crate) fn send(&self, comm: &OwnComm, rank: u32, bytes: Vec<u8>) {
        if is_finalized() {
            return;
        }
        let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        let mut request = MaybeUninit::uninit();
        // SAFETY: the bytes are kept in the outbox, where they do not move on the heap, until the request is complete.
        unsafe {
            ffi::MPI_Isend(
                bytes.as_ptr().cast::<c_void>(),
                c_int::try_from(bytes.len()).expect("a message of less than 2 GiB"),
                ffi::RSMPI_UINT8_T,
                rank as c_int,
                TAG,
                comm.raw(),
                request.as_mut_ptr(),
            );
            outbox.push_back(Sending {
                request: request.assume_init(),
                _bytes: bytes,
            });
        }
        Self::complete(&mut outbox);
    }

    /// Forgets the sends that MPI has completed, up to the first that it has not.
    fn complete(outbox: &mut VecDeque<Sending>) {
        while let Some(sending) = outbox.front_mut() {
            let mut done: c_int = 0;
            // SAFETY: the request is live, for it was not complete before.
            unsafe { ffi::MPI_Test(&mut sending.request, &mut done, ffi::RSMPI_STATUS_IGNORE) };
            if done == 0 {
                return;
            }
            outbox.pop_front();
        }
    }

    /// How many messages are under way from this process.
    pub(crate) fn unsent(&self) -> usize {
        let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        Self::complete(&mut outbox);
        outbox.len()
    }

    /// Handles the messages that have come; whether there were any. Where another thread of this process is at it,
    /// it is left to that one.
    pub(crate) fn poll(&self, comm: &OwnComm) -> bool {
        if is_finalized() {
            return false;
        }
        let _alone = match self.polling.try_lock() {
            Ok(alone) => alone,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        if let Ok(mut outbox) = self.outbox.try_lock()
            && !outbox.is_empty()
        {
            Self::complete(&mut outbox);
        }
        let mut any = false;
        while let Some(bytes) = receive(comm) {
            any = true;
            if let Some(handle) = self.handler.get() {
                handle(&bytes);
            }
        }
        any
    }
}

/// The next message, if one has come.
fn receive(comm: &OwnComm) -> Option<Vec<u8>> {
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
            return None;
        }
        ffi::MPI_Get_count(status.as_ptr(), ffi::RSMPI_UINT8_T, &mut length);
        let mut bytes = vec![0u8; length as usize];
        ffi::MPI_Mrecv(
            bytes.as_mut_ptr().cast::<c_void>(),
            length,
            ffi::RSMPI_UINT8_T,
            message.as_mut_ptr(),
            ffi::RSMPI_STATUS_IGNORE,
        );
        Some(bytes)
    }
}
