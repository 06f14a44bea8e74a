//! Other packages. Subjects of the benchmarks that need a job of their own: each is measured before its benchmark, which takes
//! the figures over; one that cannot be measured here is left out, and it is said why. And the packages whose faults are shown.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::Args;
use launcher::Family;
use which::which;

use crate::bench::Bench;
use crate::launch::{Options, Toolbox};
use crate::mpi::{Choice, Mpi};
use crate::process::{pass_on, run_job, say};
use crate::programs::BENCH;
use crate::python;
use crate::setup::Need;
use crate::wheels::{self, NUMPY, PSHMEM};
use crate::workspace::Workspace;

/// The benchmark of channels, and the crate with a ring in an MPI window that is a subject of it.
const CHANNEL: &str = "channel";
const MPI_RMA: &str = "mpi_rma";

/// The benchmark of the packages for Python.
const PYTHON: &str = "python";

/// A subject that is a program in Python.
struct Script {
    /// The benchmark that it is a subject of.
    bench: &'static str,
    /// What it is called there.
    subject: &'static str,
    /// Its folder in `bench/src`, where it is `measure_SUBJECT.py`.
    folder: &'static str,
    /// The packages that it measures or needs, as pip is to install them, if they are not among what all scripts need.
    packages: &'static [&'static str],
    /// Those of its cases that this benchmark has, as on the command line; empty if it has all.
    cases: &'static str,
    /// Whether it works with ranks on several hosts.
    spans_hosts: bool,
    /// Whether it works with MPICH.
    with_mpich: bool,
}

const MPILOCK: &str = "mpilock==2.2.1";
const MPI_CHANNELS: &str = "mpi-channels==0.1.4";

/// What mpilock needs.
const OPENTELEMETRY: &str = "opentelemetry-api==1.45.2";
const TYPING: &str = "typing_extensions";

/// The package for Python of this workspace.
const OURS: &str = "mpisync";

#[rustfmt::skip] // a table
const SCRIPTS: [Script; 12] = [
    Script { bench: CHANNEL, subject: "mpi_channels", folder: CHANNEL, packages: &[MPI_CHANNELS], cases: "", spans_hosts: false, with_mpich: false },
    Script { bench: "region", subject: "pshmem", folder: "region", packages: &[PSHMEM], cases: "", spans_hosts: true, with_mpich: true },
    Script { bench: "sync", subject: "pshmem", folder: "sync", packages: &[PSHMEM], cases: "", spans_hosts: false, with_mpich: false },
    Script { bench: "sync", subject: "mpi4py", folder: "sync", packages: &[], cases: "", spans_hosts: true, with_mpich: true },
    Script { bench: "batch", subject: "pshmem", folder: "batch", packages: &[PSHMEM], cases: "", spans_hosts: false, with_mpich: false },
    Script { bench: PYTHON, subject: OURS, folder: PYTHON, packages: &[], cases: "", spans_hosts: true, with_mpich: true },
    Script { bench: PYTHON, subject: "mpilock", folder: PYTHON, packages: &[MPILOCK, OPENTELEMETRY, TYPING], cases: "", spans_hosts: false, with_mpich: true },
    Script { bench: PYTHON, subject: "mpi4py", folder: "sync", packages: &[], cases: "", spans_hosts: true, with_mpich: true },
    Script { bench: PYTHON, subject: "pshmem", folder: "sync", packages: &[PSHMEM], cases: "", spans_hosts: false, with_mpich: false },
    Script { bench: PYTHON, subject: "pshmem", folder: "region", packages: &[PSHMEM], cases: "set_120,set_8000000", spans_hosts: true, with_mpich: true },
    Script { bench: PYTHON, subject: "pshmem", folder: "batch", packages: &[PSHMEM], cases: "tasks_3000", spans_hosts: false, with_mpich: false },
    Script { bench: PYTHON, subject: "mpi_channels", folder: CHANNEL, packages: &[MPI_CHANNELS], cases: "stream_8,stream_65536", spans_hosts: false, with_mpich: false },
];

impl Script {
    fn path(&self) -> String {
        format!("bench/src/{}/measure_{}.py", self.folder, self.subject)
    }
}

/// The packages whose faults are shown beside ours, and what they need.
const WITH_FAULTS: [&str; 5] = [MPILOCK, PSHMEM, MPI_CHANNELS, OPENTELEMETRY, TYPING];

