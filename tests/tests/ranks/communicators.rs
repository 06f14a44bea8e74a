//! Controllers on all kinds of communicators, and communicators that share ranks.

use std::mem;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use mpi::ffi;
use mpi::topology::{Color, InterCommunicator, SimpleCommunicator};
use mpi::traits::*;
use mpisync::{CreateError, Mutex, Plain, RemoteChannel, WindowController};
use mpisync_tests::job::Job;
use mpisync_tests::rng::Rng;
use mpisync_tests::scratch::until;

use crate::common::shared;

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    names_and_numbers,
    self_communicator,
    split_communicators,
    reversed_ranks,
    ranks_in_other_orders,
    overlapping_communicators,
    some_ranks_only,
);

mpisync_tests::cases!(on [2, 3, 4]:
    inter_communicator,
);

mpisync_tests::cases!(on [1, 2, 3, 4]:
    threads_on_one_communicator,
);

/// A controller reports the arguments that it was made with.
fn names_and_numbers(job: &Job) {
    for master in 0..job.size {
        let ctrl = WindowController::builder(&job.world)
            .master(master)
            .name("results")
            .build()
            .unwrap();
        assert_eq!((ctrl.rank(), ctrl.size()), (job.rank, job.size));
        assert_eq!(ctrl.master(), master);
        assert_eq!(ctrl.is_master(), job.rank == master);
        assert_eq!(ctrl.name(), "results");
    }
    let ctrl = mpisync::sync(&job.world).unwrap();
    assert_eq!((ctrl.master(), ctrl.is_master()), (0, job.rank == 0));
}

/// On a communicator of one rank every lock is granted at once, even if all ranks do it at the same
/// time.
fn self_communicator(job: &Job) {
    let alone = job
        .world
        .split_by_color(Color::with_value(job.rank))
        .unwrap();
    drop(mpisync::sync(&SimpleCommunicator::self_comm()).unwrap());
    let mut ctrl = mpisync::sync(&alone).unwrap();
    assert_eq!((ctrl.rank(), ctrl.size()), (0, 1));
    let guard = ctrl.write();
    // All ranks hold their locks at the same time: these locks are independent.
    job.scratch.meet(0, job.size);
    drop(guard);
    for number in 0..1_000 {
        drop(ctrl.try_read().expect("nobody else is there"));
        drop(ctrl.try_write().expect("nobody else is there"));
        assert_eq!(shared(&mut ctrl, 0, number), number);
    }
    ctrl.close().unwrap();
}

/// Each half of the world has its own lock, and both use theirs in the same way at the same time.
fn split_communicators(job: &Job) {
    let half = job.rank % 2;
    let comm = job.world.split_by_color(Color::with_value(half)).unwrap();
    let mut ctrl = mpisync::sync(&comm).unwrap();
    assert_eq!((ctrl.rank(), ctrl.size()), (comm.rank(), comm.size()));
    let word = job.scratch.word(half as usize);
    for _ in 0..5_000 {
        let _guard = ctrl.write();
        word.store(word.load(SeqCst) + 1, SeqCst);
    }
    job.scratch.meet(10, job.size);
    assert_eq!(
        word.load(SeqCst),
        5_000 * comm.size() as u64,
        "writes were lost"
    );
    for writer in 0..comm.size() {
        let expected = u64::from(half as u32) * 100 + writer as u64;
        assert_eq!(shared(&mut ctrl, writer, expected), expected);
    }
    // One half holds its lock while the other uses its own.
    for holder in 0..job.size.min(2) {
        let base = 20 + 2 * holder as usize;
        if half == holder {
            let guard = ctrl.read();
            job.scratch.meet(base, job.size);
            job.scratch.meet(base + 1, job.size);
            drop(guard);
        } else {
            job.scratch.meet(base, job.size);
            drop(ctrl.write());
            job.scratch.meet(base + 1, job.size);
        }
    }
}

/// A controller's ranks are those of its communicator, not those of the world.
fn reversed_ranks(job: &Job) {
    let key = job.size - job.rank;
    let color = Color::with_value(0);
    let comm = job.world.split_by_color_with_key(color, key).unwrap();
    assert_eq!(comm.rank(), job.size - 1 - job.rank);
    let mut ctrl = WindowController::builder(&comm)
        .master(job.size - 1)
        .build()
        .unwrap();
    assert_eq!(ctrl.rank(), comm.rank());
    assert_eq!(ctrl.is_master(), job.rank == 0);
    for writer in 0..ctrl.size() {
        assert_eq!(shared(&mut ctrl, writer, 40 + writer), 40 + writer);
    }
}

/// Ranks dealt over nodes one by one or in blocks, and without one of them, so that nodes have
/// different numbers of ranks; each rank is the master once.
fn ranks_in_other_orders(job: &Job) {
    let orders: [fn(i32, i32) -> i32; 3] = [
        |rank, size| (rank % size.div_euclid(2).max(1)) * size + rank,
        |rank, _| (rank % 2) * 1_000 + rank,
        |rank, size| (rank + 1) % size,
    ];
    for order in orders {
        for absent in [None, Some(job.size - 1), Some(0)] {
            let here = absent != Some(job.rank) || job.size == 1;
            let color = if here {
                Color::with_value(1)
            } else {
                Color::undefined()
            };
            let key = order(job.rank, job.size);
            let Some(comm) = job.world.split_by_color_with_key(color, key) else {
                continue;
            };
            for master in 0..comm.size() {
                let builder = WindowController::builder(&comm).master(master);
                let mut ctrl = builder.build().unwrap();
                for writer in 0..ctrl.size() {
                    drop(ctrl.write());
                    assert_eq!(shared(&mut ctrl, writer, 60 + writer), 60 + writer);
                    drop(ctrl.read());
                }
            }
        }
    }
}

