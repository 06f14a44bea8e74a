//! Finding the MPIs of this machine: a compiler wrapper that answers, and the launcher that belongs to it.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Result, bail};

use crate::family::Family;
use crate::process::output_of;
use crate::workspace::{Workspace, is_program, on_path};

/// An MPI that programs can be built with and started by.
#[derive(Clone, Debug)]
pub struct Mpi {
    /// Open MPI or MPICH.
    pub family: Family,
    /// The library's version.
    pub version: String,
    /// The compiler wrapper.
    pub mpicc: PathBuf,
    /// The launcher.
    pub mpiexec: PathBuf,
    /// The compiler and flags that the wrapper stands for.
    flags: String,
}

/// Which MPIs the user asked for.
#[derive(Clone, Debug)]
pub enum Choice {
    /// The one that `MPICC` names, or the first one found.
    First,
    /// These.
    These(Vec<Wanted>),
    /// Every one found.
    All,
}

/// An MPI on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Any of this family.
    Family(Family),
    /// An installation prefix, a directory with an mpicc, or an mpicc.
    At(PathBuf),
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(family) = Family::ALL.into_iter().find(|family| family.name() == text) {
            return Ok(Self::Family(family));
        }
        let path = Path::new(text);
        if path.exists() {
            std::path::absolute(path)
                .map(Self::At)
                .map_err(|error| error.to_string())
        } else {
            Err(format!(
                "`{text}` is neither `openmpi` nor `mpich` nor a path that exists"
            ))
        }
    }
}

impl Mpi {
    /// The first number of the version.
    pub fn major(&self) -> u32 {
        let first = self.version.split('.').next();
        first.and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// The MPI behind this compiler wrapper, if it works and its launcher is there too.
    pub fn behind(mpicc: &Path) -> Option<Self> {
        let ask = |option: &str| output_of(Command::new(mpicc).arg(option));
        let (family, version) = ask("--showme:version")
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
            version,
            mpicc: mpicc.to_owned(),
            mpiexec,
            flags: flags.trim().to_owned(),
        })
    }

    /// A name for directories. It differs between installations, because mpi-sys does not notice when `MPICC`
    /// changes: what was built with one MPI would be used with another.
    pub fn label(&self) -> String {
        let install = format!("{} {}", self.mpicc.display(), self.flags);
        format!(
            "{}-{}-{:04x}",
            self.family.name(),
            self.version,
            fold(fnv1a(install.as_bytes()))
        )
    }

    /// The directories with this MPI's libraries, except those that the dynamic linker searches anyway.
    pub fn library_dirs(&self) -> Vec<PathBuf> {
        let searched = ["/lib", "/usr/lib", "/lib64", "/usr/lib64"];
        self.flags
            .split_whitespace()
            .filter_map(|flag| flag.strip_prefix("-L"))
            .map(|dir| PathBuf::from(dir.trim_matches(['"', '\''])))
            .filter(|dir| !searched.iter().any(|known| dir == Path::new(known)))
            .filter(|dir| !is_multiarch(dir))
            .collect()
    }
}

impl fmt::Display for Mpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} ({})",
            self.family,
            self.version,
            self.mpicc.display()
        )
    }
}

/// Whether the environment names the one that is used when none is asked for.
pub fn is_named() -> bool {
    env::var_os("MPICC").is_some_and(|value| !value.is_empty())
}

/// The one that is used when none is asked for.
pub fn first(workspace: &Workspace) -> Result<Option<Mpi>> {
    if let Some(mpicc) = env::var_os("MPICC").filter(|value| !value.is_empty()) {
        let path = if Path::new(&mpicc).components().count() > 1 {
            Some(std::path::absolute(&mpicc)?)
        } else {
            mpicc.to_str().and_then(on_path)
        };
        return match path.as_deref().and_then(Mpi::behind) {
            Some(mpi) => Ok(Some(mpi)),
            None => bail!(
                "MPICC={} is no compiler wrapper of Open MPI or MPICH with its launcher beside it; unset it or correct it",
                Path::new(&mpicc).display()
            ),
        };
    }
    Ok(wrappers(workspace)
        .iter()
        .find_map(|mpicc| Mpi::behind(mpicc)))
}

/// The first MPI of this family.
pub fn of_family(workspace: &Workspace, family: Family) -> Option<Mpi> {
    wrappers(workspace)
        .iter()
        .filter_map(|mpicc| Mpi::behind(mpicc))
        .find(|mpi| mpi.family == family)
}

/// The MPI that a path on the command line means.
pub fn at(path: &Path) -> Result<Mpi> {
    let candidates = [path.to_owned(), path.join("mpicc"), path.join("bin/mpicc")];
    match candidates
        .iter()
        .filter(|file| is_program(file))
        .find_map(|mpicc| Mpi::behind(mpicc))
    {
        Some(mpi) => Ok(mpi),
        None => bail!(
            "{} has no mpicc of Open MPI or MPICH with its mpiexec beside it",
            path.display()
        ),
    }
}

