//! What tests report that fail: the tests in `cases` do so, and are started by those below.

use std::env;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use launcher::{Family, JobDirectory, processes};

mod cases {
    use mpisync::prelude::*;
    use std::process::Command;
    use std::time::Duration;
    use std::{process, thread};

    const LONG: Duration = Duration::from_secs(1000);

    #[mpisync_test::ranks(2)]
    #[ignore = "fails on purpose"]
    fn error_on_one(world: &SimpleCommunicator) -> anyhow::Result<()> {
        let mut ctrl = mpisync::sync(world)?;
        println!("rank {} begins", world.rank());
        read(&mut ctrl, world.rank())?;
        Ok(())
    }

    #[mpisync::collective]
    fn read(ctrl: &mut WindowController, rank: i32) -> anyhow::Result<()> {
        anyhow::ensure!(rank != 1, "there is no input");
        Ok(())
    }

    #[mpisync_test::ranks(2)]
    #[ignore = "fails on purpose"]
    fn panic_on_one(world: &SimpleCommunicator) {
        assert_ne!(world.rank(), 1, "not here");
        world.barrier();
    }

    #[mpisync_test::ranks(3, limit = 5)]
    #[ignore = "fails on purpose"]
    fn one_waits(world: &SimpleCommunicator) -> Result<(), CreateError> {
        let mut mutex = Mutex::builder(world).name("queue").build()?;
        match world.rank() {
            0 => {
                let _guard = mutex.lock();
                world.barrier();
                thread::sleep(LONG);
            }
            1 => {
                world.barrier();
                drop(mutex.lock());
            }
            _ => world.barrier(),
        }
        Ok(())
    }

    #[mpisync_test::ranks(2)]
    #[ignore = "fails on purpose"]
    fn each_waits(world: &SimpleCommunicator) -> Result<(), CreateError> {
        let mut first = Mutex::builder(world).name("first").build()?;
        let mut second = Mutex::builder(world).name("second").build()?;
        if world.rank() == 1 {
            std::mem::swap(&mut first, &mut second);
        }
        let _guard = first.lock();
        world.barrier();
        drop(second.lock());
        Ok(())
    }

    #[mpisync_test::ranks(2)]
    #[ignore = "fails on purpose"]
    fn one_is_killed(world: &SimpleCommunicator) {
        if world.rank() == 1 {
            let process = process::id().to_string();
            Command::new("kill")
                .args(["-9", &process])
                .status()
                .unwrap();
        }
        thread::sleep(LONG);
    }

    #[mpisync_test::ranks(1)]
    #[ignore = "fails on purpose"]
    fn one_exits(_: &SimpleCommunicator) {
        process::exit(0);
    }

    #[mpisync_test::ranks(2)]
    #[ignore = "runs until it is killed"]
    fn all_sleep(_: &SimpleCommunicator) {
        thread::sleep(LONG);
    }
}

/// The tests start several processes each, and some of them watch the time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start(case: &str, directory: &JobDirectory, variables: &[(&str, &str)]) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", case, "--ignored", "--nocapture"])
        .envs(variables.iter().copied())
        .env("TMPDIR", directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr]
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .concat()
}

/// The report of a case, which has to fail.
fn report_with(case: &str, variables: &[(&str, &str)]) -> String {
    let _alone = alone();
    // All processes have it in their environment, and what they leave behind is removed with it.
    let directory = JobDirectory::new("case").unwrap();
    let case = start(&format!("cases::{case}"), &directory, variables);
    let output = case.wait_with_output().unwrap();
    assert_eq!(running(&directory), 0);
    let text = text(&output);
    assert!(!output.status.success(), "{text}");
    let start = text
        .find("Error: ")
        .unwrap_or_else(|| panic!("no report: {text}"));
    println!("{text}");
    text[start..].to_owned()
}

fn report(case: &str) -> String {
    report_with(case, &[])
}

/// The lines of a report before the output of the ranks.
fn head(report: &str) -> Vec<&str> {
    report.lines().take_while(|line| !line.is_empty()).collect()
}

/// What the report shows of the output of a rank.
fn output_of(report: &str, rank: usize) -> &str {
    let begin = format!("--- output of rank {rank} ---\n");
    let (_, output) = report
        .split_once(&begin)
        .unwrap_or_else(|| panic!("{report}"));
    output.split("\n--- output of ").next().unwrap()
}

#[test]
fn the_own_error_comes_first() {
    let report = report("error_on_one::on_2_ranks");
    let head = head(&report);
    assert_eq!(
        head[0],
        "Error: cases::error_on_one::on_2_ranks has failed:"
    );
    assert_eq!(head[1], "  rank 1 failed: there is no input");
    assert!(
        head[2].starts_with("  rank 0 failed: ") && head[2].contains("rank 1"),
        "{report}"
    );
    assert_eq!(head.len(), 3, "{report}");
    for rank in [0, 1] {
        let begin = format!("rank {rank} begins\n");
        assert!(output_of(&report, rank).starts_with(&begin), "{report}");
    }
    let repeat = "--exact cases::error_on_one::on_2_ranks --include-ignored --nocapture\n";
    assert!(report.contains(repeat), "{report}");
}

#[test]
fn a_panic_has_its_place() {
    let report = report("panic_on_one::on_2_ranks");
    let head = head(&report);
    let place = format!("  rank 1 panicked at {}:", file!());
    assert!(head[1].starts_with(&place), "{report}");
    assert!(report.contains("not here"), "{report}");
    let other = "  rank 0 was in the middle of the test when the job ended";
    assert!(head.contains(&other), "{report}");
}

