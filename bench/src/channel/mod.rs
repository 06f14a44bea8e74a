//! The cases and subjects of the channel benchmark.
//!
//! One more subject is a program of its own: `measure_mpi_channels.py` measures a Python package in
//! the same cases.

pub mod figure;
#[cfg(feature = "mpi-rma")]
pub mod mpi_rma;
pub mod mpi_send_recv;
pub mod mpisync;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use mpi::traits::*;

use crate::pace::{Laps, repeat_until, until_now};
use crate::team::{Span, Team};
use crate::turns::Subject;

/// A case; the number is the size of a message in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// The first rank sends to the last.
    Stream(usize),
    /// The first and the last rank send one message back and forth.
    Latency(usize),
    /// The first two ranks send, the last two receive.
    TwoByTwo(usize),
}

/// The cases, in the order of their measurement.
const CASES: [Case; 11] = [
    Case::Stream(8),
    Case::Stream(64),
    Case::Stream(512),
    Case::Stream(1024),
    Case::Stream(4096),
    Case::Stream(32_768),
    Case::Stream(65_536),
    Case::Stream(262_144),
    Case::Stream(1_048_576),
    Case::Latency(8),
    Case::TwoByTwo(8),
];

impl ValueEnum for Case {
    fn value_variants<'a>() -> &'a [Self] {
        &CASES
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (kind, bytes) = match self {
            Case::Stream(bytes) => ("stream", bytes),
            Case::Latency(bytes) => ("latency", bytes),
            Case::TwoByTwo(bytes) => ("two_by_two", bytes),
        };
        Some(PossibleValue::new(format!("{kind}_{bytes}")))
    }
}

impl Case {
    /// The size of a message in bytes, at least 8.
    pub fn bytes(self) -> usize {
        match self {
            Case::Stream(bytes) | Case::Latency(bytes) | Case::TwoByTwo(bytes) => bytes,
        }
    }

    /// The number of ranks that take part; further ranks are idle.
    pub fn ranks(self) -> i32 {
        match self {
            Case::Stream(_) | Case::Latency(_) => 2,
            Case::TwoByTwo(_) => 4,
        }
    }

    /// The capacity of a channel in messages: 1,024 for small messages, and 4 MiB of large ones.
    pub fn room(self) -> usize {
        const MEMORY: usize = 4 << 20;
        const MESSAGES: usize = 1024;
        (MEMORY / self.bytes()).min(MESSAGES)
    }

    /// The senders and receivers of each way, in a job of `ranks` ranks.
    fn ways(self, ranks: i32) -> Vec<(Vec<i32>, Vec<i32>)> {
        let last = ranks - 1;
        match self {
            Case::Stream(_) => vec![(vec![0], vec![last])],
            Case::Latency(_) => vec![(vec![0], vec![last]), (vec![last], vec![0])],
            Case::TwoByTwo(_) => vec![(vec![0, 1], vec![last - 1, last])],
        }
    }

    /// The ranks that this rank sends to.
    fn targets(self, team: &Team) -> Vec<i32> {
        let ways = self.ways(team.world().size());
        let way = ways
            .into_iter()
            .find(|(from, _)| from.contains(&team.rank()));
        way.map(|(_, to)| to).unwrap_or_default()
    }

    /// The ranks that this rank receives from.
    fn origins(self, team: &Team) -> Vec<i32> {
        let ways = self.ways(team.world().size());
        let way = ways.into_iter().find(|(_, to)| to.contains(&team.rank()));
        way.map(|(from, _)| from).unwrap_or_default()
    }
}

/// A subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Name {
    /// This project.
    Mpisync,
    /// `MPI_Send` and `MPI_Recv`.
    MpiSendRecv,
    /// The crate `mpi-rma`: its ring that loses no message.
    MpiRma,
    /// The Python package `mpi-channels`, in a program of its own.
    MpiChannels,
}

impl Name {
    /// Whether this program can measure it.
    pub fn is_here(self) -> bool {
        match self {
            Name::Mpisync | Name::MpiSendRecv => true,
            Name::MpiRma => cfg!(feature = "mpi-rma"),
            Name::MpiChannels => false,
        }
    }

    /// Whether it needs MPI initialized for several threads, which makes the others slower with
    /// many MPIs.
    pub fn needs_threads(self) -> bool {
        self == Name::MpiRma
    }

    /// Whether it works with ranks on several hosts.
    pub fn spans_hosts(self) -> bool {
        matches!(self, Name::Mpisync | Name::MpiSendRecv)
    }

    /// Makes the subject for a case. Collective.
    ///
    /// # Panics
    /// If this program [cannot measure it](Self::is_here).
    pub fn make(self, case: Case, team: &Team) -> Box<dyn Subject<Case>> {
        match self {
            Name::Mpisync => mpisync::new(case, team),
            Name::MpiSendRecv => Box::new(mpi_send_recv::MpiSendRecv::new(case, team)),
            #[cfg(feature = "mpi-rma")]
            Name::MpiRma => Box::new(mpi_rma::MpiRma::new(case, team)),
            #[cfg(not(feature = "mpi-rma"))]
            Name::MpiRma => panic!("built without the feature mpi-rma"),
            Name::MpiChannels => panic!("a program of its own measures it"),
        }
    }
}

