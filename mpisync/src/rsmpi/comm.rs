//! mpisync's own duplicate of a communicator.

use crate::error::CreateError;
use crate::rsmpi::attribute::CallBeforeEnd;
use crate::rsmpi::waiting::Waiting;
use crate::shm::lock;
use mpi::ffi;
use mpi::traits::Communicator;
use std::ffi::{c_char, c_int};
use std::sync::{Arc, Mutex};

/// A communicator of mpisync alone. Its errors are return codes, not aborts.
///
/// Its collective calls are nonblocking ones of MPI that are polled, so that a rank that never comes
/// is an error. The memory of a call that does not complete is leaked, because MPI may still write to
/// it, and the communicator is not used again, nor freed.
pub(crate) struct OwnComm {
    raw: ffi::MPI_Comm,
    rank: c_int,
    size: c_int,
    waiting: Arc<Waiting>,
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

/// A communicator that any thread may hold.
pub(super) struct Handle(pub(super) ffi::MPI_Comm);

impl Handle {
    pub(super) fn raw(&self) -> ffi::MPI_Comm {
        self.0
    }
}

// SAFETY: as for `OwnComm`.
unsafe impl Send for Handle {}
// SAFETY: as for `OwnComm`.
unsafe impl Sync for Handle {}

impl Drop for OwnComm {
    fn drop(&mut self) {
        // A collective call that has not completed still uses it.
        if !self.has_failed() {
            lock(&RETIRED).push(Handle(self.raw));
        }
    }
}

impl OwnComm {
    /// Duplicates `comm`; collective.
    pub(super) fn duplicate(
        comm: &impl Communicator,
        waiting: impl Into<Arc<Waiting>>,
    ) -> Result<Self, CreateError> {
        let waiting = waiting.into();
        Self::free_retired();
        let arrivals = Arrivals::begin(comm)?;
        // On the heap, where it stays if the call does not complete.
        let new = Box::into_raw(Box::new(comm.as_raw()));
        // SAFETY: `comm` is a valid communicator, for it is borrowed; the result goes to memory that stays until the
        // request is complete.
        let begin = |request| unsafe { ffi::MPI_Comm_idup(comm.as_raw(), new, request) };
        let duplicated = begin_request("MPI_Comm_idup", begin);
        waiting.complete(duplicated, || arrivals.missing())?;
        waiting.complete(Ok(arrivals.request), || arrivals.missing())?;
        // SAFETY: they come from boxes, and MPI has completed both requests.
        let (raw, _) = unsafe { (*Box::from_raw(new), Box::from_raw(arrivals.memory)) };
        let own = OwnComm {
            raw,
            rank: comm.rank(),
            size: comm.size(),
            waiting,
        };
        // SAFETY: the new communicator, which is valid; the handler is MPI's own.
        let code = unsafe { ffi::MPI_Comm_set_errhandler(raw, ffi::RSMPI_ERRORS_RETURN) };
        check("MPI_Comm_set_errhandler", code)?;
        Ok(own)
    }

    /// Whether a collective call has not completed, so that there can be no other.
    pub(crate) fn has_failed(&self) -> bool {
        self.waiting.failure().is_some()
    }