/// The feature that the benchmarks are built with for this MPI, or why there is none.
pub fn feature(mpi: &Mpi) -> Result<&'static str> {
    if mpi.family != Family::OpenMpi {
        bail!("the crate does not compile with {}", mpi.family);
    }
    if which("make").is_err() {
        bail!("the crate builds libffi, which needs make");
    }
    Ok("mpi-rma")
}

/// Builds the benchmark and measures what needs a job of its own: the program, and the arguments by which it takes the
/// figures over, on this number of ranks.
pub fn measure(bench: &Bench, ranks: u32, tools: &Toolbox<'_>) -> Result<(PathBuf, Vec<OsString>)> {
    let peers = Peers {
        bench,
        ranks,
        tools,
    };
    let mut figures = Vec::new();
    let (program, has_mpi_rma) = peers.program()?;
    // With several threads for all, it is part of the benchmark's own job.
    if has_mpi_rma && !peers.has_argument("--threads") {
        figures.extend(or_left_out(MPI_RMA, peers.mpi_rma(&program)));
    }
    for script in &SCRIPTS {
        if script.bench == bench.bench && peers.is_asked_for(script.subject) {
            figures.extend(or_left_out(script.subject, peers.script(script)));
        }
    }
    let arguments = figures
        .into_iter()
        .flat_map(|file| ["--with".into(), file.into_os_string()]);
    Ok((program, arguments.collect()))
}

/// A benchmark on one MPI.
struct Peers<'a> {
    bench: &'a Bench,
    ranks: u32,
    tools: &'a Toolbox<'a>,
}

impl Peers<'_> {
    /// The benchmark, and whether it has the crate, if that is asked for.
    fn program(&self) -> Result<(PathBuf, bool)> {
        let build = |options: &[&str]| self.tools.build(BENCH, &self.bench.bench, options);
        if self.bench.bench == CHANNEL && self.is_asked_for(MPI_RMA) {
            let feature = self.on_one_host().and_then(|()| feature(self.tools.mpi));
            let built = feature.and_then(|feature| build(&["--release", "--features", feature]));
            if let Some(program) = or_left_out(MPI_RMA, built) {
                return Ok((program, true));
            }
        }
        Ok((build(&["--release"])?, false))
    }

    fn on_one_host(&self) -> Result<()> {
        ensure!(
            self.bench.is_on_one_host(),
            "it is measured on one host only"
        );
        Ok(())
    }

    /// Whether a subject is to be measured: it is named, or none is.
    fn is_asked_for(&self, subject: &str) -> bool {
        let (subjects, _) = split(&self.bench.args);
        let named = |subjects: Vec<String>| subjects.iter().any(|name| name == subject);
        subjects.is_none_or(named) && !self.has_argument("--help")
    }

    fn has_argument(&self, argument: &str) -> bool {
        self.bench.args.iter().any(|given| given == argument)
    }

    /// The benchmark itself, with MPI initialized for several threads.
    fn mpi_rma(&self, program: &Path) -> Result<PathBuf> {
        let own = ["--threads", "--subjects", MPI_RMA];
        let own = own.map(OsString::from).to_vec();
        self.launch(MPI_RMA, program, own)
    }

    /// A program in Python.
    fn script(&self, script: &Script) -> Result<PathBuf> {
        if !script.spans_hosts {
            self.on_one_host()?;
        }
        ensure!(
            script.with_mpich || self.tools.mpi.family != Family::Mpich,
            "it reads what it gets before the window is unlocked or flushed; with MPICH that is too early"
        );
        let python = python_with(self.tools, script.packages)?;
        if script.subject == OURS {
            python::install(self.tools, &environment(self.tools), &[])?;
        }
        let path = self.tools.workspace.root.join(script.path());
        // Without files of compiled code beside the programs.
        let mut args: Vec<OsString> = vec!["-B".into(), path.into()];
        if !script.cases.is_empty() {
            args.extend(["--cases".into(), script.cases.into()]);
        }
        let file = format!("{}-{}", script.folder, script.subject);
        self.launch(&file, &python, args)
    }

    /// Runs a program that writes the figures of a subject to a file of this name, and returns that; the benchmark's arguments
    /// come after its own, but for those that name subjects.
    fn launch(&self, name: &str, program: &Path, mut args: Vec<OsString>) -> Result<PathBuf> {
        let target = self.tools.target();
        fs::create_dir_all(&target)?;
        let file = target.join(format!("{name}.json"));
        if file.exists() {
            fs::remove_file(&file)?;
        }
        let (_, others) = split(&self.bench.args);
        args.extend(others.into_iter().map(OsString::from));
        args.extend(["--apart".into(), file.clone().into_os_string()]);
        let mut job = self.tools.job(self.ranks, program, &args)?;
        self.tools.launch(&mut job, pass_on)?;
        ensure!(file.exists(), "the job wrote no figures");
        Ok(file)
    }
}

