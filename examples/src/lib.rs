//! The common parts of the examples, so that the programs themselves show only the use of mpisync.
//!
//! `hdf5_results` (with mpisync) and `plain_mpi` (with MPI only) do the same job: many ranks write
//! into one ordinary HDF5 file. [`results`] has the file's layout, its contents and its
//! verification, and [`cli`] the command line and the output.
//!
//! In `shared_table` many ranks write rows into one table of comma-separated values. In `thread_cache` the
//! threads of all ranks fill one cache in a file.
//!
//! `word_count` and `pipeline` pass work between ranks through channels. [`room`] is for a rank
//! that both puts and takes.
//!
//! `heat` and `lookup_table` use arrays of which each node has one copy in memory. [`sum`] adds up
//! numbers of all ranks.
//!
//! `rate_limit` limits the number of ranks that use a service at a time; its own directory has all
//! its parts.
//!
//! In `several_at_once` each rank has several tasks of the runtime tokio, which wait for other ranks as
//! futures.
//!
//! `parameter_sweep` runs a batch of tasks that can be killed and started again; its file is in
//! HDF5, too.

pub mod cli;
pub mod results;
pub mod room;
pub mod sum;

#[cfg(test)]
mod readme;
