//! A rank that waits long reports for whom it waits, and what that rank is doing.

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use mpisync::{Barrier, Batch, Mutex, WindowController};
use mpisync_tests::job::Job;
use mpisync_tests::launch::{Ended, Launch};
use mpisync_tests::signals::{Signal, raise, send};

// Jobs that the tests below start.
mpisync_tests::cases!(on []:
    holder_sleeps,
    holder_is_stopped,
    holder_waits,
    reader_computes,
    waiter_gets_a_signal,
    task_is_in_hand,
);

mpisync_tests::cases!(tests on [3] with [OneNode, BesideOthers]:
    reports_a_sleeping_holder,
    reports_a_busy_reader,
    reports_a_task_in_hand,
);

mpisync_tests::cases!(tests on [2] with [OneNode, BesideOthers]:
    reports_a_stopped_holder,
    reports_a_holder_that_waits,
    reports_on_a_signal,
    reports_nothing_if_off,
);

// Words of scratch memory.
const HELD: usize = 0;
const PROCESS: usize = 1;
const DONE: usize = 2;

/// Much longer than the limit of the watchdog, which is a second.
const LONG: Duration = Duration::from_millis(2500);

fn mutex(job: &Job) -> Mutex {
    Mutex::builder(&job.world).name("queue").build().unwrap()
}

/// Rank 0 does something while it has the mutex; the others wait for it.
fn while_held(job: &Job, act: impl FnOnce()) {
    let mut mutex = mutex(job);
    if job.rank == 0 {
        let _guard = mutex.lock();
        job.scratch
            .word(PROCESS)
            .store(std::process::id().into(), SeqCst);
        job.scratch.raise(HELD);
        act();
    } else {
        job.scratch.wait_for(HELD);
        drop(mutex.lock());
    }
}

fn holder_sleeps(job: &Job) {
    while_held(job, || thread::sleep(LONG));
}

fn holder_is_stopped(job: &Job) {
    if job.rank == 1 {
        let (held, process) = (job.scratch.word(HELD), job.scratch.word(PROCESS));
        thread::spawn(move || {
            while held.load(SeqCst) == 0 {
                thread::yield_now();
            }
            thread::sleep(LONG);
            send(process.load(SeqCst), Signal::CONT).expect("it is stopped");
        });
    }
    while_held(job, || raise(Signal::STOP));
}

/// A deadlock, which a time limit ends.
fn holder_waits(job: &Job) {
    let barrier = Barrier::builder(&job.world).name("phase").build().unwrap();
    let mut mutex = mutex(job);
    if job.rank == 0 {
        let _guard = mutex.lock();
        job.scratch.raise(HELD);
        barrier.wait();
    } else {
        job.scratch.wait_for(HELD);
        let error = mutex.lock_timeout(LONG).unwrap_err().to_string();
        assert!(
            error.starts_with("the lock was not granted within 2.5s: "),
            "{error}"
        );
        assert!(error.contains("`lock` of mutex \"queue\" at "), "{error}");
        assert!(
            error.contains("rank 0 holds it (taken at tests/tests/ranks/watchdog.rs:"),
            "{error}"
        );
        assert!(error.contains("), and it has itself waited"), "{error}");
        barrier.wait();
    }
}

fn reader_computes(job: &Job) {
    let mut ctrl = WindowController::builder(&job.world)
        .name("results")
        .build()
        .unwrap();
    if job.rank == 0 {
        let _guard = ctrl.read();
        job.scratch.raise(HELD);
        // Busy until the writer has reported.
        let start = std::time::Instant::now();
        while start.elapsed() < LONG {
            std::hint::spin_loop();
        }
    } else {
        job.scratch.wait_for(HELD);
        drop(ctrl.write());
    }
}

fn waiter_gets_a_signal(job: &Job) {
    mpisync::report_waits_on_signal().unwrap();
    let mut mutex = mutex(job);
    if job.rank == 0 {
        let _guard = mutex.lock();
        job.scratch.raise(HELD);
        job.scratch.wait_for(DONE);
        thread::sleep(Duration::from_millis(300));
        send(job.scratch.word(PROCESS).load(SeqCst), Signal::USR1).expect("it waits");
        thread::sleep(Duration::from_millis(700));
    } else {
        job.scratch.wait_for(HELD);
        job.scratch
            .word(PROCESS)
            .store(std::process::id().into(), SeqCst);
        job.scratch.raise(DONE);
        drop(mutex.lock());
    }
}

