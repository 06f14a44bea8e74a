//! The tests' own launcher: a failure on one rank and a hang are both seen, and named.

use std::thread;
use std::time::{Duration, Instant};

use mpisync_tests::family::is_running;
use mpisync_tests::launch::Launch;

const RANKS: &str = env!("CARGO_BIN_EXE_ranks");

#[test]
fn a_job_that_passes_has_passed() {
    let ended = Launch::new(RANKS, 2).args(["passes"]).run();
    assert!(ended.succeeded(), "{}", ended.report());
    assert!(ended.output.contains("ok passes"), "{}", ended.report());
}

#[test]
fn a_failure_on_one_rank_fails_the_job() {
    let ended = Launch::new(RANKS, 3)
        .args(["passes", "fails_on_last_rank", "passes"])
        .run();
    assert!(!ended.succeeded(), "{}", ended.report());
    let failure = "FAIL fails_on_last_rank on rank 2";
    assert!(ended.output.contains(failure), "{}", ended.report());
    assert_eq!(ended.output.matches("ok passes").count(), 1);
}

#[test]
fn a_job_that_hangs_is_killed_with_all_its_ranks() {
    let start = Instant::now();
    let ended = Launch::new(RANKS, 2)
        .args(["hangs"])
        .limit(Duration::from_secs(3))
        .run();
    assert_eq!(ended.status, None, "{}", ended.report());
    assert!(ended.output.contains("run hangs"), "{}", ended.report());
    assert!(start.elapsed() < Duration::from_secs(20));
    for process in &ended.verdicts {
        let process = process.as_deref().expect("each rank tells its process id");
        let process: u32 = process.parse().expect("a process id");
        // SIGKILL takes a moment.
        let deadline = Instant::now() + Duration::from_secs(5);
        while is_running(process) {
            assert!(
                Instant::now() < deadline,
                "process {process} outlived its launcher"
            );
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn the_others_survive_a_rank_that_is_killed() {
    let ended = Launch::new(RANKS, 3)
        .args(["last_rank_is_killed"])
        .survive_deaths()
        .run();
    let survived = Some("survived".to_owned());
    assert_eq!(
        ended.verdicts,
        [survived.clone(), survived, None],
        "{}",
        ended.report()
    );
}
