//! `cargo xtask bench`: a benchmark and the other packages that it compares, on one or several numbers of ranks, and the
//! pictures of all of them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;

use crate::launch::{Options, Toolbox};
use crate::mpi::Mpi;
use crate::peers;
use crate::process::{pass_on, run, say};
use crate::programs::{BENCH, HostsArgs, programs_in};
use crate::setup::Need;
use crate::workspace::Workspace;

/// The program that draws.
const PLOT: &str = "plot";

/// `cargo xtask bench`
#[derive(Args)]
pub struct Bench {
    /// Which benchmark
    #[arg(value_parser = programs_in("bench"))]
    pub bench: String,
    /// How many ranks to start; with several numbers, such as `1,2,4`, a job of each
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "2")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    ranks: Vec<u32>,
    #[command(flatten)]
    hosts: HostsArgs,
    /// Also write the figures to this file; with several MPIs the MPI's name is put before the extension
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the figures into this directory, as SVG (batch, channel, lock, sync); with several MPIs into a directory in it for
    /// each
    #[arg(long, value_name = "DIR")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
    /// Arguments for the benchmark, after `--`
    #[arg(last = true)]
    pub args: Vec<String>,
}

impl Bench {
    /// Runs a benchmark on each of the chosen MPIs.
    pub fn run(&self, workspace: &Workspace) -> Result<()> {
        if let Some(directory) = &self.plot {
            // What cannot be drawn is not measured.
            self.check_figures(workspace)?;
            check_writable(directory)?;
        }
        self.options
            .with_each_mpi(workspace, Need::Mpi, self.hosts.hosts, |tools| {
                self.with_one_mpi(&tools)
            })
    }

    /// Whether the benchmark runs on one host.
    pub const fn is_on_one_host(&self) -> bool {
        self.hosts.hosts.is_none()
    }

    /// Checks that the benchmark has figures.
    fn check_figures(&self, workspace: &Workspace) -> Result<()> {
        let all = with_figures(workspace);
        ensure!(
            all.contains(&self.bench),
            "the benchmark {} has no figure, so that --plot draws nothing; these have: {}",
            self.bench,
            all.join(", ")
        );
        Ok(())
    }

    /// A job for each number of ranks, and then the files of all.
    fn with_one_mpi(&self, tools: &Toolbox<'_>) -> Result<()> {
        let keeps = self.json.is_some() || self.plot.is_some();
        let only_help = self.args.iter().any(|argument| argument == "--help");
        let mut entries = Vec::new();
        let mut busiest = 0;
        for &ranks in &self.ranks {
            if self.plot.is_some() {
                busiest = busiest.max(busy_percent(Duration::from_secs(1)));
            }
            let (program, figures) = peers::measure(self, ranks, tools)?;
            let mut args: Vec<OsString> = self.args.iter().map(OsString::from).collect();
            args.extend(figures);
            let json = tools.target().join(format!("{}-{ranks}.json", self.bench));
            if keeps {
                args.extend(["--json".into(), json.clone().into_os_string()]);
            }
            self.launch_until_complete(tools, ranks, &program, &args)?;
            // Such a job does not measure, and sends nothing.
            if only_help {
                return Ok(());
            }
            tools.check_traffic()?;
            if keeps {
                entries.extend(taken(&json)?);
            }
        }
        let has_several = tools.machine.mpis.len() > 1;
        let all = match &self.json {
            Some(json) if has_several => named_after(json, tools.mpi),
            Some(json) => json.clone(),
            None => tools.target().join(format!("{}.json", self.bench)),
        };
        if keeps {
            write(&all, &entries)?;
        }
        let Some(directory) = &self.plot else {
            return Ok(());
        };
        let directory = match has_several {
            true => directory.join(label(tools.mpi)),
            false => directory.clone(),
        };
        let note = format!("Before the jobs, other programs used up to {busiest} % of the cores.");
        self.draw(tools, &all, &note, &directory)
    }

