//! The examples on real ranks, which the launcher in `TEST_MPIEXEC` starts, or `mpiexec`. Most check their results
//! themselves; here they have to say so, and other programs have to read the files that they write.

mod bars;
mod spans;

use std::env;
use std::fmt::Display;
use std::fs;
use std::io::{Write, stderr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use launcher::processes;

const RANKS: usize = 4;

/// The numbers of ranks: from one to more than there may be cores, or only the one in `TEST_RANKS`.
fn different_ranks() -> Vec<usize> {
    match env::var("TEST_RANKS") {
        Ok(ranks) => vec![ranks.parse().expect("TEST_RANKS is a number")],
        Err(_) => vec![1, 2, 3, 4, 8],
    }
}

#[test]
fn quickstart() {
    let example = example!("quickstart");
    example.ends_with(
        |ranks| format!("{ranks} of {ranks} ranks have signed"),
        &[],
        "",
    );
}

#[test]
fn slow_writer() {
    let example = example!("slow_writer");
    example.ends_with(
        |ranks| format!("{ranks} ranks wrote 20 results each"),
        &[],
        "",
    );
}

#[test]
fn plain_mpi() {
    writes_datasets(&example!("plain_mpi"));
}

#[test]
fn hdf5_results() {
    writes_datasets(&example!("hdf5_results"));
}

fn writes_datasets(example: &Example) {
    let file = fresh(&format!("{}.h5", example.name));
    let last = example.run(RANKS, &[&file], "1000");
    can_be_read(&file, datasets(&last));
}

#[test]
fn shared_table() {
    let example = example!("shared_table");
    for ranks in different_ranks() {
        let file = fresh("table.csv");
        let expected = format!("verified: {} rows in {file}", ranks * 200);
        example.ends_with_on(ranks, expected, &[&file], "");
    }
}

#[test]
fn thread_cache() {
    let example = example!("thread_cache");
    for ranks in different_ranks() {
        let file = fresh("cache.txt");
        for words in ["60", "60 --threads 1", "7 --threads 9"] {
            let values = words.split(' ').next().unwrap();
            let expected = format!("verified: {values} values, each computed once");
            example.ends_with_on(ranks, expected, &[&file], words);
        }
    }
}

#[test]
fn word_count() {
    let text = fresh("text.txt");
    fs::write(&text, awkward_text()).unwrap();
    let verified = "verified: 9004 words, 11 of them different";
    let example = example!("word_count");
    // With a small capacity the ranks wait for room.
    for capacity in ["", "--capacity 2"] {
        example.ends_with(|_| verified, &[&text], capacity);
    }
}

#[test]
fn pipeline() {
    let verified =
        "verified: 9592 primes below 100000; the longest gap is 72 and comes after 31397";
    let example = example!("pipeline");
    for capacity in ["", "--capacity 2"] {
        example.ends_with(|_| verified, &["100000"], capacity);
    }
}

#[test]
fn heat() {
    let example = example!("heat");
    // The small plate has fewer rows than there are ranks.
    for (size, steps, pictures, mean) in [(5, 7, 2, "0.508224"), (33, 12, 4, "0.300056")] {
        let words = format!("--size {size} --steps {steps} --every 4");
        let expected = format!(
            "verified: {size} x {size} cells are bit for bit those of a serial run; their mean is {mean}"
        );
        for ranks in different_ranks() {
            let frames = fresh("frames");
            example.ends_with_on(ranks, &expected, &["--frames", &frames], &words);
            assert_eq!(pictures_in(&frames), pictures, "pictures of {ranks} ranks");
        }
    }
}

#[test]
fn lookup_table() {
    let table = fresh("table.bin");
    let verified = "verified: 100000 lookups on each rank, in the memory of one table a node";
    let words = "--make 32 --lookups 100000 --copies";
    example!("lookup_table").ends_with(|_| verified, &[&table], words);
    fs::remove_file(table).unwrap();
}

/// The example makes sure itself that there are never more requests at once than permits. Here it has to report that there
/// are as many, and more where nobody needs a permit.
#[test]
fn rate_limit() {
    let example = example!("rate_limit");
    for limit in [1, 3] {
        let limited = format!("--requests 40 --time 10 --limit {limit}");
        let enough = |ranks: usize| {
            let most = ranks.min(limit);
            format!("verified: 40 answers, none refused, {most} at once at most")
        };
        let without = |ranks| match ranks > limit {
            true => "verified: 40 answers, some only after refusals".to_owned(),
            false => enough(ranks),
        };
        example.ends_with(enough, &[], &limited);
        example.ends_with(without, &[], &(limited.clone() + " --unlimited"));
    }
}

#[test]
fn several_at_once() {
    let example = example!("several_at_once");
    for (limit, tasks) in [(1, 3), (3, 4)] {
        let words = format!("--requests 100 --limit {limit} --tasks {tasks}");
        example.ends_with(|_| "verified: 100 answers", &[], &words);
    }
}

#[test]
fn parameter_sweep_goes_on_after_it_was_killed() {
    let example = example!("parameter_sweep");
    let sweep = fresh("sweep");
    let file = format!("{sweep}/results.h5");
    // Its tasks are given out in their order, and there are 200.
    let is_in_the_middle = || Path::new(&sweep).join("050/result.h5").exists();
    example.kill(&[&sweep], is_in_the_middle);
    let last = example.run(RANKS, &[&sweep], "");
    let numbers = last.split(|c: char| !c.is_ascii_digit());
    let numbers: Vec<u32> = numbers.filter_map(|number| number.parse().ok()).collect();
    let &[before, now, 0] = &numbers[..] else {
        panic!("it ends with `{last}`");
    };
    let expected = format!("done before: {before}; done now: {now}; failed: 0");
    assert_eq!(last, expected);
    assert!(before > 0 && now > 0 && before + now == 200, "{last}");
    assert_eq!(datasets(&example.run(RANKS, &[&sweep], "--check")), 200);
    can_be_read(&file, 200);
}

#[test]
fn parameter_sweep_with_a_task_that_fails() {
    let example = example!("parameter_sweep");
    for ranks in different_ranks() {
        let sweep = fresh("sweep");
        let verified = |count| format!("verified: {count} datasets in {sweep}/results.h5");
        for (words, expected) in [
            ("--fail 7", "done before: 0; done now: 19; failed: 1"),
            ("", "done before: 19; done now: 0; failed: 1"),
            ("--check", &verified(19)),
            ("--retry-failed", "done before: 19; done now: 1; failed: 0"),
            ("--check", &verified(20)),
        ] {
            let words = format!("--tasks 20 {words}");
            example.ends_with_on(ranks, expected, &[&sweep], &words);
        }
    }
}

/// An example. As long as there is one no other exists: a job ends all that this process has started.
struct Example {
    name: &'static str,
    program: &'static str,
    _alone: MutexGuard<'static, ()>,
}

macro_rules! example {
    ($name:literal) => {
        Example::new($name, env!(concat!("CARGO_BIN_EXE_", $name)))
    };
}
use example;

impl Example {
    fn new(name: &'static str, program: &'static str) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        processes::adopt_orphans().unwrap();
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            name,
            program,
            _alone,
        }
    }

    /// A job of the example, whose arguments are those with paths first, and then `words`.
    fn job(&self, ranks: usize, paths: &[&str], words: &str) -> Command {
        let mut job = launcher::job(ranks, false);
        job.arg(self.program)
            .args(paths)
            .args(words.split_whitespace());
        job
    }

    /// Runs it, and returns the last line that it prints.
    fn run(&self, ranks: usize, paths: &[&str], words: &str) -> String {
        let mut job = self.job(ranks, paths, words);
        println!("{job:?}");
        let mut job = job.stdout(Stdio::piped()).spawn().unwrap();
        let mut last = String::new();
        let status = processes::follow(&mut job, limit(), |line| {
            println!("{line}");
            line.clone_into(&mut last);
        });
        let status = status.unwrap().expect("it ends before its time is up");
        assert!(status.success(), "{} on {ranks} ranks: {status}", self.name);
        last
    }

    /// Makes sure that this is the last line that it prints.
    fn ends_with_on(&self, ranks: usize, expected: impl Display, paths: &[&str], words: &str) {
        let last = self.run(ranks, paths, words);
        assert_eq!(last, expected.to_string(), "{} on {ranks} ranks", self.name);
    }

    /// The same on different numbers of ranks.
    fn ends_with<D: Display>(&self, expected: impl Fn(usize) -> D, paths: &[&str], words: &str) {
        for ranks in different_ranks() {
            self.ends_with_on(ranks, expected(ranks), paths, words);
        }
    }

    /// Runs it, and kills the launcher and all ranks as soon as it is time.
    fn kill(&self, paths: &[&str], is_time: impl Fn() -> bool) {
        let mut job = self
            .job(RANKS, paths, "")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        while !is_time() {
            let status = job.try_wait().unwrap();
            assert!(
                status.is_none(),
                "it ended before it was killed: {status:?}"
            );
            assert!(begin.elapsed() < limit(), "it was not far enough");
            thread::sleep(Duration::from_millis(1));
        }
        processes::kill_descendants().unwrap();
        job.wait().unwrap();
    }
}

