//! Many reads between two writes: then readers enter without a barrier, and a writer must still
//! find them.

use std::hint::black_box;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use mpi::traits::*;
use mpisync::WindowController;
use mpisync_tests::job::Job;
use mpisync_tests::scratch::{Scratch, until};

mpisync_tests::cases!(on [1, 2, 3]:
    one_writes_now_and_then,
    all_write_now_and_then,
);

/// The number of reads of a rank before the next write: enough for the lock to omit the barrier.
/// Several ranks of one node read long before they do.
fn reads_before_write(job: &Job) -> u32 {
    match ranks_here(job) {
        1 => 20_500,
        _ => 10_001_000,
    }
}

/// The number of writes that come after so many reads.
fn writes(job: &Job) -> u64 {
    match ranks_here(job) {
        1 => 300,
        _ => 4,
    }
}

fn ranks_here(job: &Job) -> i32 {
    job.world.split_shared(job.rank).size()
}

/// Words of the scratch memory: two that are equal whenever no rank writes, a flag, for each rank
/// one more than the number of writes after which it has made those reads, and lines that keep a
/// reader's core busy.
const PAIR: [usize; 2] = [0, 1];
const DONE: usize = 2;
const READY: usize = 10;
const BUSY: std::ops::Range<usize> = 100..148;

/// Reads until `done`. Returns how often the pair was torn.
///
/// The stores before each read take long while a writer accesses the same lines. The store to the
/// reader's flag in the lock comes after them, so it becomes visible long after the reader has
/// entered.
fn read_until(
    ctrl: &WindowController,
    job: &Job,
    reads: u32,
    mut done: impl FnMut() -> bool,
) -> u64 {
    let scratch = &job.scratch;
    let ready = scratch.word(READY + job.rank as usize);
    let pair = PAIR.map(|index| scratch.word(index));
    let busy: Vec<_> = BUSY.map(|index| scratch.word(index)).collect();
    let mut torn = 0;
    while !done() {
        let written = pair[1].load(SeqCst);
        (0..reads).for_each(|_| drop(ctrl.read()));
        ready.store(written + 1, SeqCst);
        while !done() && pair[1].load(SeqCst) == written {
            for line in &busy {
                line.store(1, Relaxed);
            }
            let _guard = ctrl.read();
            for _ in 0..100 {
                torn += u64::from(pair[0].load(Relaxed) != pair[1].load(Relaxed));
            }
        }
    }
    torn
}

/// Writes the pair after another rank has made enough reads. Some writes are tried first.
fn write_later(ctrl: &mut WindowController, job: &Job, round: usize) {
    let written = job.scratch.word(PAIR[1]).load(SeqCst);
    let is_ready = |rank| {
        rank != job.rank && job.scratch.word(READY + rank as usize).load(SeqCst) == written + 1
    };
    if job.size > 1 {
        until("another rank to read", || (0..job.size).any(is_ready));
    }
    (0..round % 20).for_each(|_| look_around(&job.scratch));
    let tried = round
        .is_multiple_of(3)
        .then(|| ctrl.try_write().map(|_guard| add_one(&job.scratch)));
    if tried.flatten().is_none() {
        let _guard = ctrl.write();
        add_one(&job.scratch);
    }
}

fn look_around(scratch: &Scratch) {
    for line in BUSY {
        black_box(scratch.word(line).load(Relaxed));
    }
}

/// Writes the pair, with a pause between its two words.
fn add_one(scratch: &Scratch) {
    for index in PAIR {
        let word = scratch.word(index);
        word.store(word.load(Relaxed) + 1, Relaxed);
        look_around(scratch);
    }
}

/// One rank writes, the others read.
fn one_writes_now_and_then(job: &Job) {
    let (reads, writes) = (reads_before_write(job), writes(job));
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    if job.rank == 0 {
        for round in 0..writes {
            write_later(&mut ctrl, job, round as usize);
        }
        job.scratch.raise(DONE);
        let _guard = ctrl.read();
        assert_eq!(job.scratch.word(PAIR[0]).load(Relaxed), writes);
    } else {
        let torn = read_until(&ctrl, job, reads, || job.scratch.is_raised(DONE));
        assert_eq!(torn, 0, "half-written data");
    }
}

/// The ranks write in turn, and read while the others do.
fn all_write_now_and_then(job: &Job) {
    let (reads, writes) = (reads_before_write(job), writes(job));
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let written = || job.scratch.word(PAIR[1]).load(SeqCst);
    let mut torn = 0;
    while written() < writes {
        if written() % job.size as u64 == job.rank as u64 {
            write_later(&mut ctrl, job, written() as usize);
        } else {
            let mine = || written() % job.size as u64 == job.rank as u64;
            torn += read_until(&ctrl, job, reads, || written() >= writes || mine());
        }
    }
    assert_eq!(torn, 0, "half-written data");
    let _guard = ctrl.read();
    assert_eq!(written(), writes, "writes were lost");
}
