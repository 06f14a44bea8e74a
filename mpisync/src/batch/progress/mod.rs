//! The progress of a batch, while it runs.

mod meter;
mod pace;

pub use crate::batch::progress::meter::Meter;

use crate::batch::{Batch, Summary};
use crate::shm::lock;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// For each time that a look takes, how often that the thread rests: it takes one percent of a core
/// at most.
const REST: u32 = 99;
/// The most that it rests for that.
const LONGEST_REST: Duration = Duration::from_secs(2);

/// Shows how far a batch is, until it is dropped.
///
/// Made by [`Batch::progress`]. Dropping it is local, and waits only until the last state is shown.
#[must_use = "a progress ends when it is dropped"]
pub struct Progress {
    /// None where nothing is shown.
    watch: Option<Watch>,
}

/// A thread that looks and shows.
struct Watch {
    shared: Arc<Shared>,
    /// None when it has ended.
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    wishes: Mutex<Wishes>,
    changed: Condvar,
}

/// What the thread is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Wishes {
    every: Duration,
    to_end: bool,
}

impl Batch {
    /// Shows how far the batch is, on the standard error of the root: how many tasks are done, have
    /// failed and run, how many a second, and how long the others will take. Not collective; on
    /// other ranks nothing is shown.
    ///
    /// Where standard error is a terminal that is a bar, elsewhere a line every few seconds and one
    /// at the end; most launchers of MPI programs put a pipe there. The rate is that of the tasks
    /// which have come to an end since this call, so that it is right in a job that goes on where
    /// another one left off.
    ///
    /// A thread looks at the tasks, without MPI and without holding anybody up. It takes one
    /// percent of a core at most: of ten million tasks it sees how they are once a second. Where
    /// the system has no thread left nothing is shown.
    ///
    /// ```
    /// use mpisync::Batch;
    /// use std::time::{Duration, Instant};
    ///
    /// let mut batch = Batch::local().tasks(3).build()?;
    /// let progress = batch.progress().every(Duration::from_secs(60));
    /// while let Some(task) = batch.next_task()? {
    ///     task.done()?;
    /// }
    /// progress.finish(); // batch: 3 done, 0 failed, 0 running of 3; …
    /// # Ok::<(), mpisync::batch::BatchError>(())
    /// ```
    pub fn progress(&self) -> Progress {
        self.progress_with(|name, first| Meter::new(name, first))
    }

    fn progress_with(&self, meter: impl FnOnce(&str, &Summary) -> Meter) -> Progress {
        let table = match self.table.here() {
            Some(table) if self.rank() == self.root() => Arc::clone(table),
            _ => return Progress { watch: None },
        };
        let look = move || Summary::from(table.counts());
        let meter = meter(self.object.name(), &look());
        Progress {
            watch: Watch::begin(meter, look),
        }
    }
}

impl Progress {
    /// How often a line is written where there is no terminal. Defaults to 5 seconds.
    pub fn every(self, time: Duration) -> Self {
        if let Some(watch) = &self.watch {
            watch.wish(|wishes| wishes.every = time);
        }
        self
    }

    /// Shows the last state, and leaves it there. So does dropping it.
    pub fn finish(self) {}
}

impl Watch {
    fn begin(meter: Meter, look: impl Fn() -> Summary + Send + 'static) -> Option<Self> {
        let shared = Arc::new(Shared {
            wishes: Mutex::new(Wishes {
                every: meter::LINES,
                to_end: false,
            }),
            changed: Condvar::new(),
        });
        let named = thread::Builder::new().name("mpisync-progress".to_owned());
        let thread = {
            let shared = Arc::clone(&shared);
            named.spawn(move || shared.watch(meter, look)).ok()?
        };
        let thread = Some(thread);
        Some(Watch { shared, thread })
    }

    fn wish(&self, change: impl FnOnce(&mut Wishes)) {
        change(&mut lock(&self.shared.wishes));
        self.shared.changed.notify_all();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.wish(|wishes| wishes.to_end = true);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed by its hook; there is nobody else to tell here.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn watch(&self, mut meter: Meter, look: impl Fn() -> Summary) {
        loop {
            // Before the look, so that the last one is from after the end.
            let wishes = *lock(&self.wishes);
            let start = Instant::now();
            let now = look();
            let took = start.elapsed();
            if wishes.to_end {
                return meter.finish(&now);
            }
            meter.set_every(wishes.every);
            meter.show(&now);
            let pause = pause(&meter, took);
            let guard = lock(&self.wishes);
            let waited = (self.changed).wait_timeout_while(guard, pause, |now| *now == wishes);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// How long to rest after a look that took so long.
fn pause(meter: &Meter, took: Duration) -> Duration {
    // Where there are more ranks than cores, a look may seem to take much longer than it does.
    let rest = LONGEST_REST.min(took.saturating_mul(REST));
    meter.pause().max(rest)
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress")
            .field("is_shown", &self.watch.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests;
