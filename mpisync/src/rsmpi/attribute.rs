//! Attributes: the [`Context`] of a communicator, or why it has none, and the callback of `MPI_Finalize`.

use crate::error::CreateError;
use crate::rsmpi::comm::check;
use crate::rsmpi::context::Context;
use crate::shm::lock;
use mpi::ffi;
use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

static FINALIZED: AtomicBool = AtomicBool::new(false);

/// Whether `MPI_Finalize` has begun in this process.
#[inline]
pub(crate) fn is_finalized() -> bool {
    FINALIZED.load(Ordering::Relaxed)
}

/// How many threads are in a [`CallBeforeEnd`].
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// A call of MPI by any thread, which `MPI_Finalize` on another thread waits for.
pub(super) struct CallBeforeEnd(());

impl CallBeforeEnd {
    /// Begins a call. None if `MPI_Finalize` has begun.
    #[inline]
    pub(super) fn begin() -> Option<Self> {
        // SeqCst: either this finds the end, or the end finds this.
        CALLS.fetch_add(1, Ordering::SeqCst);
        let call = CallBeforeEnd(());
        (!FINALIZED.load(Ordering::SeqCst)).then_some(call)
    }
}

impl Drop for CallBeforeEnd {
    #[inline]
    fn drop(&mut self) {
        CALLS.fetch_sub(1, Ordering::Release);
    }
}

/// The functions to call before MPI is finalized.
static AT_END: Mutex<VecDeque<fn()>> = Mutex::new(VecDeque::new());

/// Registers a function to be called before MPI is finalized.
pub(crate) fn at_end(act: fn()) {
    lock(&AT_END).push_back(act);
}

/// The same, to be called before the functions that wait for other ranks.
pub(crate) fn first_at_end(act: fn()) {
    lock(&AT_END).push_front(act);
}

/// Calls the registered functions, before MPI is finalized.
pub(crate) fn act_at_end() {
    let acts = std::mem::take(&mut *lock(&AT_END));
    acts.into_iter().for_each(|act| act());
}

/// The key of a communicator's context.
fn key() -> Result<c_int, CreateError> {
    static KEY: OnceLock<c_int> = OnceLock::new();
    if let Some(&key) = KEY.get() {
        return Ok(key);
    }
    let key = new_key(forget)?;
    // The callback of an attribute of MPI_COMM_SELF is the first thing that MPI_Finalize runs (MPI
    // 4.1, 11.2.4).
    let at_end = new_key(note_end)?;
    // SAFETY: MPI is initialized, for the caller holds a communicator; the value is never used.
    let code = unsafe {
        ffi::MPI_Comm_set_attr(
            ffi::RSMPI_COMM_SELF,
            at_end,
            std::ptr::dangling_mut::<c_void>(),
        )
    };
    check("MPI_Comm_set_attr", code)?;
    Ok(*KEY.get_or_init(|| key))
}

type Delete = unsafe extern "C" fn(ffi::MPI_Comm, c_int, *mut c_void, *mut c_void) -> c_int;

fn new_key(delete: Delete) -> Result<c_int, CreateError> {
    let mut key = 0;
    // SAFETY: the callbacks have the signatures that the standard requires and live as long as the
    // program.
    let code = unsafe {
        ffi::MPI_Comm_create_keyval(
            Some(do_not_copy),
            Some(delete),
            &mut key,
            std::ptr::null_mut(),
        )
    };
    check("MPI_Comm_create_keyval", code)?;
    Ok(key)
}

/// What mpisync keeps of a communicator: its context, or why this rank can make no object on it.
pub(super) type Kept = Result<Arc<Context>, CreateError>;

/// The context of `comm`, if it has one. All ranks have one or none has, because it is set
/// collectively.
pub(super) fn context(comm: ffi::MPI_Comm) -> Result<Option<Arc<Context>>, CreateError> {
    Ok(kept(comm)?.and_then(Result::ok))
}

/// What is kept of `comm`; nothing before its first object.
pub(super) fn kept(comm: ffi::MPI_Comm) -> Result<Option<Kept>, CreateError> {
    let mut value: *mut c_void = std::ptr::null_mut();
    let mut found = 0;
    // SAFETY: the attribute's value is a pointer, and the call requires a pointer to a pointer.
    let code = unsafe { ffi::MPI_Comm_get_attr(comm, key()?, (&raw mut value).cast(), &mut found) };
    check("MPI_Comm_get_attr", code)?;
    if found == 0 {
        return Ok(None);
    }
    // SAFETY: the value under this key comes from `Box::into_raw` in `keep`, which is called once for a communicator, and
    // nobody changes it. It is dropped when the communicator is freed, which the caller of this function borrows.
    let kept = unsafe { &*value.cast::<Kept>().cast_const() };
    Ok(Some(kept.clone()))
}

/// Makes `comm`, of which nothing is kept yet, an owner of `kept` until it is freed.
pub(super) fn keep(comm: ffi::MPI_Comm, kept: Kept) -> Result<(), CreateError> {
    let value = Box::into_raw(Box::new(kept));
    // SAFETY: `forget` takes the box back when the communicator is freed.
    let code = unsafe { ffi::MPI_Comm_set_attr(comm, key()?, value.cast::<c_void>()) };
    check("MPI_Comm_set_attr", code)
}

/// A duplicate of a communicator has no context of its own at first.
unsafe extern "C" fn do_not_copy(
    _comm: ffi::MPI_Comm,
    _key: c_int,
    _extra: *mut c_void,
    _value: *mut c_void,
    _copy: *mut c_void,
    copied: *mut c_int,
) -> c_int {
    // SAFETY: MPI passes a valid pointer for the result.
    unsafe { *copied = 0 };
    0
}

unsafe extern "C" fn forget(
    _comm: ffi::MPI_Comm,
    _key: c_int,
    value: *mut c_void,
    _extra: *mut c_void,
) -> c_int {
    // SAFETY: the box of `keep`, taken back once.
    drop(unsafe { Box::from_raw(value.cast::<Kept>()) });
    0
}

unsafe extern "C" fn note_end(
    _comm: ffi::MPI_Comm,
    _key: c_int,
    _value: *mut c_void,
    _extra: *mut c_void,
) -> c_int {
    end();
    0
}

/// Ends what goes on between ranks, as `MPI_Finalize` does when it begins. For a program in which
/// something else calls `MPI_Finalize`, which may be too late, see `net::network::thread`.
pub(crate) fn end() {
    act_at_end();
    FINALIZED.store(true, Ordering::SeqCst);
    // A call that takes longer may wait for a rank that has died.
    const LONGEST_CALL: Duration = Duration::from_secs(5);
    let start = Instant::now();
    while CALLS.load(Ordering::SeqCst) != 0 && start.elapsed() < LONGEST_CALL {
        thread::yield_now();
    }
}
