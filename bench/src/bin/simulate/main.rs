//! Simulates the lock on machines of up to 4,096 nodes: its own protocol over a modelled network.
//!
//! ```text
//! simulate [--nodes 1,4,16] [--ranks 64] [--writers 0.002,0.02,0.05] [--latency NS] [--plot DIR]
//! simulate compare shiftlock|alock [--clients 1,8,48] [--plot DIR]
//! ```
//!
//! `compare` is beside [published locks](compare). Without it, one lock is on many nodes.
//!
//! All ranks take the lock again and again, and the given share of all acquisitions is for writing,
//! as in Schmid, Besta and Hoefler, "High-Performance Distributed RMA Locks", HPDC 2016. Each
//! machine is simulated twice: gates closed along the tree, and by the writer itself.
//!
//! - `operations`: acquisitions of all ranks, in millions per second.
//! - `median`, `p99`: the time from a rank's request to write until it holds the lock, in
//!   microseconds.
//! - `drain`: the time from closing the gates until all readers of all nodes have left, in
//!   microseconds; this is the cost of a write that no other write precedes.
//! - `messages`: messages of all nodes per write. `writer`: the most messages that one writer sent
//!   before it entered.

mod clock;
mod compare;
mod model;
mod node;
#[expect(
    dead_code,
    reason = "the simulation needs a part of the protocol's items"
)]
mod rwlock;
mod world;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use mpisync_bench::plot::{Curve, Curves, Figure, Panel, Spread, Unit};

use crate::compare::Compare;
use crate::model::{Machine, Report, Workload, run};

/// Simulates the lock on many nodes.
#[derive(Parser)]
#[command(name = "simulate", args_conflicts_with_subcommands = true)]
struct Options {
    #[command(subcommand)]
    other: Option<Other>,
    /// Numbers of nodes
    #[arg(long, value_delimiter = ',', value_name = "N,…", default_value = "1,2,4,8,16,32,64,128,256,512,1024,2048,4096", value_parser = clap::value_parser!(u32).range(1..=65536))]
    nodes: Vec<u32>,
    /// Ranks per node
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    ranks: u32,
    /// Shares of all acquisitions that are for writing, above 0 and at most 1
    #[arg(long, value_delimiter = ',', value_name = "SHARE,…", default_value = "0.002,0.02,0.05", value_parser = share)]
    writers: Vec<f64>,
    /// Writes of each run
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    writes: u64,
    /// Writers of a node that may follow each other while another node waits
    #[arg(long, value_name = "N", default_value_t = Workload::default().max_local_handovers, value_parser = clap::value_parser!(u32).range(1..))]
    handovers: u32,
    /// Time from the end of sending a message to its arrival, in nanoseconds
    #[arg(long, value_name = "NS", default_value_t = Machine::default().latency)]
    latency: u64,
    /// Cost of a message at its sender and again at its receiver, in nanoseconds
    #[arg(long, value_name = "NS", default_value_t = Machine::default().overhead)]
    overhead: u64,
    /// Bytes per nanosecond
    #[arg(long, value_name = "GB/S", default_value_t = Machine::default().bandwidth)]
    bandwidth: f64,
    /// A read lock and the work under it, in nanoseconds
    #[arg(long, value_name = "NS", default_value_t = Machine::default().read)]
    read: u64,
    /// The work under a write lock, in nanoseconds
    #[arg(long, value_name = "NS", default_value_t = Machine::default().write)]
    write: u64,
    /// Draw the figures into this directory, as simulate.svg
    #[arg(long, value_name = "DIR")]
    plot: Option<PathBuf>,
}

/// The other simulations.
#[derive(Subcommand)]
enum Other {
    Compare(Compare),
}

/// The fan-out for a number of nodes.
type FanOut = fn(u32) -> u32;

/// How gates are closed, and the number of children of each node.
const WAYS: [(&str, FanOut); 2] = [
    ("tree", |_| Workload::default().fan_out),
    ("flat", |nodes| nodes),
];

/// One simulated machine.
struct Point {
    way: &'static str,
    writers: f64,
    nodes: u32,
    report: Report,
}

fn main() -> ExitCode {
    match simulate(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simulate: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err(String::from("a share is above 0 and at most 1")),
    }
}

