//! Order: a waiting writer enters before new readers, and every rank enters at some time.

use std::fmt::Debug;
use std::sync::atomic::Ordering::SeqCst;

use mpisync::WindowController;
use mpisync_tests::job::Job;
use mpisync_tests::scratch::until;

use crate::common::Crowd;

mpisync_tests::cases!(on [3, 4, 8]:
    waiting_writer_stops_new_readers,
);

mpisync_tests::cases!(on [2, 3, 4, 8]:
    reading_again_passes_a_waiting_writer,
    readers_are_not_starved,
    writers_are_not_starved_by_writers,
);

// Over a network, what a rank sees of others, and how soon it stops them, differs.
mpisync_tests::cases!(on [2, 3, 4, 8] with [OneNode]:
    debug_tells_who_holds_and_waits,
    writers_are_not_starved_by_readers,
);

/// Rank 0 reads, rank 1 waits to write, the others begin to read later: they enter after the
/// writer. For 3 ranks and more.
fn waiting_writer_stops_new_readers(job: &Job) {
    const ROUNDS: usize = 30;
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for round in 0..ROUNDS {
        let base = 8 * round;
        let [reading, queued, order, meet] = [base, base + 1, base + 2, base + 3];
        let next_number = || job.scratch.word(order).fetch_add(1, SeqCst);
        match job.rank {
            0 => {
                let guard = ctrl.read();
                job.scratch.raise(reading);
                let newcomers = job.size as u64 - 2;
                until("the newcomers to queue", || {
                    job.scratch.word(queued).load(SeqCst) == newcomers
                });
                drop(guard);
            }
            1 => {
                job.scratch.wait_for(reading);
                let guard = ctrl.write();
                assert_eq!(next_number(), 0, "a reader that came later went first");
                drop(guard);
            }
            _ => {
                job.scratch.wait_for(reading);
                // Reads fail from the moment when the writer waits.
                until("the writer to wait", || ctrl.try_read().is_none());
                job.scratch.word(queued).fetch_add(1, SeqCst);
                let guard = ctrl.read();
                assert_ne!(next_number(), 0, "read before a writer that waited");
                drop(guard);
            }
        }
        job.scratch.meet(meet, job.size);
    }
}

/// A rank that already reads may read again while a writer waits; excluding it would be a deadlock.
/// For 2 ranks and more.
fn reading_again_passes_a_waiting_writer(job: &Job) {
    const WRITTEN: usize = 100;
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let others = job.size as u64 - 1;
    for round in 0..30 {
        let [reading, about_to_write, done] = [3 * round, 3 * round + 1, 3 * round + 2];
        if job.rank == 0 {
            let guard = ctrl.read();
            job.scratch.raise(reading);
            // Repeatedly, from before the first writer waits until long after.
            let mut after = 0;
            until("the writers to wait", || {
                after += u32::from(job.scratch.word(about_to_write).load(SeqCst) == others);
                drop(ctrl.read());
                drop(ctrl.try_read().expect("held for reading already"));
                after > 1_000
            });
            let again = ctrl.read();
            drop(guard);
            let written = job.scratch.word(WRITTEN).load(SeqCst);
            assert_eq!(written, round as u64 * others, "a writer beside a reader");
            drop(again);
        } else {
            job.scratch.wait_for(reading);
            job.scratch.word(about_to_write).fetch_add(1, SeqCst);
            let guard = ctrl.write();
            job.scratch.word(WRITTEN).fetch_add(1, SeqCst);
            drop(guard);
        }
        job.scratch.meet(done, job.size);
    }
}

