//! Several jobs at once.

use crate::batch::directory::DirectoryError;
use crate::batch::directory::tests::*;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;
use std::thread;

/// A number that differs in each call.
fn random(below: u64) -> u64 {
    RandomState::new().build_hasher().finish() % below
}

/// All tasks are run by jobs of this many threads, which sometimes fail or leave a task.
fn all_run(threads: usize, tasks: usize) {
    let scratch = Scratch::with_tasks(tasks);
    let running: Vec<_> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
    let done: Vec<_> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
    let again = Again {
        failed: true,
        ..NONE
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let job = scratch.job();
                while !job.summary().expect("it is there").done.eq(&(tasks as u64)) {
                    for task in 0..tasks {
                        let Claimed::Mine(claim, _) = job.claim(task, again).expect("it is read")
                        else {
                            continue;
                        };
                        assert_eq!(
                            running[task].fetch_add(1, Ordering::SeqCst),
                            0,
                            "two have task {task}"
                        );
                        if random(4) == 0 {
                            thread::yield_now();
                        }
                        let outcome = random(3);
                        if outcome == 0 {
                            assert_eq!(
                                done[task].fetch_add(1, Ordering::SeqCst),
                                0,
                                "done twice: {task}"
                            );
                        }
                        assert_eq!(
                            running[task].fetch_sub(1, Ordering::SeqCst),
                            1,
                            "two have task {task}"
                        );
                        let settled = match outcome {
                            0 => claim.settle(State::Done, None),
                            1 => claim.settle(State::Failed, Some("by chance")),
                            _ => {
                                drop(claim);
                                Ok(())
                            }
                        };
                        settled.expect("it is this job's");
                    }
                }
            });
        }
    });
    let job = scratch.job();
    assert_eq!(job.summary().expect("it is there").done, tasks as u64);
    for (task, done) in done.iter().enumerate() {
        assert_eq!(done.load(Ordering::SeqCst), 1, "task {task}");
        assert_eq!(job.reason(task), None);
    }
}

#[test]
fn two_jobs_run_each_task_once_at_a_time() {
    all_run(2, 50);
}

#[test]
fn four_jobs_run_each_task_once_at_a_time() {
    all_run(4, 50);
}

#[test]
fn many_jobs_fight_for_few_tasks() {
    all_run(4, 2);
}

#[test]
fn one_job_alone_takes_over_from_a_dead_one() {
    for _ in 0..50 {
        let scratch = Scratch::with_tasks(1);
        let (lost, _) = mine(scratch.job().claim(0, NONE).expect("it is open"));
        scratch.set_back("task_000/claim.1");
        let start = Barrier::new(4);
        let claims: Vec<_> = thread::scope(|scope| {
            let jobs: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let job = scratch.job();
                        start.wait();
                        match job.claim(0, NONE).expect("it is read") {
                            Claimed::Mine(claim, was) => Some((claim, was)),
                            _ => None,
                        }
                    })
                })
                .collect();
            jobs.into_iter()
                .filter_map(|job| job.join().expect("no panic"))
                .collect()
        });
        let [(claim, was)] = <[_; 1]>::try_from(claims).expect("one has it");
        assert_eq!((claim.number, was), (2, State::Running));
        let error = lost
            .settle(State::Failed, Some("late"))
            .expect_err("it is lost");
        let message = error.to_string();
        assert!(matches!(error, DirectoryError::Lost { .. }), "{message}");
        assert!(
            message.contains("process") && message.contains("stale_after"),
            "{message}"
        );
        claim.settle(State::Done, None).expect("it is that job's");
        assert_eq!(scratch.read("task_000/state").as_deref(), Some("DONE\n"));
        assert_eq!(scratch.read("task_000/reason"), None);
    }
}
