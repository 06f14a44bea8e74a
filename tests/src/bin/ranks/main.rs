//! The program that the ranks of an integration test run: `ranks DIRECTORY CASE...`.

mod exclusion;
mod launcher;

fn main() {
    mpisync_tests::job::run(&[exclusion::CASES, launcher::CASES]);
}