/// The debug form of a controller shows on every rank which rank writes or reads, and what each
/// rank waits for. For 2 ranks and more.
fn debug_tells_who_holds_and_waits(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let told = |what: &dyn Debug, words: &str| until(words, || format!("{what:?}").contains(words));
    let others: Vec<i32> = (1..job.size).collect();
    let [writing, reading] = [0, 1];
    if job.rank == 0 {
        let guard = ctrl.write();
        job.scratch.raise(writing);
        told(&guard, &format!("waiting_readers: {others:?}"));
        drop(guard);
        let guard = ctrl.read();
        job.scratch.raise(reading);
        told(&guard, &format!("waiting_writers: {others:?}"));
        drop(guard);
    } else {
        job.scratch.wait_for(writing);
        told(&ctrl, "writer: Some(0)");
        drop(ctrl.read());
        job.scratch.wait_for(reading);
        told(&ctrl, "readers: [0]");
        drop(ctrl.write());
    }
    job.scratch.meet(2, job.size);
    for nobody in [
        "writer: None",
        "readers: []",
        "waiting_writers: []",
        "waiting_readers: []",
    ] {
        told(&ctrl, nobody);
    }
}

const STOP: usize = 0;
const ENTRIES: usize = 1;
const CROWD: usize = 2;

/// One rank requests to read while all others write, and one of them always waits to write. For 2
/// ranks and more.
fn readers_are_not_starved(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let entries = job.scratch.word(ENTRIES);
    if job.rank == 0 {
        until("the writers to write", || entries.load(SeqCst) > 0);
        let waits = measure(300, || {
            let before = entries.load(SeqCst);
            let _guard = ctrl.read();
            entries.load(SeqCst) - before
        });
        job.scratch.raise(STOP);

        // The time between reading the count and requesting the lock does not belong to the lock:
        // the median excludes it.
        assert!(
            waits < 200,
            "a reader let {waits} writers pass in the median"
        );
    } else {
        write_until_stopped(job, &mut ctrl);
    }
}

/// One rank requests to write while all others read without a pause, so there is always a reader.
/// For 2 ranks and more.
fn writers_are_not_starved_by_readers(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let entries = job.scratch.word(ENTRIES);
    if job.rank == 0 {
        until("the readers to read", || entries.load(SeqCst) > 0);
        let waits = measure(300, || {
            let before = entries.load(SeqCst);
            let _guard = ctrl.write();
            entries.load(SeqCst) - before
        });
        job.scratch.raise(STOP);
        // Each reader may finish its guard; the scheduler adds to this.
        assert!(
            waits < 2_000,
            "a writer let {waits} readers pass in the median"
        );
    } else {
        while !job.scratch.is_raised(STOP) {
            let _guard = ctrl.read();
            entries.fetch_add(1, SeqCst);
        }
    }
}

/// One rank requests to write while all others take the lock again immediately after they release
/// it, when they have an advantage. For 2 ranks and more.
fn writers_are_not_starved_by_writers(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let entries = job.scratch.word(ENTRIES);
    if job.rank == 0 {
        until("the writers to write", || entries.load(SeqCst) > 0);
        for _ in 0..300 {
            let before = entries.load(SeqCst);
            let _guard = ctrl.write();
            let passed = entries.load(SeqCst) - before;
            // About the number in a second; the scheduler alone can cause a hundredth of that.
            assert!(passed < 5_000_000, "a writer let {passed} writers pass");
        }
        job.scratch.raise(STOP);
    } else {
        while !job.scratch.is_raised(STOP) {
            let _guard = ctrl.write();
            entries.fetch_add(1, SeqCst);
        }
    }
}

fn write_until_stopped(job: &Job, ctrl: &mut WindowController) {
    let crowd = Crowd::join(&job.scratch, CROWD, job.size - 1);
    while !job.scratch.is_raised(STOP) {
        let _guard = crowd.write(ctrl);
        job.scratch.word(ENTRIES).fetch_add(1, SeqCst);
    }
    crowd.leave();
}

/// Runs `attempt` `rounds` times. Returns the median of its results.
fn measure(rounds: usize, mut attempt: impl FnMut() -> u64) -> u64 {
    let mut results: Vec<u64> = (0..rounds).map(|_| attempt()).collect();
    results.sort_unstable();
    results[rounds / 2]
}
