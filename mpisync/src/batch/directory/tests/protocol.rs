//! Each step of the protocol, and the actions of another job between two steps.

use crate::batch::directory::DirectoryError;
use crate::batch::directory::claimant::Owner;
use crate::batch::directory::tests::*;

#[test]
fn a_task_goes_from_open_to_running_to_done() {
    let scratch = Scratch::with_tasks(2);
    let (one, other) = (scratch.job(), scratch.job());
    let (claim, was) = mine(one.claim(1, NONE).expect("it is open"));
    assert_eq!((claim.task(), was), (1, State::Open));
    assert_eq!(scratch.files("task_001"), ["claim.1", "state"]);
    assert_eq!(other.state(1).expect("it is there"), State::Running);
    let by = taken(other.claim(1, ALL).expect("it runs")).expect("it has a claim");
    assert_eq!(by.pid, std::process::id());
    assert_eq!(by.host, Owner::this().host);
    assert!(by.age < Duration::from_secs(60));
    assert_eq!(
        by.pid,
        other.claimant(1).expect("it runs").expect("lives").pid
    );
    claim.settle(State::Done, None).expect("it is this job's");
    assert_eq!(scratch.files("task_001"), ["claim.1", "state"]);
    assert_eq!(scratch.read("task_001/state").as_deref(), Some("DONE\n"));
    assert_eq!(scratch.time("task_001/claim.1"), SystemTime::UNIX_EPOCH);
    assert_eq!(over(other.claim(1, NONE).expect("it is done")), State::Done);
    assert_eq!(other.claimant(1).expect("it is done"), None);
    assert_eq!(one.state(0).expect("it is there"), State::Open);
    let summary = other.summary().expect("it is there");
    assert_eq!(summary.to_string(), "1 done, 0 failed, 0 running, 1 open");
}

#[test]
fn what_is_over_is_taken_again_where_that_is_asked_for() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    let again = |state| Again {
        failed: state == State::Failed,
        done: state == State::Done,
        running: false,
    };
    for state in [State::Done, State::Failed, State::Invalid] {
        job.set(0, state).expect("nobody has it");
        assert_eq!(over(job.claim(0, NONE).expect("it is over")), state);
        let other = match state {
            State::Done => State::Failed,
            _ => State::Done,
        };
        assert_eq!(over(job.claim(0, again(other)).expect("it is over")), state);
        let claimed = job.claim(0, again(state)).expect("it is over");
        if state == State::Invalid {
            assert_eq!(over(claimed), state);
            continue;
        }
        let (claim, was) = mine(claimed);
        assert_eq!(was, state);
        let _ = taken(job.claim(0, ALL).expect("it runs")).expect("by this job");
        claim.settle(state, None).expect("it is this job's");
    }
}

#[test]
fn a_claim_that_is_dropped_opens_the_task() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    for number in 1..20 {
        let (claim, was) = mine(job.claim(0, NONE).expect("it is open"));
        assert_eq!((was, claim.number), (State::Open, number));
        drop(claim);
        assert_eq!(job.state(0).expect("it is there"), State::Open);
    }
    assert_eq!(scratch.files("task_000").len(), 20);
}

#[test]
fn a_reason_is_there_as_long_as_the_task_has_failed() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    let fail = |again, reason| {
        let (claim, _) = mine(job.claim(0, again).expect("it may be taken"));
        assert_eq!(job.reason(0), None);
        assert_eq!(scratch.read("task_000/reason"), None);
        claim
            .settle(State::Failed, reason)
            .expect("it is this job's");
    };
    fail(NONE, Some("no disk\nleft"));
    assert_eq!(job.reason(0).as_deref(), Some("no disk\nleft"));
    fail(ALL, None);
    assert_eq!(job.reason(0), None);
    fail(ALL, Some("again"));
    job.set(0, State::Open).expect("nobody has it");
    assert_eq!(scratch.read("task_000/reason"), None);
    let (claim, _) = mine(job.claim(0, NONE).expect("it is open"));
    claim
        .settle(State::Done, Some("ignored"))
        .expect("it is this job's");
    assert_eq!(
        scratch
            .files("task_000")
            .iter()
            .find(|name| *name == "reason"),
        None
    );
    // Left by a job that died before it wrote the state.
    scratch.write("task_000/reason", "left over");
    assert_eq!(job.reason(0), None);
}

