//! Jobs that are delayed while they claim.

use crate::batch::directory::tests::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::thread::sleep;

const SOON: Duration = Duration::from_millis(100);

/// The outcome of a job that is delayed at `step` while another one takes its task, and the state
/// afterwards.
fn held_up_at(step: &'static str, settle: Option<State>) -> (Claimed, Directory, Scratch) {
    let scratch = Scratch::with_tasks(1);
    let (one, other) = (scratch.job_with(quick().stale_after(SOON)), scratch.job());
    let held = Rc::new(RefCell::new(None));
    let (hold, path) = (Rc::clone(&held), scratch.path("task_000/claim.1"));
    steps::at(step, move || {
        sleep(SOON);
        let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + SOON);
        let claim = loop {
            File::options()
                .write(true)
                .open(&path)
                .and_then(|file| file.set_times(times))
                .expect("it is made");
            // A heartbeat may occur in between.
            if let Claimed::Mine(claim, _) = other.claim(0, NONE).expect("it is read") {
                break claim;
            }
        };
        match settle {
            Some(state) => claim.settle(state, None).expect("it is that job's"),
            None => *hold.borrow_mut() = Some(claim),
        }
    });
    let claimed = one.claim(0, NONE).expect("it is read");
    assert!(steps::all_reached());
    // Its heartbeats continue until here.
    drop(held);
    (claimed, one, scratch)
}

#[test]
fn who_is_held_up_before_it_begins_does_not_begin() {
    let (claimed, job, _scratch) = held_up_at("the claim is made", Some(State::Done));
    assert_eq!(over(claimed), State::Done);
    assert_eq!(job.state(0).expect("it is there"), State::Done);
    let (claimed, ..) = held_up_at("the claim is made", None);
    let _ = taken(claimed).expect("by the other one");
}

#[test]
fn who_is_held_up_while_it_looks_takes_nobody_for_dead() {
    let scratch = Scratch::with_tasks(1);
    let silence = 5 * SOON;
    let (one, other) = (
        scratch.job(),
        scratch.job_with(quick().stale_after(silence)),
    );
    let (claim, _) = mine(one.claim(0, NONE).expect("it is open"));
    let look = || {
        steps::at("the claim is read", move || sleep(silence));
        let by = taken(other.claim(0, NONE).expect("it is read"));
        assert!(steps::all_reached());
        let _ = by.expect("by the first one");
    };
    look();
    // The same for a job whose clock is ahead. A heartbeat during a delay is seen only in the next
    // check.
    let ahead = SystemTime::now() + Duration::from_secs(3600);
    scratch.set_time("task_000/claim.1", ahead);
    look();
    look();
    claim.settle(State::Done, None).expect("it still has it");
}

#[test]
fn who_is_held_up_while_it_looks_takes_no_state_for_old() {
    let scratch = Scratch::with_tasks(1);
    let silence = 5 * SOON;
    let job = scratch.job_with(quick().stale_after(silence));
    scratch.write("task_000/state", "RUNNING\n");
    // The age counts from the second time.
    let read = "the state is found";
    steps::at(read, move || steps::at(read, move || sleep(silence)));
    let by = taken(job.claim(0, NONE).expect("it is read"));
    assert!(by.is_none(), "{by:?}");
    assert!(steps::all_reached());
}

#[test]
fn a_clock_that_is_read_slowly_is_not_ahead() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    steps::at("the clock is there", || sleep(5 * SOON));
    job.shared.now().expect("there is room");
    assert!(steps::all_reached());
    let now = job.shared.now().expect("it was set just now");
    let after = SystemTime::UNIX_EPOCH.elapsed().expect("it is later");
    assert!(now <= after, "{now:?} is after {after:?}");
}

#[test]
fn who_loses_the_task_by_force_before_it_begins_does_not_begin() {
    let scratch = Scratch::with_tasks(1);
    let (one, other) = (scratch.job(), scratch.job());
    steps::at("the claim is made", move || {
        assert!(other.force(0, State::Failed, |_| true).expect("it is set"));
    });
    let claimed = one.claim(0, NONE).expect("it is read");
    assert!(steps::all_reached());
    assert_eq!(over(claimed), State::Failed);
    let files = ["claim.1", "claim.2", "state"];
    assert_eq!(scratch.files("task_000"), files, "nothing is left over");
}

#[test]
fn who_is_held_up_while_it_begins_does_not_go_on() {
    let (claimed, ..) = held_up_at("RUNNING is written", None);
    let _ = taken(claimed).expect("by the other one");
    let (claimed, ..) = held_up_at("RUNNING is written", Some(State::Failed));
    assert_eq!(over(claimed), State::Failed);
}
