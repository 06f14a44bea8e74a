//! `mpisync-batch status`.

use crate::End;
use crate::document::Document;
use crate::limits::Limits;
use crate::look::Look;
use crate::state_directory::{StaleAfter, StateDirectory};
use crate::table::table;
use anyhow::Result;
use mpisync::batch::directory::Directory;
use mpisync::batch::{Meter, Summary};
use mpisync_cli::columns::Fit;
use mpisync_cli::line::Line;
use mpisync_cli::output::{print, print_json};
use mpisync_cli::screen::{self, Screen};
use std::thread;
use std::time::{Duration, Instant};

/// The shortest pause between two looks.
const INTERVAL: Duration = Duration::from_millis(500);
/// The shortest pause in units of the duration of a look: the files are for the jobs first.
const REST: u32 = 9;

/// Shows how many tasks are done, failed, running and open, how fast they end, which jobs run them,
/// and why the last ones failed
#[derive(clap::Args)]
pub struct Status {
    #[command(flatten)]
    directory: StateDirectory,
    /// Refreshes it until no work is left; q or Ctrl-C ends it before. Where standard output is no
    /// terminal, and with --json, writes lines or a bar to standard error until then
    #[arg(short, long)]
    watch: bool,
    /// Prints everything as JSON: all tasks, and the number of the `schema`
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stale_after: StaleAfter,
}

impl Status {
    pub fn run(&self) -> Result<End> {
        if self.watch && !self.json && screen::is_terminal() {
            return self.watch_on_screen();
        }
        let (directory, look) = match self.watch {
            true => self.watch()?,
            false => self.look()?,
        };
        match self.json {
            true => {
                let document = Document::of(&self.directory, &directory, &look);
                print_json(&serde_json::to_string_pretty(&document)?)?;
            }
            false => {
                let fit = screen::columns().map_or(Fit::Whole, Fit::Wrap);
                print(&self.table(&directory, &look, fit, Limits::default()))?;
            }
        }
        Ok(end(&look.summary))
    }

    fn open(&self) -> Result<Directory> {
        self.directory.open(self.stale_after.options())
    }

    fn table(&self, directory: &Directory, look: &Look, fit: Fit, limits: Limits) -> Vec<Line> {
        table(&self.directory, directory, look, fit, limits)
    }

    fn look(&self) -> Result<(Directory, Look)> {
        let directory = self.open()?;
        let look = Look::at(&directory);
        Ok((directory, look))
    }

    /// Refreshes the table in place until no work is left, or the user leaves.
    fn watch_on_screen(&self) -> Result<End> {
        let mut directory = self.open()?;
        let mut screen = Screen::new()?;
        loop {
            let start = Instant::now();
            let look = Look::at(&directory);
            let (columns, rows) = (screen.columns(), screen.rows());
            let limits = Limits::within(rows, &look.summary);
            let lines = self.table(&directory, &look, Fit::Cut(columns), limits);
            screen.show(&lines)?;
            let is_over = look.summary.is_over() && self.has_no_more(&mut directory)?;
            if is_over || screen.is_left_within(pause(start)) {
                // What is cut is left whole, if there is room for all of it.
                let all = self.table(&directory, &look, Fit::Wrap(columns), Limits::default());
                if all.len() <= rows {
                    screen.show(&all)?;
                }
                return Ok(end(&look.summary));
            }
        }
    }

    /// Writes the progress to standard error until no work is left.
    fn watch(&self) -> Result<(Directory, Look)> {
        let mut directory = self.open()?;
        let mut meter: Option<Meter> = None;
        loop {
            let start = Instant::now();
            let look = Look::at(&directory);
            let now = look.summary;
            let begin = || Meter::new(self.directory.name(), &now);
            let mut shown = meter.take().unwrap_or_else(begin);
            if now.is_over() && self.has_no_more(&mut directory)? {
                shown.finish(&now);
                return Ok((directory, look));
            }
            shown.show(&now);
            meter = Some(shown);
            thread::sleep(pause(start));
        }
    }

    /// Whether the directory has the same tasks as before. It may have more by now, or be gone.
    fn has_no_more(&self, directory: &mut Directory) -> Result<bool> {
        let again = self.open()?;
        let is_same = again.names() == directory.names();
        if !is_same {
            *directory = again;
        }
        Ok(is_same)
    }
}

fn pause(since: Instant) -> Duration {
    INTERVAL.max(since.elapsed().saturating_mul(REST))
}

fn end(summary: &Summary) -> End {
    match summary {
        now if !now.is_over() => End::WorkLeft,
        now if now.done < now.total() => End::Failures,
        _ => End::Well,
    }
}
