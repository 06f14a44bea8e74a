//! The program that the ranks of an integration test run: `ranks DIRECTORY CASE...`.

mod common;
mod communicators;
mod exclusion;
mod fairness;
mod fences;
mod launcher;
mod lifetime;
mod nesting;
mod progress;
mod values;

fn main() {
    mpisync_tests::job::run(&[
        communicators::CASES,
        exclusion::CASES,
        fairness::CASES,
        fences::CASES,
        launcher::CASES,
        lifetime::CASES,
        nesting::CASES,
        progress::CASES,
        values::CASES,
    ]);
}
