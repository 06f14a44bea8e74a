//! The tests' own launcher: a failure on one rank and a hang are both seen, and named.

use std::env;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use mpisync_tests::family::is_running;
use mpisync_tests::launch::{Launch, Mpi, family_of_launcher, one_at_a_time};

const RANKS: &str = env!("CARGO_BIN_EXE_ranks");
const LIFECYCLE: &str = env!("CARGO_BIN_EXE_lifecycle");

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

/// What came of a case of `lifecycle` that another MPI's launcher started on three ranks, or none
/// where there is no such launcher on this machine.
fn by_another_launcher(case: &str, variables: &[(&str, &str)]) -> Option<Output> {
    let other = match family_of_launcher() {
        Mpi::OpenMpi => "mpiexec.mpich",
        Mpi::Mpich => "mpirun.openmpi",
    };
    let directory = env::temp_dir();
    let _alone = one_at_a_time();
    let mut command = Command::new(other);
    command
        .envs(mpisync_tests::launch::SETTINGS)
        .env("MPIEXEC_TIMEOUT", "60")
        .envs(variables.iter().copied())
        .args(["-n", "3", LIFECYCLE])
        .arg(&directory)
        .arg(case);
    match command.output() {
        Ok(output) => Some(output),
        Err(error) => {
            println!("skipped, for {other} cannot be started: {error}");
            None
        }
    }
}

#[test]
fn another_mpi_s_launcher_is_an_error_of_every_process() {
    let Some(output) = by_another_launcher("started_by_another_launcher", &[]) else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(said.matches("ok started_by").count(), 3, "{output:?}");
    for name in ["Open MPI", "MPICH", "MPISYNC_SINGLETON"] {
        let told = said
            .lines()
            .filter(|line| line.starts_with("told:") && line.contains(name));
        assert_eq!(told.count(), 3, "{name}: {output:?}");
    }
}

#[test]
fn processes_that_are_meant_to_be_alone_can_say_so() {
    let Some(output) = by_another_launcher("alone", &[("MPISYNC_SINGLETON", "on")]) else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(said.matches("ok alone").count(), 3, "{output:?}");
}

/// Without a launcher, also within an allocation of Slurm for many tasks.
#[test]
fn a_process_without_launcher_is_alone() {
    let _alone = one_at_a_time();
    for variables in [&[][..], &[("SLURM_NTASKS", "8"), ("SLURM_PROCID", "0")]] {
        let mut command = Command::new(LIFECYCLE);
        let output = command
            .envs(variables.iter().copied())
            .arg(env::temp_dir())
            .arg("alone")
            .output()
            .expect("the program is there");
        assert!(output.status.success(), "{output:?}");
    }
}
