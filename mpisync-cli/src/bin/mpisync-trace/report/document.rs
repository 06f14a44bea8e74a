//! The report as JSON.

use super::{Lost, Pair, Report, Time, Wait};
use crate::folder::Found;
use crate::job::Job;
use serde::Serialize;
use std::path::Path;

/// The version of the JSON. It grows when a field changes its meaning or goes away.
const SCHEMA: u32 = 2;

/// The document. Times are in nanoseconds. JavaScript rounds numbers above 2^53, so there are none: a job
/// of 2^53 nanoseconds would last a hundred days.
#[derive(Serialize)]
pub struct Document<'a> {
    schema: u32,
    directory: String,
    /// The number of the job, in hexadecimal digits.
    job: String,
    /// When the job's time 0 was, in microseconds since 1970.
    epoch_microseconds: u64,
    size: u32,
    ranks: usize,
    events: u64,
    span: u64,
    /// The sum of the times in which ranks waited.
    waiting: u64,
    /// The part of all ranks' time in which they waited.
    waiting_share: f64,
    keeper_lines: Vec<Row<'a>>,
    waiting_lines: Vec<Row<'a>>,
    objects: Vec<Row<'a>>,
    pairs: Vec<PairRow>,
    longest: Vec<WaitRow<'a>>,
    still_waiting: Vec<WaitRow<'a>>,
    /// The ranks that have not ended in order.
    cut: &'a [u32],
    lost: Vec<LostEvents>,
    /// The first and the last rank of each range without files.
    missing: Vec<[u32; 2]>,
    /// How many files of older jobs were left out.
    of_older_jobs: usize,
    unreadable: Vec<String>,
}

#[derive(Serialize)]
struct Sum {
    lost: u64,
    waits: u64,
    longest: u64,
}

#[derive(Serialize)]
struct Row<'a> {
    by: Option<&'a str>,
    #[serde(flatten)]
    sum: Sum,
}

#[derive(Serialize)]
struct PairRow {
    keeper: u32,
    waiter: u32,
    #[serde(flatten)]
    sum: Sum,
}

#[derive(Serialize)]
struct LostEvents {
    rank: u32,
    events: u64,
}

#[derive(Serialize)]
struct WaitRow<'a> {
    rank: u32,
    /// After the first event.
    begin: u64,
    lost: u64,
    duration: u64,
    object: &'a str,
    call: &'a str,
    place: Option<&'a str>,
    keeper: Option<u32>,
    keeper_place: Option<&'a str>,
}

impl<'a> Document<'a> {
    /// The document of a report, whose tables have at most `top` rows.
    pub fn of(folder: &Path, found: &'a Found, job: &Job, report: &'a Report, top: usize) -> Self {
        let rows = |rows: &'a [Lost]| rows.iter().take(top).map(Row::of).collect();
        let waits = |waits: &'a [Wait]| waits.iter().take(top).map(WaitRow::of).collect();
        Document {
            schema: SCHEMA,
            directory: folder.to_string_lossy().into_owned(),
            job: job.number(),
            epoch_microseconds: job.epoch / 1000,
            size: job.size,
            ranks: job.lanes().len(),
            events: report.events,
            span: report.span,
            waiting: report.waiting,
            waiting_share: match report.available {
                0 => 0.0,
                all => report.waiting as f64 / all as f64,
            },
            keeper_lines: rows(&report.keeper_lines),
            waiting_lines: rows(&report.waiting_lines),
            objects: rows(&report.objects),
            pairs: report.pairs.iter().take(top).map(PairRow::of).collect(),
            longest: waits(&report.longest),
            still_waiting: waits(&report.still_waiting),
            cut: &report.cut,
            lost: (report.lost.iter())
                .map(|&(rank, events)| LostEvents { rank, events })
                .collect(),
            missing: (report.missing.iter())
                .map(|range| [*range.start(), *range.end()])
                .collect(),
            of_older_jobs: found.of_older_jobs,
            unreadable: found.unreadable.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<&Time> for Sum {
    fn from(time: &Time) -> Self {
        Sum {
            lost: time.sum,
            waits: time.waits,
            longest: time.longest,
        }
    }
}

impl<'a> Row<'a> {
    fn of(row: &'a Lost) -> Self {
        Row {
            by: row.by.as_deref(),
            sum: Sum::from(&row.time),
        }
    }
}

impl PairRow {
    fn of(pair: &Pair) -> Self {
        PairRow {
            keeper: pair.keeper,
            waiter: pair.waiter,
            sum: Sum::from(&pair.time),
        }
    }
}

impl<'a> WaitRow<'a> {
    fn of(wait: &'a Wait) -> Self {
        WaitRow {
            rank: wait.rank,
            begin: wait.begin,
            lost: wait.lost,
            duration: wait.duration,
            object: &wait.object,
            call: &wait.call,
            place: wait.place.as_deref(),
            keeper: wait.keeper,
            keeper_place: wait.keeper_place.as_deref(),
        }
    }
}
