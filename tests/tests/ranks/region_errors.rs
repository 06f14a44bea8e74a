//! Regions that cannot be made, and data that does not fit: the same error on all ranks, and no
//! change.

use std::fmt::Debug;

use mpi::traits::*;
use mpisync::ndarray::{Array2, ArrayD, Ix2, IxDyn};
use mpisync::{
    CollectiveError, Counter, CreateError, MemoryLimit, ObjectCall, OnceShared, Region,
    RegionError, RemoteChannel, WindowController,
};
use mpisync_tests::job::Job;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::common::assert_here;

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    region_data_that_does_not_fit,
    region_roots_differ,
    region_set_in_other_places,
    region_arguments_differ,
    region_shapes_that_cannot_be,
    region_without_room,
    region_beyond_the_file_size,
    region_from_no_root,
    region_made_in_different_ways,
);

/// A region that must not change.
struct Unharmed {
    region: Region<i32>,
    expected: ArrayD<i32>,
}

impl Unharmed {
    fn new(job: &Job) -> Self {
        let expected = ArrayD::from_shape_fn(IxDyn(&[4, 5]), |at| (10 * at[0] + at[1]) as i32);
        let all = (job.rank == 0).then_some(&expected);
        let region = Region::from_root(&job.world, 0, all).unwrap();
        Unharmed { region, expected }
    }

    /// Checks an outcome, and that the region has its items and can still be set.
    fn check<T: Debug>(&mut self, outcome: Result<T, RegionError>, right: RegionError) {
        assert_eq!(outcome.expect_err("it cannot be"), right);
        self.check_items();
    }

    /// The same for an error that names the calls of two ranks.
    fn check_calls<T: Debug>(
        &mut self,
        outcome: Result<T, RegionError>,
        calls: impl FnOnce(RegionError) -> Option<[ObjectCall; 2]>,
    ) {
        let error = outcome.expect_err("it cannot be");
        let text = error.to_string();
        for call in calls(error).unwrap_or_else(|| panic!("{text}")) {
            assert_eq!((call.kind(), call.object()), ("region", "region"));
            assert_here(call.place(), file!());
            assert!(text.contains(&call.to_string()), "{text}");
        }
        self.check_items();
    }

    fn check_items(&mut self) {
        assert_eq!(self.region.read().view(), self.expected);
        let last = self.region.size() - 1;
        let data = (self.region.rank() == last).then_some(&self.expected);
        self.region.set(last, data, [0, 0]).unwrap();
        self.region.set_from_any(data, [0, 0]).unwrap();
    }
}

fn region_data_that_does_not_fit(job: &Job) {
    let mut it = Unharmed::new(job);
    for root in 0..job.size {
        let mine = |shape: &[usize]| (job.rank == root).then(|| ArrayD::<i32>::zeros(IxDyn(shape)));
        let out = |axis, offset, length, extent| RegionError::OutOfBounds {
            root,
            axis,
            offset,
            length,
            extent,
        };
        let dimensions = |what, dimensions| RegionError::Dimensions {
            root,
            what,
            dimensions,
            expected: 2,
        };
        let all = mine(&[4, 5]);
        let outcome = it.region.set(root, all.as_ref(), [0, 1]);
        it.check(outcome, out(1, 1, 5, 5));
        let outcome = it.region.set(root, all.as_ref(), [usize::MAX, 0]);
        it.check(outcome, out(0, usize::MAX, 4, 4));
        let outcome = it.region.set_from_any(mine(&[5, 1]).as_ref(), [0, 0]);
        it.check(outcome, out(0, 0, 5, 4));
        let outcome = it.region.set(root, mine(&[4]).as_ref(), [0, 0]);
        it.check(outcome, dimensions("data", 1));
        let outcome = it.region.set(root, mine(&[1, 1, 1]).as_ref(), [0, 0]);
        it.check(outcome, dimensions("data", 3));
        let outcome = it.region.set(root, all.as_ref(), [0]);
        it.check(outcome, dimensions("an offset", 1));
    }
    // By a guard it is the same, on one rank.
    if job.rank == 0 {
        let mut items = it.region.write();
        let outcome = items.assign(&Array2::<i32>::zeros((1, 6)), [0, 0]);
        assert!(matches!(
            outcome,
            Err(RegionError::OutOfBounds { axis: 1, .. })
        ));
    }
    job.world.barrier();
    assert_eq!(it.region.read().view(), it.expected);
}

