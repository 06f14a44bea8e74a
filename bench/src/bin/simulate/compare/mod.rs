//! The lock and the [mutex] beside two published locks for RDMA, on tables of locks as in their
//! papers: [ShiftLock](shiftlock) and [ALock](alock).
//!
//! ```text
//! simulate compare shiftlock [--clients 1,8,48] [--reads 0.95] [--zipf 0] [--plot DIR]
//! simulate compare alock [--clients 2,12] [--local 0.95] [--locks 1000] [--plot DIR]
//! ```
//!
//! Each client chooses a lock, takes it, keeps it for a time and releases it, again and again.
//!
//! - `operations`: acquisitions of all clients, in millions per second.
//! - `median`, `p99`: the time of an acquisition, in microseconds. `read`, `write`: its mean, for
//!   reading and for writing. ALock and the mutex have no readers, so all clients exclude each other.
//! - `one-sided`, `messages`: one-sided operations, and messages that a thread has to handle, per
//!   acquisition with its release.
//!
//! The network is that of ShiftLock's testbed, as far as it follows from the measurements of the
//! published repository: a one-sided operation alone takes 2.35 µs (its table 3, 5 clients); a
//! network card performs 33 million a second (its figure 3: 16.4 million readers a second of two
//! operations each, uniform); and one word changes every 500 ns, with which readers alone have the
//! median of 7.2 µs and about the 99th percentile of 13 µs of its figure 4. For ALock's testbed the
//! corresponding numbers are not known, so it has the same network. A thread that sends or handles
//! a message takes the time of the simulator's other part, [`Machine`].

mod alock;
mod engine;
mod mutex;
mod network;
mod ours;
mod popularity;
mod run;
mod server;
mod shiftlock;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use mpisync_bench::plot::{Curve, Curves, Figure, Panel, Spread, Unit};

use crate::compare::alock::ALock;
use crate::compare::mutex::Mutexes;
use crate::compare::network::{Costs, Network};
use crate::compare::ours::Ours;
use crate::compare::popularity::Zipf;
use crate::compare::run::{Design, Report, Workload, run};
use crate::compare::shiftlock::ShiftLock;
#[cfg(doc)]
use crate::model::Machine;

/// Compares the lock with two published locks for RDMA
#[derive(Args)]
pub(crate) struct Compare {
    /// Whose machines, clients and locks to simulate; the options change them
    #[arg(value_enum)]
    setup: Setup,
    /// Machines with clients [default: 5 or 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    machines: Option<u32>,
    /// Numbers of clients per machine [default: 1,4,8,16,24,32,40,48 or 2,4,6,8,10,12]
    #[arg(long, value_delimiter = ',', value_name = "N,…", value_parser = clap::value_parser!(u32).range(1..=4096))]
    clients: Vec<u32>,
    /// Locks, on one more machine or on all machines [default: 10,000,000 or 1,000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    locks: Option<u64>,
    /// Exponent of the Zipf distribution by which clients choose locks; 0 is uniform [default: 0.99 or 0]
    #[arg(long, value_name = "EXPONENT", value_parser = exponent)]
    zipf: Option<f64>,
    /// Share of acquisitions for reading [default: 0.5 or 0]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    reads: Option<f64>,
    /// Share of acquisitions of a lock on the client's machine, where locks are on all machines [default: 0.95]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    local: Option<f64>,
    /// Time that a client keeps a lock, in nanoseconds
    #[arg(long, value_name = "NS", default_value_t = 0)]
    hold: u64,
    /// Clients that may follow each other while others wait, for mpisync and ShiftLock
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    handovers: u32,
    /// Acquisitions of each run
    #[arg(long, value_name = "N", default_value_t = 400_000, value_parser = clap::value_parser!(u64).range(10..))]
    operations: u64,
    /// Time of a one-sided operation there and back, on an idle network, in nanoseconds
    #[arg(long, value_name = "NS", default_value_t = Costs::default().one_sided)]
    one_sided: u64,
    /// Time of a network card for a one-sided operation that arrives, in nanoseconds
    #[arg(long, value_name = "NS", default_value_t = Costs::default().card)]
    card: u64,
    /// Time between two atomic operations on the same word, in nanoseconds
    #[arg(long, value_name = "NS", default_value_t = Costs::default().same_word)]
    same_word: u64,
    /// Time of a thread for a message, at its sender and again at its receiver, in nanoseconds
    #[arg(long, value_name = "NS", default_value_t = Costs::default().overhead)]
    overhead: u64,
    /// Draw the figure into this directory, as simulate-shiftlock.svg or simulate-alock.svg
    #[arg(long, value_name = "DIR")]
    plot: Option<PathBuf>,
}

