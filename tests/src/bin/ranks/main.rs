//! The program that the ranks of an integration test run: `ranks DIRECTORY CASE...`.

mod barrier;
mod batch;
mod calls;
mod channel;
mod collective;
mod common;
mod communicators;
mod condvar;
mod counter;
mod death;
mod errors;
mod exclusion;
mod failures;
mod fairness;
mod fences;
mod guarded;
mod latch;
mod launcher;
mod leaks;
mod lifetime;
mod macros;
mod mismatch;
mod mutex;
mod nesting;
mod network;
mod once;
mod owned;
mod plain;
mod progress;
mod pshmem;
mod rare_writes;
mod region;
mod region_errors;
mod semaphore;
mod soak;
mod transport;
mod turn;
mod values;

fn main() {
    mpisync_tests::job::run(&[
        barrier::CASES,
        batch::CASES,
        batch::directories::CASES,
        batch::trouble::CASES,
        batch::ends::CASES,
        batch::layouts::CASES,
        batch::restart::CASES,
        batch::tasks::CASES,
        calls::CASES,
        channel::CASES,
        collective::CASES,
        communicators::CASES,
        condvar::CASES,
        counter::CASES,
        death::CASES,
        death::batches::CASES,
        death::channels::CASES,
        death::objects::CASES,
        death::regions::CASES,
        errors::CASES,
        exclusion::CASES,
        failures::CASES,
        fairness::CASES,
        fences::CASES,
        latch::CASES,
        launcher::CASES,
        leaks::CASES,
        lifetime::CASES,
        macros::CASES,
        mismatch::CASES,
        mutex::CASES,
        nesting::CASES,
        network::CASES,
        once::CASES,
        owned::CASES,
        plain::CASES,
        progress::CASES,
        pshmem::CASES,
        rare_writes::CASES,
        region::CASES,
        region_errors::CASES,
        semaphore::CASES,
        soak::CASES,
        transport::CASES,
        turn::CASES,
        values::CASES,
    ]);
}
