//! One progress bar for the whole job.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mpi::{topology::SimpleCommunicator, traits::*};

/// The rank that draws.
const DRAWER: i32 = 0;
/// The tag of the messages that report finished work.
const FINISHED: i32 = 0x0BA2;

/// A bar of indicatif for the rank that draws. Nothing is drawn without a terminal.
pub fn bar(total: u64, template: &str) -> ProgressBar {
    let target = match crate::terminal::stderr() {
        Some(terminal) => ProgressDrawTarget::term(terminal, 20),
        None => ProgressDrawTarget::hidden(),
    };
    let style = ProgressStyle::with_template(template).expect("no unknown keys");
    ProgressBar::with_draw_target(Some(total), target).with_style(style)
}

/// Counts the finished work of all ranks and shows it in one bar, drawn by one rank.
///
/// The other ranks send it a message of eight bytes per dataset, which it receives in its own
/// calls. Nothing is drawn without a terminal.
pub struct Progress<'c> {
    world: &'c SimpleCommunicator,
    bar: ProgressBar,
    total: u64,
}

impl<'c> Progress<'c> {
    /// A bar that is full when the ranks have finished `total` datasets together.
    pub fn datasets(world: &'c SimpleCommunicator, total: u64) -> Self {
        Self::new(world, total, "{wide_bar} {pos}/{len} datasets, {eta} left")
    }

    /// A bar that is full when the ranks have finished `total` tasks together.
    pub fn tasks(world: &'c SimpleCommunicator, total: u64) -> Self {
        Self::new(world, total, "{wide_bar} {pos}/{len} tasks, {eta} left")
    }

    /// A bar that is full when the ranks have finished `total` bytes together.
    pub fn bytes(world: &'c SimpleCommunicator, total: u64) -> Self {
        Self::new(world, total, "{wide_bar} {bytes}/{total_bytes}, {eta} left")
    }

    fn new(world: &'c SimpleCommunicator, total: u64, template: &str) -> Self {
        let bar = if world.rank() == DRAWER {
            bar(total, template)
        } else {
            ProgressBar::hidden()
        };
        Progress { world, bar, total }
    }

    /// Reports that this rank has finished `more` of its datasets, tasks or bytes.
    pub fn finished(&self, more: u64) {
        if self.world.rank() == DRAWER {
            self.bar.inc(more);
            self.take_in();
        } else {
            self.world
                .process_at_rank(DRAWER)
                .send_with_tag(&more, FINISHED);
        }
    }

    /// Keeps the bar moving while the other ranks work and this one does not.
    ///
    /// Returns after a second without a message: the surrounding code has to find out whether the
    /// others are slow or dead.
    pub fn watch(&self) {
        let mut last_heard = Instant::now();
        while self.world.rank() == DRAWER
            && self.bar.position() < self.total
            && last_heard.elapsed() < Duration::from_secs(1)
        {
            if self.take_in() {
                last_heard = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Receives the remaining messages and removes the bar. To be called when all ranks are known
    /// to have finished.
    pub fn close(self) {
        while self.world.rank() == DRAWER && self.bar.position() < self.total {
            self.take_in();
        }
    }

    /// Receives the messages that have arrived. Returns whether there were any.
    fn take_in(&self) -> bool {
        let before = self.bar.position();
        while let Some((message, _)) = self
            .world
            .any_process()
            .immediate_matched_probe_with_tag(FINISHED)
        {
            let (more, _) = message.matched_receive::<u64>();
            self.bar.inc(more);
        }
        self.bar.position() > before
    }
}

/// Removes the bar, even if the job ends early. Then it receives messages for a moment, because MPI
/// should not be finalized with unreceived messages.
impl Drop for Progress<'_> {
    fn drop(&mut self) {
        let end = Instant::now() + Duration::from_millis(50);
        while self.world.rank() == DRAWER
            && self.bar.position() < self.total
            && Instant::now() < end
        {
            self.take_in();
        }
        self.bar.finish_and_clear();
    }
}