/// The machines, clients and locks of a paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Setup {
    /// 5 machines with up to 48 clients each, and 10 million locks in the memory of a sixth one
    #[value(name = "shiftlock")]
    ShiftLock,
    /// 20 machines with up to 12 clients each, and 1,000 locks in the memory of all of them
    #[value(name = "alock")]
    ALock,
}

/// The results of the designs with some number of clients.
struct Row {
    clients: u32,
    reports: [(&'static str, Report); 4],
}

fn exponent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(exponent) if (0.0..1.0).contains(&exponent) => Ok(exponent),
        _ => Err(String::from("an exponent is at least 0 and less than 1")),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(String::from("a share is at least 0 and at most 1")),
    }
}

impl Compare {
    /// Simulates the designs, and writes a table and perhaps a figure.
    pub(crate) fn run(&self, mut out: impl Write) -> anyhow::Result<()> {
        let workloads = self.workloads()?;
        writeln!(out, "{}\n", self.description(&workloads[0]))?;
        writeln!(
            out,
            "clients  lock            operations      median         p99        read       write  one-sided  messages"
        )?;
        let mut rows = Vec::new();
        for workload in &workloads {
            let clients = workload.all_clients();
            let reports = self.simulate(workload);
            for (name, report) in &reports {
                writeln!(out, "{}", line(clients, name, report))?;
            }
            rows.push(Row { clients, reports });
        }
        if let Some(directory) = &self.plot {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
            let figure = self.figure(&workloads[0], &rows);
            let path = figure.write(directory)?.context("there is no run")?;
            writeln!(out, "\nwrote {}", path.display())?;
        }
        Ok(())
    }

    /// The workloads, which differ in the number of clients.
    fn workloads(&self) -> anyhow::Result<Vec<Workload>> {
        let is_shiftlock = self.setup == Setup::ShiftLock;
        let (machines, locks, zipf, reads): (u32, u64, f64, f64) = match self.setup {
            Setup::ShiftLock => (5, 10_000_000, 0.99, 0.5),
            Setup::ALock => (20, 1_000, 0.0, 0.0),
        };
        ensure!(
            !is_shiftlock || self.local.is_none(),
            "the locks of this set-up are on a machine without clients: leave out --local, or choose `alock`"
        );
        let machines = self.machines.unwrap_or(machines);
        let mut locks = self.locks.unwrap_or(locks);
        if !is_shiftlock {
            ensure!(
                locks.is_multiple_of(machines.into()),
                "{locks} locks are not the same number on each of {machines} machines: give a multiple as --locks"
            );
            locks /= u64::from(machines);
        }
        let workload = Workload {
            machines,
            has_lock_machine: is_shiftlock,
            clients: 0,
            popularity: Zipf::new(locks, self.zipf.unwrap_or(zipf)),
            local: (!is_shiftlock).then_some(self.local.unwrap_or(0.95)),
            reads: self.reads.unwrap_or(reads),
            hold: self.hold,
            handovers: self.handovers,
            operations: self.operations,
        };
        let clients: &[u32] = match self.setup {
            _ if !self.clients.is_empty() => &self.clients,
            Setup::ShiftLock => &[1, 4, 8, 16, 24, 32, 40, 48],
            Setup::ALock => &[2, 4, 6, 8, 10, 12],
        };
        let with = |&clients| Workload {
            clients,
            ..workload
        };
        Ok(clients.iter().map(with).collect())
    }

