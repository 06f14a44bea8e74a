//! Subjects of the benchmarks that need a job of their own. Each is measured before its benchmark, which takes the figures
//! over; one that cannot be measured here is left out, and it is said why.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::family::Family;
use crate::launch::Toolbox;
use crate::mpi::Mpi;
use crate::process::{pass_on, run};
use crate::programs::{Job, build_with};
use crate::pshmem;
use crate::report::say;
use crate::wheels::Pip;
use crate::workspace::{Workspace, on_path};

/// The benchmark of channels, and the crate with a ring in an MPI window that is a subject of it.
const CHANNEL: &str = "channel";
const MPI_RMA: &str = "mpi_rma";

/// A subject that is a program in Python.
struct Script {
    /// The benchmark that it is a subject of.
    bench: &'static str,
    /// What it is called there.
    subject: &'static str,
    /// Where it is in the workspace.
    path: &'static str,
    /// The package that it measures, as pip is to install it, if that is not among what all of them need.
    package: Option<&'static str>,
    /// Whether it works with ranks on several hosts.
    spans_hosts: bool,
    /// Why it does not work with MPICH, if it does not.
    not_with_mpich: Option<&'static str>,
}

const SCRIPTS: [Script; 5] = [
    Script {
        bench: CHANNEL,
        subject: "mpi_channels",
        path: "bench/src/channel/measure_mpi_channels.py",
        package: Some("mpi-channels==0.1.4"),
        spans_hosts: false,
        not_with_mpich: Some(
            "it reads what it gets before the window is unlocked; with MPICH that is too early",
        ),
    },
    Script {
        bench: "region",
        subject: "pshmem",
        path: "bench/src/region/measure_pshmem.py",
        package: Some(PSHMEM),
        spans_hosts: true,
        not_with_mpich: None,
    },
    Script {
        bench: "sync",
        subject: "pshmem",
        path: "bench/src/sync/measure_pshmem.py",
        package: Some(PSHMEM),
        spans_hosts: false,
        not_with_mpich: Some(
            "it reads what it gets before the window is flushed; with MPICH that is too early",
        ),
    },
    Script {
        bench: "sync",
        subject: "mpi4py",
        path: "bench/src/sync/measure_mpi4py.py",
        package: None,
        spans_hosts: true,
        not_with_mpich: None,
    },
    Script {
        bench: "batch",
        subject: "pshmem",
        path: "bench/src/batch/measure_pshmem.py",
        package: Some(PSHMEM),
        spans_hosts: false,
        not_with_mpich: Some(
            "it reads what it gets before the window is flushed; with MPICH that is too early",
        ),
    },
];

const PSHMEM: &str = pshmem::PACKAGE;

/// What all these programs need, and what of it is to be built here, with the MPI that the others use.
const FOUNDATION: [&str; 2] = ["mpi4py==4.1.2", "numpy"];
const BUILT_HERE: &str = "mpi4py";

/// The feature that the benchmarks are built with for this MPI, or why there is none.
pub fn feature(mpi: &Mpi) -> Result<&'static str> {
    if mpi.family != Family::OpenMpi {
        bail!("the crate does not compile with {}", mpi.family);
    }
    if on_path("make").is_none() {
        bail!("the crate builds libffi, which needs make");
    }
    Ok("mpi-rma")
}

/// A benchmark on one MPI.
pub struct Peers<'a> {
    /// Where things are.
    pub workspace: &'a Workspace,
    /// The MPI, and where jobs run.
    pub tools: &'a Toolbox<'a>,
    /// The benchmark.
    pub job: &'a Job,
}

