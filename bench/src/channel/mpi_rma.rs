//! The crate `mpi-rma`: `Ring::safe`, a ring in an MPI window for each pair of a sender and a
//! receiver.
//!
//! A sender serves its receivers in turn, and a receiver acknowledges all polled messages at once,
//! as in the crate's own benchmark.

use std::collections::VecDeque;
use std::thread;

use ::mpi_rma::{Message, Ring};
use mpi::traits::*;

use super::{Case, LAST, Link, begin_with, beginning, buffer};
use crate::team::Team;

/// The rings, and the messages that have been polled and not taken.
pub struct MpiRma {
    ring: Ring,
    targets: Vec<i32>,
    /// The index of the next target.
    turn: usize,
    origins: usize,
    message: Vec<u8>,
    polled: VecDeque<Message>,
}

impl MpiRma {
    /// Makes the rings. Collective.
    pub fn new(case: Case, team: &Team) -> Self {
        let mut lanes = Vec::new();
        for (from, to) in case.ways(team.world().size()) {
            for &origin in &from {
                lanes.extend(
                    to.iter()
                        .map(|&target| (origin, target, case.room(), case.bytes())),
                );
            }
        }
        Self {
            ring: Ring::safe(team.world(), &lanes).expect("a ring can be made"),
            targets: case.targets(team),
            turn: 0,
            origins: case.origins(team).len(),
            message: buffer(case),
            polled: VecDeque::new(),
        }
    }

    fn send(&mut self, target: i32, word: u64) {
        begin_with(&mut self.message, word);
        self.ring
            .send(target, &self.message)
            .expect("a ring delivers");
    }

    /// Fetches the messages that have arrived, and acknowledges them: the last message of each
    /// origin also acknowledges the earlier ones.
    fn poll(&mut self) {
        self.polled
            .extend(self.ring.poll().expect("a ring delivers"));
        let mut messages = self.polled.iter().peekable();
        while let Some(message) = messages.next() {
            if messages
                .peek()
                .is_none_or(|next| next.origin != message.origin)
            {
                self.ring
                    .ack(message.origin, message.sequence)
                    .expect("it has been received");
            }
        }
    }
}

impl Link for MpiRma {
    fn put(&mut self, word: u64) {
        let target = self.targets[self.turn];
        self.turn += 1;
        if self.turn == self.targets.len() {
            self.turn = 0;
        }
        self.send(target, word);
    }

    fn take(&mut self) -> u64 {
        loop {
            if let Some(message) = self.polled.pop_front() {
                return beginning(&message.data);
            }
            self.poll();
            if self.polled.is_empty() {
                thread::yield_now();
            }
        }
    }

    fn end(&mut self) {
        for index in 0..self.targets.len() {
            self.send(self.targets[index], LAST);
        }
    }

    fn ends(&self) -> usize {
        self.origins
    }

    fn close(self) {
        self.ring.close().expect("all ranks close the ring");
    }
}
