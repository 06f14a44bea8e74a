//! Controllers with invalid arguments, or with arguments that differ between ranks.

use std::any::type_name;

use mpi::topology::{Color, SimpleCommunicator};
use mpi::traits::*;
use mpisync::batch::BatchError;
use mpisync::ndarray::IxDyn;
use mpisync::{
    Barrier, Batch, Condvar, Counter, CreateError, Equivalence, Latch, Mutex, OnceShared, Plain,
    Region, RemoteChannel, Semaphore, Turn, WindowController,
};
use mpisync_tests::job::Job;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::common::still_works;

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    master_out_of_range,
    long_names,
    made_anywhere,
);

mpisync_tests::cases!(on [2, 3, 4, 8]:
    master_out_of_range_on_one_rank,
    masters_differ,
    names_differ,
    errors_then_controllers,
    other_orders,
    types_of_one_name,
    once_types_of_one_name,
    alignments_differ,
    many_dimensions,
    long_arguments,
);

fn build(job: &Job, master: i32, name: &str) -> Result<WindowController, CreateError> {
    let builder = WindowController::builder(&job.world);
    builder.master(master).name(name).build()
}

/// After an error MPI and the library work as before.
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
            matches!(error, CreateError::RankOutOfRange { .. }),
            "{error:?}"
        );
        assert!(words.contains(&master.to_string()), "{words}");
        assert!(words.contains(&format!("0 to {}", job.size - 1)), "{words}");
    }
    assert_next_works(job);
}

/// The rank that is reported to differ from rank 0 if only `odd` differs from all others.
fn first_that_differs(odd: i32) -> i32 {
    odd.max(1)
}

/// Checks the error of this rank if `odd` passed another argument than all others: the texts of its
/// own difference from rank 0, or the rank that differs.
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

