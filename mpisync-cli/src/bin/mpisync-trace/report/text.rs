//! The report as lines for a terminal.

use super::gaps::gaps;
use super::{Lost, Report, Time, Wait};
use crate::folder::Found;
use crate::job::Job;
use mpisync_cli::columns::{Fit, columns};
use mpisync_cli::line::{BAD, BUSY, FAINT, Line, ODD, PLAIN, TITLE};
use mpisync_cli::text::{counted, end_of, name_line, shortened};
use mpisync_cli::time::{of_day, percent, precise};
use std::collections::BTreeSet;

/// The columns before the last one of a table of lost time.
const BEFORE: usize = 2 + 8 + 2 + 7 + 2 + 7 + 2 + 8 + 2;
/// The columns of the name of an object within a sentence.
const NAME: usize = 30;
/// The columns that a last column has at least, if need be in lines of its own.
const LEAST: usize = 24;

/// The lines, each of at most `width` columns; each table has at most `top` rows.
pub fn lines(found: &Found, job: &Job, report: &Report, top: usize, width: usize) -> Vec<Line> {
    let mut text = Text {
        lines: Vec::new(),
        report,
        top,
        width,
    };
    text.summary(job);
    text.gaps(found, job);
    if report.waiting > 0 || !report.longest.is_empty() {
        text.table(
            "lost by the line that kept others waiting",
            "KEPT AT",
            &report.keeper_lines,
        );
        text.table(
            "lost by the line that waited",
            "WAITED AT",
            &report.waiting_lines,
        );
        text.table("lost by object", "OBJECT", &report.objects);
        text.waits("longest waits", &report.longest, report.longest.len());
        let all = usize::try_from(report.still_waiting_count).unwrap_or(usize::MAX);
        text.waits("still waiting", &report.still_waiting, all);
        text.pairs();
    }
    text.lines
}

struct Text<'a> {
    lines: Vec<Line>,
    report: &'a Report,
    top: usize,
    width: usize,
}

