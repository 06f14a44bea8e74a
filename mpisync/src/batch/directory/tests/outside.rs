//! Files that pshmem or a person has written.

use crate::batch::directory::DirectoryError;
use crate::batch::directory::tests::*;
use proptest::prelude::*;

const RUNNING: Again = Again {
    running: true,
    failed: false,
    done: false,
};

#[test]
fn words_are_read_as_pshmem_reads_them() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    for (text, state) in [
        ("OPEN\n", State::Open),
        ("DONE  \t\n", State::Done),
        ("FAILED\r\n", State::Failed),
        ("INVALID\nwhatever else\n", State::Invalid),
        ("RUNNING\nno end", State::Running),
        ("DONE", State::Done),
        ("OPEN ", State::Open),
    ] {
        scratch.write("task_000/state", text);
        assert_eq!(job.state(0).expect("a state"), state);
    }
}

#[test]
fn what_is_no_state_is_named() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    let file = scratch.path("task_000/state");
    for text in ["", "D", "DON", "DONEDONE", "DONE OPEN", "done"] {
        scratch.write("task_000/state", text);
        let error = job.state(0).expect_err("no whole word");
        assert!(
            matches!(&error, DirectoryError::HalfWritten { path, found } if *path == file && found == text),
            "{error}"
        );
        job.claim(0, RUNNING).expect_err("no state");
    }
    let long = "x".repeat(1000);
    for text in ["\n", " DONE\n", "done\n", "SLEEPING\n", "\u{fffd}\n", &long] {
        scratch.write("task_000/state", text);
        let error = job.state(0).expect_err("no state");
        assert!(
            matches!(&error, DirectoryError::UnknownState { path, .. } if *path == file),
            "{error}"
        );
        assert!(error.to_string().contains("OPEN, RUNNING"), "{error}");
        job.claim(0, RUNNING).expect_err("no state");
    }
    assert_eq!(scratch.files("task_000"), ["state"], "nothing is claimed");
    assert_eq!(job.summary().expect("it is there").invalid, 1);
}

#[test]
fn a_task_that_runs_without_a_claim_is_left_alone_for_a_while() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    // First without any claim, and then with claims that are released.
    for _ in 0..3 {
        scratch.write("task_000/state", "RUNNING\n");
        assert_eq!(taken(job.claim(0, NONE).expect("it runs")), None);
        assert_eq!(job.claimant(0).expect("it runs"), None);
        scratch.set_back("task_000/state");
        let (claim, was) = mine(job.claim(0, NONE).expect("it runs no more"));
        assert_eq!(was, State::Running);
        claim.settle(State::Done, None).expect("it is this job's");
        scratch.write("task_000/state", "RUNNING\n");
        let (claim, _) = mine(job.claim(0, RUNNING).expect("that is asked for"));
        claim.settle(State::Open, None).expect("it is this job's");
    }
}

#[test]
fn a_task_that_was_opened_again_by_hand_is_open() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    let (claim, _) = mine(job.claim(0, NONE).expect("it is open"));
    claim
        .settle(State::Failed, Some("so"))
        .expect("it is this job's");
    scratch.write("task_000/state.temp", "OPEN\n");
    fs::rename(
        scratch.path("task_000/state.temp"),
        scratch.path("task_000/state"),
    )
    .expect("it is there");
    assert_eq!(job.reason(0), None);
    let (claim, was) = mine(job.claim(0, NONE).expect("it is open"));
    assert_eq!((was, claim.number), (State::Open, 2));
    // By hand, too, while a job has it.
    scratch.write("task_000/state", "OPEN\n");
    let _ = taken(job.claim(0, NONE).expect("it runs")).expect("its claim is alive");
    claim.settle(State::Done, None).expect("it is this job's");
}

/// The expected state of a state file with these bytes, computed by other code.
fn expected(bytes: &[u8]) -> Result<State, bool> {
    let is_whole = bytes.contains(&b'\n');
    let line = bytes
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let text = String::from_utf8_lossy(line).into_owned();
    match text.trim_end() {
        "OPEN" => Ok(State::Open),
        "RUNNING" => Ok(State::Running),
        "DONE" => Ok(State::Done),
        "FAILED" => Ok(State::Failed),
        "INVALID" => Ok(State::Invalid),
        _ => Err(!is_whole),
    }
}

fn contents() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "OPEN", "RUNNING", "DONE", "FAILED", "INVALID", "\n", "\r\n", " ", "\t", "\0", "NG\n",
        "\u{a0}\n",
    ];
    let word = prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec());
    let pieces = prop_oneof![4 => word, 1 => prop::collection::vec(any::<u8>(), 0..4)];
    prop_oneof![
        prop::collection::vec(pieces, 0..5).prop_map(|pieces| pieces.concat()),
        prop::collection::vec(any::<u8>(), 0..200),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn any_state_file_is_read_or_refused(bytes in contents()) {
        let scratch = Scratch::with_tasks(1);
        let job = scratch.job();
        scratch.write("task_000/state", &bytes);
        match (job.state(0), expected(&bytes)) {
            (Ok(state), expected) => prop_assert_eq!(Ok(state), expected),
            (Err(DirectoryError::HalfWritten { .. }), expected) => prop_assert_eq!(Err(true), expected),
            (Err(DirectoryError::UnknownState { .. }), expected) => prop_assert_eq!(Err(false), expected),
            (Err(error), _) => prop_assert!(false, "{}", error),
        }
        // It can be set again, whatever its contents.
        job.set(0, State::Open).expect("nobody has it");
        prop_assert_eq!(job.state(0).expect("it was set"), State::Open);
    }

    #[test]
    fn any_claim_is_judged(bytes in contents(), is_stale in any::<bool>()) {
        let scratch = Scratch::with_tasks(1);
        let job = scratch.job();
        scratch.write("task_000/claim.1", &bytes);
        if is_stale {
            scratch.set_back("task_000/claim.1");
        }
        let claimed = job.claim(0, NONE).expect("it is open");
        prop_assert_eq!(matches!(claimed, Claimed::Mine(..)), is_stale);
    }
}

#[test]
fn an_outcome_is_a_state_with_its_reason_and_has_a_time() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    let outcome = || job.outcome(0).expect("it can be read");
    assert_eq!(outcome(), (State::Open, None));
    let (claim, _) = mine(job.claim(0, NONE).expect("it is open"));
    claim
        .settle(State::Failed, Some("so"))
        .expect("it is this job's");
    assert_eq!(outcome(), (State::Failed, Some("so".to_owned())));
    let time = scratch.time("task_000/state");
    assert_eq!(job.changed(0).expect("it is there"), time);
    scratch.set_back("task_000/state");
    assert!(job.changed(0).expect("it is there") < time);
    // A reason without a failed task is ignored.
    scratch.write("task_000/state", "OPEN\n");
    assert_eq!(outcome(), (State::Open, None));
    scratch.write("task_000/state", "");
    job.outcome(0).expect_err("no state");
    fs::remove_file(scratch.path("task_000/state")).expect("it is there");
    let error = job.changed(0).expect_err("no file");
    assert!(matches!(error, DirectoryError::Missing { .. }), "{error}");
}