fn region_roots_differ(job: &Job) {
    let mut it = Unharmed::new(job);
    let data = ArrayD::<i32>::zeros(IxDyn(&[4, 5]));
    let size = job.size;
    for root in [-1, size] {
        let outcome = it.region.set(root, Some(&data), [0, 0]);
        let argument = "root";
        it.check(
            outcome,
            RegionError::RankOutOfRange {
                argument,
                rank: root,
                size,
            },
        );
    }
    let outcome = it.region.set(0, None::<&ArrayD<i32>>, [0, 0]);
    it.check(outcome, RegionError::NoData { root: 0 });
    let outcome = it.region.set_from_any(None::<&ArrayD<i32>>, [0, 0]);
    it.check(outcome, RegionError::NoRoot);
    if size == 1 {
        return;
    }
    // Each rank takes itself for the root.
    let outcome = it.region.set(job.rank, Some(&data), [0, 0]);
    let differ = |odd: i32| {
        move |error| match error {
            RegionError::RootsDiffer {
                first: 0,
                root: 0,
                rank,
                there,
                first_call,
                there_call,
            } => ((rank, there) == (odd, odd)).then_some([first_call, there_call]),
            _ => None,
        }
    };
    it.check_calls(outcome, differ(1));
    let last = size - 1;
    let outcome = it
        .region
        .set(if job.rank == last { last } else { 0 }, Some(&data), [0, 0]);
    it.check_calls(outcome, differ(last));
    let outcome = it.region.set_from_any(Some(&data), [0, 0]);
    it.check_calls(outcome, |error| match error {
        RegionError::SeveralRoots {
            first: 0,
            second: 1,
            first_call,
            second_call,
        } => Some([first_call, second_call]),
        _ => None,
    });
}

/// The root and the others may set at different places of the program, but not by different
/// methods.
fn region_set_in_other_places(job: &Job) {
    let mut it = Unharmed::new(job);
    if job.rank == 0 {
        let data = it.expected.clone();
        it.region.set(0, Some(&data), [0, 0]).unwrap();
    } else {
        it.region.set(0, None::<&ArrayD<i32>>, [0, 0]).unwrap();
    }
    if job.size == 1 {
        return;
    }
    let data = ArrayD::<i32>::zeros(IxDyn(&[4, 5]));
    let outcome = if job.rank == 0 {
        it.region.set(0, Some(&data), [0, 0])
    } else {
        it.region.set_from_any(Some(&data), [0, 0])
    };
    let error = outcome.expect_err("one of them is in another call");
    let RegionError::Call(CollectiveError::Diverged { here, there, .. }) = &error else {
        panic!("{error:?}");
    };
    assert_ne!(here, there);
    assert!(here.file().ends_with("region_errors.rs"), "{here}");
    assert_eq!(it.region.read().view(), it.expected);
    it.region
        .set(0, (job.rank == 0).then_some(&it.expected), [0, 0])
        .unwrap();
}

/// All ranks have an error, and one of the errors names the difference.
fn assert_differs<T>(job: &Job, outcome: Result<T, CreateError>, argument: &str) {
    let error = outcome.err().expect("the arguments differ");
    match &error {
        CreateError::ArgumentsDiffer {
            argument: found,
            rank,
            ..
        } => {
            assert_eq!((*found, *rank), (argument, job.rank));
        }
        CreateError::OtherRank { rank, found } => {
            assert_eq!(*rank, 1);
            assert!(found.contains(argument), "{found}");
        }
        other => panic!("{other:?}"),
    }
}

