//! Tests with real ranks. This program is the test harness, and also the program of the ranks.

mod barrier;
mod batch;
mod calls;
mod channel;
mod collective;
mod common;
mod communicators;
mod condvar;
mod containers;
mod counter;
mod deadlock;
mod death;
mod divergence;
mod ended;
mod errors;
mod exclusion;
mod failures;
mod fairness;
mod fences;
mod guarded;
mod interrupts;
mod kills;
mod latch;
mod launcher;
mod leaks;
mod lifecycle;
mod lifetime;
mod lock_futures;
mod macros;
mod mismatch;
mod mutex;
mod nesting;
mod network;
mod once;
mod owned;
mod parts;
mod plain;
mod progress;
mod pshmem;
mod rare_writes;
mod region;
mod region_errors;
mod run;
mod semaphore;
mod shared;
mod shared_objects;
mod slices;
mod soak;
mod top;
mod trace;
mod transport;
mod turn;
mod values;
mod watchdog;

fn main() -> std::process::ExitCode {
    mpisync_tests::harness::main()
}
