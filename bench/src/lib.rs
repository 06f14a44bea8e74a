//! Benchmarks of mpisync and its alternatives, side by side.
//!
//! A benchmark is one MPI program in `src/bin`. Each of its subjects (mpisync and the alternatives)
//! is one file in the module of the same name. All subjects run the same cases, written once, on
//! the same ranks, in turns, so that the ratio of two subjects' figures is meaningful.
//!
//! All benchmarks share these modules: [`clock`] reads the time, [`pace`] repeats an operation
//! until a moment, [`team`] starts the ranks together and adds up their operations, [`memory`] is
//! memory that ranks share, [`window`] has words that ranks reach through MPI, [`turns`] lets
//! subjects take turns, [`watch`] ends a job whose subject hangs, [`program`] starts the programs
//! and parses their common options, and [`report`] prints and stores the outcome. [`figures`] and
//! [`plot`] draw it.

pub mod batch;
pub mod channel;
pub mod clock;
pub mod figures;
pub mod lock;
pub mod memory;
pub mod pace;
pub mod plot;
pub mod program;
pub mod python;
pub mod region;
pub mod report;
pub mod sync;
pub mod team;
pub mod turns;
pub mod watch;
pub mod window;