/// How long a job may take: a bit longer than the launcher lets it.
fn limit() -> Duration {
    let of_launcher = env::var("MPIEXEC_TIMEOUT").ok();
    let seconds = of_launcher.and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(600) + 10)
}

/// A path where nothing is yet.
fn fresh(name: &str) -> String {
    let path = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
    let _ = fs::remove_file(&path);
    let _ = fs::remove_dir_all(&path);
    assert!(!Path::new(&path).exists(), "{path} cannot be removed");
    path
}

/// N of `verified: N datasets in PATH`.
fn datasets(last: &str) -> usize {
    let rest = last.strip_prefix("verified: ").unwrap_or_default();
    let count = rest
        .split_once(" datasets in ")
        .and_then(|(count, _)| count.parse().ok());
    count.unwrap_or_else(|| {
        panic!("the last line is not `verified: N datasets in PATH` but `{last}`")
    })
}

/// How many files with the beginning of a PNG file a directory has.
fn pictures_in(dir: &str) -> usize {
    let files = fs::read_dir(dir)
        .unwrap()
        .map(|entry| fs::read(entry.unwrap().path()).unwrap());
    files
        .filter(|file| file.starts_with(b"\x89PNG\r\n\x1a\n"))
        .count()
}

/// A text with long lines, long words, empty lines, letters of several bytes, bytes that are no text, and no end of the
/// last line.
fn awkward_text() -> Vec<u8> {
    let long_word = "Word".repeat(1000);
    let long_line = "one, two; THREE — vier fünf 六 ".repeat(1000);
    let lines = "a few words\n\n\r\n".repeat(1000);
    let mut text = format!("{long_line}{long_word}\n{lines}{long_word} {long_word}").into_bytes();
    text.extend(b" \xff\xfe end");
    text
}

