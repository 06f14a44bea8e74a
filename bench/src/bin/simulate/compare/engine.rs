//! A simulated clock for programs that are written as futures.
//!
//! Each client of a lock, and each server, is a task. Tasks run one at a time, and time passes only
//! between them. A task that waits is polled again when its time has come or when another task wakes
//! it.

use crate::clock::Clock;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// The number of a task.
pub(super) type Task = usize;

/// What a task does.
pub(super) type Program<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// The clock, and which task is running.
#[derive(Default)]
pub(super) struct Engine {
    clock: RefCell<Clock<Task>>,
    now: Cell<u64>,
    running: Cell<Task>,
}

impl Engine {
    /// The time in nanoseconds.
    pub(super) fn now(&self) -> u64 {
        self.now.get()
    }

    /// Runs the tasks until `is_done`.
    ///
    /// # Panics
    /// If all tasks wait for each other, which is a bug of a lock.
    pub(super) fn run(&self, mut tasks: Vec<Program<'_>>, is_done: impl Fn() -> bool) {
        for task in 0..tasks.len() {
            self.wake(task);
        }
        let mut context = Context::from_waker(Waker::noop());
        while !is_done() {
            let next = self.clock.borrow_mut().next();
            let (at, task) = next.expect("some task goes on");
            self.now.set(at);
            self.running.set(task);
            let finished = tasks[task].as_mut().poll(&mut context).is_ready();
            assert!(!finished, "tasks run for ever");
        }
    }

    /// Polls a task now.
    pub(super) fn wake(&self, task: Task) {
        self.wake_at(self.now(), task);
    }

    /// Polls a task at this time.
    pub(super) fn wake_at(&self, at: u64, task: Task) {
        self.clock.borrow_mut().set(at, task);
    }

    /// Waits until this time.
    pub(super) async fn until(&self, at: u64) {
        if self.now() < at {
            self.wake_at(at, self.running.get());
            self.wait(|| (self.now() >= at).then_some(())).await;
        }
    }

    /// Waits for this time.
    pub(super) async fn sleep(&self, time: u64) {
        self.until(self.now() + time).await;
    }

    /// Waits for a value, which is looked for whenever the task is woken.
    pub(super) async fn wait<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        poll_fn(|_| look().map_or(Poll::Pending, Poll::Ready)).await
    }
}
