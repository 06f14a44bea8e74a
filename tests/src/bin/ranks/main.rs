//! The program that the ranks of an integration test run: `ranks DIRECTORY CASE...`.

mod communicators;
mod exclusion;
mod fairness;
mod launcher;
mod nesting;
mod progress;

fn main() {
    mpisync_tests::job::run(&[
        communicators::CASES,
        exclusion::CASES,
        fairness::CASES,
        launcher::CASES,
        nesting::CASES,
        progress::CASES,
    ]);
}
