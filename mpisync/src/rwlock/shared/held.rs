//! What the current thread holds of objects that threads share: a thread that has a guard of a controller may
//! take another one to read, although a writer waits, and no thread waits for itself.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What a thread holds of one object.
#[derive(Clone, Copy)]
struct Held {
    /// The number of the object, such as a [`SharedController`](super::SharedController).
    object: u64,
    /// Read guards, or permits.
    reads: usize,
    writes: bool,
    /// The counter in which it is counted as a reader, if it does not write.
    counter: usize,
}

struct ThisThread {
    /// The number of the thread; none before it has used a shared object.
    number: Cell<Option<usize>>,
    held: RefCell<Vec<Held>>,
}

thread_local! {
    static THIS_THREAD: ThisThread = const {
        ThisThread {
            number: Cell::new(None),
            held: RefCell::new(Vec::new()),
        }
    };
}

/// What a thread has to release after it has dropped a guard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Release {
    /// It has other guards.
    Nothing,
    /// The read lock, and it is counted in this counter.
    Read(usize),
    Write,
    /// The write lock, for a read lock: it has read guards.
    Downgrade,
}

impl ThisThread {
    #[inline]
    fn number(&self) -> usize {
        self.number.get().unwrap_or_else(|| self.draw_number())
    }

    #[cold]
    fn draw_number(&self) -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        self.number.set(Some(number));
        number
    }
}

/// A number for an object that threads share.
pub(crate) fn new_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The number of this thread among those that use shared objects.
#[inline]
pub(crate) fn number_of_thread() -> usize {
    // A thread that ends may have any.
    THIS_THREAD.try_with(ThisThread::number).unwrap_or_default()
}

/// Notes another read guard of this thread, if it has a guard of the object. The error is the number of the
/// thread if it has none.
#[inline]
pub(super) fn read_again(object: u64) -> Result<(), usize> {
    let noted = THIS_THREAD.try_with(|this| {
        let mut all = this.held.borrow_mut();
        match all.iter_mut().find(|held| held.object == object) {
            Some(held) => {
                held.reads += 1;
                Ok(())
            }
            None => Err(this.number()),
        }
    });
    noted.unwrap_or(Err(0))
}

/// Whether this thread has a guard of the object.
pub(crate) fn holds(object: u64) -> bool {
    noted(object).is_some()
}

/// Notes the first guard of this thread, to read.
#[inline]
pub(super) fn note_read(object: u64, counter: usize) {
    note(Held {
        object,
        reads: 1,
        writes: false,
        counter,
    });
}

/// Notes the first guard of this thread, to write.
#[inline]
pub(crate) fn note_write(object: u64) {
    note(Held {
        object,
        reads: 0,
        writes: true,
        counter: 0,
    });
}

/// Notes that this thread drops a read guard. If the thread ends and has lost its notes, the lock stays as it is.
#[inline]
pub(super) fn leave_read(object: u64) -> Release {
    leave(object, Release::Nothing, |held| {
        held.reads -= 1;
        match held.reads > 0 || held.writes {
            true => Release::Nothing,
            false => Release::Read(held.counter),
        }
    })
}

/// Notes that this thread drops its write guard. If it has read guards, it is counted in `counter` from now on.
#[inline]
pub(super) fn leave_write(object: u64, counter: usize) -> Release {
    leave(object, Release::Write, |held| {
        if held.reads == 0 {
            return Release::Write;
        }
        held.writes = false;
        held.counter = counter;
        Release::Downgrade
    })
}

/// Notes that this thread drops the only guard that it can have of an object.
pub(crate) fn leave_only(object: u64) {
    leave(object, Release::Write, |_| Release::Write);
}

/// The number of permits that this thread has.
pub(crate) fn permits(object: u64) -> usize {
    noted(object).map_or(0, |held| held.reads)
}

/// Notes that this thread has taken permits.
pub(crate) fn add_permits(object: u64, count: usize) {
    // A thread that ends has them without a note.
    let _ = THIS_THREAD.try_with(|this| {
        let mut all = this.held.borrow_mut();
        match all.iter_mut().find(|held| held.object == object) {
            Some(held) => held.reads += count,
            None => all.push(Held {
                object,
                reads: count,
                writes: false,
                counter: 0,
            }),
        }
    });
}

/// Notes that this thread gives permits back.
pub(crate) fn take_permits(object: u64, count: usize) {
    leave(object, Release::Nothing, |held| {
        held.reads -= count;
        match held.reads {
            0 => Release::Read(0),
            _ => Release::Nothing,
        }
    });
}

/// What this thread has noted of the object.
fn noted(object: u64) -> Option<Held> {
    let held = THIS_THREAD.try_with(|this| {
        let all = this.held.borrow();
        all.iter().find(|held| held.object == object).copied()
    });
    held.ok().flatten()
}

fn note(held: Held) {
    // A thread that ends holds it without a note.
    let _ = THIS_THREAD.try_with(|this| this.held.borrow_mut().push(held));
}

#[inline]
fn leave(object: u64, without_note: Release, act: impl FnOnce(&mut Held) -> Release) -> Release {
    let left = THIS_THREAD.try_with(|this| {
        let mut all = this.held.borrow_mut();
        let index = all.iter().position(|held| held.object == object)?;
        let release = act(&mut all[index]);
        if matches!(release, Release::Read(_) | Release::Write) {
            all.swap_remove(index);
        }
        Some(release)
    });
    left.ok().flatten().unwrap_or(without_note)
}