#[test]
fn a_wait_has_its_line() {
    let start = Instant::now();
    let report = report("one_waits::on_3_ranks");
    assert!(start.elapsed() < Duration::from_secs(30), "{report}");
    let head = head(&report);
    assert!(head[1].starts_with("  it had not ended after "), "{report}");
    let wait = format!(
        "in `lock` of mutex \"queue\" at {}:{}",
        file!(),
        line_of_lock()
    );
    let of_rank_1 = head
        .iter()
        .find(|line| line.starts_with("  rank 1 has waited for "));
    assert!(
        of_rank_1.is_some_and(|line| line.contains(&wait)),
        "{report}"
    );
    let holder = "    rank 0 holds it (taken at ";
    assert!(head.iter().any(|line| line.starts_with(holder)), "{report}");
    let silent = "  rank 0 reports no wait in a call of mpisync";
    assert!(head.iter().any(|line| line.starts_with(silent)), "{report}");
}

#[test]
fn ranks_that_wait_for_each_other_fail_before_the_limit() {
    let report = report("each_waits::on_2_ranks");
    let first = head(&report)[1];
    assert!(
        first.contains(" panicked at ") && first.contains("deadlock"),
        "{report}"
    );
    for name in ["first", "second"] {
        let wait = format!("in `lock` of mutex \"{name}\" at {}:", file!());
        assert!(report.contains(&wait), "{report}");
    }
}

/// The line in which rank 1 of `one_waits` waits.
fn line_of_lock() -> u32 {
    let source = include_str!("reports.rs");
    let mut lines = (1..).zip(source.lines());
    let is_lock = |line: &str| line.trim() == "drop(mutex.lock());";
    lines
        .find(|(_, line)| is_lock(line))
        .expect("it is there")
        .0
}

#[test]
fn a_signal_is_named() {
    let report = report("one_is_killed::on_2_ranks");
    let head = head(&report);
    assert_eq!(
        head[1], "  rank 1 was ended by signal 9 (SIGKILL)",
        "{report}"
    );
    let other = "  rank 0 was in the middle of the test when the job ended";
    assert_eq!(head[2], other, "{report}");
}

#[test]
fn a_rank_that_exits_has_not_passed() {
    let report = report("one_exits::on_1_rank");
    let exit = "  rank 0 has ended its process, or aborted the job, in the middle of the test";
    assert_eq!(head(&report)[1], exit, "{report}");
}

#[test]
fn the_environment_can_shorten_the_limit() {
    let start = Instant::now();
    let report = report_with("all_sleep::on_2_ranks", &[("TEST_MPI_LIMIT", "2")]);
    assert!(start.elapsed() < Duration::from_secs(50), "{report}");
    assert!(
        head(&report)[1].starts_with("  it had not ended after "),
        "{report}"
    );
}

#[test]
fn a_launcher_that_is_not_there_is_named() {
    let report = report_with(
        "all_sleep::on_2_ranks",
        &[("TEST_MPIEXEC", "/no/mpiexec"), ("TEST_MPI", "")],
    );
    assert!(report.contains("cannot start /no/mpiexec: "), "{report}");
    assert!(report.contains("TEST_MPIEXEC"), "{report}");
}

/// The launcher of the other family, and its name, if this machine has one.
fn other_launcher() -> Option<(&'static str, Family)> {
    let library = mpi::environment::library_version().unwrap();
    let other = match Family::of_library(&library).unwrap() {
        Family::OpenMpi => ("mpiexec.mpich", Family::Mpich),
        Family::Mpich => ("mpiexec.openmpi", Family::OpenMpi),
    };
    let is_there = Command::new(other.0).arg("--version").output().is_ok();
    is_there.then_some(other)
}

#[test]
fn another_mpi_s_launcher_is_refused() {
    let Some((other, family)) = other_launcher() else {
        return;
    };
    let report = report_with(
        "all_sleep::on_2_ranks",
        &[("TEST_MPIEXEC", other), ("TEST_MPI", "")],
    );
    let text = format!("{other} is the launcher of {family}, but the program was built with ");
    assert!(report.contains(&text), "{report}");
}

#[test]
fn ranks_that_are_alone_do_not_run_the_test() {
    let Some((other, family)) = other_launcher() else {
        return;
    };
    // A launcher that the test takes for that of the library's family.
    let library = Family::ALL
        .into_iter()
        .find(|library| *library != family)
        .unwrap();
    let variables = [("TEST_MPIEXEC", other), ("TEST_MPI", library.name())];
    let report = report_with("all_sleep::on_2_ranks", &variables);
    let text = format!("  {other} does not belong to ");
    assert!(head(&report)[1].starts_with(&text), "{report}");
}

#[test]
fn nothing_is_printed_if_all_ranks_pass() {
    let _alone = alone();
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "passing::prints::on_2_ranks", "--nocapture"])
        .output()
        .unwrap();
    let text = text(&child);
    assert!(child.status.success(), "{text}");
    assert!(!text.contains("the rank's own words"), "{text}");
}

mod passing {
    use mpisync::prelude::*;

    #[mpisync_test::ranks(2)]
    fn prints(_: &SimpleCommunicator) {
        println!("the rank's own words");
    }
}

#[test]
fn ranks_do_not_outlive_a_test_that_is_killed() {
    let _alone = alone();
    let directory = JobDirectory::new("killed").unwrap();
    let mut child = start("cases::all_sleep::on_2_ranks", &directory, &[]);
    // The test itself, the launcher, and two ranks.
    wait_until(|| running(&directory) >= 4);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until(|| running(&directory) == 0);
}

/// How many processes of a case run.
fn running(directory: &JobDirectory) -> usize {
    let name = directory.path().to_str().unwrap();
    processes::naming(name).unwrap().len()
}

fn wait_until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30));
        thread::sleep(Duration::from_millis(20));
    }
}
