//! mpisync's own duplicate of a communicator.

use crate::error::CreateError;
use crate::rsmpi::attribute;
use crate::shm::lock;
use mpi::ffi;
use mpi::traits::Communicator;
use std::ffi::{c_char, c_int, c_void};
use std::sync::Mutex;

/// A communicator of mpisync alone. Its errors are return codes, not aborts.
pub(crate) struct OwnComm {
    raw: ffi::MPI_Comm,
    rank: c_int,
    size: c_int,
}

// SAFETY: an `MPI_Comm` is a handle that any thread may hold; the thread level determines which
// thread may call MPI with it, and objects, through which all calls come, stay on the thread that
// made them.
unsafe impl Send for OwnComm {}
// SAFETY: as above.
unsafe impl Sync for OwnComm {}

/// Communicators to be freed. `MPI_Comm_free` is collective, so a destructor does not call it; the
/// next collective creation does.
static RETIRED: Mutex<Vec<Handle>> = Mutex::new(Vec::new());

struct Handle(ffi::MPI_Comm);

// SAFETY: as for `OwnComm`.
unsafe impl Send for Handle {}

impl Drop for OwnComm {
    fn drop(&mut self) {
        lock(&RETIRED).push(Handle(self.raw));
    }
}

impl OwnComm {
    /// Duplicates `comm`; collective.
    pub(super) fn duplicate(comm: &impl Communicator) -> Result<Self, CreateError> {
        Self::free_retired();
        let mut raw = comm.as_raw();
        // SAFETY: `comm` is a valid communicator, for it is borrowed; the result goes to a live
        // variable.
        let code = unsafe { ffi::MPI_Comm_dup(comm.as_raw(), &mut raw) };
        check("MPI_Comm_dup", code)?;
        let own = OwnComm {
            raw,
            rank: comm.rank(),
            size: comm.size(),
        };
        // SAFETY: the new communicator, which is valid; the handler is MPI's own.
        let code = unsafe { ffi::MPI_Comm_set_errhandler(raw, ffi::RSMPI_ERRORS_RETURN) };
        check("MPI_Comm_set_errhandler", code)?;
        Ok(own)
    }

    /// Frees the retired communicators. The standard expects that `MPI_Comm_free` "will normally be
    /// implemented to be local" (MPI 4.1, 7.4.3), which is true of the implementations that mpisync
    /// is tested with.
    fn free_retired() {
        let retired = std::mem::take(&mut *lock(&RETIRED));
        for mut comm in retired {
            // SAFETY: made by MPI, and freed once, before MPI_Finalize.
            unsafe { ffi::MPI_Comm_free(&mut comm.0) };
        }
    }

    pub(crate) fn rank(&self) -> i32 {
        self.rank
    }

    pub(crate) fn size(&self) -> i32 {
        self.size
    }

    pub(super) fn raw(&self) -> ffi::MPI_Comm {
        self.raw
    }

    /// Lets MPI make progress.
    pub(super) fn probe(&self) {
        if attribute::is_finalized() {
            return;
        }
        let mut found: c_int = 0;
        // SAFETY: a probe of a valid communicator with results in live variables; the result does
        // not matter.
        unsafe {
            ffi::MPI_Iprobe(
                ffi::RSMPI_ANY_SOURCE,
                ffi::RSMPI_ANY_TAG,
                self.raw,
                &mut found,
                ffi::RSMPI_STATUS_IGNORE,
            );
        }
    }

    /// A communicator of the ranks that share memory with this one; collective.
    pub(super) fn node(&self) -> Result<Self, CreateError> {
        let mut node = self.raw;
        // SAFETY: valid handles, the result in a live variable.
        let split = unsafe {
            ffi::MPI_Comm_split_type(
                self.raw,
                ffi::RSMPI_COMM_TYPE_SHARED,
                self.rank,
                ffi::RSMPI_INFO_NULL,
                &mut node,
            )
        };
        check("MPI_Comm_split_type", split)?;
        Self::of(node)
    }

    /// A communicator for each color, of the ranks that pass it, in the order of their ranks.
    /// Collective.
    pub(super) fn split(&self, color: i32) -> Result<Self, CreateError> {
        Self::free_retired();
        let mut part = self.raw;
        // SAFETY: valid handles, the result in a live variable, and a color that is not negative.
        let split = unsafe { ffi::MPI_Comm_split(self.raw, color, self.rank, &mut part) };
        check("MPI_Comm_split", split)?;
        Self::of(part)
    }

    /// Takes ownership of a new communicator.
    fn of(raw: ffi::MPI_Comm) -> Result<Self, CreateError> {
        let (mut rank, mut size) = (0, 0);
        // SAFETY: a valid communicator, results in live variables.
        unsafe {
            check("MPI_Comm_rank", ffi::MPI_Comm_rank(raw, &mut rank))?;
            check("MPI_Comm_size", ffi::MPI_Comm_size(raw, &mut size))?;
        }
        Ok(OwnComm { raw, rank, size })
    }

