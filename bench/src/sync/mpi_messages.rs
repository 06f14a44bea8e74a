//! Handwritten messages, as few as possible: the lower bound for a program that uses messages only.

use mpi::Rank;
use mpi::point_to_point::send_receive_into;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use super::rounds::{Barrier, Turns};

/// An empty message that goes around the ring of the ranks, by `MPI_Send` and `MPI_Recv`. The rank
/// that has it has the turn.
pub struct Token {
    comm: SimpleCommunicator,
    /// Whether this rank has it.
    is_here: bool,
}

impl Token {
    /// Gives it to rank 0. Collective.
    pub fn new(world: &SimpleCommunicator) -> Self {
        Self {
            comm: world.duplicate(),
            is_here: world.rank() == 0,
        }
    }

    /// Waits for it, if this rank does not have it.
    fn get(&mut self) {
        if !self.is_here {
            let size = self.comm.size();
            let before = (self.comm.rank() + size - 1) % size;
            let nothing: &mut [u8] = &mut [];
            self.comm.process_at_rank(before).receive_into(nothing);
            self.is_here = true;
        }
    }
}

impl Turns for Token {
    fn take(&mut self, section: impl FnOnce()) {
        self.get();
        section();
        let size = self.comm.size();
        if size > 1 {
            let next = (self.comm.rank() + 1) % size;
            let nothing: &[u8] = &[];
            self.comm.process_at_rank(next).send(nothing);
            self.is_here = false;
        }
    }

    fn close(mut self) {
        // All ranks have had as many turns, so it is at rank 0 or on its way there. No message may
        // be left in MPI.
        if self.comm.rank() == 0 {
            self.get();
        }
    }
}

/// A barrier of messages of one byte. In each of log2(n) steps a rank notifies another one, twice
/// as far away as in the previous step, and so passes on which ranks it has heard of (Hensgen,
/// Finkel and Manber, "Two Algorithms for Barrier Synchronization", International Journal of
/// Parallel Programming, 1988).
pub struct Dissemination {
    comm: SimpleCommunicator,
    /// The rank that this rank notifies in each step, and the rank that notifies it.
    steps: Vec<(Rank, Rank)>,
}

impl Dissemination {
    /// Duplicates `world`. Collective.
    pub fn new(world: &SimpleCommunicator) -> Self {
        let comm = world.duplicate();
        let steps = steps(comm.rank(), comm.size());
        Self { comm, steps }
    }
}

fn steps(rank: Rank, size: Rank) -> Vec<(Rank, Rank)> {
    let distances = std::iter::successors(Some(1), |distance| Some(2 * distance));
    distances
        .take_while(|&distance| distance < size)
        .map(|distance| ((rank + distance) % size, (rank + size - distance) % size))
        .collect()
}

impl Barrier for Dissemination {
    fn wait(&mut self) {
        for &(to, from) in &self.steps {
            let [to, from] = [to, from].map(|rank| self.comm.process_at_rank(rank));
            send_receive_into(&1u8, &to, &mut 0u8, &from);
        }
    }

    fn close(self) {
        // Dropping the communicator frees it, on every rank alike.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_hear_of_all() {
        for size in 1..20 {
            // A bit for each rank that this rank has heard of.
            let mut heard: Vec<u32> = (0..size).map(|rank| 1 << rank).collect();
            for step in 0..steps(0, size).len() {
                let told = |rank| heard[steps(rank, size)[step].1 as usize];
                heard = (0..size)
                    .map(|rank| heard[rank as usize] | told(rank))
                    .collect();
            }
            assert!(heard.iter().all(|&bits| bits == (1 << size) - 1));
        }
    }

    #[test]
    fn who_is_told_is_told_by_that_rank() {
        for size in 1..20 {
            for rank in 0..size {
                for (step, &(to, _)) in steps(rank, size).iter().enumerate() {
                    assert_eq!(steps(to, size)[step].1, rank);
                }
            }
        }
    }
}
