//! The picture of the batch benchmark: the time of a task by the number of tasks.

use super::{CASES, Case, Kind, Name};
use crate::figures::{Job, SPREAD, curves, dots};
use crate::plot::{Curve, Curves, Dots, Figure, Panel, Unit};

fn words(name: Name) -> &'static str {
    match name {
        Name::Mpisync => "mpisync",
        Name::FileOperations => "file operations alone",
        Name::Pshmem => "pshmem",
    }
}

/// A picture of each job.
pub fn draw(jobs: &[Job]) -> Vec<Figure> {
    let figures = jobs.iter().map(|job| Figure {
        name: job.file_name("batch"),
        title: format!("Tasks that do nothing: {}", job.place()),
        note: format!("{SPREAD} Marks without a line are one round."),
        panels: vec![
            panel("States in memory", by_tasks(job, Kind::Memory)),
            panel("States in a directory", in_files(job)),
            Panel::Dots(pairs(job)),
        ],
    });
    figures.collect()
}

fn panel(title: &str, curves: Vec<Curve>) -> Panel {
    Panel::Curves(Curves {
        title: title.to_owned(),
        x: (String::from("number of tasks"), Unit::Number),
        y: (String::from("time of a task"), Unit::Time),
        curves,
    })
}

fn by_tasks(job: &Job, kind: Kind) -> Vec<Curve> {
    let cases = || CASES.iter().filter(|case| case.kind == kind);
    curves(words, |name| {
        let point = |case: &Case| (case.tasks as f64, job.value(*case, name));
        cases().map(point).collect()
    })
}

/// Those that wait for the disk, and with dashes those that do not. pshmem never does.
fn in_files(job: &Job) -> Vec<Curve> {
    let waiting = by_tasks(job, Kind::Directory).into_iter();
    let waiting = waiting.filter(|curve| curve.name != words(Name::Pshmem));
    let others = by_tasks(job, Kind::Nosync).into_iter().map(|mut curve| {
        curve.name.push_str(", without fsync");
        curve.dashed = true;
        curve
    });
    waiting.chain(others).collect()
}

fn pairs(job: &Job) -> Dots {
    const PAIRS: [(Case, &str); 1] = [(
        Case::of(1_000, Kind::Pairs),
        "1,000 tasks in memory, two ranks for each",
    )];
    let mut dots = dots("Workers of two ranks", job, &PAIRS, Name::Mpisync, words);
    dots.axis = String::from("time of a task");
    dots
}
