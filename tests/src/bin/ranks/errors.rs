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
        assert!(words.contains(&format!("0 to {}", job.size - 1)), "{words}");
    }
    assert_next_works(job);
}

/// The rank that is told apart from rank 0 when `odd` alone differs from all others.
fn first_that_differs(odd: i32) -> i32 {
    odd.max(1)
}

/// Checks what this rank hears when `odd` passed something else than all others: its own difference from rank 0
/// in words, or else which rank has one.
fn assert_differ(job: &Job, odd: i32, error: &CreateError, usual: &str, other: &str) {
    let words = error.to_string();
    let differs = job.rank != 0 && (odd == 0 || job.rank == odd);
    match error {
        CreateError::ArgumentsDiffer {
            rank, rank_0, here, ..
        } if differs => {
            let (zero, mine) = if odd == 0 {
                (other, usual)
            } else {
                (usual, other)
            };
            assert_eq!(
                (*rank, rank_0.as_str(), here.as_str()),
                (job.rank, zero, mine)
            );
        }
        CreateError::OtherRank { rank, .. } if !differs => {
            assert_eq!(*rank, first_that_differs(odd));
        }
        other => panic!("{other:?}"),
    }
    assert!(words.contains("rank"), "{words}");
}

/// One rank's mistake is an error on all, and none is left waiting. For 2 ranks and more.
fn master_out_of_range_on_one_rank(job: &Job) {
    for odd in 0..job.size {
        let master = if job.rank == odd { job.size + 5 } else { 0 };
        match error_of(build(job, master, "")) {
            CreateError::MasterOutOfRange { master, .. } if job.rank == odd => {
                assert_eq!(master, job.size + 5);
            }
            CreateError::ArgumentsDiffer { .. } => assert!(odd == 0 || odd == job.rank),
            CreateError::OtherRank { rank, .. } => {
                assert!(rank == odd || rank == first_that_differs(odd));
            }
            other => panic!("{other:?}"),
        }
        assert_next_works(job);
    }
}

/// For 2 ranks and more.
fn masters_differ(job: &Job) {
    for odd in 0..job.size {
        let master = i32::from(job.rank == odd);
        let error = error_of(build(job, master, "results"));
        assert_differ(job, odd, &error, "0", "1");
        assert_next_works(job);
    }
}

/// For 2 ranks and more.
fn names_differ(job: &Job) {
    let pairs = [
        ("results", "notes"),
        ("results", ""),
        ("results", "result"),
        ("aa", "ab"),
    ];
    for odd in 0..job.size {
        for (usual, other) in pairs {
            let name = if job.rank == odd { other } else { usual };
            let error = error_of(build(job, 0, name));
            assert_differ(job, odd, &error, usual, other);
        }
        assert_next_works(job);
    }
}

/// A name may hold any letters; one that is too long, or on one rank alone, is an error and nothing worse.
fn long_names(job: &Job) {
    for name in ["", "grün", "a/b\0c\n", "a name of usual length"] {
        let ctrl = build(job, 0, name).unwrap();
        assert_eq!(ctrl.name(), name);
    }
    let long = "x".repeat(1_000_000);
    let error = error_of(build(job, 0, &long));
    assert!(
        matches!(error, CreateError::NameTooLong { .. }),
        "{error:?}"
    );
    let name = if job.rank == job.size - 1 {
        &long
    } else {
        "short"
    };
    match error_of(build(job, 0, name)) {
        CreateError::NameTooLong { .. } => assert_eq!(job.rank, job.size - 1),
        CreateError::OtherRank { rank, .. } => assert_eq!(rank, job.size - 1),
        other => panic!("{other:?}"),
    }
    assert_next_works(job);
}

/// Errors leak nothing: a hundred of them, then a controller on a new communicator. For 2 ranks and more.
fn errors_then_controllers(job: &Job) {
    for round in 0..100 {
        let master = i32::from(job.rank == round % job.size);
        error_of(build(job, master, ""));
    }
    let comm = job.world.split_by_color(Color::with_value(0)).unwrap();
    still_works(&mut mpisync::sync(&comm).unwrap());
    assert_next_works(job);
}
