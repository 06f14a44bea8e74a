//! The demo, and the examples as checks.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::launch::{Options, Toolbox};
use crate::process::{output_of, pass_on, say};
use crate::programs::{Build, EXAMPLES};
use crate::setup::Need;
use crate::workspace::{Workspace, on_path};

const RANKS: u32 = 4;
/// Numbers in a dataset, when the examples are run as checks.
const SMALL: &str = "1000";
/// On how many ranks the examples of channels, regions, permits and batches run: with all that they do on one, to more than there
/// may be cores.
const DIFFERENT_RANKS: [u32; 5] = [1, 2, 3, 4, 8];

/// The main job: 4 ranks write one ordinary HDF5 file, and it is verified.
pub fn demo(workspace: &Workspace, options: &Options) -> Result<()> {
    options.with_each_mpi(workspace, Need::MpiAndHdf5, None, |tools| {
        let example = Example::build(&tools, "hdf5_results")?;
        let file = fresh_file(&workspace.target.join("demo"), "results.h5")?;
        let count = example.datasets(&[file.clone().into()])?;
        say(format!(
            "shown with {}: {RANKS} ranks wrote {count} datasets into one ordinary HDF5 file ({}), one rank at a time, \
             and every dataset is there and right, as another rank than its writer has checked",
            tools.mpi,
            file.display()
        ));
        Ok(())
    })
}

/// Runs the examples on 4 ranks and lets other programs read what they wrote; those of channels, regions, permits
/// and batches on other numbers of ranks too.
pub fn check(tools: &Toolbox<'_>) -> Result<()> {
    let dir = &tools
        .workspace
        .target
        .join("examples")
        .join(tools.mpi.label());
    let signed = |ranks| format!("{ranks} of {ranks} ranks have signed");
    Example::build(tools, "quickstart")?.ends_with(signed, &[])?;
    for name in ["plain_mpi", "hdf5_results"] {
        let example = Example::build(tools, name)?;
        let file = fresh_file(dir, &format!("{name}.h5"))?;
        let count = example
            .datasets(&[file.clone().into(), SMALL.into()])
            .context(name)?;
        read_with_h5dump(&file, count)?;
        read_with_h5py(&file, count)?;
    }
    check_table(tools, dir)?;
    check_channels(tools, dir)?;
    check_heat(tools, dir)?;
    check_lookup_table(tools, dir)?;
    check_permits(tools)?;
    check_sweep(tools, dir)
}

/// Runs the example of a table that all ranks write, which checks itself that no row is torn.
fn check_table(tools: &Toolbox<'_>, dir: &Path) -> Result<()> {
    let example = Example::build(tools, "shared_table")?;
    for ranks in DIFFERENT_RANKS {
        let file = fresh_file(dir, "table.csv")?;
        let expected = format!("verified: {} rows in {}", ranks * 200, file.display());
        example.ends_with_on(ranks, &expected, &[file.into()])?;
    }
    Ok(())
}

/// Runs the examples of channels, which check their results themselves too.
fn check_channels(tools: &Toolbox<'_>, dir: &Path) -> Result<()> {
    let text = fresh_file(dir, "text.txt")?;
    fs::write(&text, awkward_text()).with_context(|| format!("cannot write {}", text.display()))?;
    let words = "verified: 9004 words, 11 of them different";
    let primes = "verified: 9592 primes below 100000; the longest gap is 72 and comes after 31397";
    let jobs = [
        ("word_count", text.into_os_string(), words),
        ("pipeline", "100000".into(), primes),
    ];
    for (name, argument, expected) in jobs {
        let example = Example::build(tools, name)?;
        // With a small capacity the ranks wait for room.
        for capacity in [&[][..], &["--capacity", "2"]] {
            let capacity = capacity.iter().map(OsString::from);
            let args: Vec<OsString> = [argument.clone()].into_iter().chain(capacity).collect();
            example.ends_with(|_| expected.to_owned(), &args)?;
        }
    }
    Ok(())
}

/// Runs the example of heat in a plate, which checks its result itself too, and counts the pictures that it draws.
fn check_heat(tools: &Toolbox<'_>, dir: &Path) -> Result<()> {
    let example = Example::build(tools, "heat")?;
    let frames = dir.join("frames");
    // The small plate has fewer rows than there are ranks.
    let plates = [("5", "7", 2, "0.508224"), ("33", "12", 4, "0.300056")];
    for (size, steps, pictures, mean) in plates {
        let mut args = words(&format!("--size {size} --steps {steps} --every 4 --frames"));
        args.push(frames.clone().into());
        let expected = format!(
            "verified: {size} x {size} cells are bit for bit those of a serial run; their mean is {mean}"
        );
        for ranks in DIFFERENT_RANKS {
            remove_dir(&frames)?;
            example.ends_with_on(ranks, &expected, &args)?;
            let drawn = pictures_in(&frames)?;
            ensure!(
                drawn == pictures,
                "heat on {ranks} ranks draws {drawn} pictures, not {pictures}"
            );
        }
    }
    Ok(())
}

