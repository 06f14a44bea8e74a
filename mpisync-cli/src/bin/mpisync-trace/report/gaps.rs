//! What is missing in a report, in words.

use super::Report;
use crate::folder::Found;
use crate::job::Job;
use mpisync_cli::text::counted;
use std::ops::RangeInclusive;

/// How many ranges of ranks are listed.
const MOST_RANGES: usize = 8;

/// A sentence for each thing that is missing, without the files that cannot be read.
pub fn gaps(found: &Found, job: &Job, report: &Report) -> Vec<String> {
    let mut gaps = Vec::new();
    if !report.missing.is_empty() {
        let numbers = report.missing.iter();
        let number: u64 = numbers.map(|it| u64::from(it.end() - it.start()) + 1).sum();
        gaps.push(format!("{} without a file", ranks(number, &report.missing)));
    }
    if !report.cut.is_empty() {
        let cut = of_ranks(report.cut.iter().copied());
        gaps.push(format!("{cut} without an end: killed, or still running"));
    }
    if !report.lost.is_empty() {
        let number = report.lost.iter().map(|(_, lost)| u128::from(*lost));
        let events = match number.sum::<u128>() {
            1 => "oldest event is".to_owned(),
            number => format!("{number} oldest events are"),
        };
        let ranks = of_ranks(report.lost.iter().map(|(rank, _)| *rank));
        gaps.push(format!("the {events} missing, of {ranks}"));
    }
    if job.reversed > 0 {
        let events = match job.reversed {
            1 => "1 event ends before it begins, and counts".to_owned(),
            number => format!("{number} events end before they begin, and count"),
        };
        gaps.push(format!("{events} as of no duration"));
    }
    if found.of_older_jobs > 0 {
        let files = counted(found.of_older_jobs, "file");
        gaps.push(format!("{files} of older jobs left out"));
    }
    gaps
}

/// Ranks in ascending order in words.
fn of_ranks(all: impl Iterator<Item = u32>) -> String {
    let mut ranges: Vec<RangeInclusive<u32>> = Vec::new();
    let mut number = 0;
    for rank in all {
        number += 1;
        match ranges.last_mut() {
            Some(last) if rank <= last.end().saturating_add(1) => *last = *last.start()..=rank,
            _ => ranges.push(rank..=rank),
        }
    }
    ranks(number, &ranges)
}

/// `rank 3`, or `3 ranks (1, 4-5)`.
fn ranks(number: u64, ranges: &[RangeInclusive<u32>]) -> String {
    if let ([range], 1) = (ranges, number) {
        return format!("rank {}", range.start());
    }
    let texts = ranges.iter().take(MOST_RANGES).map(|range| {
        let (start, end) = (range.start(), range.end());
        match start == end {
            true => start.to_string(),
            false => format!("{start}-{end}"),
        }
    });
    let mut texts: Vec<String> = texts.collect();
    if ranges.len() > MOST_RANGES {
        texts.push("…".to_owned());
    }
    format!("{number} ranks ({})", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_named_as_ranges() {
        assert_eq!(of_ranks([3].into_iter()), "rank 3");
        assert_eq!(of_ranks([0, 2, 3, 3].into_iter()), "4 ranks (0, 2-3)");
        let many = of_ranks((0..40).step_by(2));
        assert_eq!(many, "20 ranks (0, 2, 4, 6, 8, 10, 12, 14, …)");
        assert_eq!(
            of_ranks([u32::MAX, u32::MAX].into_iter()),
            "2 ranks (4294967295)"
        );
    }
}