    /// How its collective calls wait.
    pub(super) fn waiting(&self) -> &Waiting {
        &self.waiting
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

    /// The number of each rank in `MPI_COMM_WORLD`. None for a rank that is not in it, such as one
    /// of a program that has been spawned. Local.
    pub(crate) fn world_ranks(&self) -> Vec<Option<u32>> {
        // SAFETY: two valid communicators.
        let ranks = unsafe { translate(self.raw, ffi::RSMPI_COMM_WORLD) };
        ranks.unwrap_or_else(|| vec![None; self.size as usize])
    }

    pub(super) fn raw(&self) -> ffi::MPI_Comm {
        self.raw
    }

    /// Lets MPI make progress.
    pub(super) fn probe(&self) {
        let Some(_call) = CallBeforeEnd::begin() else {
            return;
        };
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
        self.make_part("MPI_Comm_split_type", |raw, rank, node| {
            // SAFETY: valid handles, among them constants of MPI, and the result in a live variable.
            unsafe {
                let (kind, info) = (ffi::RSMPI_COMM_TYPE_SHARED, ffi::RSMPI_INFO_NULL);
                ffi::MPI_Comm_split_type(raw, kind, rank, info, node)
            }
        })
    }

    /// A communicator for each color, of the ranks that pass it, in the order of their ranks.
    /// Collective.
    pub(super) fn split(&self, color: i32) -> Result<Self, CreateError> {
        Self::free_retired();
        // The call below blocks, so all ranks come to it first.
        self.minimum(0)?;
        self.make_part("MPI_Comm_split", move |raw, rank, part| {
            // SAFETY: valid handles, the result in a live variable, and a color that is not negative.
            unsafe { ffi::MPI_Comm_split(raw, color, rank, part) }
        })
    }

    /// A communicator that `make` stores, a collective call of MPI that blocks and gets this
    /// communicator and rank.
    fn make_part(
        &self,
        function: &'static str,
        make: impl FnOnce(ffi::MPI_Comm, c_int, &mut ffi::MPI_Comm) -> c_int + Send + 'static,
    ) -> Result<Self, CreateError> {
        let (comm, rank) = (Handle(self.raw), self.rank);
        let part = self.waiting.complete_blocking(move || {
            let mut part = comm.raw();
            check(function, make(comm.raw(), rank, &mut part))?;
            Ok(Handle(part))
        })?;
        self.part(part.raw())
    }

    /// A communicator of this rank alone. Local.
    pub(super) fn alone(&self) -> Result<Self, CreateError> {
        let mut part = self.raw;
        // SAFETY: a valid handle, the result in a live variable.
        let made = unsafe { ffi::MPI_Comm_dup(ffi::RSMPI_COMM_SELF, &mut part) };
        check("MPI_Comm_dup", made)?;
        self.part(part)
    }

    /// Takes ownership of a new communicator of some of the ranks.
    fn part(&self, raw: ffi::MPI_Comm) -> Result<Self, CreateError> {
        let (mut rank, mut size) = (0, 0);
        // SAFETY: a valid communicator, results in live variables.
        unsafe {
            check("MPI_Comm_rank", ffi::MPI_Comm_rank(raw, &mut rank))?;
            check("MPI_Comm_size", ffi::MPI_Comm_size(raw, &mut size))?;
        }
        Ok(OwnComm {
            raw,
            rank,
            size,
            waiting: Arc::clone(&self.waiting),
        })
    }

    /// Completes the collective call of MPI that `begin` begins with pointers to this rank's `data`
    /// and to memory for the `result`, and returns the result. The initial result is that of a single
    /// rank.
    fn complete<S: Copy, R>(
        &self,
        function: &'static str,
        (data, result): (S, Vec<R>),
        begin: impl FnOnce(*mut S, *mut R, *mut ffi::MPI_Request) -> c_int,
    ) -> Result<Vec<R>, CreateError> {
        if let Some(failure) = self.waiting.failure() {
            return Err(failure);
        }
        if self.size == 1 {
            return Ok(result);
        }
        // On the heap, where both stay if the call does not complete.
        let memory = Box::into_raw(Box::new((data, result)));
        // SAFETY: just made; MPI alone uses it until the request is complete.
        let (data, result) = unsafe { (&raw mut (*memory).0, (*memory).1.as_mut_ptr()) };
        let begun = begin_request(function, |request| begin(data, result, request));
        self.waiting.complete(begun, Vec::new)?;
        // SAFETY: it comes from a box, and MPI has completed the request.
        Ok(unsafe { Box::from_raw(memory) }.1)
    }

    /// The `value`s of all ranks; collective.
    pub(super) fn gather_all(&self, value: u32) -> Result<Vec<u32>, CreateError> {
        let all = vec![value; self.size as usize];
        self.complete("MPI_Iallgather", (value, all), |value, all, request| {
            // SAFETY: one integer from each rank, and room for one of each.
            unsafe {
                let kind = ffi::RSMPI_UINT32_T;
                let (value, all) = (value.cast(), all.cast());
                ffi::MPI_Iallgather(value, 1, kind, all, 1, kind, self.raw, request)
            }
        })
    }

    /// Begins a barrier.
    pub(crate) fn begin_barrier(&self) -> Result<Farewell, CreateError> {
        // SAFETY: a valid communicator, and the request goes to a live variable.
        let begin = |request| unsafe { ffi::MPI_Ibarrier(self.raw, request) };
        begin_request("MPI_Ibarrier", begin).map(Farewell)
    }

    /// Sends the `bytes` of `root`, a rank, to all; collective. They are as long on all ranks.
    pub(super) fn broadcast_from(&self, root: i32, bytes: Vec<u8>) -> Result<Vec<u8>, CreateError> {
        let count = c_int::try_from(bytes.len()).expect("a short message");
        self.complete("MPI_Ibcast", ((), bytes), |_, bytes, request| {
            // SAFETY: the buffer is `count` bytes long.
            unsafe {
                let kind = ffi::RSMPI_UINT8_T;
                ffi::MPI_Ibcast(bytes.cast(), count, kind, root, self.raw, request)
            }
        })
    }

    /// The smallest of all ranks' `value`s; collective.
    pub(super) fn minimum(&self, value: i32) -> Result<i32, CreateError> {
        let least = vec![value];
        let least = self.complete("MPI_Iallreduce", (value, least), |value, least, request| {
            // SAFETY: one `int` each way.
            unsafe {
                let (kind, operation) = (ffi::RSMPI_INT32_T, ffi::RSMPI_MIN);
                let (value, least) = (value.cast(), least.cast());
                ffi::MPI_Iallreduce(value, least, 1, kind, operation, self.raw, request)
            }
        })?;
        Ok(least[0])
    }
}

/// Which ranks have come to make the duplicate of a communicator, as rank 0 sees it.
struct Arrivals {
    request: ffi::MPI_Request,
    memory: *mut ArrivalMemory,
    ranks: usize,
}

struct ArrivalMemory {
    mine: u8,
    /// For each rank a byte, its length and its place; empty except on rank 0.
    noted: Vec<u8>,
    lengths: Vec<c_int>,
    places: Vec<c_int>,
}

impl Arrivals {
    /// Sends rank 0 a byte.
    fn begin(comm: &impl Communicator) -> Result<Self, CreateError> {
        let ranks = if comm.rank() == 0 {
            comm.size() as usize
        } else {
            0
        };
        let memory = Box::into_raw(Box::new(ArrivalMemory {
            mine: 1,
            noted: vec![0; ranks],
            lengths: vec![1; ranks],
            places: (0..ranks as c_int).collect(),
        }));
        // A gather of varying lengths: MPI libraries let each rank send to the root directly.
        let request = begin_request("MPI_Igatherv", |request| {
            // SAFETY: a byte from each rank, and room for one of each on rank 0, in memory that is new and stays until
            // the request is complete.
            unsafe {
                let kind = ffi::RSMPI_UINT8_T;
                let from = (&raw const (*memory).mine).cast();
                let to = (*memory).noted.as_mut_ptr().cast();
                let lengths = (*memory).lengths.as_ptr();
                let places = (*memory).places.as_ptr();
                let comm = comm.as_raw();
                ffi::MPI_Igatherv(from, 1, kind, to, lengths, places, kind, 0, comm, request)
            }
        })?;
        Ok(Arrivals {
            request,
            memory,
            ranks,
        })
    }