/// The environment of all packages.
fn environment(tools: &Toolbox<'_>) -> PathBuf {
    tools.target().join("python")
}

/// A Python that has these packages, in the environment of all of them.
fn python_with(tools: &Toolbox<'_>, packages: &[&str]) -> Result<PathBuf> {
    let dir = environment(tools);
    wheels::add_mpi4py(&dir, |pip| tools.equip(pip))?;
    for packages in [&[NUMPY][..], packages] {
        // What pip has built before, it has built with any MPI.
        let options = ["--no-cache-dir", "--no-deps"];
        wheels::add(&dir, packages, &options, |pip| tools.equip(pip))?;
    }
    Ok(dir.join("bin/python3"))
}

/// `cargo xtask peers`
#[derive(Args)]
pub struct PeerFaults {
    #[command(flatten)]
    mpi: Choice,
    /// Only functions of the script whose names contain this, and write no page
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

impl PeerFaults {
    /// Has the tests run the cells of the packages and write the page.
    pub fn run(self, workspace: &Workspace) -> Result<()> {
        const LIMIT: u64 = 3600;
        let options = Options {
            mpi: self.mpi,
            timeout: LIMIT,
        };
        options.with_each_mpi(workspace, Need::Mpi, None, |tools| {
            let mut cargo = tools.cargo_for_ranks(1)?;
            cargo
                .env("TEST_PEERS", python_with(&tools, &WITH_FAULTS)?)
                .env("TEST_MPI_NAME", tools.mpi.to_string())
                .args(["test", "--package", "mpisync-tests"])
                .args(["--test", "faults", "--", "--write-peers"])
                .args(&self.only);
            run_job(&mut cargo, Duration::from_secs(LIMIT), pass_on)
        })
    }
}

/// What came of a subject, if anything did.
fn or_left_out<T>(subject: &str, outcome: Result<T>) -> Option<T> {
    outcome
        .inspect_err(|error| say(format!("{subject} is left out: {error:#}")))
        .ok()
}

/// The subjects that arguments of a benchmark name, if any do, and the other arguments.
fn split(args: &[String]) -> (Option<Vec<String>>, Vec<String>) {
    let (mut subjects, mut others) = (None, Vec::new());
    let mut args = args.iter();
    while let Some(argument) = args.next() {
        let names = match argument.strip_prefix("--subjects=") {
            Some(names) => Some(names),
            None if argument == "--subjects" => Some(args.next().map_or("", String::as_str)),
            None => None,
        };
        match names {
            Some(names) => subjects
                .get_or_insert_with(Vec::new)
                .extend(names.split(',').map(String::from)),
            None => others.push(argument.clone()),
        }
    }
    (subjects, others)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn scripts_are_in_the_workspace_and_subjects_of_its_benchmarks() {
        let root = crate::workspace::Workspace::find().unwrap().root;
        for script in SCRIPTS {
            let bench = format!("bench/src/bin/{}.rs", script.bench);
            assert!(root.join(&bench).is_file(), "{bench}");
            let listed = fs::read_to_string(root.join(script.path()));
            let listed = listed.unwrap_or_else(|error| panic!("{}: {error}", script.path()));
            assert!(listed.contains(&format!("\"{}\"", script.subject)));
        }
    }

    #[test]
    fn subjects_are_found_among_the_arguments() {
        let (subjects, others) = split(&strings(&["--rounds", "3", "--cases", "stream_8"]));
        assert_eq!(subjects, None);
        assert_eq!(others, strings(&["--rounds", "3", "--cases", "stream_8"]));
        let args = [
            "--subjects",
            "mpisync,mpi_rma",
            "--rounds=3",
            "--subjects=x",
        ];
        let (subjects, others) = split(&strings(&args));
        assert_eq!(subjects, Some(strings(&["mpisync", "mpi_rma", "x"])));
        assert_eq!(others, strings(&["--rounds=3"]));
    }
}
