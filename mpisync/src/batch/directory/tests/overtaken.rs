//! Jobs that are held up while they claim.

use super::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::thread::sleep;

const SOON: Duration = Duration::from_millis(100);

/// What a job gets that is held up at `step` while another one takes its task, and what the state is then.
fn held_up_at(step: &'static str, settle: Option<State>) -> (Claimed, Directory, Scratch) {
    let scratch = Scratch::with_tasks(1);
    let (one, other) = (scratch.job_with(quick().stale_after(SOON)), scratch.job());
    let held = Rc::new(RefCell::new(None));
    let (hold, path) = (Rc::clone(&held), scratch.path("task_000/claim.1"));
    steps::at(step, move || {
        sleep(SOON);
        let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + SOON);
        File::options()
            .write(true)
            .open(path)
            .and_then(|file| file.set_times(times))
            .expect("it is made");
        let (claim, _) = mine(other.claim(0, NONE).expect("its claim is stale"));
        match settle {
            Some(state) => claim.settle(state, None).expect("it is that job's"),
            None => *hold.borrow_mut() = Some(claim),
        }
    });
    let claimed = one.claim(0, NONE).expect("it is read");
    assert!(steps::all_reached());
    // Its heartbeats go on until here.
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
