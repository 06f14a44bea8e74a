//! Making a controller with arguments that are wrong, or that differ between the ranks.

use mpi::topology::Color;
use mpi::traits::*;
use mpisync::{CreateError, WindowController};
use mpisync_tests::job::{Case, Job};

use crate::common::still_works;

pub const CASES: &[Case] = &[
    ("master_out_of_range", master_out_of_range),
    (
        "master_out_of_range_on_one_rank",
        master_out_of_range_on_one_rank,
    ),
    ("masters_differ", masters_differ),
    ("names_differ", names_differ),
    ("long_names", long_names),
    ("errors_then_controllers", errors_then_controllers),
];

fn build(job: &Job, master: i32, name: &str) -> Result<WindowController, CreateError> {
    let builder = WindowController::builder(&job.world);
    builder.master(master).name(name).build()
}

/// After an error MPI and the library are as they were.
fn assert_next_works(job: &Job) {
    still_works(&mut mpisync::sync(&job.world).unwrap());
}

fn error_of(outcome: Result<WindowController, CreateError>) -> CreateError {
    match outcome {
        Err(error) => error,
        Ok(ctrl) => panic!("no error, but {ctrl:?}"),
    }
}

fn master_out_of_range(job: &Job) {
    for master in [job.size, -1, i32::MAX, i32::MIN] {
        let error = error_of(build(job, master, ""));
        let words = error.to_string();
        assert!(
            matches!(error, CreateError::MasterOutOfRange { .. }),
            "{error:?}"
        );
        assert!(words.contains(&master.to_string()), "{words}");
        assert!(words.contains(&job.size.to_string()), "{words}");
    }
    assert_next_works(job);
}

/// One rank's mistake is an error on all, and none is left waiting. For 2 ranks and more.
fn master_out_of_range_on_one_rank(job: &Job) {
    for odd in 0..job.size {
        let master = if job.rank == odd { job.size + 5 } else { 0 };
        let error = error_of(build(job, master, ""));
        let expected = matches!(
            error,
            CreateError::MasterOutOfRange { .. } | CreateError::ArgumentsDiffer { .. }
        );
        assert!(expected, "{error:?}");
        assert_next_works(job);
    }
}

fn assert_differ(error: &CreateError, odd: i32, values: [&str; 2]) {
    assert!(
        matches!(error, CreateError::ArgumentsDiffer { .. }),
        "{error:?}"
    );
    let words = error.to_string();
    // Compared with rank 0: when that is the odd one, the first of the others is named.
    let named = odd.max(1);
    assert!(words.contains(&format!("rank {named}")), "{words}");
    for value in values {
        assert!(words.contains(value), "{words}");
    }
}

/// For 2 ranks and more.
fn masters_differ(job: &Job) {
    for odd in 0..job.size {
        let master = i32::from(job.rank == odd);
        assert_differ(&error_of(build(job, master, "results")), odd, ["0", "1"]);
        assert_next_works(job);
    }
}

/// For 2 ranks and more.
fn names_differ(job: &Job) {
    let long = "a long name that two ranks share but for its very end ".repeat(10);
    let pairs = [
        ("results", "notes"),
        ("results", ""),
        ("results", "result"),
        ("aa", "ab"),
    ];
    for odd in 0..job.size {
        for (usual, other) in pairs {
            let name = if job.rank == odd { other } else { usual };
            assert_differ(&error_of(build(job, 0, name)), odd, [usual, other]);
        }
        let name = format!("{long}{}", i32::from(job.rank == odd));
        assert_differ(&error_of(build(job, 0, &name)), odd, ["name"; 2]);
        assert_next_works(job);
    }
}

/// Names have no limit, and no letters that they may not hold.
fn long_names(job: &Job) {
    let long = "x".repeat(100_000);
    for name in ["", "grün", "a/b\0c\n", &long] {
        let ctrl = build(job, 0, name).unwrap();
        assert_eq!(ctrl.name(), name);
    }
}

/// Errors leak nothing: hundreds of them, then a controller on a new communicator. For 2 ranks and more.
fn errors_then_controllers(job: &Job) {
    for round in 0..500 {
        let master = i32::from(job.rank == round % job.size);
        error_of(build(job, master, ""));
    }
    let comm = job.world.split_by_color(Color::with_value(0)).unwrap();
    still_works(&mut mpisync::sync(&comm).unwrap());
    assert_next_works(job);
}
