//! The messages that arrive.

use crate::error::CreateError;
use crate::rsmpi::carrier::messages::TAG;
use crate::rsmpi::carrier::pending::Pending;
use crate::rsmpi::carrier::{Handle, OwnComm, Unsent};
use crate::rsmpi::comm::{SUCCESS, check};
use crate::shm::buffer;
use mpi::ffi;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

/// A message of at most this length is received at once: MPI sends it without asking the receiver.
const SHORT: usize = 4 << 10;
/// How long polls are without a pause while a message arrives.
const TRANSFER: Duration = Duration::from_secs(1);

/// The messages of a rank that MPI has found.
#[derive(Default)]
pub(super) struct Inbox {
    /// Those that have not arrived completely, and those behind them from the same ranks.
    incoming: Vec<Incoming>,
    /// The memory of the last message that arrived at once.
    memory: Vec<u8>,
}

/// A message that arrives.
struct Incoming {
    from: c_int,
    /// In bytes.
    length: usize,
    since: Instant,
    receiving: Pending<Vec<u8>>,
}

/// A message that no other thread can receive.
struct Found {
    message: ffi::MPI_Message,
    from: c_int,
    length: c_int,
}

impl Inbox {
    /// Passes the messages that have arrived to `handle`, those of one rank in the order in which it
    /// has sent them.
    ///
    /// # Errors
    /// If MPI cannot receive a message. The rank that has sent it may be dead.
    pub(super) fn receive(&mut self, comm: &OwnComm, handle: Handle<'_>) -> Result<(), Unsent> {
        let mut received = Ok(());
        while let Some(found) = probe(comm) {
            let is_behind = self.incoming.iter().any(|other| other.from == found.from);
            if found.length as usize <= SHORT && !is_behind {
                found.receive(&mut self.memory);
                handle(&mut self.memory);
                continue;
            }
            match found.begin() {
                Ok(incoming) => self.incoming.push(incoming),
                Err(unsent) => received = Err(unsent),
            }
            received = received.and(self.complete(handle));
        }
        received.and(self.complete(handle))
    }

    /// Handles those of the messages begun that have arrived.
    fn complete(&mut self, handle: Handle<'_>) -> Result<(), Unsent> {
        let mut completed = Ok(());
        let mut late: Vec<c_int> = Vec::new();
        let mut index = 0;
        while let Some(incoming) = self.incoming.get_mut(index) {
            let from = incoming.from;
            if late.contains(&from) {
                index += 1;
                continue;
            }
            match incoming.receiving.is_complete() {
                Ok(false) => {
                    late.push(from);
                    index += 1;
                }
                Ok(true) => {
                    let Incoming {
                        length, receiving, ..
                    } = self.incoming.remove(index);
                    let mut memory = receiving.into_data();
                    // SAFETY: MPI has received this many bytes, for which `begin` has made room.
                    unsafe { memory.set_len(length) };
                    handle(&mut memory);
                    buffer::put_back(memory);
                }
                Err(error) => {
                    // MPI may still use the memory.
                    std::mem::forget(self.incoming.remove(index));
                    let rank = from as u32;
                    completed = Err(Unsent { rank, error });
                }
            }
        }
        completed
    }

    /// Whether a message is arriving, for which MPI needs polls. One that takes longer may have lost
    /// its sender.
    pub(super) fn is_receiving(&self) -> bool {
        let is_arriving = |incoming: &Incoming| incoming.since.elapsed() < TRANSFER;
        self.incoming.iter().any(is_arriving)
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        // MPI may still write to the memory of messages that have not arrived.
        std::mem::forget(std::mem::take(&mut self.incoming));
    }
}

impl Found {
    /// Begins to receive it.
    fn begin(mut self) -> Result<Incoming, Unsent> {
        let memory = buffer::empty_memory(self.length as usize);
        let receiving = Pending::begin("MPI_Imrecv", memory, |memory: &mut Vec<u8>, request| {
            let (start, byte) = (memory.as_mut_ptr().cast::<c_void>(), byte());
            // SAFETY: the message was found and nobody else receives it; the memory has room for it,
            // and is kept with the request, unused, until it is complete.
            unsafe { ffi::MPI_Imrecv(start, self.length, byte, &mut self.message, request) }
        });
        let (from, length) = (self.from, self.length as usize);
        match receiving {
            Ok(receiving) => Ok(Incoming {
                from,
                length,
                since: Instant::now(),
                receiving,
            }),
            Err(error) => Err(Unsent {
                rank: from as u32,
                error,
            }),
        }
    }

    /// Receives it.
    ///
    /// # Panics
    /// If MPI fails: a rank would wait for the effect of the message forever.
    fn receive(mut self, memory: &mut Vec<u8>) {
        memory.resize(self.length as usize, 0);
        // SAFETY: the message was found and nobody else receives it; the memory is as long as it is.
        let code = unsafe {
            ffi::MPI_Mrecv(
                memory.as_mut_ptr().cast::<c_void>(),
                self.length,
                byte(),
                &mut self.message,
                ffi::RSMPI_STATUS_IGNORE,
            )
        };
        expect_received("MPI_Mrecv", code);
    }
}

fn byte() -> ffi::MPI_Datatype {
    // SAFETY: a constant of MPI.
    unsafe { ffi::RSMPI_UINT8_T }
}

/// # Panics
/// If MPI has a message and cannot say what it is: a rank would wait for its effect forever.
fn expect_received(function: &'static str, code: c_int) {
    let received: Result<(), CreateError> = check(function, code);
    received.unwrap_or_else(|error| panic!("a message is lost: {error}"));
}

/// Finds the next message.
fn probe(comm: &OwnComm) -> Option<Found> {
    let mut found: c_int = 0;
    // SAFETY: a constant of MPI.
    let mut message = unsafe { ffi::RSMPI_MESSAGE_NULL };
    let mut status = MaybeUninit::uninit();
    // SAFETY: a matched probe of a valid communicator, so that no other thread can receive this
    // message; the results go to live variables.
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
        // An MPI that detects the death of a rank may report it here; the messages of the others
        // still arrive.
        return None;
    }
    // SAFETY: MPI has set the status, for it has found a message.
    let status = unsafe { status.assume_init() };
    let mut length: c_int = 0;
    // SAFETY: a status of MPI.
    let code = unsafe { ffi::MPI_Get_count(&status, byte(), &mut length) };
    expect_received("MPI_Get_count", code);
    Some(Found {
        message,
        from: status.MPI_SOURCE,
        length,
    })
}
