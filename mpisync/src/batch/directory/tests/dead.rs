//! Which jobs are taken for dead, and the fate of their tasks.

use crate::batch::directory::DirectoryError;
use crate::batch::directory::claimant::Owner;
use crate::batch::directory::tests::*;
use std::process::{Child, Command};

#[test]
fn the_task_of_a_dead_job_is_taken() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    let (claim, _) = mine(job.claim(0, NONE).expect("it is open"));
    scratch.set_back("task_000/claim.1");
    let (next, was) = mine(job.claim(0, NONE).expect("its claim is stale"));
    assert_eq!((next.number, was), (2, State::Running));
    let error = claim.settle(State::Done, None).expect_err("it is lost");
    assert!(
        matches!(&error, DirectoryError::Lost { by: Some(_), .. }),
        "{error}"
    );
    assert_eq!(job.state(0).expect("it is there"), State::Running);
    assert_eq!(scratch.read("task_000/reason"), None);
    next.settle(State::Done, None).expect("it is this job's");
}

#[test]
fn a_stale_claim_that_nobody_has_taken_can_be_settled() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    let (claim, _) = mine(job.claim(0, NONE).expect("it is open"));
    scratch.set_back("task_000/claim.1");
    assert_eq!(job.claimant(0).expect("it is there"), None);
    claim.settle(State::Done, None).expect("nobody else has it");
    assert_eq!(job.state(0).expect("it is there"), State::Done);
}

#[test]
fn a_lost_claim_that_is_dropped_changes_nothing() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    let (lost, _) = mine(job.claim(0, NONE).expect("it is open"));
    scratch.set_back("task_000/claim.1");
    let (next, _) = mine(job.claim(0, NONE).expect("its claim is stale"));
    drop(lost);
    assert_eq!(job.state(0).expect("it is there"), State::Running);
    next.settle(State::Failed, Some("so"))
        .expect("it is this job's");
    assert_eq!(job.reason(0).as_deref(), Some("so"));
}

/// A claim made by hand for another process.
fn claim_of(child: &Child) -> String {
    let mut owner = Owner::this();
    owner.process.id = child.id();
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("it runs");
    let fields = &stat[stat.rfind(')').expect("a name") + 2..];
    owner.process.born = fields
        .split(' ')
        .nth(19)
        .and_then(|born| born.parse().ok())
        .expect("a time");
    owner.text()
}

#[test]
fn the_task_of_a_killed_process_on_this_host_is_found_at_once() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    let mut child = Command::new("sleep")
        .arg("60")
        .spawn()
        .expect("there is sleep");
    scratch.write("task_000/claim.1", claim_of(&child));
    scratch.write("task_000/state", "RUNNING\n");
    let by = taken(job.claim(0, ALL).expect("it runs")).expect("by the child");
    assert_eq!(by.pid, child.id());
    child.kill().expect("a child of ours");
    child.wait().expect("a child of ours");
    let (claim, was) = mine(job.claim(0, NONE).expect("it is dead"));
    assert_eq!((was, claim.number), (State::Running, 2));
    claim.settle(State::Done, None).expect("it is this job's");
}

#[test]
fn a_process_elsewhere_is_judged_by_its_heartbeat_alone() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    let mut owner = Owner::this();
    owner.process.born += 1;
    let near = owner.text();
    let far = near
        .replace("boot ", "boot x")
        .replace("host ", "host far-");
    scratch.write("task_000/claim.1", &far);
    let by = taken(job.claim(0, ALL).expect("it is taken")).expect("by somebody far");
    assert!(by.to_string().contains("on far-"), "{by}");
    scratch.set_back("task_000/claim.1");
    drop(mine(job.claim(0, NONE).expect("its claim is stale")));
    // Number 2 was this job's; the same process on this host would be known to have ended.
    scratch.write("task_000/claim.3", &near);
    drop(mine(job.claim(0, NONE).expect("it is gone")));
}

#[test]
fn a_claim_that_does_not_say_whose_it_is_is_judged_by_its_heartbeat_alone() {
    for text in ["", "host a\nboot b\n", "what is this"] {
        let scratch = Scratch::with_tasks(1);
        let job = scratch.job();
        scratch.write("task_000/claim.1", text);
        let by = taken(job.claim(0, NONE).expect("it is taken")).expect("by somebody");
        assert!(by.to_string().contains("just come"), "{by}");
        let error = job.set(0, State::Done).expect_err("it is taken");
        assert!(matches!(error, DirectoryError::Taken { .. }), "{error}");
        scratch.set_back("task_000/claim.1");
        drop(mine(job.claim(0, NONE).expect("its claim is stale")));
    }
}

#[test]
fn a_heartbeat_from_the_future_is_one() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    scratch.write("task_000/claim.1", "");
    scratch.set_time(
        "task_000/claim.1",
        SystemTime::now() + Duration::from_secs(3600),
    );
    let by = taken(job.claim(0, ALL).expect("it is taken")).expect("by somebody");
    assert_eq!(by.age, Duration::ZERO);
}

#[test]
fn the_highest_claim_counts() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    for last in 1..40 {
        scratch.write(&format!("task_000/claim.{last}"), "");
        for earlier in 1..last {
            scratch.set_time(format!("task_000/claim.{earlier}"), SystemTime::UNIX_EPOCH);
        }
        let _ = taken(job.claim(0, ALL).expect("it is taken")).expect("by the last");
        assert_eq!(
            job.shared.folder(0).last_claim(0).expect("it is there"),
            last
        );
    }
}
