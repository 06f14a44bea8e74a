//! The atomics, fences and waits of the protocols, under the model checker.

use crate::shm::event::Event;
use crate::shm::membarrier::Reach;
use crate::shm::wait::{Deadline, Stop, Surroundings};
pub(crate) use loom::cell::UnsafeCell as Slot;
pub(crate) use loom::sync::Arc;
use loom::sync::Condvar;
pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
pub(crate) use loom::sync::{Mutex, MutexGuard};
pub(crate) use loom::thread::yield_now;

/// Whether the model checker runs this code.
pub(crate) const MODELLED: bool = true;

/// The sleepers of the model sleep until they are woken, so that a missing wake-up is a deadlock.
/// (Polling does not work: the model also explores the schedule in which two pollers alternate
/// forever.)
#[derive(Default)]
pub(crate) struct Sleepers(Mutex<()>, Condvar);

impl Sleepers {
    pub(super) fn wake(&self, _word: &AtomicU32, _count: u32, before: impl FnOnce()) {
        before();
        drop(self.0.lock().expect("no thread panics"));
        self.1.notify_all();
    }
}

impl Event<'_> {
    pub(crate) fn has_sleepers(&self) -> bool {
        true
    }

    /// Sleeps until `check` returns a value; calls it after every wake-up.
    fn sleep_until<T>(&self, mut check: impl FnMut() -> Option<T>) -> T {
        let Sleepers(mutex, woken) = self.sleepers;
        let mut asleep = mutex.lock().expect("no thread panics");
        loop {
            if let Some(value) = check() {
                return value;
            }
            asleep = woken.wait(asleep).expect("no thread panics");
        }
    }
}

loom::lazy_static! {
    /// A light fence of the model is a barrier against heavy fences only, so that the model fails
    /// if a heavy fence is missing. Both are exchanges of one word, which have an order. If the
    /// light fence comes first, the thread of the heavy fence sees everything that the light side
    /// did before it; if it comes later, the light side sees everything that the other thread did
    /// before the heavy fence. These are the two cases of the kernel's barrier.
    static ref FENCES: AtomicU32 = AtomicU32::new(0);
}

pub(crate) fn can_run_heavy_fence(_reach: Reach) -> bool {
    true
}

pub(crate) fn light_fence() {
    FENCES.fetch_add(1, Ordering::AcqRel);
}

pub(crate) fn heavy_fence(_reach: Reach) {
    fence(Ordering::SeqCst);
    FENCES.fetch_add(1, Ordering::AcqRel);
    fence(Ordering::SeqCst);
}

/// The wait that the model explores: it inspects once and sleeps until it is woken. The model has
/// no clock; a wait with a deadline ends at once.
pub(crate) fn wait<T, E: From<Stop>>(
    _surroundings: &impl Surroundings,
    event: Event<'_>,
    deadline: Deadline<'_>,
    mut check: impl FnMut() -> Option<T>,
    mut inspect: impl FnMut() -> Result<(), E>,
) -> Result<T, E> {
    if let Some(value) = check() {
        return Ok(value);
    }
    inspect()?;
    if deadline.is_never() {
        Ok(event.sleep_until(check))
    } else {
        check().ok_or_else(|| Stop::Timeout.into())
    }
}