impl Text<'_> {
    fn wrapped(&mut self, line: &Line) {
        self.lines.extend(line.wrap(self.width, 4));
    }

    fn summary(&mut self, job: &Job) {
        let report = self.report;
        let (ranks, rest) = extent(job, report);
        self.wrapped(&Line::new().with(TITLE, ranks).with(PLAIN, rest));
        let line = match report.events {
            0 => Line::from("  no events: nothing was done with objects while it was traced"),
            _ => {
                let part = share(report.waiting, report.available);
                let line = Line::from("  ").with(ODD.bold(), format!("{part} waiting"));
                line.with(
                    PLAIN,
                    format!(
                        ": {} of the {} of these ranks",
                        precise(report.waiting),
                        precise(u64::try_from(report.available).unwrap_or(u64::MAX))
                    ),
                )
            }
        };
        self.wrapped(&line);
    }

    fn gaps(&mut self, found: &Found, job: &Job) {
        for gap in gaps(found, job, self.report) {
            self.wrapped(&Line::from("  ").with(ODD, gap));
        }
        for error in found.unreadable.iter().take(self.top) {
            let line = Line::from("  ").with(BAD, format!("not readable: {error}"));
            self.wrapped(&line);
        }
        self.more(found.unreadable.len());
    }

    fn title(&mut self, title: &str) {
        self.lines.push(Line::new());
        self.wrapped(&Line::new().with(TITLE, title));
    }

    fn more(&mut self, all: usize) {
        if all > self.top {
            let text = format!("  and {} more", all - self.top);
            self.lines.push(Line::new().with(FAINT, text));
        }
    }

    fn table(&mut self, title: &str, of: &str, rows: &[Lost]) {
        self.title(title);
        let room = self.width.saturating_sub(BEFORE).max(LEAST);
        let rows_shown = rows.iter().take(self.top).map(|row| {
            let by = match &row.by {
                Some(by) if of == "OBJECT" => shortened(&name_line(by), room).into(),
                // The end of a path says more than its beginning.
                Some(by) => end_of(&name_line(by), room).into(),
                None => Line::new().with(FAINT, "(unknown)"),
            };
            self.row(&row.time, by)
        });
        let mut table = vec![heads(of)];
        table.extend(rows_shown);
        self.lines.extend(columns(&table, Fit::Wrap(self.width)));
        self.more(rows.len());
    }

    fn row(&self, time: &Time, last: Line) -> Vec<Line> {
        vec![
            Line::new().with(ODD, format!("{:>8}", precise(time.sum))),
            format!("{:>7}", share(time.sum, self.report.waiting.into())).into(),
            format!("{:>7}", time.waits).into(),
            format!("{:>8}", precise(time.longest)).into(),
            last,
        ]
    }

    fn pairs(&mut self) {
        let pairs = &self.report.pairs;
        if pairs.is_empty() {
            return;
        }
        self.title("who kept whom waiting");
        let mut table = vec![heads("RANKS")];
        table.extend(pairs.iter().take(self.top).map(|pair| {
            let keeper = Line::new().with(BUSY, format!("rank {}", pair.keeper));
            let ranks = keeper
                .with(PLAIN, " kept ")
                .with(ODD, format!("rank {}", pair.waiter));
            self.row(&pair.time, ranks)
        }));
        self.lines.extend(columns(&table, Fit::Wrap(self.width)));
        self.more(pairs.len());
    }

    fn waits(&mut self, title: &str, waits: &[Wait], all: usize) {
        if waits.is_empty() {
            return;
        }
        self.title(title);
        let rows: Vec<Vec<Line>> = (waits.iter().take(self.top))
            .map(|wait| {
                let lost = Line::new().with(ODD, format!("{:>8}", precise(wait.lost)));
                vec![lost, self.wait(wait)]
            })
            .collect();
        self.lines.extend(columns(&rows, Fit::Wrap(self.width)));
        if title == "still waiting" {
            self.more(all);
        }
    }

    fn wait(&self, wait: &Wait) -> Line {
        let room = self.width.saturating_sub(20).max(NAME);
        let object = shortened(&name_line(&wait.object), NAME);
        let call = shortened(&name_line(&wait.call), NAME);
        let mut line = Line::new().with(ODD, format!("rank {}", wait.rank));
        line.add(PLAIN, format!(" in `{call}` of {object}"));
        if let Some(place) = &wait.place {
            line.add(PLAIN, format!(" at {}", end_of(&name_line(place), room)));
        }
        if wait.keeper.is_some() || wait.keeper_place.is_some() {
            line.add(PLAIN, ", kept");
        }
        if let Some(keeper) = wait.keeper {
            line.add(PLAIN, " by ");
            line.add(BUSY, format!("rank {keeper}"));
        }
        if let Some(place) = &wait.keeper_place {
            line.add(PLAIN, " at ");
            line.add(BUSY, end_of(&name_line(place), room));
        }
        line.add(FAINT, format!(", from {}", precise(wait.begin)));
        line
    }
}

fn heads(of: &str) -> Vec<Line> {
    let heads = ["    LOST", "  SHARE", "  WAITS", " LONGEST", of];
    heads.map(|head| Line::new().with(FAINT, head)).to_vec()
}

/// How many ranks a report is of, and what else it covers.
pub fn extent(job: &Job, report: &Report) -> (String, String) {
    let hosts: BTreeSet<&str> = job.lanes().iter().map(|lane| &*lane.host).collect();
    let (all, present) = (job.size as usize, job.lanes().len());
    let ranks = match present == all {
        true => counted(all, "rank"),
        false => format!("{present} of {}", counted(all, "rank")),
    };
    let rest = format!(
        " on {}, {} from {}, {}",
        counted(hosts.len(), "host"),
        precise(report.span),
        of_day(job.epoch.saturating_add(job.begin()) as f64 / 1e9),
        counted(
            usize::try_from(report.events).unwrap_or(usize::MAX),
            "event"
        ),
    );
    (ranks, rest)
}

/// A share in percent.
pub fn share(part: u64, all: u128) -> String {
    // `percent` takes 64 bits.
    let shift = (128 - all.leading_zeros()).saturating_sub(64);
    let all = u64::try_from(all >> shift).unwrap_or(u64::MAX);
    percent(part >> shift, all)
}
