//! How a test file says which cases run on how many ranks.

use crate::launch::Launch;

/// Runs `cases` in one job of `ranks` ranks of `program`.
///
/// # Panics
/// When a case fails or hangs, naming it, with all that the job printed.
pub fn check(program: &str, ranks: usize, cases: &[&str]) {
    check_launch(Launch::new(program, ranks), cases);
}

/// Like [`check`], for a launch with its own limit or environment.
///
/// # Panics
/// When a case fails or hangs, naming it, with all that the job printed.
pub fn check_launch(launch: Launch<'_>, cases: &[&str]) {
    let ended = launch.args(cases.iter().copied()).run();
    let passed = |case: &&&str| {
        ended
            .output
            .lines()
            .any(|line| line == format!("ok {case}"))
    };
    if let Some(case) = cases.iter().find(|case| !passed(case)) {
        panic!("case {case}: {}", ended.report());
    }
    assert!(
        ended.succeeded(),
        "all cases passed, but not the end of the job: {}",
        ended.report()
    );
}

/// A module of tests: the cases, in one job, on each of the given numbers of ranks.
///
/// `on_ranks!(exclusion on [1, 2, 3, 4, 8]: "counter", "mixed");`
#[macro_export]
macro_rules! on_ranks {
    ($theme:ident on [$($ranks:tt),+]: $($case:literal),+ $(,)?) => {
        mod $theme {
            const CASES: &[&str] = &[$($case),+];
            $($crate::on_ranks!(@test $ranks);)+
        }
    };
    (@test 1) => { $crate::on_ranks!(@function on_1_rank 1); };
    (@test 2) => { $crate::on_ranks!(@function on_2_ranks 2); };
    (@test 3) => { $crate::on_ranks!(@function on_3_ranks 3); };
    (@test 4) => { $crate::on_ranks!(@function on_4_ranks 4); };
    (@test 8) => { $crate::on_ranks!(@function on_8_ranks 8); };
    (@function $name:ident $ranks:literal) => {
        #[test]
        fn $name() {
            $crate::suite::check(env!("CARGO_BIN_EXE_ranks"), $ranks, CASES);
        }
    };
}
