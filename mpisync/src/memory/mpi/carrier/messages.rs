//! By MPI's own messages.

use super::OwnComm;
use mpi::ffi;
use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::{Mutex, PoisonError};

/// All messages of mpisync have this tag.
const TAG: c_int = 77;

/// The messages that MPI has not taken over yet.
#[derive(Default)]
pub(super) struct Messages {
    outbox: Mutex<VecDeque<Sending>>,
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

impl Messages {
    /// Messages to one rank arrive in the order in which they were sent.
    pub(super) fn send(&self, comm: &OwnComm, rank: u32, bytes: Vec<u8>) {
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

    pub(super) fn unsent(&self) -> usize {
        let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        Self::complete(&mut outbox);
        outbox.len()
    }

    /// Hands the messages that have come to `handle`.
    pub(super) fn poll(&self, comm: &OwnComm, handle: &mut dyn FnMut(&[u8])) {
        if let Ok(mut outbox) = self.outbox.try_lock()
            && !outbox.is_empty()
        {
            Self::complete(&mut outbox);
        }
        while let Some(bytes) = receive(comm) {
            handle(&bytes);
        }
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