    /// The `value`s of all ranks; collective.
    pub(super) fn gather_all(&self, value: u32) -> Result<Vec<u32>, CreateError> {
        let mut all = vec![0u32; self.size as usize];
        // SAFETY: one integer from each rank, and room for one of each.
        let code = unsafe {
            ffi::MPI_Allgather(
                (&raw const value).cast::<c_void>(),
                1,
                ffi::RSMPI_UINT32_T,
                all.as_mut_ptr().cast::<c_void>(),
                1,
                ffi::RSMPI_UINT32_T,
                self.raw,
            )
        };
        check("MPI_Allgather", code)?;
        Ok(all)
    }

    /// Begins a barrier.
    pub(crate) fn begin_barrier(&self) -> Result<Farewell, CreateError> {
        // SAFETY: a valid communicator, and the request goes to a live variable.
        let begin = |request| unsafe { ffi::MPI_Ibarrier(self.raw, request) };
        begin_request("MPI_Ibarrier", begin).map(Farewell)
    }

    /// Sends rank 0's `bytes` to all; collective.
    pub(super) fn broadcast(&self, bytes: &mut [u8]) -> Result<(), CreateError> {
        self.broadcast_from(0, bytes)
    }

    /// Sends the `bytes` of `root`, a rank, to all; collective.
    pub(super) fn broadcast_from(&self, root: i32, bytes: &mut [u8]) -> Result<(), CreateError> {
        let count = c_int::try_from(bytes.len()).expect("a short message");
        // SAFETY: the buffer is `count` bytes long and lives through the call.
        let code = unsafe {
            ffi::MPI_Bcast(
                bytes.as_mut_ptr().cast::<c_void>(),
                count,
                ffi::RSMPI_UINT8_T,
                root,
                self.raw,
            )
        };
        check("MPI_Bcast", code)
    }

    /// The smallest of all ranks' `value`s; collective.
    pub(super) fn minimum(&self, value: i32) -> Result<i32, CreateError> {
        let mut least = value;
        // SAFETY: one `int` each way.
        let code = unsafe {
            ffi::MPI_Allreduce(
                (&raw const value).cast::<c_void>(),
                (&raw mut least).cast::<c_void>(),
                1,
                ffi::RSMPI_INT32_T,
                ffi::RSMPI_MIN,
                self.raw,
            )
        };
        check("MPI_Allreduce", code)?;
        Ok(least)
    }
}

/// A pending barrier before MPI is finalized.
pub(crate) struct Farewell(ffi::MPI_Request);

impl Farewell {
    /// Whether all ranks have arrived, or the barrier has failed.
    pub(crate) fn is_over(&mut self) -> bool {
        // A failure is ignored: MPI is about to be finalized.
        test(&mut self.0).unwrap_or(true)
    }
}

/// Begins a nonblocking operation. `begin` calls `function`, which sets the request unless it
/// fails.
pub(super) fn begin_request(
    function: &'static str,
    begin: impl FnOnce(*mut ffi::MPI_Request) -> c_int,
) -> Result<ffi::MPI_Request, CreateError> {
    // SAFETY: a constant of MPI.
    let mut request = unsafe { ffi::RSMPI_REQUEST_NULL };
    check(function, begin(&mut request))?;
    Ok(request)
}

/// Whether a request is complete; then it becomes the null request, which is complete, too.
pub(super) fn test(request: &mut ffi::MPI_Request) -> Result<bool, CreateError> {
    let mut done: c_int = 0;
    // SAFETY: a request of MPI, or the null request.
    let code = unsafe { ffi::MPI_Test(request, &mut done, ffi::RSMPI_STATUS_IGNORE) };
    check("MPI_Test", code)?;
    Ok(done != 0)
}

/// `MPI_SUCCESS`, by the standard (MPI 4.1, 9.4).
pub(super) const SUCCESS: c_int = 0;

/// Turns an MPI return code into an error with MPI's message.
pub(super) fn check(function: &'static str, code: c_int) -> Result<(), CreateError> {
    if code == SUCCESS {
        return Ok(());
    }
    let mut text = vec![0u8; 1024];
    let mut length = 0;
    // SAFETY: 1024 bytes are more than MPI_MAX_ERROR_STRING of any implementation.
    unsafe { ffi::MPI_Error_string(code, text.as_mut_ptr().cast::<c_char>(), &mut length) };
    text.truncate(usize::try_from(length).unwrap_or(0));
    Err(CreateError::Mpi {
        function,
        message: String::from_utf8_lossy(&text).into_owned(),
    })
}
