//! Where the ranks of a job have lost time by waiting.

pub mod document;
pub mod gaps;
mod holds;
pub mod text;
mod waits;

use self::holds::{Cursors, Holds};
use crate::job::{Job, Lane, Seen, label};
use mpisync::inspect::trace::Activity;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::Hash;
use std::ops::RangeInclusive;

/// The report of a job.
#[derive(Debug, Default, PartialEq)]
pub struct Report {
    /// From the first event to the last one, in nanoseconds.
    pub span: u64,
    /// The sum of the times in which ranks waited, in nanoseconds.
    pub waiting: u64,
    /// The sum of the times of all ranks: their number times the span.
    pub available: u128,
    /// How many events there are.
    pub events: u64,
    /// The places whose holds made others wait; where no hold is known, what the waits say.
    pub keeper_lines: Vec<Lost>,
    /// The places that waited.
    pub waiting_lines: Vec<Lost>,
    /// The objects that ranks waited for.
    pub objects: Vec<Lost>,
    /// Which ranks made which others wait, by those that kept a wait when it began.
    pub pairs: Vec<Pair>,
    /// The longest waits.
    pub longest: Vec<Wait>,
    /// The waits that have not ended, the longest first.
    pub still_waiting: Vec<Wait>,
    /// How many waits have not ended.
    pub still_waiting_count: u64,
    /// The ranks that have not ended in order.
    pub cut: Vec<u32>,
    /// How many events of a rank are missing.
    pub lost: Vec<(u32, u64)>,
    /// The ranks without a file.
    pub missing: Vec<RangeInclusive<u32>>,
}

/// Time that was lost by waiting.
#[derive(Clone, Debug, PartialEq)]
pub struct Lost {
    /// By what; none if that is not known.
    pub by: Option<String>,
    /// How much.
    pub time: Time,
}

/// The waits of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Their sum, in nanoseconds.
    pub sum: u64,
    /// Their number.
    pub waits: u64,
    /// The longest of them, in nanoseconds.
    pub longest: u64,
}

/// The time that a rank lost by another.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The rank that waited.
    pub waiter: u32,
    /// The rank that it waited for.
    pub keeper: u32,
    /// How much.
    pub time: Time,
}

/// A wait.
#[derive(Clone, Debug, PartialEq)]
pub struct Wait {
    /// The rank that waited.
    pub rank: u32,
    /// When it began, in nanoseconds after the first event.
    pub begin: u64,
    /// How long the rank waited in it, in nanoseconds.
    pub lost: u64,
    /// How long it lasted. It is more if a part of it counts for another wait.
    pub duration: u64,
    /// Whether it has not ended.
    pub is_open: bool,
    /// What it waited for.
    pub object: String,
    /// The call that waited.
    pub call: String,
    /// Where.
    pub place: Option<String>,
    /// The rank that kept it when it began.
    pub keeper: Option<u32>,
    /// Where that rank had taken what this one waited for.
    pub keeper_place: Option<String>,
}

impl Report {
    /// The report of a job. It has the `most` longest waits.
    pub fn of(job: &Job, most: usize) -> Self {
        let mut sums = Sums {
            most,
            ..Sums::default()
        };
        let holds = Holds::of(job);
        for lane in job.lanes() {
            sums.add(job, lane, &holds);
        }
        let line = |place: Option<u32>| place.map(|place| job.names.place(place).to_string());
        // Objects that differ in their identity only are not told apart by a reader.
        let mut objects: HashMap<String, Time> = HashMap::new();
        for (object, time) in &sums.objects {
            let label = label(job.names.object(*object));
            objects.entry(label).or_default().merge(time);
        }
        let lines = |sums: HashMap<Option<u32>, Time>| {
            let rows = sums.into_iter().map(|(place, time)| Lost {
                by: line(place),
                time,
            });
            sorted(rows.collect())
        };
        let pairs = sums.pairs.into_iter().map(|((keeper, waiter), time)| Pair {
            waiter,
            keeper,
            time,
        });
        let mut pairs: Vec<Pair> = pairs.collect();
        pairs.sort_by_key(|pair| (Reverse(pair.time.sum), pair.keeper, pair.waiter));
        let objects = objects.into_iter().map(|(label, time)| Lost {
            by: Some(label),
            time,
        });
        let wait = |(rank, seen, lost): &(u32, Seen, u64)| {
            let site = job.names.site(seen.site);
            Wait {
                rank: *rank,
                begin: seen.begin - job.begin(),
                lost: *lost,
                duration: seen.duration(),
                is_open: seen.is_open,
                object: label(job.names.object(site.object)),
                call: job.names.call(site.call).to_owned(),
                place: line(site.place),
                keeper: seen.keeper,
                keeper_place: line(seen.keeper_place),
            }
        };
        let lanes = job.lanes();
        Report {
            span: job.span(),
            waiting: sums.waiting,
            available: u128::from(job.span()) * lanes.len() as u128,
            events: job.events(),
            objects: sorted(objects.collect()),
            longest: longest_of(sums.longest, most).iter().map(wait).collect(),
            still_waiting: longest_of(sums.open, most).iter().map(wait).collect(),
            still_waiting_count: sums.open_count,
            keeper_lines: lines(sums.keeper_lines),
            waiting_lines: lines(sums.waiting_lines),
            pairs,
            cut: (lanes.iter().filter(|lane| !lane.has_ended))
                .map(|lane| lane.rank)
                .collect(),
            lost: (lanes.iter().filter(|lane| lane.lost > 0))
                .map(|lane| (lane.rank, lane.lost))
                .collect(),
            missing: missing(job),
        }
    }
}