    /// Draws all figures of a file.
    fn draw(&self, tools: &Toolbox<'_>, file: &Path, note: &str, directory: &Path) -> Result<()> {
        let mut plot = Command::new(tools.build(BENCH, PLOT, &["--release"])?);
        plot.arg(&self.bench)
            .arg("--into")
            .args([directory, file])
            .args(["--note", note]);
        tools.equip(&mut plot);
        run(&mut plot)
    }

    /// Runs a benchmark, and again without a subject that stood still: a job in which one does cannot go on. The benchmark
    /// keeps a record of what it has measured, and of what stood still.
    fn launch_until_complete(
        &self,
        tools: &Toolbox<'_>,
        ranks: u32,
        program: &Path,
        args: &[OsString],
    ) -> Result<()> {
        let record = tools.target().join(format!("{}-record.json", self.bench));
        let remove_record = || {
            if record.exists() {
                fs::remove_file(&record)
            } else {
                Ok(())
            }
        };
        remove_record()?;
        let mut job = tools.job(ranks, program, args)?;
        job.env("XTASK_BENCH_RECORD", &record);
        let mut still = 0;
        while let Err(error) = tools.launch(&mut job, pass_on) {
            let now = stood_still(&fs::read_to_string(&record).unwrap_or_default());
            if now <= still {
                return Err(error);
            }
            still = now;
            say("the benchmark goes on without what stood still");
        }
        Ok(remove_record()?)
    }
}

/// How much of all cores programs use within this time, in percent.
fn busy_percent(time: Duration) -> u64 {
    let before = processor_time();
    thread::sleep(time);
    let after = processor_time();
    let idle = after.0.saturating_sub(before.0);
    let all = after.1.saturating_sub(before.1);
    let busy = 100 * all.saturating_sub(idle);
    busy.checked_div(all).unwrap_or(0)
}

/// The idle and the whole time of all cores since the start of the system, in ticks; nothing if the system does not tell.
fn processor_time() -> (u64, u64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    ticks(text.lines().next().unwrap_or_default())
}

/// These of a line `cpu user nice system idle iowait irq …`; the two numbers after the eighth are parts of the first two.
fn ticks(line: &str) -> (u64, u64) {
    let numbers = line.split_whitespace().skip(1).take(8);
    let numbers: Vec<u64> = numbers.filter_map(|number| number.parse().ok()).collect();
    (numbers.iter().skip(3).take(2).sum(), numbers.iter().sum())
}

/// How many subjects stood still, in the record of a benchmark.
fn stood_still(record: &str) -> usize {
    let outcomes = serde_json::from_str(record);
    let outcomes: Vec<Value> = outcomes.unwrap_or_default();
    let had_no_end = |outcome: &&Value| !outcome["no_end_in"].is_null();
    outcomes.iter().filter(had_no_end).count()
}

