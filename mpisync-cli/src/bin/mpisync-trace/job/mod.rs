//! The events of all processes of a job, in a form small enough to have all of them in memory.
//!
//! A process is encoded as soon as it was read, so that only one is there as [`Process`] at a time.

mod codec;
mod names;

pub use codec::{Block, EVENTS_OF_A_BLOCK};
pub use names::{Names, Site, label};

use codec::{Encoded, Encoder};
use mpisync::inspect::trace::{Activity, Event, Outcome, Process};

/// A job, or the part of it whose files were read.
#[derive(Default)]
pub struct Job {
    /// The number that all processes of the job share.
    pub id: u64,
    /// When the job's time 0 was, in nanoseconds since 1970.
    pub epoch: u64,
    /// How many ranks the job has.
    pub size: u32,
    /// When the first event began, in nanoseconds of the job's time; `u64::MAX` without events.
    begin: u64,
    /// When the last event began or ended.
    end: u64,
    /// How many events end before they begin.
    pub reversed: u64,
    /// The texts and objects of the events.
    pub names: Names,
    /// In the order of their ranks.
    lanes: Vec<Lane>,
}

/// A process of the job.
pub struct Lane {
    /// Its rank in `MPI_COMM_WORLD`.
    pub rank: u32,
    /// The name of its host.
    pub host: String,
    /// Its process on that host.
    pub process: u32,
    /// Whether the process has ended in order.
    pub has_ended: bool,
    /// How many of its oldest events are missing.
    pub lost: u64,
    /// How many events there are.
    pub events: u64,
    encoded: Encoded,
}

/// An event as the job has it: with the indices of the job's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The index of its site.
    pub site: u32,
    /// What the rank did.
    pub activity: Activity,
    /// How it ended.
    pub outcome: Outcome,
    /// When it began, in nanoseconds of the job's time.
    pub begin: u64,
    /// When it ended. Of one that has not ended, the end of the job.
    pub end: u64,
    /// Whether it has not ended.
    pub is_open: bool,
    /// Of a wait: the rank that kept this one.
    pub keeper: Option<u32>,
    /// Of a wait: the index of the place where that rank had taken what this one waited for.
    pub keeper_place: Option<u32>,
    /// The task of a batch.
    pub task: Option<u32>,
}

impl Seen {
    /// How long it lasted, in nanoseconds.
    pub fn duration(&self) -> u64 {
        self.end - self.begin
    }
}

impl Job {
    /// A job without processes.
    pub fn new(id: u64, epoch: u64) -> Self {
        Job {
            id,
            epoch,
            begin: u64::MAX,
            ..Job::default()
        }
    }

    /// Its number as it is shown, in hexadecimal digits.
    pub fn number(&self) -> String {
        format!("{:016x}", self.id)
    }

    /// Adds a process of this job.
    pub fn add(&mut self, process: &Process) {
        self.size = self.size.max(process.size);
        let indices = self.names.of_process(process);
        let mut encoder = Encoder::default();
        let mut encode = |event: &Event| {
            let mut event = *event;
            if event.end.is_some_and(|end| end < event.begin) {
                event.end = Some(event.begin);
                self.reversed += 1;
            }
            self.begin = self.begin.min(event.begin);
            self.end = self.end.max(event.end.unwrap_or(event.begin));
            encoder.add(&self.names.named(&indices, &event));
        };
        if process.events.is_sorted_by_key(|event| event.begin) {
            process.events.iter().for_each(&mut encode);
        } else {
            let mut events: Vec<&Event> = process.events.iter().collect();
            events.sort_by_key(|event| event.begin);
            events.into_iter().for_each(&mut encode);
        }
        let lane = Lane {
            rank: process.rank,
            host: process.host.clone(),
            process: process.process,
            has_ended: process.has_ended,
            lost: process.lost,
            events: process.events.len() as u64,
            encoded: encoder.finish(),
        };
        let at = self.lanes.partition_point(|it| it.rank <= lane.rank);
        self.lanes.insert(at, lane);
    }

    /// The processes, in the order of their ranks.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// The position of a rank's first process.
    pub fn lane_of(&self, rank: u32) -> Option<usize> {
        let at = self.lanes.partition_point(|lane| lane.rank < rank);
        self.lanes
            .get(at)
            .is_some_and(|lane| lane.rank == rank)
            .then_some(at)
    }

    /// How many events all processes have.
    pub fn events(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.events).sum()
    }

    /// When the first event began, in nanoseconds of the job's time.
    pub fn begin(&self) -> u64 {
        self.begin.min(self.end)
    }

    /// When the last event began or ended, in nanoseconds of the job's time.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The time from the first event to the last one, in nanoseconds.
    pub fn span(&self) -> u64 {
        self.end() - self.begin()
    }

    /// The events of a process, by their beginning.
    pub fn events_of<'a>(&'a self, lane: &'a Lane) -> impl Iterator<Item = Seen> + 'a {
        lane.encoded.events(&self.names).map(|mut event| {
            if event.is_open {
                event.end = self.end;
            }
            event
        })
    }
}

impl Lane {
    /// The encoded events, as the page reads them, too.
    pub fn bytes(&self) -> &[u8] {
        &self.encoded.bytes
    }

    /// The blocks that the encoded events consist of.
    pub fn blocks(&self) -> &[Block] {
        &self.encoded.blocks
    }
}

#[cfg(test)]
mod tests;