impl Time {
    fn add(&mut self, lost: u64) {
        self.merge(&Time {
            sum: lost,
            waits: 1,
            longest: lost,
        });
    }

    fn merge(&mut self, other: &Time) {
        self.sum = self.sum.saturating_add(other.sum);
        self.waits += other.waits;
        self.longest = self.longest.max(other.longest);
    }
}

/// The sums over the waits of all ranks so far.
#[derive(Default)]
struct Sums {
    waiting: u64,
    keeper_lines: HashMap<Option<u32>, Time>,
    waiting_lines: HashMap<Option<u32>, Time>,
    objects: HashMap<u32, Time>,
    /// By the keeper and the waiter.
    pairs: HashMap<(u32, u32), Time>,
    /// How many of the longest waits are wanted.
    most: usize,
    longest: Vec<(u32, Seen, u64)>,
    open: Vec<(u32, Seen, u64)>,
    open_count: u64,
}

impl Sums {
    fn add(&mut self, job: &Job, lane: &Lane, holds: &Holds) {
        let events = job.events_of(lane);
        let waits: Vec<Seen> = events
            .filter(|event| event.activity == Activity::Wait)
            .collect();
        let parts = waits::parts(&waits);
        let mut rest = &parts[..];
        let mut cursors = Cursors::default();
        let mut lines: Vec<(Option<u32>, u64)> = Vec::new();
        for (index, wait) in waits.iter().enumerate() {
            let number = rest.partition_point(|part| part.wait == index);
            let (parts, others) = rest.split_at(number);
            rest = others;
            let lost: u64 = parts.iter().map(|part| part.end - part.begin).sum();
            // Another wait stands for all of its time.
            if lost == 0 && wait.duration() > 0 {
                continue;
            }
            let site = job.names.site(wait.site);
            self.waiting = self.waiting.saturating_add(lost);
            add(&mut self.waiting_lines, site.place, lost);
            add(&mut self.objects, site.object, lost);
            if let Some(keeper) = wait.keeper {
                add(&mut self.pairs, (keeper, lane.rank), lost);
            }
            lines.clear();
            for part in parts {
                for (place, time) in holds.within(&mut cursors, site.object, part.begin, part.end) {
                    add_line(&mut lines, Some(place), time);
                }
            }
            let held: u64 = lines.iter().map(|(_, time)| time).sum();
            if held < lost || lines.is_empty() {
                add_line(&mut lines, wait.keeper_place, lost - held);
            }
            for (place, time) in &lines {
                add(&mut self.keeper_lines, *place, *time);
            }
            self.longest.push((lane.rank, *wait, lost));
            if wait.is_open {
                self.open_count += 1;
                self.open.push((lane.rank, *wait, lost));
            }
        }
        self.longest = longest_of(std::mem::take(&mut self.longest), self.most);
        self.open = longest_of(std::mem::take(&mut self.open), self.most);
    }
}

/// Adds to the time that a wait lost by a line.
fn add_line(lines: &mut Vec<(Option<u32>, u64)>, line: Option<u32>, time: u64) {
    match lines.iter_mut().find(|(it, _)| *it == line) {
        Some((_, sum)) => *sum += time,
        None => lines.push((line, time)),
    }
}

fn add<K: Eq + Hash>(times: &mut HashMap<K, Time>, key: K, lost: u64) {
    times.entry(key).or_default().add(lost);
}

/// The `most` longest waits, the longest first.
fn longest_of(mut waits: Vec<(u32, Seen, u64)>, most: usize) -> Vec<(u32, Seen, u64)> {
    let key = |(rank, wait, lost): &(u32, Seen, u64)| (Reverse(*lost), *rank, wait.begin);
    if waits.len() > most {
        waits.select_nth_unstable_by_key(most, key);
        waits.truncate(most);
    }
    waits.sort_by_key(key);
    waits
}

/// The most time first, and what is not known last of the same time.
fn sorted(mut rows: Vec<Lost>) -> Vec<Lost> {
    rows.sort_by(|a, b| {
        let key = |row: &Lost| (Reverse(row.time.sum), row.by.is_none());
        key(a).cmp(&key(b)).then_with(|| a.by.cmp(&b.by))
    });
    rows
}

/// The ranks of the job without a file.
fn missing(job: &Job) -> Vec<RangeInclusive<u32>> {
    let mut missing = Vec::new();
    let mut next = 0;
    for rank in job.lanes().iter().map(|lane| lane.rank) {
        if rank > next {
            missing.push(next..=rank - 1);
        }
        next = next.max(rank.saturating_add(1));
    }
    if job.size > next {
        missing.push(next..=job.size - 1);
    }
    missing
}

#[cfg(test)]
mod tests;