    /// The ranks that have not come, as far as rank 0 knows; none on other ranks.
    fn missing(&self) -> Vec<i32> {
        let has_come = |rank: &i32| {
            // SAFETY: inside the memory, which is not freed. MPI may write the byte at the same time, on this thread
            // while it tests a request or on one of its own; whether this sees it only matters for the text of an error.
            unsafe {
                (*self.memory)
                    .noted
                    .as_ptr()
                    .add(*rank as usize)
                    .read_volatile()
                    != 0
            }
        };
        (0..self.ranks as i32)
            .filter(|rank| !has_come(rank))
            .collect()
    }
}

/// A pending barrier before MPI is finalized.
pub(crate) struct Farewell(ffi::MPI_Request);

impl Farewell {
    /// Whether all ranks have arrived.
    pub(crate) fn is_over(&mut self) -> Result<bool, CreateError> {
        test(&mut self.0)
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

/// The numbers that the ranks of `comm` have in `other`; None for a rank that is not in it. Local.
///
/// # Safety
/// Both are communicators.
pub(super) unsafe fn translate(
    comm: ffi::MPI_Comm,
    other: ffi::MPI_Comm,
) -> Option<Vec<Option<u32>>> {
    let mut size = 0;
    // SAFETY: valid communicators, as the caller ensures; groups that are made here and freed here; room for a number of
    // each rank.
    unsafe {
        let (mut from, mut to) = (ffi::RSMPI_GROUP_NULL, ffi::RSMPI_GROUP_NULL);
        check("MPI_Comm_group", ffi::MPI_Comm_group(comm, &mut from)).ok()?;
        check("MPI_Comm_group", ffi::MPI_Comm_group(other, &mut to)).ok()?;
        check("MPI_Group_size", ffi::MPI_Group_size(from, &mut size)).ok()?;
        let ranks: Vec<c_int> = (0..size).collect();
        let mut places = vec![-1; ranks.len()];
        let (ranks, found) = (ranks.as_ptr(), places.as_mut_ptr());
        let code = ffi::MPI_Group_translate_ranks(from, size, ranks, to, found);
        ffi::MPI_Group_free(&mut from);
        ffi::MPI_Group_free(&mut to);
        check("MPI_Group_translate_ranks", code).ok()?;
        // `MPI_UNDEFINED` is negative.
        Some(
            places
                .into_iter()
                .map(|rank| rank.try_into().ok())
                .collect(),
        )
    }
}

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