/// Every MPI of this machine, each once.
pub fn all(workspace: &Workspace) -> Vec<Mpi> {
    let mut found: Vec<Mpi> = Vec::new();
    for mpi in wrappers(workspace)
        .iter()
        .filter_map(|mpicc| Mpi::behind(mpicc))
    {
        // `mpicc` is often another name of `mpicc.openmpi`.
        if !found
            .iter()
            .any(|other| other.flags == mpi.flags && other.version == mpi.version)
        {
            found.push(mpi);
        }
    }
    found
}

/// The compiler wrappers that exist, the preferred ones first.
fn wrappers(workspace: &Workspace) -> Vec<PathBuf> {
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
    let named = ["mpicc", "mpicc.openmpi", "mpicc.mpich"]
        .into_iter()
        .filter_map(on_path);
    let prefixed = PREFIXES.iter().map(PathBuf::from);
    let wheels = Family::ALL
        .into_iter()
        .map(|family| workspace.wheels().join(family.name()));
    let mut wrappers: Vec<PathBuf> = named.collect();
    wrappers.extend(
        prefixed
            .chain(wheels)
            .map(|prefix| prefix.join("bin/mpicc"))
            .filter(|file| is_program(file)),
    );
    wrappers
}

/// The launchers that may belong to this compiler wrapper: those beside it first.
fn launchers(mpicc: &Path, family: Family) -> Vec<PathBuf> {
    let name = mpicc.file_name().and_then(OsStr::to_str).unwrap_or("mpicc");
    let suffix = name.strip_prefix("mpicc").unwrap_or("");
    let names = [
        format!("mpiexec{suffix}"),
        format!("mpirun{suffix}"),
        format!("mpiexec.{}", family.name()),
        String::from("mpiexec"),
        String::from("mpirun"),
    ];
    let beside = |file: &Path| file.parent().map(Path::to_owned);
    let link_target = mpicc.canonicalize().ok();
    let dirs = beside(mpicc)
        .into_iter()
        .chain(link_target.as_deref().and_then(beside));
    let mut launchers: Vec<PathBuf> = dirs
        .flat_map(|dir| {
            names
                .iter()
                .map(move |name| dir.join(name))
                .collect::<Vec<_>>()
        })
        .collect();
    launchers.extend(names.iter().filter_map(|name| on_path(name)));
    launchers.retain(|file| is_program(file));
    launchers
}

/// Whether this is a directory such as `/usr/lib/x86_64-linux-gnu`.
fn is_multiarch(dir: &Path) -> bool {
    dir.parent() == Some(Path::new("/usr/lib"))
        && dir
            .file_name()
            .and_then(OsStr::to_str)
            .is_some_and(|name| name.contains("-linux-gnu"))
}

/// The Fowler-Noll-Vo hash: the standard library's may change from one Rust to the next, and with it the name of
/// every build directory.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

fn fold(hash: u32) -> u32 {
    (hash >> 16) ^ (hash & 0xffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mpi(mpicc: &str, flags: &str) -> Mpi {
        let mpiexec = PathBuf::from("/usr/bin/mpiexec");
        Mpi {
            family: Family::Mpich,
            version: "4.0.2".into(),
            mpicc: mpicc.into(),
            mpiexec,
            flags: flags.into(),
        }
    }

    #[test]
    fn an_mpi_is_asked_for_by_family_or_by_a_path_that_exists() {
        assert_eq!("openmpi".parse(), Ok(Wanted::Family(Family::OpenMpi)));
        assert_eq!("mpich".parse(), Ok(Wanted::Family(Family::Mpich)));
        assert_eq!("/usr".parse(), Ok(Wanted::At("/usr".into())));
        assert!(
            "/no/such/place"
                .parse::<Wanted>()
                .unwrap_err()
                .contains("/no/such/place")
        );
    }

    #[test]
    fn two_installations_never_share_a_build_directory() {
        let system = mpi("/usr/bin/mpicc.mpich", "gcc -lmpich");
        let other = mpi("/opt/mpich/bin/mpicc", "gcc -lmpich");
        assert!(system.label().starts_with("mpich-4.0.2-"));
        assert_ne!(system.label(), other.label());
        assert_eq!(
            system.label(),
            mpi("/usr/bin/mpicc.mpich", "gcc -lmpich").label()
        );
    }

    #[test]
    fn only_unusual_library_directories_are_named() {
        let flags = "gcc -I/a/include -L/usr/lib/x86_64-linux-gnu -L/usr/lib/x86_64-linux-gnu/openmpi/lib -L/a/lib -lmpi";
        let dirs = mpi("/a/bin/mpicc", flags).library_dirs();
        assert_eq!(
            dirs,
            [
                Path::new("/usr/lib/x86_64-linux-gnu/openmpi/lib"),
                Path::new("/a/lib")
            ]
        );
    }
}