fn check_lookup_table(tools: &Toolbox<'_>, dir: &Path) -> Result<()> {
    let table = fresh_file(dir, "table.bin")?;
    let mut args = words("--make 32 --lookups 100000 --copies");
    args.insert(0, table.clone().into());
    let expected = "verified: 100000 lookups on each rank, in the memory of one table a node";
    Example::build(tools, "lookup_table")?.ends_with(|_| expected.to_owned(), &args)?;
    fs::remove_file(&table).with_context(|| format!("cannot remove {}", table.display()))
}

/// Runs the example of permits, which makes sure itself that there are never more requests at once than permits. Here it
/// has to report that there are as many, and more where nobody needs a permit.
fn check_permits(tools: &Toolbox<'_>) -> Result<()> {
    let example = Example::build(tools, "rate_limit")?;
    for limit in [1, 3] {
        let limited = format!("--requests 40 --time 10 --limit {limit}");
        let enough = |ranks: u32| {
            let most = ranks.min(limit);
            format!("verified: 40 answers, none refused, {most} at once at most")
        };
        let too_many = "verified: 40 answers, some only after refusals";
        let without = |ranks| {
            if ranks > limit {
                too_many.to_owned()
            } else {
                enough(ranks)
            }
        };
        example.ends_with(enough, &words(&limited))?;
        example.ends_with(without, &words(&(limited + " --unlimited")))?;
    }
    Ok(())
}

/// Runs the example of a batch: kills it in the middle and starts it again, and lets tasks fail.
fn check_sweep(tools: &Toolbox<'_>, dir: &Path) -> Result<()> {
    let example = Example::build(tools, "parameter_sweep")?;
    let sweep = dir.join("sweep");
    let file = sweep.join("results.h5");
    let args = |text: &str| -> Vec<OsString> {
        [sweep.clone().into()]
            .into_iter()
            .chain(words(text))
            .collect()
    };

    remove_dir(&sweep)?;
    // Its tasks are given out in their order, and there are 200.
    let is_in_the_middle = || sweep.join("050/result.h5").exists();
    tools.launch_and_kill(RANKS, &example.program, &args(""), is_in_the_middle)?;
    let last = example.last_line(RANKS, &args(""))?;
    ensure!(
        done(&last).is_some_and(|(before, now)| before > 0 && now > 0 && before + now == 200),
        "parameter_sweep that was killed in the middle ends with `{last}` when it is started again"
    );
    let count = example.datasets(&args("--check"))?;
    ensure!(count == 200, "parameter_sweep has {count} results, not 200");
    read_with_h5dump(&file, count)?;
    read_with_h5py(&file, count)?;

    for ranks in DIFFERENT_RANKS {
        remove_dir(&sweep)?;
        let verified = |count| format!("verified: {count} datasets in {}", file.display());
        let runs = [
            ("--fail 7", "done before: 0; done now: 19; failed: 1"),
            ("", "done before: 19; done now: 0; failed: 1"),
            ("--check", &verified(19)),
            ("--retry-failed", "done before: 19; done now: 1; failed: 0"),
            ("--check", &verified(20)),
        ];
        for (words, expected) in runs {
            example.ends_with_on(ranks, expected, &args(&format!("--tasks 20 {words}")))?;
        }
    }
    remove_dir(&sweep)
}

/// An example that is built.
struct Example<'a> {
    tools: &'a Toolbox<'a>,
    name: &'static str,
    program: PathBuf,
}

impl<'a> Example<'a> {
    fn build(tools: &'a Toolbox<'_>, name: &'static str) -> Result<Self> {
        let program = tools.build(EXAMPLES, name, Build::Release)?;
        Ok(Self {
            tools,
            name,
            program,
        })
    }

    /// Runs it, and returns the last line that it prints.
    fn last_line(&self, ranks: u32, args: &[OsString]) -> Result<String> {
        let mut last = String::new();
        self.tools.launch(ranks, &self.program, args, |line| {
            pass_on(line);
            line.clone_into(&mut last);
        })?;
        Ok(last)
    }