fn region_arguments_differ(job: &Job) {
    if job.size == 1 {
        return;
    }
    let odd = job.rank == 1;
    let shape = if odd { [4, 6] } else { [4, 5] };
    assert_differs(job, Region::<f64>::new(&job.world, shape), "shape");
    let shape: &[usize] = if odd { &[20] } else { &[4, 5] };
    assert_differs(job, Region::<f64>::new(&job.world, shape), "shape");
    let huge = if odd { 1 << 30 } else { 3 };
    assert_differs(job, Region::<f64>::new(&job.world, [huge]), "shape");
    let outcome = if odd {
        let builder = Region::<f32>::builder(&job.world, [4]);
        builder.anywhere().build().map(drop)
    } else {
        let builder = Region::<i32>::builder(&job.world, [4]);
        builder.anywhere().build().map(drop)
    };
    assert_differs(job, outcome, "type of items");
    let builder = Region::<f64>::builder(&job.world, [4]);
    assert_differs(job, builder.master(i32::from(odd)).build(), "master");
    let builder = Region::<f64>::builder(&job.world, [4]);
    assert_differs(
        job,
        builder.name(if odd { "odd" } else { "even" }).build(),
        "name",
    );
    let outcome = if odd {
        Region::<f64>::new(&job.world, [4]).map(drop)
    } else {
        WindowController::builder(&job.world).build().map(drop)
    };
    let error = outcome.expect_err("they make different things").to_string();
    assert!(error.contains("the same objects"), "{error}");
    // Then it works.
    let region = Region::<f64>::new(&job.world, [4]).unwrap();
    assert_eq!(region.read().sum(), 0.0);
}

fn region_shapes_that_cannot_be(job: &Job) {
    for shape in [
        &[usize::MAX][..],
        &[1 << 40, 1 << 30],
        &[1 << 60, 0, 1 << 10],
    ] {
        let error = Region::<f64>::new(&job.world, shape).expect_err("too many");
        let right =
            matches!(&error, CreateError::Shape { shape: found, bytes: 8 } if found == shape);
        assert!(right, "{error:?}");
    }
    // On one rank only.
    let shape = if job.rank == job.size - 1 {
        usize::MAX
    } else {
        3
    };
    let error = Region::<f64>::new(&job.world, [shape]).expect_err("too many");
    if job.rank == job.size - 1 {
        assert!(matches!(error, CreateError::Shape { .. }), "{error:?}");
    } else {
        let right = matches!(error, CreateError::OtherRank { rank, .. } if rank == job.size - 1);
        assert!(right, "{error:?}");
    }
    let builder = Region::<f64>::builder(&job.world, [3]).master(job.size);
    let error = builder.build().expect_err("no rank");
    assert!(matches!(error, CreateError::RankOutOfRange { .. }));
    assert!(Region::<f64>::new(&job.world, [3]).is_ok());
}

/// More than any machine has, and more than is free on this one.
fn region_without_room(job: &Job) {
    for bytes in [1_usize << 50, 1 << 45] {
        let error = Region::<u8>::new(&job.world, [bytes]).expect_err("no room");
        let CreateError::NoRoom {
            asked,
            available,
            limit,
            ..
        } = error
        else {
            panic!("{error:?}");
        };
        assert_eq!(asked, bytes as u64);
        assert!(available < asked);
        let known = [
            MemoryLimit::SharedMemory,
            MemoryLimit::ControlGroup,
            MemoryLimit::Machine,
        ];
        assert!(known.contains(&limit));
    }
    let mut region = Region::<u8>::new(&job.world, [1 << 20]).unwrap();
    region.update(|items| items.fill(1)).unwrap();
    assert!(region.read().iter().all(|item| *item == 1));
}

