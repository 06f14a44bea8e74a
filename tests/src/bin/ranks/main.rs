//! The program that the ranks of an integration test run: `ranks DIRECTORY CASE...`.

mod exclusion;

fn main() {
    mpisync_tests::job::run(&[exclusion::CASES]);
}