/// An error of one rank is an error on all, and none is left waiting. For 2 ranks and more.
fn master_out_of_range_on_one_rank(job: &Job) {
    for odd in 0..job.size {
        let master = if job.rank == odd { job.size + 5 } else { 0 };
        match error_of(build(job, master, "")) {
            CreateError::RankOutOfRange { rank: master, .. } if job.rank == odd => {
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

/// A name may have any characters; a name that is too long, or differs on one rank, is only an
/// error.
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

/// Errors leak nothing: a hundred of them, then a controller on a new communicator. For 2 ranks and
/// more.
fn errors_then_controllers(job: &Job) {
    for round in 0..100 {
        let master = i32::from(job.rank == round % job.size);
        error_of(build(job, master, ""));
    }
    let comm = job.world.split_by_color(Color::with_value(0)).unwrap();
    still_works(&mut mpisync::sync(&comm).unwrap());
    assert_next_works(job);
}

/// Checks that all ranks have an error: rank 0 and others that of the lowest rank that differs from
/// rank 0, `odd` ranks their own.
fn assert_diverged<T>(job: &Job, odd: bool, outcome: Result<T, CreateError>, lines: [u32; 2]) {
    let error = outcome.err().expect("the ranks are at different places");
    let text = error.to_string();
    match error {
        CreateError::Diverged { rank, .. } => assert!(odd && rank == job.rank, "{text}"),
        CreateError::OtherRank { rank, .. } => assert!(!odd && rank == 1, "{text}"),
        other => panic!("{other:?}"),
    }
    for line in lines {
        assert!(text.contains(&format!("{}:{line}:", file!())), "{text}");
    }
}

/// Two objects of one kind, without names, that rank 1 makes in the other order. For 2 ranks and
/// more.
fn other_orders(job: &Job) {
    let odd = job.rank == 1;
    let first = || (line!(), Mutex::with_value(&job.world, 1_u64).map(drop));
    let second = || (line!(), Mutex::with_value(&job.world, 1_u64).map(drop));
    let lines = [line!() - 2, line!() - 1];
    let outcomes = if odd {
        [second(), first()]
    } else {
        [first(), second()]
    };
    for (_, outcome) in outcomes {
        assert_diverged(job, odd, outcome, lines);
    }
    assert_next_works(job);
}

/// Makes one object of every kind, all of them at the line of this macro call.
macro_rules! make_anywhere {
    ($job:expr) => {{
        let world = &$job.world;
        drop(WindowController::builder(world).anywhere().build().unwrap());
        drop(Mutex::builder(world).anywhere().build().unwrap());
        drop(Condvar::builder(world).anywhere().build().unwrap());
        drop(Semaphore::builder(world, 2).anywhere().build().unwrap());
        drop(Counter::<u8>::builder(world).anywhere().build().unwrap());
        let once = OnceShared::<u8>::builder(world);
        drop(once.anywhere().build().unwrap());
        drop(Turn::builder(world).anywhere().build().unwrap());
        drop(Barrier::builder(world).anywhere().build().unwrap());
        drop(Latch::builder(world, 2).anywhere().build().unwrap());
        let channel = RemoteChannel::<u8>::builder(world, 2);
        drop(channel.anywhere().build().unwrap());
        let region = Region::<u8>::builder(world, [2]);
        drop(region.anywhere().build().unwrap());
        let batch = Batch::builder(world).tasks(3).worker_size($job.size);
        drop(batch.anywhere().build().unwrap());
    }};
}

/// Made in two branches with `anywhere`.
fn made_anywhere(job: &Job) {
    match job.rank {
        0 => make_anywhere!(job),
        _ => make_anywhere!(job),
    }
    assert_next_works(job);
}

/// Makes a mutex and a region of a type, at the same place for all types. Returns their errors.
fn made_with<T: Plain + Default>(world: &SimpleCommunicator) -> [Result<(), CreateError>; 2] {
    [
        Mutex::with_value(world, T::default()).map(drop),
        Region::<T>::new(world, [3]).map(drop),
    ]
}

fn assert_layouts_differ<const N: usize>(outcomes: [Result<(), CreateError>; N]) {
    for outcome in outcomes {
        let text = outcome.expect_err("the types differ").to_string();
        assert!(text.contains("layout of"), "{text}");
    }
}

/// Types of the same name and different sizes, as two blocks of a function may define them. For 2
/// ranks and more.
fn types_of_one_name(job: &Job) {
    let (small, small_name) = {
        #[derive(Clone, Copy, Equivalence)]
        #[repr(C)]
        struct Value([u64; 1]);
        impl Default for Value {
            fn default() -> Self {
                Value([1; 1])
            }
        }
        (made_with::<Value> as fn(&_) -> _, type_name::<Value>())
    };
    let (large, large_name) = {
        #[derive(Clone, Copy, Equivalence)]
        #[repr(C)]
        struct Value([u64; 512]);
        impl Default for Value {
            fn default() -> Self {
                Value([1; 512])
            }
        }
        (made_with::<Value> as fn(&_) -> _, type_name::<Value>())
    };
    assert_eq!(small_name, large_name);
    for odd in 0..job.size.min(2) {
        let made = if job.rank == odd { large } else { small };
        assert_layouts_differ(made(&job.world));
    }
    assert_next_works(job);
}

/// The same for a value that is computed once, of any serde type. For 2 ranks and more.
fn once_types_of_one_name(job: &Job) {
    fn made<T: Serialize + DeserializeOwned>(job: &Job) -> Result<(), CreateError> {
        OnceShared::<T>::new(&job.world).map(drop)
    }
    let small = {
        #[derive(Serialize, Deserialize)]
        struct Value(u8);
        made::<Value> as fn(&Job) -> _
    };
    let large = {
        #[derive(Serialize, Deserialize)]
        struct Value([u64; 4]);
        made::<Value> as fn(&Job) -> _
    };
    assert_layouts_differ([if job.rank == 1 { large } else { small }(job)]);
    assert_next_works(job);
}

/// Types of the same name and size and different alignments. For 2 ranks and more.
fn alignments_differ(job: &Job) {
    let usual = {
        #[derive(Clone, Copy, Default, Equivalence)]
        #[repr(C)]
        struct Value([u64; 16]);
        made_with::<Value> as fn(&_) -> _
    };
    let aligned = {
        #[derive(Clone, Copy, Default, Equivalence)]
        #[repr(C, align(128))]
        struct Value([u64; 16]);
        made_with::<Value> as fn(&_) -> _
    };
    for odd in 0..job.size.min(2) {
        let made = if job.rank == odd { aligned } else { usual };
        assert_layouts_differ(made(&job.world));
    }
    assert_next_works(job);
}

/// Shapes that differ only in the last two of 70 dimensions. For 2 ranks and more.
fn many_dimensions(job: &Job) {
    let mut shape = [1; 70];
    let region = Region::<u8, IxDyn>::new(&job.world, &shape[..]).unwrap();
    assert_eq!(region.shape(), shape);
    if job.rank == 1 {
        shape[68] = 6;
    } else {
        shape[69] = 6;
    }
    let error = Region::<u8, IxDyn>::new(&job.world, &shape[..]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("shape") && text.contains("6, 1]"), "{text}");
    assert!(text.contains("1, 6]"), "{text}");
    assert_next_works(job);
}

/// Long arguments that differ only at their end. For 2 ranks and more.
fn long_arguments(job: &Job) {
    let made = |odd: &str| {
        let path = job.file(&"\u{1d11e}/".repeat(1_000)).join(odd);
        let name = "\u{1d11e}".repeat(100_000);
        let batch = Batch::builder(&job.world).names([name]).state_dir(path);
        batch.build().map(drop)
    };
    let error = made(if job.rank == 1 { "odd" } else { "even" }).unwrap_err();
    assert!(matches!(error, BatchError::Create(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains("state directory"), "{text}");
    assert!(text.contains("odd") && text.contains("even"), "{text}");
    assert!(text.len() < 4_000, "{text}");
    // The same on all ranks, and not a name that a file system allows.
    let error = made("even").unwrap_err();
    assert!(!matches!(error, BatchError::Create(_)), "{error}");
    assert_next_works(job);
}
