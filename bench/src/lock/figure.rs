//! The pictures of the lock benchmark: all cases of each job, and how reads and writes scale with the
//! ranks.

use super::{Case, Name};
use crate::figures::{Job, SPREAD, curves, dots, on};
use crate::plot::{Curves, Figure, Panel, Unit};

const CASES: [(Case, &str); 10] = [
    (Case::ReadAlone, "Read lock, one rank"),
    (
        Case::ReadMostly,
        "Read lock, one rank, a write lock in each thousand",
    ),
    (Case::ReadAll, "Read lock, all ranks at once"),
    (Case::ReadThreads1, "Read lock, a thread of each rank"),
    (Case::ReadThreads4, "Read lock, four threads of each rank"),
    (Case::WriteAlone, "Write lock, one rank"),
    (Case::WriteAll, "Write lock, all ranks at once"),
    (Case::WriteMoved, "Write lock, two ranks in turn"),
    (
        Case::WriteBesideBusy,
        "Write lock beside ranks that compute, longest wait",
    ),
    (Case::SingleWriteShare8, "8 bytes from one rank to all"),
];

fn words(name: Name) -> &'static str {
    match name {
        Name::Mpisync => "mpisync",
        Name::MpisyncAsync => "mpisync, as futures",
        Name::PthreadRwlock => "pthread_rwlock (glibc)",
        Name::MpiWinLock => "MPI_Win_lock",
        Name::MpiBcastBarrier => "MPI_Bcast, MPI_Barrier",
        Name::McsRma => "MCS lock in MPI windows",
        Name::MpiFetchAndOp => "MPI_Fetch_and_op",
        Name::Nap1ms => "naps of 1 ms",
    }
}

/// A picture of each job, and one of all jobs on the same hosts with the same MPI.
pub fn draw(jobs: &[Job]) -> Vec<Figure> {
    let mut figures: Vec<Figure> = jobs.iter().map(latency).collect();
    let groups = jobs.chunk_by(|a, b| {
        let (a, b) = (&a.setting, &b.setting);
        (&a.mpi, a.hosts) == (&b.mpi, b.hosts)
    });
    figures.extend(groups.filter(|jobs| jobs.len() > 1).map(scaling));
    figures
}

fn latency(job: &Job) -> Figure {
    let panel = dots(
        "An acquisition and its release",
        job,
        &CASES,
        Name::Mpisync,
        words,
    );
    Figure {
        name: job.file_name("lock"),
        title: format!("Locks: {}", job.place()),
        note: format!(
            "{SPREAD} With all ranks at once, the time is that of the run divided by the operations of all ranks."
        ),
        panels: vec![Panel::Dots(panel)],
    }
}

fn scaling(jobs: &[Job]) -> Figure {
    let setting = &jobs[0].setting;
    let panel = |title: &str, case: Case| {
        let points = |name: Name| {
            let point = |job: &Job| {
                // Nanoseconds of the run for an operation of any rank.
                let rate = job.value(case, name)?.map(|nanos| 1e9 / nanos);
                Some((job.setting.ranks as f64, Some(rate)))
            };
            jobs.iter().filter_map(point).collect()
        };
        Panel::Curves(Curves {
            title: title.to_owned(),
            x: (String::from("number of ranks"), Unit::Doubled),
            y: (
                String::from("operations of all ranks together"),
                Unit::PerSecond,
            ),
            curves: curves(words, points),
        })
    };
    let hosts = match setting.hosts {
        1 => String::new(),
        hosts => format!("-{hosts}-hosts"),
    };
    Figure {
        name: format!("lock-scaling{hosts}"),
        title: format!("Locks that all ranks take at once, {}", on(setting)),
        note: format!("{SPREAD} More is better."),
        panels: vec![
            panel("Read locks", Case::ReadAll),
            panel("Write locks", Case::WriteAll),
        ],
    }
}
