//! Batches of one process, whose progress is written to memory.

mod meter;
mod pace;

use crate::batch::State;
use crate::batch::progress::*;
use std::io;
use std::io::Write;
use std::sync::Weak;
use std::time::Instant;

/// The output, for anyone with a copy.
#[derive(Clone, Default, Debug)]
pub(super) struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    pub(super) fn text(&self) -> String {
        String::from_utf8(lock(&self.0).clone()).expect("it is text")
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const HOUR: Duration = Duration::from_secs(3600);

fn progress_of(batch: &Batch, paper: &Paper) -> Progress {
    let paper = Box::new(paper.clone());
    batch.progress_with(|name, first| Meter::with_lines(name, first, paper))
}

/// Weak, to check that the thread has ended: it has a copy as long as it runs.
fn thread_of(progress: &Progress) -> Weak<Shared> {
    Arc::downgrade(&progress.watch.as_ref().expect("this is the root").shared)
}

#[test]
fn the_last_line_says_how_it_ended_and_the_thread_is_gone_at_once() {
    let mut batch = Batch::local().tasks(5).name("night").build().expect("one");
    let paper = Paper::default();
    let progress = progress_of(&batch, &paper).every(HOUR);
    let thread = thread_of(&progress);
    while let Some(task) = batch.next_task().expect("a task") {
        match task.index() {
            3 => task.failed("so").expect("it is written"),
            _ => task.done().expect("it is written"),
        }
    }
    assert_eq!(paper.text(), "", "it is not time");
    let start = Instant::now();
    progress.finish();
    assert!(start.elapsed() < HOUR / 100, "it did not wait for a line");
    assert!(thread.upgrade().is_none(), "the thread has ended");
    let text = paper.text();
    assert!(
        text.starts_with("night: 4 done, 1 failed, 0 running of 5; "),
        "{text}"
    );
    assert!(text.ends_with("/s, after 0 s\n"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn a_progress_that_is_dropped_early_says_how_far_it_was() {
    let mut batch = Batch::local().tasks(5).build().expect("one");
    let paper = Paper::default();
    let progress = progress_of(&batch, &paper);
    let thread = thread_of(&progress);
    let task = batch.next_task().expect("a task").expect("one is open");
    drop(progress);
    assert!(thread.upgrade().is_none(), "the thread has ended");
    assert_eq!(
        paper.text(),
        "batch: 0 done, 0 failed, 1 running of 5; after 0 s\n"
    );
    task.done().expect("it is written");
}

#[test]
fn lines_come_by_themselves_and_what_was_done_before_makes_no_rate() {
    let before = [State::Done, State::Done, State::Open];
    let mut batch = Batch::local().initial_states(before).build().expect("one");
    let paper = Paper::default();
    let progress = progress_of(&batch, &paper).every(Duration::from_millis(5));
    let start = Instant::now();
    while paper.text().lines().count() < 3 {
        assert!(start.elapsed() < HOUR / 60, "{}", paper.text());
        thread::sleep(Duration::from_millis(1));
    }
    for line in paper.text().lines() {
        assert_eq!(line, "batch: 2 done, 0 failed, 0 running of 3");
    }
    let task = batch.next_task().expect("a task").expect("one is open");
    task.done().expect("it is written");
    drop(progress);
    let text = paper.text();
    let last = text.lines().last().expect("there are lines");
    assert!(
        last.starts_with("batch: 3 done, 0 failed, 0 running of 3; "),
        "{text}"
    );
}

#[test]
fn it_may_outlive_the_batch() {
    let batch = Batch::local().tasks(2).build().expect("one");
    let paper = Paper::default();
    let progress = progress_of(&batch, &paper);
    drop(batch);
    drop(progress);
    assert_eq!(
        paper.text(),
        "batch: 0 done, 0 failed, 0 running of 2; after 0 s\n"
    );
}

#[test]
fn looks_that_take_long_are_rare() {
    let meter = Meter::with_lines("b", &Summary::default(), Box::new(io::sink()));
    let meter = meter.every(Duration::from_millis(100));
    assert!(pause(&meter, Duration::ZERO) <= Duration::from_millis(100));
    let look = Duration::from_millis(10);
    assert_eq!(pause(&meter, look), look * 99);
    assert_eq!(pause(&meter, Duration::MAX), LONGEST_REST);
}