/// Four controllers on overlapping communicators, used in turn by their ranks.
fn overlapping_communicators(job: &Job) {
    let part = |color: i32| job.world.split_by_color(Color::with_value(color)).unwrap();
    // The world, odd and even ranks, lower and upper ranks, and each rank alone.
    let colors = [
        0,
        job.rank % 2,
        i32::from(2 * job.rank >= job.size),
        job.rank,
    ];
    let comms: Vec<SimpleCommunicator> = colors.into_iter().map(part).collect();
    let mut controllers: Vec<WindowController> = comms
        .iter()
        .map(|comm| mpisync::sync(comm).unwrap())
        .collect();
    // A word for each communicator; the same color of another split has another word.
    let word = |kind: usize| job.scratch.word(100 + 20 * kind + colors[kind] as usize);
    let mut rng = Rng::new(job.rank as u64);
    let mut written = [0_u64; 4];
    for _ in 0..job.rounds(10_000) {
        let kind = rng.below(4) as usize;
        let (outer, inner) = controllers.split_at_mut(kind);
        let _outer = outer.first().map(WindowController::read);
        let _guard = inner[0].write();
        word(kind).store(word(kind).load(SeqCst) + 1, SeqCst);
        written[kind] += 1;
    }
    for (kind, written) in written.into_iter().enumerate() {
        job.scratch
            .word(200 + 20 * kind + colors[kind] as usize)
            .fetch_add(written, SeqCst);
    }
    job.scratch.meet(300, job.size);
    for (kind, color) in colors.into_iter().enumerate() {
        let expected = job.scratch.word(200 + 20 * kind + color as usize);
        assert_eq!(
            word(kind).load(SeqCst),
            expected.load(SeqCst),
            "writes were lost"
        );
    }
    for (ctrl, color) in controllers.iter_mut().zip(colors) {
        for writer in 0..ctrl.size() {
            let expected = 1_000 * color + writer;
            assert_eq!(shared(ctrl, writer, expected), expected);
        }
    }
}

/// A controller of some ranks needs nothing from the others, which do not take part.
fn some_ranks_only(job: &Job) {
    let color = match job.rank {
        0 => Color::undefined(),
        _ => Color::with_value(1),
    };
    if let Some(comm) = job.world.split_by_color(color) {
        let mut ctrl = mpisync::sync(&comm).unwrap();
        for round in 0..200 {
            let writer = round % ctrl.size();
            assert_eq!(shared(&mut ctrl, writer, round), round);
            drop(ctrl.write());
        }
        job.scratch.word(0).fetch_add(1, SeqCst);
    } else {
        // Without MPI, which might let the others make progress.
        let others = job.size as u64 - 1;
        until("the others", || job.scratch.word(0).load(SeqCst) == others);
    }
}

/// Two groups of ranks, seen from both, behind the type of a communicator of one group: in a
/// release build `duplicate` of an inter-communicator returns such a communicator. For 2 ranks and
/// more.
fn inter_communicator(job: &Job) {
    let half = job.rank % 2;
    let part = job.world.split_by_color(Color::with_value(half)).unwrap();
    let inter = {
        let mut raw = part.as_raw();
        // SAFETY: the groups are disjoint, each is led by its rank 0, and the leaders are ranks 0
        // and 1 of the world.
        unsafe {
            let world = job.world.as_raw();
            ffi::MPI_Intercomm_create(part.as_raw(), 0, world, 1 - half, 7, &mut raw);
            InterCommunicator::from_raw(raw)
        }
    };
    // SAFETY: both types are one handle, and MPI knows its kind.
    let disguised: SimpleCommunicator = unsafe { mem::transmute(inter) };
    let is_told = |error: Option<CreateError>| {
        let error = error.expect("there are two groups");
        assert!(matches!(error, CreateError::InterCommunicator), "{error:?}");
        assert!(error.to_string().contains("merge"), "{error}");
    };
    is_told(mpisync::sync(&disguised).err());
    is_told(Mutex::new(&disguised).err());
    is_told(RemoteChannel::<u8>::new(&disguised, 4).err());
    drop(mpisync::sync(&part).unwrap());
}

/// Two threads of each rank make objects on one communicator, in any order on each rank. The
/// objects of a pair are the same on all ranks, or all ranks get an error.
fn threads_on_one_communicator(job: &Job) {
    const ROUNDS: usize = 200;

    fn make<T: Plain + PartialEq>(value: T, make: impl Fn(T) -> Result<Mutex<T>, CreateError>) {
        for _ in 0..ROUNDS {
            match make(value) {
                Ok(mut mutex) => assert!(*mutex.lock() == value, "the value of another object"),
                Err(error @ (CreateError::Diverged { .. } | CreateError::OtherRank { .. })) => {
                    assert!(error.to_string().contains("the same objects"), "{error}");
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    if mpi::environment::threading_support() < mpi::Threading::Multiple {
        return;
    }
    job.world.barrier();
    // Each thread uses its own communicator handle, because these need not be `Sync`.
    let world = SimpleCommunicator::world;
    let small = thread::spawn(move || make(7_u64, |value| Mutex::with_value(&world(), value)));
    let large = thread::spawn(move || {
        make([9_u64; 512], |value| Mutex::with_value(&world(), value));
    });
    small.join().unwrap();
    large.join().unwrap();
    job.world.barrier();
    drop(mpisync::sync(&job.world).unwrap());
}
