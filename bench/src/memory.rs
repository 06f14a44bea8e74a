//! Memory that all ranks of a host read and write by plain loads and stores.

use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::ptr;

use mpi::ffi;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

/// One `T` or several that all ranks see, at the start of a page of their own.
///
/// Initially all bytes are zero. It does not drop the `T`s. The methods return a pointer only,
/// because the other ranks write the same memory.
pub struct Shared<T> {
    window: ffi::MPI_Win,
    value: *mut T,
    // The value exists, but no rank owns it.
    _value: PhantomData<*mut T>,
}

impl<T: Copy> Shared<T> {
    /// Allocates one on rank 0 of `comm`, whose ranks are all on one host. Collective.
    pub fn new(comm: &SimpleCommunicator) -> Self {
        Self::several(comm, 1)
    }

    /// Allocates `count` of them, one after the other, on rank 0 of `comm`, whose ranks are all on
    /// one host. Collective.
    pub fn several(comm: &SimpleCommunicator, count: usize) -> Self {
        let bytes = count * size_of::<T>();
        let here = if comm.rank() == 0 { bytes } else { 0 };
        let mut base: *mut c_void = ptr::null_mut();
        let mut size: ffi::MPI_Aint = 0;
        let mut unit: c_int = 0;
        let mut window = std::mem::MaybeUninit::<ffi::MPI_Win>::uninit();
        let info = Info::new();
        // SAFETY: every pointer is to a local of the type that MPI writes; all ranks make the same
        // calls. MPI aborts the job when a call fails, so the window is initialized after the
        // first.
        let window = unsafe {
            ffi::MPI_Win_allocate_shared(
                here as ffi::MPI_Aint,
                1,
                info.0,
                comm.as_raw(),
                (&raw mut base).cast(),
                window.as_mut_ptr(),
            );
            let window = window.assume_init();
            ffi::MPI_Win_shared_query(window, 0, &mut size, &mut unit, (&raw mut base).cast());
            window
        };
        let value: *mut T = base.cast();
        assert!(value.is_aligned() && size as usize >= bytes);
        if comm.rank() == 0 {
            // SAFETY: the segment has space for `count` values, aligned, and no other rank accesses
            // it before the barrier.
            unsafe { value.write_bytes(0, count) };
        }
        comm.barrier();
        Self {
            window,
            value,
            _value: PhantomData,
        }
    }

    /// The address of the first one in this rank's address space.
    pub fn as_ptr(&self) -> *mut T {
        self.value
    }

    /// The window that contains it.
    pub(crate) fn window(&self) -> ffi::MPI_Win {
        self.window
    }

    /// Frees the memory. Collective.
    pub fn free(mut self) {
        // SAFETY: the window came from MPI_Win_allocate_shared and `self` is gone afterwards.
        unsafe { ffi::MPI_Win_free(&mut self.window) };
    }
}

/// An object of the C library that all ranks of one host use, made and destroyed by rank 0.
pub(crate) struct Object<T> {
    memory: Shared<T>,
    comm: SimpleCommunicator,
}

impl<T: Copy> Object<T> {
    /// Lets rank 0 of `comm`, whose ranks are all on one host, initialize it in zeroed memory.
    /// Collective.
    pub(crate) fn new(comm: &SimpleCommunicator, initialize: impl FnOnce(*mut T)) -> Self {
        let comm = comm.duplicate();
        let memory = Shared::new(&comm);
        if comm.rank() == 0 {
            initialize(memory.as_ptr());
        }
        comm.barrier();
        Self { memory, comm }
    }

    /// Its address in this rank's address space.
    pub(crate) fn as_ptr(&self) -> *mut T {
        self.memory.as_ptr()
    }

    /// Lets rank 0 destroy it after all ranks have stopped using it. Collective.
    pub(crate) fn close(self, destroy: impl FnOnce(*mut T)) {
        self.comm.barrier();
        if self.comm.rank() == 0 {
            destroy(self.memory.as_ptr());
        }
        self.memory.free();
    }
}

/// Checks the return value of a function of the C library that reports failure by a number other
/// than 0.
pub(crate) fn succeed(error: c_int) {
    assert_eq!(error, 0, "a function of the C library failed");
}

/// Hints for MPI. The bindings of some MPIs lack `MPI_INFO_NULL`; an info object without keys has
/// the same meaning.
pub(crate) struct Info(pub(crate) ffi::MPI_Info);

impl Info {
    pub(crate) fn new() -> Self {
        let mut info = std::mem::MaybeUninit::uninit();
        // SAFETY: MPI writes the handle; it aborts the job on failure.
        unsafe {
            ffi::MPI_Info_create(info.as_mut_ptr());
            Self(info.assume_init())
        }
    }

    /// Adds a hint; MPI ignores the hints that it does not know.
    pub(crate) fn with(self, key: &CStr, value: &CStr) -> Self {
        // SAFETY: a live handle, and strings that end with a zero byte.
        unsafe { ffi::MPI_Info_set(self.0, key.as_ptr(), value.as_ptr()) };
        self
    }
}

impl Drop for Info {
    fn drop(&mut self) {
        // SAFETY: the handle came from MPI_Info_create and is freed once; the call is local.
        unsafe { ffi::MPI_Info_free(&mut self.0) };
    }
}
