//! Starting jobs with the launcher that the environment names.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use crate::{ENVIRONMENT, Family};

/// `TEST_MPIEXEC`, or `mpiexec` on `PATH`.
struct Launcher {
    words: Vec<String>,
    family: Family,
}

static LAUNCHER: LazyLock<Launcher> = LazyLock::new(|| {
    let named = env::var("TEST_MPIEXEC").unwrap_or_default();
    // A word a line, for paths with blanks; or, as one types it, all words in one line.
    let mut words: Vec<String> = if named.contains('\n') {
        named.lines().map(str::to_owned).collect()
    } else {
        named.split_whitespace().map(str::to_owned).collect()
    };
    if words.is_empty() {
        words.push("mpiexec".to_owned());
    }
    let family = match env::var("TEST_MPI") {
        Ok(name) => name
            .parse()
            .unwrap_or_else(|error| panic!("TEST_MPI: {error}")),
        Err(_) => ask_version(&words[0]),
    };
    Launcher { words, family }
});

/// The family of the launcher that the environment names.
pub fn family() -> Family {
    LAUNCHER.family
}

/// A job on `ranks` ranks in a process group of its own, which reads nothing. The program and its arguments are left to
/// add. Whether the job continues when a rank dies is `survives_deaths`.
pub fn job(ranks: usize, survives_deaths: bool) -> Command {
    let Launcher { words, family } = &*LAUNCHER;
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    if survives_deaths {
        command.args(family.recovery_options());
    }
    command.args(["-n", &ranks.to_string()]);
    if survives_deaths {
        command.args(family.recovery_wrapper());
    }
    // What is set already stays.
    let unset = |(name, _): &(&str, &str)| env::var_os(name).is_none();
    command
        .envs(ENVIRONMENT.into_iter().filter(unset))
        .stdin(Stdio::null())
        .process_group(0);
    command
}

/// The family of the launcher `program`, by its own words.
fn ask_version(program: &str) -> Family {
    let answer = Command::new(program)
        .arg("--version")
        .envs(ENVIRONMENT)
        .output();
    let answer = answer.unwrap_or_else(|error| {
        panic!("cannot start {program}: {error}; name a launcher in TEST_MPIEXEC")
    });
    let words = String::from_utf8_lossy(&answer.stdout);
    Family::of_launcher(&words).unwrap_or_else(|| {
        panic!("{program} --version says neither Open MPI nor MPICH; set TEST_MPI\n{words}")
    })
}
