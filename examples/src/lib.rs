//! What the example programs have in common, so that the programs themselves show only how ranks take turns.
//!
//! `hdf5_results` (with mpisync) and `plain_mpi` (with MPI alone) do the same job: many ranks write into one
//! ordinary HDF5 file. The file's layout, its content and its verification are in [`results`], the command line
//! in [`cli`], the one progress bar in [`progress`].
//!
//! `shared_table` has many ranks write rows into one table of comma-separated values.
//!
//! `word_count` and `pipeline` hand work from rank to rank through channels. What a rank does that puts and takes is
//! in [`room`].
//!
//! `heat` and `lookup_table` use arrays that lie in the memory of each node once. How numbers of all ranks are added up
//! is in [`sum`].
//!
//! `rate_limit` lets only so many ranks at a time ask a service; it has all that it needs in its own directory.
//!
//! `parameter_sweep` does a batch of tasks that can be killed and started again; its file is of HDF5, too.

pub mod cli;
pub mod progress;
pub mod results;
pub mod room;
pub mod sum;
mod terminal;

#[cfg(test)]
mod readme;
