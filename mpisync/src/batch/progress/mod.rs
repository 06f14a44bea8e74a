//! Shows the progress of a batch while it runs.

mod meter;
mod pace;
mod terminal;

pub use crate::batch::progress::meter::Meter;

use crate::batch::{Batch, Summary};
use crate::shm::lock;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The thread rests this many times as long as the counting takes, so that it uses at most one
/// percent of a core.
const REST: u32 = 99;
/// The longest such rest.
const LONGEST_REST: Duration = Duration::from_secs(2);

/// Shows the progress of a batch until it is dropped.
///
/// Made by [`Batch::progress`]. Dropping it is local, and waits only until the final counts are
/// shown.
#[must_use = "a progress ends when it is dropped"]
pub struct Progress {
    /// `None` if nothing is shown.
    watch: Option<Watch>,
}

/// A thread that counts and shows.
struct Watch {
    shared: Arc<Shared>,
    /// `None` once it has ended.
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    settings: Mutex<Settings>,
    changed: Condvar,
}

/// What the thread has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Settings {
    every: Duration,
    to_end: bool,
}

impl Batch {
    /// Shows the progress of the batch on the standard error of the root: the number of tasks that
    /// are done, have failed and run, the rate per second, and the time left. Not collective; on
    /// other ranks nothing is shown.
    ///
    /// On a terminal the progress is a bar, also on that of an MPI launcher on the host of the root,
    /// and elsewhere a line every few seconds and one at the end; see [`Meter`]. The rate counts the
    /// tasks that have ended since this call, so that it is right in a job that continues another
    /// one.
    ///
    /// A thread counts the tasks, without MPI and without delaying other ranks. It uses at most one
    /// percent of a core: it counts ten million tasks once a second. If the system has no thread
    /// left, nothing is shown.
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
        let table = match self.table.local() {
            Some(table) if self.rank() == self.root() => Arc::clone(table),
            _ => return Progress { watch: None },
        };
        let count = move || Summary::from(table.counts());
        let meter = meter(self.object.name(), &count());
        Progress {
            watch: Watch::begin(meter, count),
        }
    }
}

impl Progress {
    /// Sets the time between two lines, where there is no terminal. Defaults to 5 seconds.
    pub fn every(self, time: Duration) -> Self {
        if let Some(watch) = &self.watch {
            watch.set(|settings| settings.every = time);
        }
        self
    }

    /// Shows the final counts, and leaves them on the screen. So does dropping it.
    pub fn finish(self) {}
}

impl Watch {
    fn begin(meter: Meter, count: impl Fn() -> Summary + Send + 'static) -> Option<Self> {
        let shared = Arc::new(Shared {
            settings: Mutex::new(Settings {
                every: meter::LINES,
                to_end: false,
            }),
            changed: Condvar::new(),
        });
        let named = thread::Builder::new().name("mpisync-progress".to_owned());
        let thread = {
            let shared = Arc::clone(&shared);
            named.spawn(move || shared.watch(meter, count)).ok()?
        };
        let thread = Some(thread);
        Some(Watch { shared, thread })
    }

    fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut lock(&self.shared.settings));
        self.shared.changed.notify_all();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.set(|settings| settings.to_end = true);
        if let Some(thread) = self.thread.take() {
            // The panic hook has printed a panic of the thread. A drop cannot return it.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn watch(&self, mut meter: Meter, count: impl Fn() -> Summary) {
        loop {
            // Before the counting, so that the final counts are from after the end.
            let settings = *lock(&self.settings);
            let start = Instant::now();
            let now = count();
            let took = start.elapsed();
            if settings.to_end {
                return meter.finish(&now);
            }
            meter.set_every(settings.every);
            meter.show(&now);
            let pause = pause(&meter, took);
            let guard = lock(&self.settings);
            let waited = (self.changed).wait_timeout_while(guard, pause, |now| *now == settings);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// The time to rest after a counting that took this time.
fn pause(meter: &Meter, took: Duration) -> Duration {
    // With more ranks than cores, the counting may seem to take much longer than it does.
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
