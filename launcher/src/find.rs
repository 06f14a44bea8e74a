//! Finding the launcher of an MPI by its compiler wrapper or its library.

use std::fs;
use std::path::{Path, PathBuf};

use which::which;

use crate::Family;

/// The programs that may be the launcher of an MPI of this family: those in `directories` first, then those on `PATH`. A
/// distribution that has several MPIs appends `suffix` to the names of their programs.
pub fn launchers(family: Family, suffix: &str, directories: &[impl AsRef<Path>]) -> Vec<PathBuf> {
    let names = [
        format!("mpiexec{suffix}"),
        format!("mpirun{suffix}"),
        format!("mpiexec.{}", family.name()),
        String::from("mpiexec"),
        String::from("mpirun"),
    ];
    let beside = directories
        .iter()
        .flat_map(|directory| names.each_ref().map(|name| directory.as_ref().join(name)));
    let on_path = names.each_ref().map(PathBuf::from);
    let files = beside.chain(on_path);
    files.filter_map(|file| which(file).ok()).collect()
}

/// The file of the MPI library that this process has loaded, if it is linked dynamically.
pub fn loaded_library() -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    library_in(&maps)
}

/// The directories of programs that may belong to a library: `/opt/mpi/bin` for `/opt/mpi/lib/libmpi.so`.
pub(crate) fn program_directories(library: &Path) -> Vec<PathBuf> {
    let above = library.ancestors().skip(1);
    above.map(|directory| directory.join("bin")).collect()
}

fn library_in(maps: &str) -> Option<PathBuf> {
    // The path is the sixth field, and may have blanks.
    let paths = maps
        .lines()
        .filter_map(|line| line.find('/').map(|at| &line[at..]));
    let is_library = |path: &&str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        ["libmpi.so", "libmpich.so"]
            .iter()
            .any(|library| name.starts_with(library))
    };
    paths.map(str::trim_end).find(is_library).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_in_the_table_of_mappings() {
        let maps = "55d0-55d1 r-xp 00000000 08:01 12 /t/a program\n\
                    7f00-7f01 r--p 00000000 08:01 13 /opt/an mpi/lib/libmpi_cxx.so.40\n\
                    7f01-7f02 r--p 00000000 08:01 14                 /opt/an mpi/lib/libmpi.so.40.30.4\n\
                    7f02-7f03 rw-p 00000000 00:00 0\n";
        let library = library_in(maps).unwrap();
        assert_eq!(library, Path::new("/opt/an mpi/lib/libmpi.so.40.30.4"));
        assert_eq!(
            program_directories(&library)[1],
            Path::new("/opt/an mpi/bin")
        );
        assert_eq!(library_in("7f02-7f03 rw-p 00000000 00:00 0\n"), None);
    }

    #[test]
    fn programs_beside_come_before_those_on_path() {
        // Every program of these names will do.
        let directory = crate::JobDirectory::new("find").unwrap();
        let program = directory.path().join("mpiexec");
        std::os::unix::fs::symlink("/bin/sh", &program).unwrap();
        let found = launchers(Family::Mpich, ".mpich", &[directory.path()]);
        assert_eq!(found[0], program);
    }
}
