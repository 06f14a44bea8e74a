//! The cases and subjects of the Python benchmark. Every subject is a program of its own in Python:
//! those of the other benchmarks, and `measure_mpisync.py` and `measure_mpilock.py` here.

use clap::ValueEnum;

/// A case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Case {
    /// One rank locks for reading; the others are idle.
    ReadAlone,
    /// All ranks lock for reading.
    ReadAll,
    /// One rank locks for writing; the others are idle.
    WriteAlone,
    /// All ranks lock for writing, one after another.
    WriteAll,
    /// Rank 0 has a number and all ranks get it.
    SingleWrite,
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
    /// All ranks set an array of 120 bytes.
    #[value(name = "set_120")]
    Set120,
    /// All ranks set an array of 8 MB.
    #[value(name = "set_8000000")]
    Set8000000,
    /// The first rank sends messages of 8 bytes to the last one.
    #[value(name = "stream_8")]
    Stream8,
    /// The same with messages of 64 KiB.
    #[value(name = "stream_65536")]
    Stream65536,
    /// All ranks take empty tasks until none of 3,000 is left.
    #[value(name = "tasks_3000")]
    Tasks3000,
}

/// A subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Name {
    /// The Python package of this project.
    Mpisync,
    /// The Python package `mpilock`.
    Mpilock,
    /// The Python package `mpi4py`, its `util.sync`.
    Mpi4py,
    /// The Python package `pshmem`.
    Pshmem,
    /// The Python package `mpi-channels`.
    MpiChannels,
}