/// For the kernel, shared memory is a file. It would kill a rank that makes a file beyond the
/// limit.
fn region_beyond_the_file_size(job: &Job) {
    const LIMIT: u64 = 1 << 20;
    let comm = job.world.duplicate();
    let old = mpisync::sync(&comm).unwrap();
    let limits = file_size_limit(LIMIT);
    let beyond = |error: CreateError, least: u64| match error {
        CreateError::NoRoom {
            asked,
            available: LIMIT,
            limit: MemoryLimit::FileSize,
            ..
        } => assert!(asked >= least, "{asked} bytes"),
        // Only the root's node makes a file that is too long.
        CreateError::OtherRank { found, .. } if old.nodes() > 1 => {
            assert!(found.contains("RLIMIT_FSIZE"), "{found}");
        }
        error => panic!("{error:?}"),
    };
    // A rank that is alone on its node has its items in private memory.
    if job.size > 1 && old.nodes() == 1 {
        let error = Region::<u8>::new(&comm, [8 << 20]).expect_err("a long file");
        beyond(error, 8 << 20);
        let error = Region::<u8>::new(&comm, [LIMIT as usize + 1]).expect_err("one byte more");
        beyond(error, LIMIT + 1);
        let mut region = Region::<u8>::new(&comm, [LIMIT as usize]).unwrap();
        region.update(|items| items.fill(1)).unwrap();
    }
    // The shared memory of other objects grows by files, too.
    let builder = OnceShared::<Vec<u8>>::builder(&comm).capacity(4 << 20);
    beyond(builder.build().expect_err("a long file"), 4 << 20);
    if job.size > 1 && old.nodes() == 1 {
        let error = RemoteChannel::<[u64; 64]>::new(&comm, 10_000).expect_err("a long file");
        beyond(error, 512 * 10_000);
    }
    assert!(Counter::<u64>::new(&comm).is_ok());
    set_file_size_limit(limits);
    assert!(Region::<u8>::new(&comm, [8 << 20]).is_ok());
}

/// Sets the largest file size of this process, up to its hard limit. Returns the previous limits.
fn file_size_limit(bytes: u64) -> Rlimit {
    let before = getrlimit(Resource::Fsize);
    set_file_size_limit(Rlimit {
        current: Some(bytes),
        maximum: before.maximum,
    });
    before
}

fn set_file_size_limit(limits: Rlimit) {
    setrlimit(Resource::Fsize, limits).expect("up to the hard limit it may be set");
}

fn region_from_no_root(job: &Job) {
    let nothing = None::<&Array2<f64>>;
    let error = Region::from_root(&job.world, 0, nothing).expect_err("nothing");
    match error {
        CreateError::NoArray { root: 0 } if job.rank == 0 => {}
        CreateError::OtherRank { rank: 0, .. } => {}
        other => panic!("{other:?}"),
    }
    let array = Array2::<f64>::zeros((2, 2));
    let error = Region::from_root(&job.world, job.size, Some(&array)).expect_err("no rank");
    assert!(
        matches!(error, CreateError::RankOutOfRange { .. }),
        "{error:?}"
    );
    if job.size > 1 {
        let root = i32::from(job.rank == 1);
        assert_differs(
            job,
            Region::from_root(&job.world, root, Some(&array)),
            "root",
        );
    }
    assert!(Region::from_root(&job.world, 0, Some(&array)).is_ok());
}

/// One rank has an array, and another one only the shape.
fn region_made_in_different_ways(job: &Job) {
    if job.size == 1 {
        return;
    }
    let array = Array2::<f64>::zeros((2, 2));
    for odd in 0..2 {
        let outcome = if (job.rank == 0) == (odd == 0) {
            Region::<f64, Ix2>::new(&job.world, [2, 2])
        } else {
            Region::from_root(&job.world, 0, Some(&array))
        };
        let error = outcome.expect_err("they make it differently").to_string();
        assert!(error.contains("the same objects"), "{error}");
    }
    assert!(Region::from_root(&job.world, 0, Some(&array)).is_ok());
}