/// Runs a case with this limit of the watchdog.
fn run(case: &str, ranks: usize, limit: &str) -> Ended {
    let launch = Launch::new(ranks, [format!("watchdog::{case}")]);
    let ended = launch
        .envs(&[("MPISYNC_WATCHDOG", limit)])
        .beside_others()
        .run();
    assert!(ended.succeeded(), "{}", ended.report());
    ended
}

/// The lines of the only report of a rank.
fn report(ended: &Ended, rank: usize) -> String {
    let begin = format!("mpisync: rank {rank} has waited for ");
    let mut lines = ended
        .output
        .lines()
        .skip_while(|line| !line.starts_with(&begin));
    let mut report = lines.next().unwrap_or_default().to_owned();
    for line in lines
        .by_ref()
        .take_while(|line| line.starts_with("mpisync:   "))
    {
        report += "\n";
        report += line;
    }
    assert_eq!(
        ended.output.matches(&begin).count(),
        1,
        "{}",
        ended.report()
    );
    report
}

fn reports_a_sleeping_holder(ranks: usize) {
    let ended = run("holder_sleeps", ranks, "1");
    for rank in [1, 2] {
        let report = report(&ended, rank);
        let place = "in `lock` of mutex \"queue\" at tests/tests/ranks/watchdog.rs:";
        assert!(report.contains(place), "{report}");
        assert!(
            report.contains("rank 0 holds it (taken at tests/tests/ranks/watchdog.rs:")
                && report.contains(" s), and it sleeps in the kernel"),
            "{report}"
        );
        let other = format!("also waiting here: rank {} for ", 3 - rank);
        assert!(report.contains(&other), "{report}");
    }
}

fn reports_a_busy_reader(ranks: usize) {
    let ended = run("reader_computes", ranks, "1");
    for rank in 1..ranks {
        let report = report(&ended, rank);
        assert!(
            report.contains("in `write` of controller \"results\" at "),
            "{report}"
        );
        assert!(
            report.contains("rank 0 reads (taken at tests/tests/ranks/watchdog.rs:")
                && report.contains(" s), and it computes, or polls"),
            "{report}"
        );
    }
}

fn reports_a_stopped_holder(ranks: usize) {
    let report = report(&run("holder_is_stopped", ranks, "1"), 1);
    assert!(
        report.contains("rank 0 holds it (taken at ") && report.contains(" s), and it is stopped"),
        "{report}"
    );
}

fn reports_a_holder_that_waits(ranks: usize) {
    let ended = run("holder_waits", ranks, "1");
    let mine = report(&ended, 1);
    let waits = " s), and it has itself waited for ";
    assert!(mine.contains(waits), "{mine}");
    assert!(
        mine.contains("in `wait` of barrier \"phase\" at "),
        "{mine}"
    );
    assert!(mine.contains(", there for rank 1"), "{mine}");
    let holders = report(&ended, 0);
    assert!(
        holders.contains("rank 1 has not come, and it has itself waited"),
        "{holders}"
    );
}

fn reports_on_a_signal(ranks: usize) {
    let ended = run("waiter_gets_a_signal", ranks, "0");
    let report = report(&ended, 1);
    assert!(report.contains("rank 0 holds it (taken at "), "{report}");
}

fn reports_nothing_if_off(ranks: usize) {
    let ended = run("holder_sleeps", ranks, "0");
    assert!(!ended.output.contains("mpisync:"), "{}", ended.report());
}

/// Rank 0 has the only task. The others wait for it: one alone, and one for the first rank of its worker.
fn task_is_in_hand(job: &Job) {
    let builder = Batch::builder(&job.world).worker_sizes([1, 2]);
    let mut batch = builder.names(["spring"]).name("year").build().unwrap();
    if job.rank == 0 {
        let task = batch.next_task().unwrap().unwrap();
        job.scratch.raise(HELD);
        thread::sleep(LONG);
        task.done().unwrap();
    } else {
        job.scratch.wait_for(HELD);
        let summary = batch.for_each(|_, _| Ok::<(), String>(()));
        summary.unwrap().all_done().unwrap();
    }
}

fn reports_a_task_in_hand(ranks: usize) {
    let ended = run("task_is_in_hand", ranks, "1");
    let place = "in `for_each` of batch \"year\" at tests/tests/ranks/watchdog.rs:";
    let leader = report(&ended, 1);
    let other = report(&ended, 2);
    let of_leader = [
        place,
        "rank 0 has a task, and it sleeps",
        "tasks: spring on rank 0",
    ];
    for part in of_leader {
        assert!(leader.contains(part), "{part}: {leader}");
    }
    let of_other = [
        place,
        "rank 1 has not shared its value, and it has itself waited",
        "there for rank 0",
    ];
    for part in of_other {
        assert!(other.contains(part), "{part}: {other}");
    }
}