fn simulate(options: &Options) -> anyhow::Result<()> {
    if let Some(Other::Compare(compare)) = &options.other {
        return compare.run(std::io::stdout().lock());
    }
    let machine = Machine {
        latency: options.latency,
        overhead: options.overhead,
        bandwidth: options.bandwidth,
        read: options.read,
        write: options.write,
        ..Machine::default()
    };
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} ranks a node, latency {} ns, {} ns a message at each end, {} GB/s, {} ns a read, {} ns a write\n",
        options.ranks,
        machine.latency,
        machine.overhead,
        machine.bandwidth,
        machine.read,
        machine.write
    )?;
    writeln!(
        out,
        "writers  nodes  way   operations      median         p99       drain  messages  writer"
    )?;
    let mut points = Vec::new();
    for &writers in &options.writers {
        for &nodes in &options.nodes {
            for (way, fan_out) in WAYS {
                let workload = Workload {
                    nodes,
                    ranks_per_node: options.ranks,
                    writers,
                    writes: options.writes,
                    max_local_handovers: options.handovers,
                    fan_out: fan_out(nodes),
                    seed: 1,
                };
                let report = run(&machine, &workload);
                writeln!(out, "{}", line(writers, nodes, way, &report))?;
                points.push(Point {
                    way,
                    writers,
                    nodes,
                    report,
                });
            }
        }
    }
    if let Some(directory) = &options.plot {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let path = figure(options, &points).write(directory)?;
        let path = path.context("no writer had to close a gate")?;
        writeln!(out, "\nwrote {}", path.display())?;
    }
    Ok(())
}

fn line(writers: f64, nodes: u32, way: &str, report: &Report) -> String {
    let micros = |nanos: f64| format!("{:.1} us", nanos / 1e3);
    format!(
        "{:>6} % {nodes:>6}  {way:<5} {:>8.1} M/s {:>11} {:>11} {:>11} {:>9.2} {:>7}",
        writers * 100.0,
        report.operations_per_second / 1e6,
        micros(report.write_median as f64),
        micros(report.write_p99 as f64),
        report
            .drain
            .map_or(String::from("-"), |drain| micros(drain.mean)),
        report.messages_per_write,
        report.most_at_the_writer,
    )
}

/// The picture: the cost of a write, and what all ranks do together.
fn figure(options: &Options, points: &[Point]) -> Figure {
    let curves = |value: &dyn Fn(&Report) -> Option<Spread>| {
        let mut curves: Vec<Curve> = Vec::new();
        for point in points {
            let Some(y) = value(&point.report) else {
                continue;
            };
            let share = point.writers * 100.0;
            let name = format!("{share} % writers, {}", words(point.way));
            let at = (f64::from(point.nodes), y);
            let share = options.writers.iter().position(|it| *it == point.writers);
            match curves.iter_mut().find(|curve| curve.name == name) {
                Some(curve) => curve.points.push(at),
                None => curves.push(Curve {
                    name,
                    colour: share.unwrap_or(0),
                    dashed: point.way == "flat",
                    points: vec![at],
                }),
            }
        }
        curves
    };
    let panel = |title: &str, y: (&str, Unit), value: &dyn Fn(&Report) -> Option<Spread>| {
        Panel::Curves(Curves {
            title: title.to_owned(),
            x: (String::from("number of nodes"), Unit::Doubled),
            y: (y.0.to_owned(), y.1),
            curves: curves(value),
        })
    };
    let drain = |report: &Report| {
        let drain = report.drain?;
        Some(Spread {
            median: drain.median as f64,
            min: drain.first_decile as f64,
            max: drain.last_decile as f64,
        })
    };
    // One number for a run, which is the same in each run.
    let rate = |report: &Report| {
        let rate = report.operations_per_second;
        Some(Spread {
            median: rate,
            min: rate,
            max: rate,
        })
    };
    Figure {
        name: String::from("simulate"),
        title: String::from("The lock over many nodes, simulated"),
        note: format!(
            "{} ranks a node that take the lock again and again; latency {} ns, {} ns a message at each end, {} GB/s. \
             Marks of writes are medians; the line through a mark goes from the first decile to the last one of all \
             writes. The rates of a run have no spread.",
            options.ranks, options.latency, options.overhead, options.bandwidth
        ),
        panels: vec![
            panel(
                "A write: from closing the gates until all readers have left",
                ("time", Unit::Time),
                &drain,
            ),
            panel(
                "Operations",
                ("operations of all ranks together", Unit::PerSecond),
                &rate,
            ),
        ],
    }
}

/// How the gates are closed, in the legend.
fn words(way: &str) -> &'static str {
    match way {
        "flat" => "by the writer itself",
        _ => "down the tree",
    }
}

#[cfg(test)]
mod tests;
