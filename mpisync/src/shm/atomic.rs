//! The atomics that the protocols are written with: those of the machine or, under `--cfg loom`,
//! those of the model checker. The model checker explores the code that runs.

pub(crate) use crate::shm::machine::*;
use std::sync::PoisonError;

/// Stores `value` so that no later load of this thread is performed before other threads can see
/// the store.
///
/// This is the store-load barrier that Dekker's handshake needs: each side announces itself, then
/// checks the other. On x86-64 an exchange does both in one instruction and is cheaper than a store
/// and `mfence`. Elsewhere it is a store and a fence, also under the model checker, which knows the
/// sequential consistency of fences only. The load that follows must be [`Ordering::SeqCst`], which
/// costs nothing on x86-64 and makes the exchange a barrier by the language's rules as well.
#[inline]
pub(crate) fn store_then_fence(word: &AtomicU32, value: u32) {
    if EXCHANGE_IS_FENCE {
        word.swap(value, Ordering::SeqCst);
    } else {
        word.store(value, Ordering::Release);
        full_fence();
    }
}

/// Replaces `from` by `to`, with the same guarantee as [`store_then_fence`]. Returns whether the
/// word was `from`.
#[inline]
pub(crate) fn replace_then_fence(word: &AtomicU32, from: u32, to: u32) -> bool {
    let replaced = word.compare_exchange(from, to, Ordering::SeqCst, Ordering::Relaxed);
    if !EXCHANGE_IS_FENCE {
        full_fence();
    }
    replaced.is_ok()
}

/// Orders everything before this call before everything after it.
#[inline]
pub(crate) fn full_fence() {
    fence(Ordering::SeqCst);
}

/// [`full_fence`] after an exchange; costs nothing where the exchange is a full barrier itself.
#[inline]
pub(crate) fn fence_after_exchange() {
    if !EXCHANGE_IS_FENCE {
        full_fence();
    }
}

/// Adds one, with the same guarantee as [`store_then_fence`].
#[inline]
pub(crate) fn increment_then_fence(word: &AtomicU32) {
    word.fetch_add(1, Ordering::SeqCst);
    fence_after_exchange();
}

/// Locks a mutex of this process that takes part in a protocol, even if a thread has panicked while it held it: none
/// leaves the data half changed.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const EXCHANGE_IS_FENCE: bool = cfg!(target_arch = "x86_64") && !MODELLED;
