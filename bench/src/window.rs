//! A window of words on every rank, for locks built from MPI's own one-sided calls.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use mpi::ffi;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use crate::memory::Info;

/// `N` words of 64 bits on each rank, in one epoch that lasts until the window is freed.
pub struct Window<const N: usize> {
    window: ffi::MPI_Win,
    words: *mut i64,
}

impl<const N: usize> Window<N> {
    /// Makes the window, all words zero. Collective.
    ///
    /// Over several hosts the ranks of one host also go through MPI: by default MPICH 4.0 lets them
    /// change words directly, which is not atomic with respect to changes over the network; a queue
    /// lock lost ranks that way.
    pub fn new(world: &SimpleCommunicator, hosts: usize) -> Self {
        let mut base: *mut c_void = ptr::null_mut();
        let mut window = MaybeUninit::uninit();
        let mut info = Info::new();
        if hosts > 1 {
            info = info.with(c"disable_shm_accumulate", c"true");
        }
        // SAFETY: every pointer is to a local of the type that MPI writes; MPI aborts the job on
        // failure, and the memory at `base` has room for the words.
        let window = unsafe {
            ffi::MPI_Win_allocate(
                (N * size_of::<i64>()) as ffi::MPI_Aint,
                size_of::<i64>() as c_int,
                info.0,
                world.as_raw(),
                (&raw mut base).cast(),
                window.as_mut_ptr(),
            );
            let window = window.assume_init();
            base.cast::<i64>().write_bytes(0, N);
            ffi::MPI_Win_lock_all(0, window);
            window
        };
        world.barrier();
        Self {
            window,
            words: base.cast(),
        }
    }

    /// Puts `value` into a word of `rank` by `operation`, and waits. Returns the previous value.
    pub fn fetch(&self, rank: c_int, word: usize, value: i64, operation: ffi::MPI_Op) -> i64 {
        let mut before = 0i64;
        // SAFETY: the values live until the flush, and the window has that word.
        unsafe {
            ffi::MPI_Fetch_and_op(
                (&raw const value).cast(),
                (&raw mut before).cast(),
                ffi::RSMPI_INT64_T,
                rank,
                word as ffi::MPI_Aint,
                operation,
                self.window,
            );
            ffi::MPI_Win_flush(rank, self.window);
        }
        before
    }

    /// Puts `value` into a word of `rank`, and waits until it is there.
    pub fn put(&self, rank: c_int, word: usize, value: i64) {
        // SAFETY: the value lives until the flush, and the window has that word.
        unsafe {
            ffi::MPI_Put(
                (&raw const value).cast(),
                1,
                ffi::RSMPI_INT64_T,
                rank,
                word as ffi::MPI_Aint,
                1,
                ffi::RSMPI_INT64_T,
                self.window,
            );
            ffi::MPI_Win_flush(rank, self.window);
        }
    }

    /// Replaces `from` by `to` in a word of `rank`, and waits. Returns the previous value.
    pub fn compare_and_swap(&self, rank: c_int, word: usize, from: i64, to: i64) -> i64 {
        let mut before = 0i64;
        // SAFETY: the values live until the flush, and the window has that word.
        unsafe {
            ffi::MPI_Compare_and_swap(
                (&raw const to).cast(),
                (&raw const from).cast(),
                (&raw mut before).cast(),
                ffi::RSMPI_INT64_T,
                rank,
                word as ffi::MPI_Aint,
                self.window,
            );
            ffi::MPI_Win_flush(rank, self.window);
        }
        before
    }

    /// Reads a word of this rank that others write, and lets MPI make progress.
    pub fn look(&self, word: usize) -> i64 {
        assert!(word < N);
        // SAFETY: the word is in the window's memory on this rank; a volatile read, because others
        // write it.
        unsafe {
            ffi::MPI_Win_sync(self.window);
            self.words.add(word).read_volatile()
        }
    }

    /// Frees the window. Collective.
    pub fn free(mut self) {
        // SAFETY: the epoch was opened once, and the window is freed once.
        unsafe {
            ffi::MPI_Win_unlock_all(self.window);
            ffi::MPI_Win_free(&mut self.window);
        }
    }
}

/// Lets MPI make progress on requests of other ranks.
pub fn progress(world: &SimpleCommunicator) {
    let _ = world.any_process().immediate_probe();
    std::thread::yield_now();
}