/// The benchmarks that have figures: those whose module has a `figure.rs`.
fn with_figures(workspace: &Workspace) -> Vec<String> {
    let folders = fs::read_dir(workspace.root.join("bench/src"));
    let folders = folders.into_iter().flatten().flatten();
    let mut names: Vec<String> = folders
        .filter(|folder| folder.path().join("figure.rs").is_file())
        .filter_map(|folder| folder.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Makes a directory if it does not exist, and checks that files can be made in it.
fn check_writable(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| {
        format!(
            "cannot make the directory {} of --plot",
            directory.display()
        )
    })?;
    let probe = directory.join(format!(".xtask-{}", std::process::id()));
    File::create(&probe)
        .and_then(|_| fs::remove_file(&probe))
        .with_context(|| {
            format!(
                "cannot write in the directory {} of --plot",
                directory.display()
            )
        })
}

/// The entries in the file of a job, which is removed.
fn taken(file: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(file);
    let text = text.with_context(|| format!("the job wrote no figures: {}", file.display()))?;
    fs::remove_file(file)?;
    serde_json::from_str(&text).with_context(|| format!("cannot read {}", file.display()))
}

fn write(file: &Path, entries: &[Value]) -> Result<()> {
    let text = serde_json::to_string_pretty(entries)? + "\n";
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn label(mpi: &Mpi) -> String {
    format!("{}-{}", mpi.family.name(), mpi.version)
}

/// `figures.json` becomes `figures.openmpi-4.1.4.json`.
fn named_after(file: &Path, mpi: &Mpi) -> PathBuf {
    let mut extension = OsString::from(label(mpi));
    if let Some(last) = file.extension() {
        extension.push(".");
        extension.push(last);
    }
    file.with_extension(extension)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        bench: Bench,
    }

    fn bench(line: &[&str]) -> Result<Bench, clap::Error> {
        let line = ["bench"].iter().chain(line);
        Line::try_parse_from(line).map(|line| line.bench)
    }

    /// A directory for one test.
    fn directory(name: &str) -> PathBuf {
        let name = format!("xtask-bench-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[test]
    fn a_benchmark_runs_on_several_numbers_of_ranks() {
        assert_eq!(bench(&["lock"]).unwrap().ranks, [2]);
        let several = bench(&["lock", "--ranks", "1,2,8"]).unwrap();
        assert_eq!(several.ranks, [1, 2, 8]);
        for wrong in ["0", "2,", "two"] {
            assert!(bench(&["lock", "--ranks", wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_benchmark_without_figures_is_not_measured_for_them() {
        let workspace = Workspace::find().unwrap();
        for name in ["batch", "channel", "lock", "sync"] {
            bench(&[name]).unwrap().check_figures(&workspace).unwrap();
        }
        let directory = directory("none").join("not-made");
        let line = ["region", "--plot", directory.to_str().unwrap()];
        let error = bench(&line).unwrap().run(&workspace).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("the benchmark region has no figure"),
            "{error}"
        );
        assert!(
            error.ends_with("these have: batch, channel, lock, sync"),
            "{error}"
        );
        assert!(!directory.exists());
        fs::remove_dir(directory.parent().unwrap()).unwrap();
    }

    #[test]
    fn nothing_is_measured_for_a_directory_that_cannot_be_written() {
        let workspace = Workspace::find().unwrap();
        let directory = directory("file");
        let file = directory.join("file");
        fs::write(&file, "").unwrap();
        for (path, why) in [(file.clone(), "exists"), (file.join("below"), "directory")] {
            let line = ["lock", "--plot", path.to_str().unwrap()];
            let error = bench(&line).unwrap().run(&workspace).unwrap_err();
            let error = format!("{error:#}");
            assert!(
                error.contains("--plot") && error.contains("/file"),
                "{error}"
            );
            assert!(error.contains(why), "{error}");
        }
        // Nothing is left in one that can be.
        fs::remove_file(&file).unwrap();
        check_writable(&directory).unwrap();
        fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn jobs_go_into_one_file() {
        let directory = directory("files");
        let mut all = Vec::new();
        for ranks in [1, 2] {
            let one = directory.join("one.json");
            fs::write(&one, format!(r#"[{{"ranks":{ranks}}}]"#)).unwrap();
            all.extend(taken(&one).unwrap());
            assert!(!one.exists());
        }
        let file = directory.join("all.json");
        write(&file, &all).unwrap();
        let read = taken(&file).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[1]["ranks"], 2);
        let error = taken(&file).unwrap_err().to_string();
        assert!(error.starts_with("the job wrote no figures: "), "{error}");
        fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn what_other_programs_use_is_known_from_the_times_of_the_cores() {
        assert_eq!(ticks("cpu  10 2 3 80 5 1 1 4 7 2"), (85, 106));
        assert_eq!(ticks(""), (0, 0));
        // This test is such a program.
        let is_over = AtomicBool::new(false);
        let busy = thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
            let busy = busy_percent(Duration::from_millis(300));
            is_over.store(true, Ordering::Relaxed);
            busy
        });
        assert!((1..=100).contains(&busy), "{busy}");
    }

    #[test]
    fn subjects_that_stood_still_are_counted() {
        let record =
            r#"[{"subject":"a","no_end_in":20},{"subject":"b","no_end_in":null},{"subject":"c"}]"#;
        assert_eq!(stood_still(record), 1);
        assert_eq!(stood_still(""), 0);
    }
}