#[test]
fn the_outcome_of_another_job_is_seen_that_came_in_between() {
    for claims_before in 0..3 {
        let scratch = Scratch::with_tasks(1);
        let (one, other) = (scratch.job(), scratch.job());
        for _ in 0..claims_before {
            drop(mine(one.claim(0, NONE).expect("it is open")));
        }
        steps::at("the state is read", move || {
            let (claim, _) = mine(other.claim(0, NONE).expect("it is open"));
            claim.settle(State::Done, None).expect("it is this job's");
        });
        let claimed = one.claim(0, NONE).expect("the other one is through");
        assert_eq!(over(claimed), State::Done);
        assert!(steps::all_reached());
        assert_eq!(one.state(0).expect("it is there"), State::Done);
    }
}

#[test]
fn the_state_is_read_after_the_claim_is_judged() {
    let scratch = Scratch::with_tasks(1);
    let (one, other) = (scratch.job(), scratch.job());
    drop(mine(one.claim(0, NONE).expect("it is open")));
    // The first claim is judged to be released, and then the second one is made, used, and
    // released.
    steps::at("the claim is judged", move || {
        let (claim, _) = mine(other.claim(0, NONE).expect("it is open"));
        claim.settle(State::Failed, None).expect("it is this job's");
    });
    let claimed = one.claim(0, NONE).expect("the other one is through");
    assert_eq!(over(claimed), State::Failed);
    assert!(steps::all_reached());
}

#[test]
fn a_job_that_came_in_between_keeps_the_task() {
    for step in ["the state is read", "the claim is judged"] {
        let scratch = Scratch::with_tasks(1);
        let (one, other) = (scratch.job(), scratch.job());
        drop(mine(one.claim(0, NONE).expect("it is open")));
        let held = std::rc::Rc::new(std::cell::RefCell::new(None));
        let hold = std::rc::Rc::clone(&held);
        steps::at(step, move || {
            *hold.borrow_mut() = Some(mine(other.claim(0, NONE).expect("it is open")).0);
        });
        let _ = taken(one.claim(0, NONE).expect("it runs")).expect("by the other one");
        assert!(steps::all_reached());
        let claim = held.take().expect("it was taken");
        claim.settle(State::Done, None).expect("it is that job's");
    }
}

#[test]
fn nobody_gets_in_while_a_claim_is_made_or_settled() {
    for step in ["the claim is made", "RUNNING is written"] {
        let scratch = Scratch::with_tasks(1);
        let (one, other) = (scratch.job(), scratch.job());
        steps::at(step, move || {
            let by = taken(other.claim(0, ALL).expect("it is being taken"));
            // It names its process from the beginning.
            assert_eq!(by.map(|by| by.pid), Some(std::process::id()));
        });
        let (claim, _) = mine(one.claim(0, NONE).expect("it is open"));
        assert!(steps::all_reached());
        let other = scratch.job();
        steps::at("the outcome is written", move || {
            let _ = taken(other.claim(0, ALL).expect("it is settled")).expect("not yet released");
            assert_eq!(
                over(other.claim(0, NONE).expect("it is settled")),
                State::Done
            );
        });
        claim.settle(State::Done, None).expect("it is this job's");
        assert!(steps::all_reached());
    }
}

#[test]
fn a_state_is_set_unless_a_living_job_has_the_task() {
    let scratch = Scratch::with_tasks(1);
    let (one, other) = (scratch.job(), scratch.job());
    for state in [
        State::Invalid,
        State::Running,
        State::Failed,
        State::Done,
        State::Open,
    ] {
        one.set(0, state).expect("nobody has it");
        assert_eq!(other.state(0).expect("it is there"), state);
    }
    let (claim, _) = mine(one.claim(0, NONE).expect("it is open"));
    let error = other.set(0, State::Done).expect_err("it runs");
    let message = error.to_string();
    assert!(
        message.contains("task_000") && message.contains("process"),
        "{message}"
    );
    assert_eq!(one.state(0).expect("it is there"), State::Running);
    claim.settle(State::Done, None).expect("it is this job's");
    for text in ["", "DON", "SLEEPING\n"] {
        scratch.write("task_000/state", text);
        other.set(0, State::Open).expect("nobody has it");
        assert_eq!(scratch.read("task_000/state").as_deref(), Some("OPEN\n"));
    }
}

