//! The cases and subjects of the sync benchmark.
//!
//! Two more subjects are programs of their own: `measure_pshmem.py` and `measure_mpi4py.py` measure
//! Python packages in the same cases.

pub mod figure;
pub mod mpi_barrier;
pub mod mpi_fetch_and_op;
pub mod mpi_messages;
pub mod mpisync;
pub mod posix_semaphore;
pub mod pthread_barrier;
pub mod pthread_mutex;
mod rounds;

use clap::ValueEnum;

use crate::lock::Windows;
use crate::team::Team;
use crate::turns::Subject;
use rounds::{Counting, Excluding, Meeting, TakingTurns};

/// A case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Case {
    /// One rank locks and unlocks a mutex; the others are idle.
    MutexAlone,
    /// All ranks lock and unlock a mutex.
    MutexAll,
    /// All ranks take the next number.
    Counter,
    /// One rank acquires and releases the only permit of a semaphore; the others are idle.
    SemaphoreAlone,
    /// All ranks acquire and release the only permit of a semaphore.
    SemaphoreAll,
    /// Each rank has its turn, in the order of the ranks, repeatedly.
    Turn,
    /// All ranks wait at a barrier.
    Barrier,
}

impl Case {
    fn is_alone(self) -> bool {
        matches!(self, Case::MutexAlone | Case::SemaphoreAlone)
    }
}

/// A subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Name {
    /// This project.
    Mpisync,
    /// glibc's mutex, shared between processes.
    PthreadMutex,
    /// glibc's semaphore, shared between processes.
    PosixSemaphore,
    /// glibc's barrier, shared between processes.
    PthreadBarrier,
    /// The Python package `pshmem`, in a program of its own.
    Pshmem,
    /// The Python package `mpi4py`, its `util.sync`, in a program of its own.
    Mpi4py,
    /// `MPI_Fetch_and_op` and `MPI_Win_flush`.
    MpiFetchAndOp,
    /// Handwritten messages.
    MpiMessages,
    /// `MPI_Barrier`.
    MpiBarrier,
}

impl Name {
    /// Whether this program can measure it.
    pub fn is_here(self) -> bool {
        !matches!(self, Name::Pshmem | Name::Mpi4py)
    }

    /// Whether the subject has an equivalent of the case, and works with ranks on this number of
    /// hosts. `windows` is the support of MPI for windows over several hosts.
    pub fn is_fit(self, case: Case, hosts: usize, windows: Windows) -> bool {
        let has_windows = hosts == 1 || windows != Windows::No;
        match (self, case) {
            (Name::Mpisync, _) => true,
            (Name::PthreadMutex, Case::MutexAlone | Case::MutexAll) => hosts == 1,
            (Name::PosixSemaphore, Case::SemaphoreAlone | Case::SemaphoreAll) => hosts == 1,
            (Name::PthreadBarrier, Case::Barrier) => hosts == 1,
            (Name::Pshmem, Case::MutexAlone | Case::MutexAll) => hosts == 1,
            (Name::Mpi4py, Case::Turn) => true,
            (Name::Mpi4py, case) => case != Case::Barrier && has_windows,
            (Name::MpiFetchAndOp, Case::Counter) => has_windows,
            (Name::MpiMessages, Case::Turn | Case::Barrier) => true,
            (Name::MpiBarrier, Case::Barrier) => true,
            _ => false,
        }
    }

    /// Makes the subject for a case. Collective.
    ///
    /// # Panics
    /// If this program [cannot measure it](Self::is_here), or it does not [fit](Self::is_fit) the
    /// case.
    pub fn make(self, case: Case, team: &Team) -> Box<dyn Subject<Case>> {
        let world = team.world();
        match (self, case) {
            (Name::Mpisync, Case::MutexAlone | Case::MutexAll) => {
                Box::new(Excluding(mpisync::mutex(world)))
            }
            (Name::Mpisync, Case::SemaphoreAlone | Case::SemaphoreAll) => {
                Box::new(Excluding(mpisync::semaphore(world)))
            }
            (Name::Mpisync, Case::Counter) => Box::new(Counting(mpisync::counter(world))),
            (Name::Mpisync, Case::Turn) => Box::new(TakingTurns::new(mpisync::turn(world))),
            (Name::Mpisync, Case::Barrier) => Box::new(Meeting::new(mpisync::barrier(world))),
            (Name::PthreadMutex, _) => Box::new(Excluding(pthread_mutex::PthreadMutex::new(world))),
            (Name::PosixSemaphore, _) => {
                Box::new(Excluding(posix_semaphore::PosixSemaphore::new(world)))
            }
            (Name::PthreadBarrier, _) => {
                Box::new(Meeting::new(pthread_barrier::PthreadBarrier::new(world)))
            }
            (Name::MpiFetchAndOp, _) => {
                let subject = mpi_fetch_and_op::MpiFetchAndOp::new(world, team.hosts());
                Box::new(Counting(subject))
            }
            (Name::MpiMessages, Case::Turn) => {
                Box::new(TakingTurns::new(mpi_messages::Token::new(world)))
            }
            (Name::MpiMessages, Case::Barrier) => {
                Box::new(Meeting::new(mpi_messages::Dissemination::new(world)))
            }
            (Name::MpiBarrier, _) => Box::new(Meeting::new(mpi_barrier::MpiBarrier::new(world))),
            (Name::Pshmem | Name::Mpi4py, _) => panic!("a program of its own measures it"),
            (Name::MpiMessages, _) => panic!("it has nothing for this case"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The subjects of a case, on one host or on several without windows.
    fn fit(case: Case, hosts: usize) -> Vec<Name> {
        let names = Name::value_variants().iter().copied();
        names
            .filter(|name| name.is_fit(case, hosts, Windows::No))
            .collect()
    }

    #[test]
    fn subjects_take_part_in_the_cases_that_they_have_something_for() {
        use Name::*;
        for mutex in [Case::MutexAlone, Case::MutexAll] {
            assert_eq!(fit(mutex, 1), [Mpisync, PthreadMutex, Pshmem, Mpi4py]);
        }
        for semaphore in [Case::SemaphoreAlone, Case::SemaphoreAll] {
            assert_eq!(fit(semaphore, 1), [Mpisync, PosixSemaphore, Mpi4py]);
        }
        assert_eq!(fit(Case::Counter, 1), [Mpisync, Mpi4py, MpiFetchAndOp]);
        assert_eq!(fit(Case::Turn, 1), [Mpisync, Mpi4py, MpiMessages]);
        let barriers = [Mpisync, PthreadBarrier, MpiMessages, MpiBarrier];
        assert_eq!(fit(Case::Barrier, 1), barriers);
    }

    #[test]
    fn messages_alone_go_over_hosts_where_there_are_no_windows() {
        use Name::*;
        assert_eq!(fit(Case::MutexAll, 2), [Mpisync]);
        assert_eq!(fit(Case::Counter, 2), [Mpisync]);
        assert_eq!(fit(Case::Turn, 2), [Mpisync, Mpi4py, MpiMessages]);
        assert_eq!(fit(Case::Barrier, 2), [Mpisync, MpiMessages, MpiBarrier]);
    }
}