    fn simulate(&self, workload: &Workload) -> [(&'static str, Report); 4] {
        let costs = Costs {
            one_sided: self.one_sided,
            card: self.card,
            same_word: self.same_word,
            overhead: self.overhead,
            ..Costs::default()
        };
        let network = || Network::new(costs, workload.all_machines());
        let clients = workload.all_clients();
        let networks = [network(), network(), network(), network()];
        let ours = Ours::new(&networks[0], workload);
        let mutexes = Mutexes::new(&networks[1], workload);
        let shiftlock = ShiftLock::new(&networks[2], clients, workload.handovers);
        let alock = ALock::new(&networks[3], clients);
        [
            measured(&networks[0], &ours, workload),
            measured(&networks[1], &mutexes, workload),
            measured(&networks[2], &shiftlock, workload),
            measured(&networks[3], &alock, workload),
        ]
    }

    fn description(&self, workload: &Workload) -> String {
        let locks = match workload.local {
            None => format!("{} locks on one more machine", workload.popularity.items()),
            Some(local) => format!(
                "{} locks on each, of which {} % of acquisitions are on the client's machine",
                workload.popularity.items(),
                local * 100.0
            ),
        };
        format!(
            "{} machines with clients, {locks}; Zipf exponent {}, {} % reads, kept for {} ns; one-sided operation {} ns, \
             {} ns of a card, {} ns of a word; {} ns a message at each end",
            workload.machines,
            workload.popularity.exponent(),
            workload.reads * 100.0,
            workload.hold,
            self.one_sided,
            self.card,
            self.same_word,
            self.overhead,
        )
    }

    fn figure(&self, workload: &Workload, rows: &[Row]) -> Figure {
        let panel = |title: &str, y: (&str, Unit), value: &dyn Fn(&Report) -> Spread| {
            let curve = |design: usize| Curve {
                name: String::from(rows[0].reports[design].0),
                colour: design,
                dashed: false,
                points: rows
                    .iter()
                    .map(|row| (f64::from(row.clients), value(&row.reports[design].1)))
                    .collect(),
            };
            Panel::Curves(Curves {
                title: title.to_owned(),
                x: (String::from("number of clients"), Unit::Doubled),
                y: (y.0.to_owned(), y.1),
                curves: (0..4).map(curve).collect(),
            })
        };
        let rate = |report: &Report| {
            let rate = report.operations_per_second;
            Spread {
                median: rate,
                min: rate,
                max: rate,
            }
        };
        let time = |report: &Report| Spread {
            median: report.median as f64,
            min: report.median as f64,
            max: report.p99 as f64,
        };
        let (name, title) = match self.setup {
            Setup::ShiftLock => (
                "simulate-shiftlock",
                "Locks on ShiftLock's machines, simulated",
            ),
            Setup::ALock => ("simulate-alock", "Locks on ALock's machines, simulated"),
        };
        Figure {
            name: name.to_owned(),
            title: title.to_owned(),
            note: format!(
                "{}. The line through a mark of a time goes from the median up to the 99th percentile.",
                self.description(workload)
            ),
            panels: vec![
                panel(
                    "Operations",
                    ("acquisitions of all clients together", Unit::PerSecond),
                    &rate,
                ),
                panel("An acquisition", ("time", Unit::Time), &time),
            ],
        }
    }
}

fn measured<D: Design>(
    network: &Network,
    design: &D,
    workload: &Workload,
) -> (&'static str, Report) {
    (D::NAME, run(network, design, workload))
}

fn line(clients: u32, name: &str, report: &Report) -> String {
    let micros = |nanos: f64| format!("{:.2} us", nanos / 1e3);
    let mean = |time: Option<f64>| time.map_or(String::from("-"), micros);
    format!(
        "{clients:>7}  {name:<13} {:>8.2} M/s {:>11} {:>11} {:>11} {:>11} {:>10.2} {:>9.2}",
        report.operations_per_second / 1e6,
        micros(report.median as f64),
        micros(report.p99 as f64),
        mean(report.mean_read),
        mean(report.mean_write),
        report.one_sided,
        report.messages,
    )
}