#[test]
fn a_task_without_a_folder_is_missing() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    fs::remove_file(scratch.path("task_000/state")).expect("it is there");
    assert_eq!(job.state(0).expect("it has a folder"), State::Open);
    drop(mine(job.claim(0, NONE).expect("it is open")));
    fs::remove_dir_all(scratch.path("task_000")).expect("it is there");
    let missing = |error: DirectoryError| match error {
        DirectoryError::Missing { path } => path == scratch.path("task_000"),
        other => panic!("{other}"),
    };
    assert!(missing(job.state(0).expect_err("no folder")));
    assert!(missing(job.claim(0, NONE).expect_err("no folder")));
    assert!(missing(job.set(0, State::Done).expect_err("no folder")));
    assert!(missing(job.claimant(0).expect_err("no folder")));
    assert_eq!(job.summary().expect("the root is there").invalid, 1);
}

#[test]
fn a_claim_that_cannot_begin_leaves_the_state_as_it_is() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    job.set(0, State::Failed).expect("nobody has it");
    // A directory cannot be replaced by a file.
    let state = scratch.path("task_000/state");
    steps::at("the claim is made", move || {
        fs::remove_file(&state).expect("it is there");
        fs::create_dir(&state).expect("there is room");
    });
    let error = job.claim(0, ALL).expect_err("it cannot be written");
    assert!(
        matches!(&error, DirectoryError::NotAFile { path } if path.ends_with("task_000/state")),
        "{error}"
    );
    assert_eq!(
        scratch.files("task_000"),
        ["claim.1", "claim.2", "state"],
        "nothing is left over"
    );
    scratch.unblock("task_000/state", "FAILED\n");
    // Only the file system knows that RUNNING does not appear yet.
    let _ = taken(job.claim(0, ALL).expect("its heartbeat is young")).expect("by this process");
    scratch.set_back("task_000/claim.2");
    let (claim, was) = mine(job.claim(0, ALL).expect("its claim is stale"));
    assert_eq!(was, State::Failed);
    // A task whose outcome could not be written is free, too; its claim goes stale.
    scratch.block("task_000/state");
    claim
        .settle(State::Done, None)
        .expect_err("it cannot be written");
    scratch.unblock("task_000/state", "RUNNING\n");
    let _ = taken(job.claim(0, ALL).expect("its heartbeat is young")).expect("by this process");
    let claims = scratch.files("task_000").len() - 1;
    scratch.set_back(format!("task_000/claim.{claims}"));
    let (claim, was) = mine(job.claim(0, NONE).expect("its claim is stale"));
    assert_eq!(was, State::Running);
    claim.settle(State::Done, None).expect("it is this job's");
}

#[test]
fn a_state_is_set_only_where_it_is_what_was_seen() {
    let scratch = Scratch::with_tasks(2);
    let (one, other) = (scratch.job(), scratch.job());
    one.set(0, State::Failed).expect("nobody has it");
    let has_failed = |state| state == State::Failed;
    // Another job has run it since its failure was read.
    other.set(0, State::Done).expect("nobody has it");
    assert!(
        !one.set_if(0, State::Open, has_failed)
            .expect("nobody has it")
    );
    assert_eq!(other.state(0).expect("it is there"), State::Done);
    assert_eq!(other.claimant(0).expect("it is there"), None, "let go of");
    other.set(0, State::Failed).expect("nobody has it");
    assert!(
        one.set_if(0, State::Open, has_failed)
            .expect("nobody has it")
    );
    let (claim, was) = mine(other.claim(0, NONE).expect("it is open"));
    assert_eq!(was, State::Open);
    one.set_if(0, State::Open, |_| true).expect_err("it runs");
    claim.settle(State::Done, None).expect("it is this job's");
}
