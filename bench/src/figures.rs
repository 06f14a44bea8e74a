//! From the figures of jobs to pictures. What each benchmark draws is in the `figure.rs` of its module.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;

use crate::plot::{Curve, Dots, Figure, Group, Row, Spread, Unit};
use crate::program::spelling;
use crate::report::{Entry, Setting};
use crate::{batch, channel, lock, sync};

/// How a benchmark draws its jobs.
type Draw = fn(&[Job]) -> Vec<Figure>;

/// The benchmarks that have pictures.
const BENCHMARKS: [(&str, Draw); 4] = [
    ("batch", batch::figure::draw),
    ("channel", channel::figure::draw),
    ("lock", lock::figure::draw),
    ("sync", sync::figure::draw),
];

/// The figures of a job.
pub struct Job {
    /// Its MPI, ranks and hosts.
    pub setting: Setting,
    entries: Vec<Entry>,
}

/// A measurement of a case, or none if the subject hung.
type Measured = Option<Spread>;

impl Job {
    /// The jobs of these entries, in the order of the ranks.
    pub fn all(entries: Vec<Entry>) -> Vec<Self> {
        let mut jobs: Vec<Self> = Vec::new();
        for entry in entries {
            match jobs.iter_mut().find(|job| job.setting == entry.setting) {
                Some(job) => job.entries.push(entry),
                None => jobs.push(Self {
                    setting: entry.setting.clone(),
                    entries: vec![entry],
                }),
            }
        }
        jobs.sort_by_key(|job| (job.setting.hosts, job.setting.ranks));
        jobs
    }

    /// What a subject takes in a case, if it was measured.
    fn measured(&self, case: impl ValueEnum, subject: impl ValueEnum) -> Option<Measured> {
        let (case, subject) = (spelling(case), spelling(subject));
        let is_it = |entry: &&Entry| entry.case == case && entry.subject == subject;
        let entry = self.entries.iter().find(is_it)?;
        let spread = |(median, (min, max))| Spread { median, min, max };
        Some(entry.value.zip(entry.min.zip(entry.max)).map(spread))
    }

    /// What a subject takes in a case, if it was measured and did not hang.
    pub fn value(&self, case: impl ValueEnum, subject: impl ValueEnum) -> Option<Spread> {
        self.measured(case, subject).flatten()
    }

    /// `BENCH-4-ranks`, and the number of hosts if there are several.
    pub fn file_name(&self, bench: &str) -> String {
        let Setting { ranks, hosts, .. } = self.setting;
        match hosts {
            1 => format!("{bench}-{}", counted(ranks, "rank", '-')),
            _ => format!("{bench}-{}-{hosts}-hosts", counted(ranks, "rank", '-')),
        }
    }

    /// `4 ranks on 2 cores, Open MPI 4.1.4`.
    pub fn place(&self) -> String {
        let ranks = counted(self.setting.ranks, "rank", ' ');
        format!("{ranks} {}", on(&self.setting))
    }
}

/// `on 2 cores, Open MPI 4.1.4`.
pub fn on(setting: &Setting) -> String {
    let Setting {
        mpi, hosts, cores, ..
    } = setting;
    let cores = counted(*cores, "core", ' ');
    match hosts {
        1 => format!("on {cores}, {mpi}"),
        _ => format!("on {hosts} hosts of a machine with {cores}, {mpi}"),
    }
}

fn counted(number: usize, thing: &str, between: char) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number}{between}{thing}{plural}")
}

/// What the lines through the points of all these pictures are.
pub const SPREAD: &str =
    "Marks are medians; the line through a mark goes from the shortest to the longest round.";

/// The times of all subjects in these cases, each case with its name in the picture.
pub fn dots<Case, Name>(
    title: &str,
    job: &Job,
    cases: &[(Case, &str)],
    ours: Name,
    words: impl Fn(Name) -> &'static str,
) -> Dots
where
    Case: ValueEnum + Copy,
    Name: ValueEnum + Copy + PartialEq,
{
    let row = |case: Case, name: Name| {
        Some(Row {
            name: words(name).to_owned(),
            is_ours: name == ours,
            value: job.measured(case, name)?,
        })
    };
    let groups = cases.iter().map(|(case, text)| Group {
        name: (*text).to_owned(),
        rows: Name::value_variants()
            .iter()
            .filter_map(|name| row(*case, *name))
            .collect(),
    });
    Dots {
        title: title.to_owned(),
        axis: String::from("time of an operation"),
        unit: Unit::Time,
        groups: groups.filter(|group| !group.rows.is_empty()).collect(),
    }
}

/// A curve for each subject. `points` returns its values, each with its x.
pub fn curves<Name>(
    words: impl Fn(Name) -> &'static str,
    points: impl Fn(Name) -> Vec<(f64, Option<Spread>)>,
) -> Vec<Curve>
where
    Name: ValueEnum + Copy,
{
    let names = Name::value_variants().iter().enumerate();
    let curves = names.map(|(colour, name)| Curve {
        name: words(*name).to_owned(),
        colour,
        dashed: false,
        points: points(*name)
            .into_iter()
            .filter_map(|(x, value)| Some((x, value?)))
            .collect(),
    });
    curves.filter(|curve| !curve.points.is_empty()).collect()
}

/// The names of the benchmarks that have pictures.
pub fn benchmarks() -> impl Iterator<Item = &'static str> {
    BENCHMARKS.iter().map(|(name, _)| *name)
}

/// Draws the pictures of a benchmark into a directory, each with this note below its own. Returns
/// their paths.
///
/// # Errors
/// If the benchmark has no pictures, no case of one was measured, or a file cannot be written.
pub fn draw(
    bench: &str,
    entries: Vec<Entry>,
    note: &str,
    directory: &Path,
) -> Result<Vec<PathBuf>> {
    let Some((_, figures)) = BENCHMARKS.iter().find(|(name, _)| *name == bench) else {
        let all: Vec<&str> = benchmarks().collect();
        bail!(
            "the benchmark {bench} has no figure; these have: {}",
            all.join(", ")
        );
    };
    let mut paths = Vec::new();
    for mut figure in figures(&Job::all(entries)) {
        figure.note = format!("{} {note}", figure.note);
        paths.extend(figure.write(directory)?);
    }
    ensure!(
        !paths.is_empty(),
        "no figure of the benchmark {bench} has a case that was measured; leave out --cases"
    );
    Ok(paths)
}

#[cfg(test)]
mod tests;
