//! C and Fortran programs on real ranks, built with the compiler wrappers of the MPI in use (`MPICC`, or
//! `mpicc`), and started by the launcher in `TEST_MPIEXEC`, or `mpiexec`.

use std::env;
use std::fs;
use std::io::{self, Write, stderr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use launcher::processes;

/// How long a job may take.
const LIMIT: Duration = Duration::from_secs(120);
const RANKS: [usize; 3] = [1, 2, 4];

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const C: &str = "-std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror";
// gfortran takes an allocatable array that is assigned to for uninitialized.
const FORTRAN: &str = "-std=f2018 -Wall -Wextra -Werror -Wno-maybe-uninitialized";
/// What a program needs that is linked with the static library.
const SYSTEM: &str = "-lgcc_s -lutil -lrt -lpthread -lm -ldl";
/// The name by which programs load the dynamic library.
const SONAME: &str = "libmpisync_c.so.0";
/// What is exported has this prefix.
const PREFIX: &str = "mpisync_";

#[test]
fn objects() {
    let program = c("mpisync-c/tests/c/objects.c", Linking::Dynamic);
    for ranks in RANKS {
        let output = run(&program, ranks, &[]);
        assert_eq!(last_line(&output), format!("passed on {ranks} ranks"));
    }
    for argument in ["init", "mixed"] {
        assert_eq!(
            last_line(&run(&program, 2, &[argument])),
            "passed on 2 ranks"
        );
    }
}

#[test]
fn objects_with_the_static_library() {
    let program = c("mpisync-c/tests/c/objects.c", Linking::Static);
    assert_eq!(last_line(&run(&program, 2, &[])), "passed on 2 ranks");
}

#[test]
fn errors() {
    let program = c("mpisync-c/tests/c/errors.c", Linking::Dynamic);
    assert_eq!(last_line(&run(&program, 2, &[])), "passed on 2 ranks");
}

#[test]
fn threads() {
    let program = c("mpisync-c/tests/c/threads.c", Linking::Dynamic);
    assert_eq!(last_line(&run(&program, 2, &["init"])), "passed on 2 ranks");
}

/// A program in C initializes MPI itself, and has a trace of what it makes on all ranks.
#[test]
fn trace() {
    let program = c("examples/c/turns.c", Linking::Dynamic);
    let directory = scratch().join("trace");
    let _ = fs::remove_dir_all(&directory);
    let file = scratch().join("traced.txt");
    let mut job = launcher::job(2, false);
    job.env("MPISYNC_TRACE", &directory);
    let (output, succeeded) = start(job.arg(program).arg(file));
    assert!(succeeded, "{output}");
    for rank in 0..2 {
        let file = directory.join(format!("rank-{rank:06}.mpisync-trace"));
        let bytes = fs::read(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let has = |text: &str| {
            bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        };
        assert!(has("controller"), "{file:?} has no controller");
        // The words of its header: what it is, and that the process has ended in order.
        let word =
            |index: usize| u64::from_ne_bytes(*bytes[8 * index..].first_chunk().expect("a word"));
        assert_eq!(word(0), u64::from_be_bytes(*b"MPISYNCT"));
        assert_eq!(word(11), 1, "{file:?} has no end");
    }
}

/// With MPICH the ranks are on two nodes, with others on one.
#[test]
fn nodes() {
    let program = c("mpisync-c/tests/c/nodes.c", Linking::Dynamic);
    let mut job = launcher::job(2, false);
    job.env("MPIR_CVAR_NUM_CLIQUES", "2");
    let (output, succeeded) = start(job.arg(program).arg("init"));
    assert!(succeeded, "{output}");
    assert_eq!(last_line(&output), "passed on 2 ranks");
}

#[test]
fn death() {
    let program = c("mpisync-c/tests/c/death.c", Linking::Dynamic);
    let (output, _) = start(launcher::job(2, true).arg(program));
    assert!(
        output.lines().any(|line| line == "rank 0 survived"),
        "{output}"
    );
}

#[test]
fn example_in_c() {
    takes_turns(&c("examples/c/turns.c", Linking::Dynamic));
}

#[test]
fn example_in_mpi_alone() {
    takes_turns(&c("examples/c/turns_mpi.c", Linking::Dynamic));
}

#[test]
fn example_in_fortran() {
    if let Some(program) = fortran("examples/c/turns.f90") {
        takes_turns(&program);
    }
}

#[test]
fn objects_in_fortran() {
    if let Some(program) = fortran("mpisync-c/tests/fortran/objects.f90") {
        for ranks in RANKS {
            let output = run(&program, ranks, &[]);
            assert_eq!(last_line(&output), format!("passed on {ranks} ranks"));
        }
    }
}

/// As the README of this package says.
#[test]
fn pkg_config_finds_an_installed_library() {
    let prefix = scratch().join("prefix");
    let config = prefix.join("lib/pkgconfig");
    for directory in [&config, &prefix.join("include")] {
        fs::create_dir_all(directory).expect("a directory can be made");
    }
    let copy = |from: PathBuf, to: &str| {
        fs::copy(&from, prefix.join(to)).unwrap_or_else(|error| panic!("{from:?}: {error}"));
    };
    copy(in_root("mpisync-c/include/mpisync.h"), "include/mpisync.h");
    let library = library().join("libmpisync_c.so");
    copy(library, &format!("lib/{SONAME}"));
    let linked = prefix.join("lib/libmpisync_c.so");
    let _ = fs::remove_file(&linked);
    symlink(SONAME, linked).expect("a link can be made");
    let template = fs::read_to_string(in_root("mpisync-c/mpisync.pc.in")).expect("it is there");
    let text = template
        .replace("@PREFIX@", &prefix.display().to_string())
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    fs::write(config.join("mpisync.pc"), text).expect("a file can be written");
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_PATH", &config);
    let Ok(flags) = output(command.args(["--cflags", "--libs", "mpisync"])) else {
        let _ = writeln!(stderr(), "there is no pkg-config to check the file with");
        return;
    };
    assert!(flags.status.success(), "{flags:?}");
    let flags = String::from_utf8(flags.stdout).expect("it is UTF-8");
    let program = program("examples/c/turns.c", "-installed");
    let mut compiler = wrapper("mpicc");
    compiler
        .arg(in_root("examples/c/turns.c"))
        .arg("-o")
        .arg(&program);
    compiler.arg(format!("-Wl,-rpath,{}", prefix.join("lib").display()));
    compile(compiler.args(flags.split_whitespace()));
    let file = scratch().join("installed.txt").display().to_string();
    assert_eq!(
        last_line(&run(&program, 2, &[&file])),
        format!("100 results in {file}")
    );
}

#[test]
fn the_dynamic_library_exports_its_functions_only() {
    let library = library().join("libmpisync_c.so");
    assert_own(&symbols(&["-D"], &library, |_| true));
}

/// The static library also has the symbols of other Rust crates.
#[test]
fn the_static_library_has_no_other_symbols_of_its_own() {
    let library = library().join("libmpisync_c.a");
    let names = symbols(&["-A"], &library, |line| line.contains(":mpisync"));
    let is_mangled = |name: &String| name.starts_with("_ZN") || name.starts_with("_R");
    let names: Vec<String> = names.into_iter().filter(|name| !is_mangled(name)).collect();
    assert_own(&names);
}

/// All symbols have the prefix of this library.
fn assert_own(names: &[String]) {
    let foreign: Vec<_> = names
        .iter()
        .filter(|name| !name.starts_with(PREFIX))
        .collect();
    assert!(foreign.is_empty(), "without `{PREFIX}`: {foreign:?}");
    let has = |function: &str| names.iter().any(|name| name == function);
    assert!(has("mpisync_controller_new") && has("mpisync_last_error_message"));
}

/// The global symbols that a library defines, except for weak ones, in lines of `nm` that are `wanted`.
fn symbols(options: &[&str], library: &Path, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut nm = Command::new("nm");
    nm.args(["-g", "--defined-only"]).args(options).arg(library);
    let output = output(&mut nm).expect("nm comes with the C compiler");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    let symbol = |line: &str| {
        let mut words = line.split_whitespace().rev();
        let (name, kind) = (words.next()?, words.next()?);
        let is_weak = ["V", "v", "W", "w"].contains(&kind);
        (!is_weak).then(|| name.to_owned())
    };
    text.lines()
        .filter(|line| wanted(line))
        .filter_map(symbol)
        .collect()
}

/// The file of an example has its header, and each result once, in whole lines.
fn takes_turns(program: &Path) {
    for ranks in RANKS {
        let file = scratch().join("results.txt");
        let _ = fs::remove_file(&file);
        let path = file.display().to_string();
        let output = run(program, ranks, &[&path]);
        assert_eq!(last_line(&output), format!("100 results in {path}"));
        let text = fs::read_to_string(&file).expect("the program has written it");
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("# 100 results"), "{text}");
        let mut results: Vec<(u32, f64)> = lines
            .map(|line| {
                let (number, square) = line.split_once(' ').expect("two numbers");
                (
                    number.parse().expect("a number"),
                    square.trim().parse().expect("a square"),
                )
            })
            .collect();
        results.sort_by_key(|(number, _)| *number);
        for (expected, (number, square)) in results.iter().enumerate() {
            let x = f64::from(*number) / 100.0;
            assert_eq!(*number as usize, expected, "{text}");
            assert!((square - x * x).abs() < 1e-4, "{number}: {square}");
        }
        assert_eq!(results.len(), 100, "{text}");
    }
    // Where the file cannot be created, all ranks end.
    let nowhere = scratch().join("no directory/results.txt");
    let (output, succeeded) = start(launcher::job(2, false).args([program, nowhere.as_path()]));
    assert!(!succeeded, "{output}");
}

#[derive(Clone, Copy)]
enum Linking {
    Dynamic,
    Static,
}

/// Builds a C program.
fn c(source: &str, linking: Linking) -> PathBuf {
    let libraries = libraries(linking);
    let suffix = match linking {
        Linking::Dynamic => "",
        Linking::Static => "-static",
    };
    let program = program(source, suffix);
    let mut compiler = c_compiler();
    compiler.arg(in_root(source));
    compile(compiler.arg("-o").arg(&program).args(libraries));
    program
}

/// Builds a Fortran program with the module, if there is a compiler and MPI has its own modules.
fn fortran(source: &str) -> Option<PathBuf> {
    let probe = scratch().join("probe.f90");
    fs::write(&probe, "program probe\n  use mpi_f08\nend program\n")
        .expect("a file can be written");
    let mut compiler = wrapper("mpifort");
    compiler.arg("-fsyntax-only").arg(&probe);
    let answer = output(&mut compiler);
    if !answer.is_ok_and(|answer| answer.status.success()) {
        // Unlike what is printed, this is shown if the test passes.
        let _ = writeln!(
            stderr(),
            "{source} is left out: {compiler:?} fails, so this MPI has no Fortran compiler here"
        );
        return None;
    }
    let objects = program(source, "-objects");
    fs::create_dir_all(&objects).expect("a directory can be made");
    let glue = objects.join("mpisync_fortran.o");
    let mut cc = c_compiler();
    cc.arg("-c")
        .arg(in_root("mpisync-c/fortran/mpisync_fortran.c"));
    compile(cc.arg("-o").arg(&glue));
    let program = program(source, "-fortran");
    let mut fortran = wrapper("mpifort");
    fortran.args(FORTRAN.split(' ')).arg("-J").arg(&objects);
    for file in [
        "mpisync-c/fortran/mpisync_interfaces.f90",
        "mpisync-c/fortran/mpisync.f90",
        source,
    ] {
        fortran.arg(in_root(file));
    }
    fortran.arg(glue).arg("-o").arg(&program);
    compile(fortran.args(libraries(Linking::Dynamic)));
    Some(program)
}

/// A compiler wrapper of the MPI in use: `mpicc`, or the one beside it.
fn wrapper(name: &str) -> Command {
    let mpicc = env::var("MPICC").unwrap_or_else(|_| "mpicc".to_owned());
    let path = Path::new(&mpicc);
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    Command::new(path.with_file_name(file.replace("mpicc", name)))
}

/// The compiler of C with its options.
fn c_compiler() -> Command {
    let mut compiler = wrapper("mpicc");
    compiler.args(C.split(' '));
    compiler.arg("-I").arg(in_root("mpisync-c/include"));
    compiler
}

/// Runs a compiler or another tool while no job runs.
fn output(tool: &mut Command) -> io::Result<Output> {
    let _alone = alone();
    tool.output()
}

fn compile(compiler: &mut Command) {
    let output = output(compiler).expect("the compiler can be started");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{compiler:?}\n{text}");
}

fn libraries(linking: Linking) -> Vec<String> {
    let directory = library().display().to_string();
    let system = SYSTEM.split(' ').map(str::to_owned);
    match linking {
        Linking::Dynamic => vec![
            format!("-L{directory}"),
            "-lmpisync_c".to_owned(),
            format!("-Wl,-rpath,{directory}"),
            "-lpthread".to_owned(),
        ],
        Linking::Static => [format!("{directory}/libmpisync_c.a")]
            .into_iter()
            .chain(system)
            .collect(),
    }
}

/// The directory of the libraries, which are built once: cargo does not build them for a test.
fn library() -> &'static Path {
    static LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| {
        let program = env::current_exe().expect("the test knows its file");
        let profile = program.ancestors().nth(2).expect("TARGET/PROFILE/deps");
        let target = profile.parent().expect("TARGET/PROFILE");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut cargo = Command::new(cargo);
        cargo
            .current_dir(ROOT)
            .env("CARGO_TARGET_DIR", target)
            .env_remove("CARGO_BUILD_TARGET") // it would be one more directory
            .args(["build", "--lib"]);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        compile(&mut cargo);
        let loaded = profile.join(SONAME);
        let _ = fs::remove_file(&loaded);
        symlink("libmpisync_c.so", loaded).expect("a link can be made");
        profile.to_owned()
    });
    &LIBRARY
}