/// Reads every dataset and prints how many there are.
const H5PY: &str = "
import sys, h5py
count = 0
def read(name, item):
    global count
    if isinstance(item, h5py.Dataset):
        item[()]
        count += 1
with h5py.File(sys.argv[1], 'r') as file:
    file.visititems(read)
print(count)
";

/// HDF5's own reader and Python read all of the file and find as many datasets in it.
fn can_be_read(file: &str, count: usize) {
    let is_found = |found: usize, reader| assert_eq!(found, count, "{reader} reads {file}");
    match Command::new("h5dump").arg(file).output() {
        Ok(dump) => {
            assert!(dump.status.success(), "h5dump cannot read {file}");
            let dump = String::from_utf8_lossy(&dump.stdout);
            let lines = dump.lines().map(str::trim_start);
            is_found(
                lines.filter(|line| line.starts_with("DATASET ")).count(),
                "h5dump",
            );
        }
        Err(_) => left_out("h5dump"),
    }
    let run = |python: &str, program: &str| {
        let output = Command::new(python).args(["-c", program, file]).output();
        output.ok().filter(|output| output.status.success())
    };
    // The system's Python may have a module that the one on PATH lacks.
    let mut pythons = ["python3", "/usr/bin/python3"].into_iter();
    match pythons.find(|python| run(python, "import h5py").is_some()) {
        Some(python) => {
            let output = run(python, H5PY).expect("h5py reads the file").stdout;
            let found = String::from_utf8_lossy(&output);
            is_found(found.trim().parse().unwrap(), "h5py");
        }
        None => left_out("h5py"),
    }
}

fn left_out(reader: &str) {
    // Unlike what is printed, this is shown if the test passes.
    let _ = writeln!(
        stderr(),
        "{reader} is not here: it cannot read the file as a check"
    );
}