impl Peers<'_> {
    /// Builds the benchmark and measures what needs a job of its own: the program, and the arguments by which it takes the
    /// figures over.
    pub fn measure(&self) -> Result<(PathBuf, Vec<OsString>)> {
        let mut figures = Vec::new();
        let (program, has_mpi_rma) = self.program()?;
        // With several threads for all, it is part of the benchmark's own job.
        if has_mpi_rma && !self.says("--threads") {
            figures.extend(or_left_out(MPI_RMA, self.mpi_rma(&program)));
        }
        for script in &SCRIPTS {
            if script.bench == self.job.program && self.is_asked_for(script.subject) {
                figures.extend(or_left_out(script.subject, self.script(script)));
            }
        }
        let arguments = figures
            .into_iter()
            .flat_map(|file| [OsString::from("--with"), file.into_os_string()]);
        Ok((program, arguments.collect()))
    }

    /// The benchmark, and whether it has the crate, if that is asked for.
    fn program(&self) -> Result<(PathBuf, bool)> {
        let build = |features: &[&str]| {
            let (package, program) = (self.job.package, &self.job.program);
            build_with(self.tools, package, program, self.job.build, features)
        };
        if self.job.program == CHANNEL && self.is_asked_for(MPI_RMA) {
            let built = self
                .on_one_host()
                .and_then(|()| feature(self.tools.mpi))
                .and_then(|feature| build(&[feature]));
            if let Some(program) = or_left_out(MPI_RMA, built) {
                return Ok((program, true));
            }
        }
        Ok((build(&[])?, false))
    }

    fn on_one_host(&self) -> Result<()> {
        match self.job.hosts {
            Some(_) => bail!("it is measured on one host only"),
            None => Ok(()),
        }
    }

    /// Whether a subject is to be measured: it is named, or none is.
    fn is_asked_for(&self, subject: &str) -> bool {
        let (subjects, _) = split(&self.job.args);
        let named = |subjects: Vec<String>| subjects.iter().any(|name| name == subject);
        subjects.is_none_or(named) && !self.says("--help")
    }

    /// Whether this is among the benchmark's arguments.
    fn says(&self, argument: &str) -> bool {
        self.job.args.iter().any(|said| said == argument)
    }

    /// The benchmark itself, with MPI initialized for several threads.
    fn mpi_rma(&self, program: &Path) -> Result<PathBuf> {
        let file = self.file(MPI_RMA)?;
        let own = ["--threads", "--subjects", MPI_RMA];
        self.launch(program, own.map(OsString::from).to_vec(), &file)?;
        Ok(file)
    }

    /// A program in Python.
    fn script(&self, script: &Script) -> Result<PathBuf> {
        if !script.spans_hosts {
            self.on_one_host()?;
        }
        if self.tools.mpi.family == Family::Mpich
            && let Some(reason) = script.not_with_mpich
        {
            bail!(reason);
        }
        let file = self.file(script.subject)?;
        let python = self.python(script.package)?;
        let path = self.workspace.root.join(script.path).into_os_string();
        // Without files of compiled code beside the programs.
        self.launch(&python, vec![OsString::from("-B"), path], &file)?;
        Ok(file)
    }

    /// Runs a program that writes its figures to `file`; the benchmark's arguments come after its own, but for those that
    /// name subjects.
    fn launch(&self, program: &Path, mut args: Vec<OsString>, file: &Path) -> Result<()> {
        if file.exists() {
            fs::remove_file(file)?;
        }
        let (_, others) = split(&self.job.args);
        args.extend(others.into_iter().map(OsString::from));
        args.extend([OsString::from("--apart"), file.as_os_str().to_owned()]);
        self.tools.launch(self.job.ranks, program, &args, pass_on)?;
        if !file.exists() {
            bail!("the job wrote no figures");
        }
        Ok(())
    }

    /// Where the figures of a subject go.
    fn file(&self, subject: &str) -> Result<PathBuf> {
        let target = self.tools.target();
        fs::create_dir_all(&target)?;
        Ok(target.join(format!("{subject}.json")))
    }

    /// A Python that has the package, if any, in an environment for all of them.
    fn python(&self, package: Option<&str>) -> Result<PathBuf> {
        let pip = Pip::find().context("there is no Python 3 with pip")?;
        let dir = self.tools.target().join("python");
        if !note(&dir, &FOUNDATION).exists() {
            pip.make_environment(&dir)?;
        }
        self.install(&dir, &FOUNDATION)?;
        if let Some(package) = package {
            self.install(&dir, &[package])?;
        }
        Ok(dir.join("bin/python3"))
    }

    /// Has pip install packages without what they need, unless they are there.
    fn install(&self, dir: &Path, packages: &[&str]) -> Result<()> {
        let note = note(dir, packages);
        if note.exists() {
            return Ok(());
        }
        let names = packages.join(", ");
        say(format!("fetching {names} from PyPI into {}", dir.display()));
        let mut command = Pip::install_into(dir);
        // What pip has built before, it has built with any MPI.
        command
            .args(["--no-cache-dir", "--no-deps", "--no-binary", BUILT_HERE])
            .args(packages);
        self.tools.equip(&mut command);
        run(&mut command).with_context(|| format!("pip cannot install {names}"))?;
        fs::write(note, "")?;
        Ok(())
    }
}

/// The file in an environment which says that these packages are there.
fn note(dir: &Path, packages: &[&str]) -> PathBuf {
    dir.join(format!("has-{}", packages.join("-")))
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
        let root = Workspace::find().unwrap().root;
        for script in SCRIPTS {
            assert!(root.join(script.path).is_file(), "{}", script.path);
            let bench = format!("bench/src/bin/{}.rs", script.bench);
            assert!(root.join(&bench).is_file(), "{bench}");
            let listed = fs::read_to_string(root.join(script.path)).unwrap();
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