/// Runs a program, which has to succeed, and returns what it prints.
fn run(program: &Path, ranks: usize, arguments: &[&str]) -> String {
    let (output, succeeded) = start(launcher::job(ranks, false).arg(program).args(arguments));
    assert!(
        succeeded,
        "{} on {ranks} ranks:\n{output}",
        program.display()
    );
    output
}

/// Runs a job. Returns what it prints, and whether it has succeeded.
fn start(job: &mut Command) -> (String, bool) {
    let _alone = alone();
    println!("{job:?}");
    let mut job = job.stdout(Stdio::piped()).spawn().expect("a job starts");
    let mut output = String::new();
    let status = processes::follow(&mut job, LIMIT, |line| {
        println!("{line}");
        output += line;
        output += "\n";
    });
    let status = status.expect("its processes end");
    let status = status.unwrap_or_else(|| panic!("it took longer than {LIMIT:?}:\n{output}"));
    (output, status.success())
}

/// As long as this is there no other job and no tool runs: a job ends all that this process has started.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    processes::adopt_orphans().expect("Linux can do it");
    alone
}

fn last_line(output: &str) -> &str {
    output.lines().last().unwrap_or_default()
}

fn in_root(path: &str) -> PathBuf {
    Path::new(ROOT).parent().expect("the workspace").join(path)
}

fn program(source: &str, suffix: &str) -> PathBuf {
    let name = Path::new(source).file_stem().expect("a file");
    scratch().join(format!("{}{suffix}", name.to_string_lossy()))
}

fn scratch() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mpisync-c");
    fs::create_dir_all(&directory).expect("a directory can be made");
    directory
}
