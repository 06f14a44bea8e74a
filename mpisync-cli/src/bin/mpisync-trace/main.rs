//! `mpisync-trace`: shows from the traces of a job where its ranks wait, and for whom.

mod axis;
mod coverage;
mod files;
mod folder;
mod job;
#[cfg(test)]
mod made;
mod report;

use anyhow::bail;
use clap::{CommandFactory, Parser};
use files::Shown;
use folder::newest_job;
use mpisync::inspect::trace;
use mpisync_cli::install::Install;
use mpisync_cli::line::{FAINT, Line};
use mpisync_cli::output::{complain, exit_code, print, print_json};
use mpisync_cli::screen::{self, COLUMNS};
use mpisync_cli::text::counted;
use report::Report;
use report::document::Document;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How many of the longest waits the files have at least.
const LONGEST: usize = 100;

const ABOUT: &str = "Shows from the traces of a job where its ranks wait, and for whom";

const LONG_ABOUT: &str = "\
Shows from the traces of a job where its ranks wait, and for whom.

It reads the files *.mpisync-trace of a folder, one for each rank, prints which lines of the source made others wait, \
and writes timeline.html, timeline.svg and timeline.json into the folder. The first is a page for any browser, and \
the last one a file for Perfetto and other viewers of the trace event format. If there are files of several jobs, \
it shows the newest one.";

const EXIT_CODES: &str = "\
Exit codes:
  0  success, also if ranks have no files or have not ended
  1  a failure, described on standard error, or a file could not be read
  2  wrong usage";

/// The arguments.
#[derive(Parser)]
#[command(name = "mpisync-trace", version, about = ABOUT, long_about = LONG_ABOUT, after_help = EXIT_CODES)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    subcommand_value_name = "COMMAND"
)]
struct Cli {
    /// The folder with the traces
    #[arg(required = true, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The most rows of each table
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// Print the report as JSON, with times in nanoseconds
    #[arg(long)]
    json: bool,
    /// Only print the report, and write no files
    #[arg(long)]
    no_files: bool,
    #[command(subcommand)]
    install: Option<Install>,
}

fn main() -> ExitCode {
    exit_code(run(&Cli::parse()))
}

/// Returns whether all files could be read.
fn run(cli: &Cli) -> anyhow::Result<bool> {
    if let Some(install) = &cli.install {
        install.run(Cli::command())?;
        return Ok(true);
    }
    match &cli.folder {
        Some(folder) => show(cli, folder),
        None => bail!("give the folder with the traces"),
    }
}

fn show(cli: &Cli, folder: &Path) -> anyhow::Result<bool> {
    let paths = folder::files(folder)?;
    if paths.is_empty() {
        let (folder, end) = (folder.display(), trace::EXTENSION);
        bail!("no traces in {folder}: the name of none of its files ends with .{end}");
    }
    let found = newest_job(paths.iter().map(|path| trace::read(path)));
    let Some(job) = &found.job else {
        for error in &found.unreadable {
            complain(&error.to_string());
        }
        let files = counted(paths.len(), "trace file");
        bail!("none of the {files} in {} can be read", folder.display());
    };
    let top = cli.top as usize;
    let report = Report::of(job, top.max(LONGEST));
    match cli.json {
        true => {
            let document = Document::of(folder, &found, job, &report, top);
            print_json(&serde_json::to_string_pretty(&document)?)?;
        }
        false => {
            let columns = screen::columns().unwrap_or(COLUMNS);
            print(&report::text::lines(&found, job, &report, top, columns))?;
        }
    }
    if !cli.no_files {
        let shown = Shown {
            found: &found,
            job,
            report: &report,
        };
        let written = files::write(folder, &shown)?;
        if !cli.json {
            print(&names(&written))?;
        }
    }
    Ok(found.unreadable.is_empty())
}

/// The files that were written, as lines.
fn names(written: &files::Written) -> Vec<Line> {
    let mut lines = vec![Line::new()];
    for path in &written.paths {
        let line = Line::new().with(FAINT, "wrote ");
        lines.push(line.with(mpisync_cli::line::PLAIN, path.to_string_lossy()));
    }
    if written.left_out > 0 {
        let events = counted(
            usize::try_from(written.left_out).unwrap_or(usize::MAX),
            "event",
        );
        let text =
            format!("  the JSON leaves out the shortest {events}, so that viewers can open it");
        lines.push(Line::new().with(FAINT, text));
    }
    lines
}
