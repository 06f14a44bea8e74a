//! The atomics that the protocols are written with: the machine's own, or loom's under `--cfg
//! loom`, so that the code which the model checker explores is the code that runs.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
#[cfg(loom)]
pub(crate) use loom::cell::UnsafeCell as Slot;
#[cfg(loom)]
pub(crate) use loom::sync::Arc;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
#[cfg(all(test, not(loom)))]
pub(crate) use slot::Slot;
#[cfg(all(test, not(loom)))]
pub(crate) use std::sync::Arc;

/// A cell as loom has it, which reports accesses at the same time there.
#[cfg(all(test, not(loom)))]
mod slot {
    use std::cell::UnsafeCell;

    pub(crate) struct Slot<T>(UnsafeCell<T>);

    impl<T> Slot<T> {
        pub(crate) fn new(value: T) -> Self {
            Slot(UnsafeCell::new(value))
        }

        pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
            read(self.0.get())
        }

        pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
            write(self.0.get())
        }
    }
}

/// Stores `value` so that no later load of this thread is performed before other threads can see
/// the store.
///
/// This is the store-load barrier that Dekker's handshake needs: "I announce myself, then look at
/// you". On x86-64 an exchange does both in one instruction and is cheaper than a store and
/// `mfence`; elsewhere, and for the model checker (which knows sequential consistency of fences
/// only), it is a store and a fence. The load that follows must be [`Ordering::SeqCst`], which
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

/// Replaces `from` by `to` if it is there, with the same promise as [`store_then_fence`]; whether
/// it was there.
#[inline]
pub(crate) fn replace_then_fence(word: &AtomicU32, from: u32, to: u32) -> bool {
    let replaced = word.compare_exchange(from, to, Ordering::SeqCst, Ordering::Relaxed);
    if !EXCHANGE_IS_FENCE {
        full_fence();
    }
    replaced.is_ok()
}

/// Keeps all that comes before apart from all that comes after.
#[inline]
pub(crate) fn full_fence() {
    fence(Ordering::SeqCst);
}

/// Keeps what comes after apart from an exchange that came before, as [`full_fence`] does; costs
/// nothing where the exchange has done so.
#[inline]
pub(crate) fn fence_after_exchange() {
    if !EXCHANGE_IS_FENCE {
        full_fence();
    }
}

const EXCHANGE_IS_FENCE: bool = cfg!(target_arch = "x86_64") && !MODELLED;

/// Whether the atomics are those of the model checker.
pub(crate) const MODELLED: bool = cfg!(loom);