/// The first word of the message after the last one of a round.
const LAST: u64 = u64::MAX;

/// One rank's end of a way for messages. All messages of a case have the same length, and begin
/// with a word.
trait Link {
    /// Sends a message. Waits if there is no space for it.
    fn put(&mut self, word: u64);

    /// Waits for a message. Returns its first word.
    fn take(&mut self) -> u64;

    /// Sends [`LAST`] so that every receiver gets as many of them as [`ends`](Self::ends) returns.
    fn end(&mut self);

    /// The number of [`LAST`]s that this rank receives before it is done.
    fn ends(&self) -> usize;

    /// Frees the resources. Collective.
    fn close(self);
}

impl<L: Link> Subject<Case> for L {
    fn round(&mut self, case: Case, team: &Team) -> f64 {
        match case {
            Case::Stream(_) | Case::TwoByTwo(_) => stream_round(self, case, team),
            Case::Latency(_) => latency_round(self, team),
        }
    }

    fn close(self: Box<Self>) {
        Link::close(*self);
    }
}

/// One round in which some ranks send as fast as possible until the time is up, and others receive
/// everything.
fn stream_round(link: &mut impl Link, case: Case, team: &Team) -> f64 {
    let sends = !case.targets(team).is_empty();
    let receives = !case.origins(team).is_empty();
    let in_order = case.origins(team).len() == 1;
    let span = team.start();
    // Each sender counts words up from 0, so their sum shows whether each arrived once.
    let (mut sent, mut received, mut messages) = (0, 0, 0);
    let laps = if sends {
        let mut next = 0;
        let laps = repeat_until(span.end, || {
            link.put(next);
            sent += next;
            next += 1;
        });
        link.end();
        laps
    } else if receives {
        let mut ends = link.ends();
        while ends > 0 {
            match link.take() {
                LAST => ends -= 1,
                word => {
                    assert!(!in_order || word == messages, "a message out of order");
                    received += word;
                    messages += 1;
                }
            }
        }
        until_now(0)
    } else {
        team.sit_out(span)
    };
    let tally = team.tally(span, laps);
    assert_eq!(team.sum(messages), tally.operations, "messages were lost");
    assert_eq!(team.sum(received), team.sum(sent), "messages were changed");
    tally.nanos_per_operation()
}

/// One round in which a message goes back and forth between the first and the last rank. An
/// operation is one way.
fn latency_round(link: &mut impl Link, team: &Team) -> f64 {
    let span = team.start();
    let last = team.world().size() - 1;
    let laps = if team.rank() == 0 {
        asks(link, span)
    } else if team.rank() == last {
        loop {
            match link.take() {
                LAST => break until_now(0),
                word => link.put(word),
            }
        }
    } else {
        team.sit_out(span)
    };
    team.tally(span, laps).nanos_per_operation()
}

/// Sends and waits for the reply, until the time is up.
fn asks(link: &mut impl Link, span: Span) -> Laps {
    let mut next = 0;
    let mut laps = repeat_until(span.end, || {
        link.put(next);
        assert_eq!(link.take(), next, "a message out of order");
        next += 1;
    });
    link.end();
    laps.operations *= 2;
    laps
}

/// A message in private memory of the sender or the receiver.
fn buffer(case: Case) -> Vec<u8> {
    // Not zero: zeroed pages would all be the same page.
    vec![0xc3; case.bytes()]
}

/// Writes the first word of a message.
fn begin_with(message: &mut [u8], word: u64) {
    message[..size_of::<u64>()].copy_from_slice(&word.to_ne_bytes());
}

/// The first word of a message.
fn beginning(message: &[u8]) -> u64 {
    let (word, _) = message.split_first_chunk().expect("8 bytes at least");
    u64::from_ne_bytes(*word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_named_by_the_bytes_of_a_message() {
        let names: Vec<String> = CASES
            .iter()
            .map(|case| case.to_possible_value().unwrap().get_name().to_owned())
            .collect();
        assert_eq!(names[0], "stream_8");
        assert_eq!(names[8], "stream_1048576");
        assert_eq!(names[9..], ["latency_8", "two_by_two_8"]);
    }

    #[test]
    fn channels_have_room_for_several_messages_and_take_4_mib_at_most() {
        for case in CASES {
            assert!((4..=1024).contains(&case.room()), "{case:?}");
            assert!(case.room() * case.bytes() <= 4 << 20, "{case:?}");
        }
    }

    #[test]
    fn a_message_keeps_its_first_word() {
        let mut message = buffer(Case::Stream(64));
        begin_with(&mut message, 77);
        assert_eq!(beginning(&message), 77);
        assert_eq!(message[8], 0xc3);
    }
}
