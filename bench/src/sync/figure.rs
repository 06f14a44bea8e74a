//! The picture of the sync benchmark: all cases of a job.

use super::{Case, Name};
use crate::figures::{Job, SPREAD, dots};
use crate::plot::{Figure, Panel};

const CASES: [(Case, &str); 7] = [
    (Case::MutexAlone, "Mutex, one rank"),
    (Case::MutexAll, "Mutex, all ranks at once"),
    (Case::SemaphoreAlone, "Semaphore, one rank"),
    (Case::SemaphoreAll, "Semaphore, all ranks at once"),
    (Case::Counter, "Counter, all ranks at once"),
    (Case::Turn, "Turn, from rank to rank"),
    (Case::Barrier, "Barrier"),
];

fn words(name: Name) -> &'static str {
    match name {
        Name::Mpisync => "mpisync",
        Name::PthreadMutex => "pthread_mutex (glibc)",
        Name::PosixSemaphore => "POSIX semaphore (glibc)",
        Name::PthreadBarrier => "pthread_barrier (glibc)",
        Name::Pshmem => "pshmem",
        Name::Mpi4py => "mpi4py.util.sync",
        Name::MpiFetchAndOp => "MPI_Fetch_and_op, flush",
        Name::MpiMessages => "messages by hand",
        Name::MpiBarrier => "MPI_Barrier",
    }
}

/// A picture of each job.
pub fn draw(jobs: &[Job]) -> Vec<Figure> {
    let figures = jobs.iter().map(|job| Figure {
        name: job.file_name("sync"),
        title: format!("Synchronization: {}", job.place()),
        note: format!(
            "{SPREAD} With all ranks at once, the time is that of the run divided by the operations of all ranks. \
             Mutexes and semaphores of mpisync then go from rank to rank in the order of arrival; those of glibc stay \
             with the rank that has them."
        ),
        panels: vec![Panel::Dots(dots(
            "An operation",
            job,
            &CASES,
            Name::Mpisync,
            words,
        ))],
    });
    figures.collect()
}
