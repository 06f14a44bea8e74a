//! What the current thread holds of shared controllers: a thread that has a guard may take another one to
//! read, although a writer waits.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a thread holds of one controller.
#[derive(Clone, Copy)]
struct Held {
    /// The number of the [`SharedController`](super::SharedController).
    controller: u64,
    reads: usize,
    writes: bool,
    /// The counter in which it is counted as a reader, if it does not write.
    counter: usize,
}

struct ThisThread {
    /// The number of the thread; none before it has used a shared controller.
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

/// The number of this thread among those that use shared controllers.
#[inline]
pub(super) fn number_of_thread() -> usize {
    // A thread that ends may have any.
    THIS_THREAD.try_with(ThisThread::number).unwrap_or_default()
}

/// Notes another read guard of this thread, if it has a guard of the controller. The error is the number of the
/// thread if it has none.
#[inline]
pub(super) fn read_again(controller: u64) -> Result<(), usize> {
    let noted = THIS_THREAD.try_with(|this| {
        let mut all = this.held.borrow_mut();
        match all.iter_mut().find(|held| held.controller == controller) {
            Some(held) => {
                held.reads += 1;
                Ok(())
            }
            None => Err(this.number()),
        }
    });
    noted.unwrap_or(Err(0))
}

/// Whether this thread has a guard of the controller.
pub(super) fn holds(controller: u64) -> bool {
    let is_noted = THIS_THREAD.try_with(|this| {
        let all = this.held.borrow();
        all.iter().any(|held| held.controller == controller)
    });
    is_noted.unwrap_or_default()
}

/// Notes the first guard of this thread, to read.
#[inline]
pub(super) fn note_read(controller: u64, counter: usize) {
    note(Held {
        controller,
        reads: 1,
        writes: false,
        counter,
    });
}

/// Notes the first guard of this thread, to write.
#[inline]
pub(super) fn note_write(controller: u64) {
    note(Held {
        controller,
        reads: 0,
        writes: true,
        counter: 0,
    });
}

/// Notes that this thread drops a read guard. If the thread ends and has lost its notes, the lock stays as it is.
#[inline]
pub(super) fn leave_read(controller: u64) -> Release {
    leave(controller, Release::Nothing, |held| {
        held.reads -= 1;
        match held.reads > 0 || held.writes {
            true => Release::Nothing,
            false => Release::Read(held.counter),
        }
    })
}

/// Notes that this thread drops its write guard. If it has read guards, it is counted in `counter` from now on.
#[inline]
pub(super) fn leave_write(controller: u64, counter: usize) -> Release {
    leave(controller, Release::Write, |held| {
        if held.reads == 0 {
            return Release::Write;
        }
        held.writes = false;
        held.counter = counter;
        Release::Downgrade
    })
}

fn note(held: Held) {
    // A thread that ends holds it without a note.
    let _ = THIS_THREAD.try_with(|this| this.held.borrow_mut().push(held));
}

#[inline]
fn leave(
    controller: u64,
    without_note: Release,
    act: impl FnOnce(&mut Held) -> Release,
) -> Release {
    let left = THIS_THREAD.try_with(|this| {
        let mut all = this.held.borrow_mut();
        let index = all.iter().position(|held| held.controller == controller)?;
        let release = act(&mut all[index]);
        if matches!(release, Release::Read(_) | Release::Write) {
            all.swap_remove(index);
        }
        Some(release)
    });
    left.ok().flatten().unwrap_or(without_note)
}
