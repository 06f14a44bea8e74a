//! Side-by-side benchmarks of mpisync and what one would use in its place.
//!
//! A benchmark is one MPI program in `src/bin`, and its subjects (mpisync and each competitor) are one
//! file each in the module of the same name. All subjects run the same cases, written once, on the same
//! ranks, in turns, so that a figure of one subject may be divided by a figure of another.
//!
//! What all benchmarks share: [`clock`] tells the time, [`pace`] repeats an operation until a moment,
//! [`team`] starts the ranks together and adds up what they did, [`memory`] is memory that they share, [`window`] words
//! that they reach through MPI, [`turns`] lets subjects take turns, [`watch`]
//! sees to it that none stands still for ever, [`program`] is how they start and what their command lines share, and [`report`] prints and stores the outcome.

pub mod batch;
pub mod channel;
pub mod clock;
pub mod lock;
pub mod memory;
pub mod pace;
pub mod plot;
pub mod program;
pub mod region;
pub mod report;
pub mod sync;
pub mod team;
pub mod turns;
pub mod watch;
pub mod window;
