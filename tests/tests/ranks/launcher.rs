//! The tests' own launcher: a failure on one rank and a hang are both detected and reported.

use std::env;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use launcher::{ENVIRONMENT, Family, processes::is_running};
use mpisync_tests::job::{self, Job};
use mpisync_tests::launch::Launch;
use mpisync_tests::signals::die;

// They fail on purpose, to check that the tests notice it.
mpisync_tests::cases!(on []:
    passes = |_| (),
    fails_on_last_rank,
    hangs,
    last_rank_is_killed,
);

mpisync_tests::cases!(tests on [2] with [OneNode]:
    a_job_that_passes_has_passed,
    a_job_that_hangs_is_killed_with_all_its_ranks,
);

mpisync_tests::cases!(tests on [3] with [OneNode]:
    a_failure_on_one_rank_fails_the_job,
    the_others_survive_a_rank_that_is_killed,
    another_mpi_s_launcher_is_an_error_of_every_process,
    processes_that_are_meant_to_be_alone_can_say_so,
);

mpisync_tests::cases!(tests on [1] with [OneNode]:
    a_process_without_launcher_is_alone,
);

fn fails_on_last_rank(job: &Job) {
    assert_ne!(job.rank, job.size - 1, "wrong on purpose");
}

/// Waits like a rank that never gets a lock.
fn hangs(job: &Job) {
    job.tell(&std::process::id().to_string());
    loop {
        thread::sleep(Duration::from_millis(10));
    }
}

/// The others still run long after the death of the last rank.
fn last_rank_is_killed(job: &Job) {
    if job.rank == job.size - 1 {
        die();
    }
    thread::sleep(Duration::from_millis(500));
    job.tell("survived");
    job.scratch.meet(0, job.size - 1);
    job.leave();
}

fn a_job_that_passes_has_passed(ranks: usize) {
    let ended = Launch::new(ranks, ["launcher::passes"]).run();
    assert!(ended.succeeded(), "{}", ended.report());
    assert!(
        ended.output.contains("ok launcher::passes"),
        "{}",
        ended.report()
    );
}

fn a_failure_on_one_rank_fails_the_job(ranks: usize) {
    let ended = Launch::new(
        ranks,
        [
            "launcher::passes",
            "launcher::fails_on_last_rank",
            "launcher::passes",
        ],
    )
    .run();
    assert!(!ended.succeeded(), "{}", ended.report());
    let failure = "FAIL launcher::fails_on_last_rank on rank 2";
    assert!(ended.output.contains(failure), "{}", ended.report());
    assert_eq!(ended.output.matches("ok launcher::passes").count(), 1);
}

fn a_job_that_hangs_is_killed_with_all_its_ranks(ranks: usize) {
    let start = Instant::now();
    let ended = Launch::new(ranks, ["launcher::hangs"])
        .limit(Duration::from_secs(3))
        .run();
    assert_eq!(ended.status, None, "{}", ended.report());
    assert!(
        ended.output.contains("run launcher::hangs"),
        "{}",
        ended.report()
    );
    assert!(start.elapsed() < Duration::from_secs(20));
    for process in &ended.verdicts {
        let process = process.as_deref().expect("each rank tells its process id");
        let process: u32 = process.parse().expect("a process id");
        // SIGKILL takes some time.
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

fn the_others_survive_a_rank_that_is_killed(ranks: usize) {
    let ended = Launch::new(ranks, ["launcher::last_rank_is_killed"])
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

/// The outcome of a case of `lifecycle` that was started by the launcher of another MPI; None if
/// this machine has no such launcher.
fn by_another_launcher(
    ranks: usize,
    case: &str,
    variables: &[(&str, &str)],
) -> Option<(Output, String)> {
    let other = match launcher::family() {
        Family::OpenMpi => "mpiexec.mpich",
        Family::Mpich => "mpirun.openmpi",
    };
    let mut command = Command::new(other);
    command
        .envs(ENVIRONMENT)
        .env("MPIEXEC_TIMEOUT", "60")
        .envs(variables.iter().copied())
        .args(["-n", &ranks.to_string()])
        .arg(env::current_exe().unwrap())
        .args([job::OPTION, "/nowhere", case]);
    match command.output() {
        Ok(output) => {
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{output:?}");
            Some((output, printed))
        }
        Err(error) => {
            println!("skipped, for {other} cannot be started: {error}");
            None
        }
    }
}

fn another_mpi_s_launcher_is_an_error_of_every_process(ranks: usize) {
    let case = "lifecycle::started_by_another_launcher";
    let Some((output, printed)) = by_another_launcher(ranks, case, &[]) else {
        return;
    };
    let ok = format!("ok {case}");
    assert_eq!(printed.matches(&ok).count(), ranks, "{output:?}");
    for name in ["Open MPI", "MPICH", "MPISYNC_SINGLETON"] {
        let errors = printed
            .lines()
            .filter(|line| line.starts_with("told:") && line.contains(name));
        assert_eq!(errors.count(), ranks, "{name}: {output:?}");
    }
}

fn processes_that_are_meant_to_be_alone_can_say_so(ranks: usize) {
    let variables = [("MPISYNC_SINGLETON", "on")];
    if let Some((output, printed)) = by_another_launcher(ranks, "lifecycle::alone", &variables) {
        let passed = printed.matches("ok lifecycle::alone").count();
        assert_eq!(passed, ranks, "{output:?}");
    }
}

/// Without a launcher, also within an allocation of Slurm for many tasks.
fn a_process_without_launcher_is_alone(_: usize) {
    for variables in [&[][..], &[("SLURM_NTASKS", "8"), ("SLURM_PROCID", "0")]] {
        let mut command = Command::new(env::current_exe().unwrap());
        let output = command
            .envs(variables.iter().copied())
            .args([job::OPTION, "/nowhere", "lifecycle::alone"])
            .output()
            .expect("the program is there");
        assert!(output.status.success(), "{output:?}");
    }
}
