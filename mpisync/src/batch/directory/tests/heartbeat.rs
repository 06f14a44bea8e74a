//! Heartbeats, and the clock for them.

use crate::batch::directory::tests::*;
use crate::shm::lock;
use std::sync::Arc;
use std::thread;
use std::thread::sleep;
use std::time::Instant;

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what}");
        sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_claim_is_kept_alive_and_ages_no_more_than_that() {
    let scratch = Scratch::with_tasks(2);
    let job = scratch.job_with(quick().stale_after(Duration::from_millis(400)));
    let claims: Vec<_> = (0..2)
        .map(|task| mine(job.claim(task, NONE).expect("it is open")).0)
        .collect();
    // The claims outlive the object.
    drop(job);
    for claim in ["task_000/claim.1", "task_001/claim.1"] {
        for _ in 0..3 {
            scratch.set_back(claim);
            let back = scratch.time(claim);
            wait_until("it is kept alive", || scratch.time(claim) > back);
        }
    }
    for claim in claims {
        claim.settle(State::Done, None).expect("it is this job's");
    }
}

#[test]
fn no_heartbeat_comes_after_the_release() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job_with(quick().stale_after(Options::LEAST_STALE_AFTER));
    for number in 1..30 {
        let (claim, _) = match job.claim(0, NONE).expect("it is read") {
            Claimed::Mine(claim, was) => (claim, was),
            // The machine is busy.
            _ => continue,
        };
        let file = format!("task_000/claim.{}", claim.number);
        sleep(Duration::from_micros(number * 100));
        drop(claim);
        let time = scratch.time(&file);
        sleep(Duration::from_millis(3));
        assert_eq!(scratch.time(&file), time);
    }
}

#[test]
fn a_heartbeat_that_comes_late_is_none() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    let (claim, _) = mine(job.claim(0, NONE).expect("it is open"));
    let heartbeat = Arc::clone(&claim.heartbeat);
    scratch.set_back("task_000/claim.1");
    let back = scratch.time("task_000/claim.1");
    heartbeat.beat();
    assert!(scratch.time("task_000/claim.1") > back);
    claim.settle(State::Done, None).expect("it is this job's");
    heartbeat.beat();
    assert_eq!(scratch.time("task_000/claim.1"), SystemTime::UNIX_EPOCH);
}

#[test]
fn a_claim_that_failed_to_settle_ages() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job_with(quick().stale_after(Duration::from_millis(50)));
    let (claim, _) = mine(job.claim(0, NONE).expect("it is open"));
    scratch.block("task_000/state");
    claim
        .settle(State::Done, None)
        .expect_err("it cannot be written");
    scratch.unblock("task_000/state", "RUNNING\n");
    wait_until("it goes stale", || {
        matches!(job.claim(0, NONE), Ok(Claimed::Mine(..)))
    });
}

#[test]
fn the_thread_comes_with_the_first_claim_and_goes_with_the_last() {
    let scratch = Scratch::with_tasks(2);
    let job = scratch.job();
    let _ = job.summary().expect("it is there");
    assert!(lock(&job.shared.heartbeats.thread).is_none());
    let one = mine(job.claim(0, NONE).expect("it is open"));
    let other = mine(job.claim(1, NONE).expect("it is open"));
    assert!(lock(&job.shared.heartbeats.thread).is_some());
    // The drop of the object waits for its end.
    let shared = Arc::downgrade(&job.shared);
    drop(job);
    drop(one);
    assert!(shared.upgrade().is_some());
    drop(other);
    assert!(shared.upgrade().is_none());
}

#[test]
fn the_clock_is_a_file_while_it_is_needed() {
    let scratch = Scratch::with_tasks(1);
    let (one, other) = (scratch.job(), scratch.job());
    let clocks = || {
        let entries = fs::read_dir(&scratch.0).expect("it is there");
        let names = entries.map(|entry| entry.expect("it is read").file_name());
        names
            .filter(|name| name.to_string_lossy().starts_with(".clock."))
            .count()
    };
    let (claim, _) = mine(one.claim(0, NONE).expect("it is open"));
    assert_eq!(clocks(), 0);
    for _ in 0..2 {
        let _ = taken(other.claim(0, NONE).expect("it runs"));
        assert_eq!(clocks(), 1);
    }
    // It is not a task.
    assert_eq!(scratch.job().names(), ["task_000"]);
    drop(other);
    assert_eq!(clocks(), 0);
    claim.settle(State::Done, None).expect("it is this job's");
}

#[test]
fn claims_can_be_settled_by_another_thread() {
    let scratch = Scratch::with_tasks(1);
    let (claim, _) = mine(scratch.job().claim(0, NONE).expect("it is open"));
    let settled = thread::spawn(move || claim.settle(State::Done, None));
    settled.join().expect("no panic").expect("it is this job's");
    assert_eq!(scratch.job().state(0).expect("it is there"), State::Done);
}
