//! The picture of the channel benchmark: throughput by the size of a message, and the times of small
//! messages.

use super::{CASES, Case, Name};
use crate::figures::{Job, SPREAD, curves, dots};
use crate::plot::{Curves, Figure, Panel, Unit};

const SMALL: [(Case, &str); 3] = [
    (Case::Latency(8), "Back and forth, one way"),
    (Case::Stream(8), "One rank to another, without pause"),
    (Case::TwoByTwo(8), "Two ranks to two others, without pause"),
];

fn words(name: Name) -> &'static str {
    match name {
        Name::Mpisync => "mpisync",
        Name::MpiSendRecv => "MPI_Send, MPI_Recv",
        Name::MpiRma => "mpi-rma",
        Name::MpiChannels => "mpi-channels",
    }
}

/// A picture of each job.
pub fn draw(jobs: &[Job]) -> Vec<Figure> {
    let figures = jobs.iter().map(|job| Figure {
        name: job.file_name("channel"),
        title: format!("Messages between ranks: {}", job.place()),
        note: SPREAD.to_owned(),
        panels: vec![Panel::Curves(throughput(job)), Panel::Dots(small(job))],
    });
    figures.collect()
}

fn throughput(job: &Job) -> Curves {
    let points = |name: Name| {
        let point = |case: &Case| match case {
            Case::Stream(bytes) => {
                let bytes = *bytes as f64;
                // Bytes per nanosecond are gigabytes per second.
                let rate = |nanos: f64| bytes / nanos * 1e3;
                Some((bytes, job.value(*case, name).map(|it| it.map(rate))))
            }
            Case::Latency(_) | Case::TwoByTwo(_) => None,
        };
        CASES.iter().filter_map(point).collect()
    };
    Curves {
        title: String::from("From one rank to another, without pause"),
        x: (String::from("size of a message"), Unit::Bytes),
        y: (String::from("throughput"), Unit::MegabytesPerSecond),
        curves: curves(words, points),
    }
}

fn small(job: &Job) -> crate::plot::Dots {
    let mut dots = dots("A message of 8 bytes", job, &SMALL, Name::Mpisync, words);
    dots.axis = String::from("time of a message");
    dots
}