    /// Makes sure that this is the last line that it prints.
    fn ends_with_on(&self, ranks: u32, expected: &str, args: &[OsString]) -> Result<()> {
        let title = format!("{} on {ranks} ranks", self.name);
        let last = self.last_line(ranks, args).with_context(|| title.clone())?;
        ensure!(
            last == expected,
            "{title} ends with `{last}`, not `{expected}`"
        );
        Ok(())
    }

    /// The same on different numbers of ranks.
    fn ends_with(&self, expected: impl Fn(u32) -> String, args: &[OsString]) -> Result<()> {
        let mut ranks = DIFFERENT_RANKS.into_iter();
        ranks.try_for_each(|ranks| self.ends_with_on(ranks, &expected(ranks), args))
    }

    /// Runs it if it writes datasets, and returns how many of them it has verified.
    fn datasets(&self, args: &[OsString]) -> Result<usize> {
        let last = self.last_line(RANKS, args)?;
        verified(&last).with_context(|| {
            format!("the last line is not `verified: N datasets in PATH` but `{last}`")
        })
    }
}

fn words(text: &str) -> Vec<OsString> {
    text.split_whitespace().map(OsString::from).collect()
}

/// N and M of `done before: N; done now: M; failed: 0`.
fn done(line: &str) -> Option<(u32, u32)> {
    let (before, now) = line
        .strip_prefix("done before: ")?
        .strip_suffix("; failed: 0")?
        .split_once("; done now: ")?;
    Some((before.parse().ok()?, now.parse().ok()?))
}

/// How many files with the beginning of a PNG file a directory has.
fn pictures_in(dir: &Path) -> Result<usize> {
    let count = || -> std::io::Result<usize> {
        let mut count = 0;
        for entry in fs::read_dir(dir)? {
            count += usize::from(fs::read(entry?.path())?.starts_with(b"\x89PNG\r\n\x1a\n"));
        }
        Ok(count)
    };
    count().with_context(|| format!("cannot read {}", dir.display()))
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

/// N of `verified: N datasets in PATH`.
fn verified(line: &str) -> Option<usize> {
    let (count, _) = line
        .strip_prefix("verified: ")?
        .split_once(" datasets in ")?;
    count.parse().ok()
}

/// A file that is not there yet, in a directory that is.
fn fresh_file(dir: &Path, name: &str) -> Result<PathBuf> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let file = dir.join(name);
    if file.exists() {
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    Ok(file)
}

/// Removes a directory, if it is there.
fn remove_dir(dir: &Path) -> Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))
}

/// HDF5's own reader reads all of the file and finds as many datasets in it.
fn read_with_h5dump(file: &Path, count: usize) -> Result<()> {
    if on_path("h5dump").is_none() {
        say("h5dump is not here: it cannot read the file as a check");
        return Ok(());
    }
    let dump =
        output_of(Command::new("h5dump").arg(file)).context("h5dump cannot read the file")?;
    let found = dump
        .lines()
        .filter(|line| line.trim_start().starts_with("DATASET "))
        .count();
    ensure!(
        found == count,
        "h5dump finds {found} datasets in {}, not {count}",
        file.display()
    );
    say(format!(
        "h5dump reads {count} datasets in {}",
        file.display()
    ));
    Ok(())
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

/// Python reads all of the file and finds as many datasets in it.
fn read_with_h5py(file: &Path, count: usize) -> Result<()> {
    // The system's Python may have a module that the one on PATH lacks.
    let has_h5py =
        |python: &&str| output_of(Command::new(python).args(["-c", "import h5py"])).is_some();
    let Some(python) = ["python3", "/usr/bin/python3"].into_iter().find(has_h5py) else {
        say("h5py is not here: it cannot read the file as a check");
        return Ok(());
    };
    let output = output_of(Command::new(python).args(["-c", H5PY]).arg(file))
        .context("h5py cannot read the file")?;
    if output.trim() != count.to_string() {
        bail!(
            "h5py finds {} datasets in {}, not {count}",
            output.trim(),
            file.display()
        );
    }
    say(format!("h5py reads {count} datasets in {}", file.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_tells_how_many_tasks_were_done_before() {
        let line = "done before: 57; done now: 143; failed: 0";
        assert_eq!(done(line), Some((57, 143)));
        assert_eq!(done(&line.replace("failed: 0", "failed: 1")), None);
    }

    #[test]
    fn the_last_line_tells_how_many_datasets_there_are() {
        assert_eq!(
            verified("verified: 32 datasets in /tmp/results.h5"),
            Some(32)
        );
        assert_eq!(verified("verified: some datasets in /tmp/results.h5"), None);
        assert_eq!(verified("error: 32 datasets in /tmp/results.h5"), None);
    }
}
