//! A rank ends, that is, it drops its universe, while others wait for it: they get an error that names it.
//!
//! The last rank ends. The others end after they have checked their errors, so that MPI is finalized everywhere.

use std::fmt::Debug;
use std::mem::forget;
use std::thread::sleep;
use std::time::{Duration, Instant};

use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use mpisync::batch::BatchError;
use mpisync::prelude::*;
use mpisync::sync::{BarrierError, LatchError, TurnError};

mpisync_tests::cases!(processes on [2, 4]:
    collective_call = || others(controller, |ctrl| check_call(agree(ctrl))),
    close = || others(controller, |ctrl| check_call(sync_of(ctrl).close())),
    value_of_the_writer = || others(controller, |ctrl| check_call(share(ctrl, last_of(ctrl), 1))),
    barrier = || others(made(|world| Barrier::new(world)), |barrier| {
        let error = barrier.wait_timeout(LONG).unwrap_err();
        assert!(matches!(error, BarrierError::RankEnded { rank, panicked: false } if rank == barrier.size() - 1), "{error}");
        named(&error, barrier.size() - 1);
    }),
    turn = || others(made(|world| Turn::new(world)), |turn| {
        let (rank, last) = (turn.rank(), turn.size() - 1);
        // In the first round the last rank comes last.
        drop(turn.take_timeout(LONG).unwrap());
        let error = turn.take_timeout(LONG).unwrap_err();
        assert!(matches!(error, TurnError::RankEnded { rank, .. } if rank == last), "rank {rank}: {error}");
        named(&error, last);
    }),
    latch = || others(made(|world| Latch::new(world, world.size() as u64)), |latch| {
        latch.count_down(1).unwrap();
        let error = latch.wait_timeout(LONG).unwrap_err();
        assert!(matches!(error, LatchError::RankEnded { rank, .. } if rank == latch.size() - 1), "{error}");
    }),
    condition = || others(
        made(|world| Ok((Mutex::with_value(world, 0u8)?, Condvar::new(world)?))),
        |(mutex, condition)| {
            let waited = condition.wait_timeout(mutex.lock(), Duration::MAX);
            assert_eq!(waited.map(drop).unwrap_err(), LockError::Alone);
        },
    ),
    region_set = || others(
        made(|world| Region::<u64>::builder(world, 100_000).master(world.size() - 1).build()),
        |region| {
            let none: Option<&[u64]> = None;
            match region.set(region.size() - 1, none, [0]) {
                Err(RegionError::Call(error)) => check_call(Err::<(), _>(error)),
                other => panic!("{other:?}"),
            }
        },
    ),
    other_ranks_go_on,
);

mpisync_tests::cases!(processes on [2, 4] with [OneNode]:
    held_write_lock = || holder(controller, |ctrl| forget(ctrl.write()), |ctrl, last| {
        held(ctrl.write_timeout(LONG), last);
        held(ctrl.read_timeout(LONG), last);
        let words = mpisync_tests::panics::expect_panic(|| drop(ctrl.read()));
        assert!(words.contains(&format!("rank {last} has ended")), "{words}");
    }),
    held_read_lock = || holder(controller, |ctrl| forget(ctrl.read()), |ctrl, last| {
        drop(ctrl.read_timeout(LONG).unwrap());
        held(ctrl.write_timeout(LONG), last);
        // The lock is not poisoned, and the wait has not kept the turn.
        drop(ctrl.read_timeout(LONG).unwrap());
    }),
    held_mutex = || holder(made(|world| Mutex::new(world)), |mutex| forget(mutex.lock()), |mutex, last| {
        held(mutex.lock_timeout(LONG), last);
    }),
    held_part = || holder(made(|world| Region::<u64>::new(world, 10)), |region| forget(region.write_part(2..4)), |region, last| {
        held(region.write_timeout(LONG), last);
        held(region.read_timeout(LONG), last);
        match region.write_part_timeout(3..5, LONG).map(drop) {
            Err(RegionError::Lock(error)) => held(Err::<(), _>(error), last),
            other => panic!("{other:?}"),
        }
    }),
    large_values_for_it = || others(controller, |ctrl| {
        for _ in 0..3 {
            share(ctrl, 0, 100_000).unwrap();
        }
    }),
    worker_of_a_batch = || others(
        made(|world| Ok(Batch::builder(world).tasks(10).worker_size(world.size()).build().unwrap())),
        |batch| {
            let (rank, last) = (batch.rank(), batch.size() - 1);
            let task = batch.next_task().unwrap().expect("there are tasks");
            let done = task.done();
            if rank == 0 {
                let error = done.unwrap_err();
                assert!(matches!(error, BatchError::RankEnded { rank } if rank == last), "{error}");
            }
        },
    ),
);

// Inside a collective call a rank has left, and the others wait for it there.
mpisync_tests::cases!(processes on [2, 4] with [OneNode]:
    left_before_a_barrier = || left(|world| Barrier::new(world), |_, barrier| {
        let error = barrier.wait_timeout(LONG).unwrap_err();
        assert!(matches!(error, BarrierError::RankLeft { rank } if rank == barrier.size() - 1), "{error}");
    }),
    left_before_its_turn = || left(|world| Turn::new(world), |_, turn| {
        drop(turn.take_timeout(LONG).unwrap());
        let error = turn.take_timeout(LONG).unwrap_err();
        assert!(matches!(error, TurnError::RankLeft { .. }), "{error}");
    }),
    left_before_a_large_value = || left(|world| mpisync::sync(world), |_, inner| {
        for _ in 0..3 {
            share(inner, 0, 100_000).unwrap();
        }
    }),
    left_before_its_own_value = || left(|world| mpisync::sync(world), |_, inner| {
        let error = share(inner, last_of(inner), 1).unwrap_err();
        assert!(matches!(error, CollectiveError::RankLeft { .. } | CollectiveError::Failed { .. }), "{error}");
    }),
);

/// Far more than it takes to notice that a rank has ended.
const LONG: Duration = Duration::from_secs(20);

type Made<O> = Result<O, CreateError>;

fn made<O>(make: impl Fn(&SimpleCommunicator) -> Made<O>) -> impl Fn(&SimpleCommunicator) -> O {
    move |world| make(world).unwrap()
}

fn controller(world: &SimpleCommunicator) -> WindowController {
    mpisync::sync(world).unwrap()
}

fn last_of(ctrl: &WindowController) -> i32 {
    ctrl.size() - 1
}

/// All ranks make an object. The last one ends, and the others do `wait`.
fn others<O>(make: impl Fn(&SimpleCommunicator) -> O, wait: impl Fn(&mut O)) {
    holder(make, |_| (), |object, _| wait(object));
}

/// The same, where the last one does something first. Nobody waits long.
fn holder<O>(
    make: impl Fn(&SimpleCommunicator) -> O,
    before: impl Fn(&mut O),
    wait: impl Fn(&mut O, i32),
) {
    let universe = mpisync::initialize().unwrap();
    let world = universe.world();
    let last = world.size() - 1;
    let mut object = make(&world);
    if world.rank() == last {
        before(&mut object);
        world.barrier();
        // It ends with its universe, and not when it drops the object.
        forget(object);
        return;
    }
    world.barrier();
    let start = Instant::now();
    wait(&mut object, last);
    assert!(start.elapsed() < LONG / 2);
}

#[mpisync::collective]
fn agree(ctrl: &mut WindowController) -> Result<(), CollectiveError> {
    Ok(())
}

/// A controller that is made on a communicator which has ranks that have ended can be closed, too.
fn sync_of(ctrl: &mut WindowController) -> WindowController {
    std::mem::replace(ctrl, WindowController::local())
}

/// The value that `writer` shares, which has this many bytes.
fn share(
    ctrl: &mut WindowController,
    writer: i32,
    bytes: usize,
) -> Result<Vec<u8>, CollectiveError> {
    let access = ctrl.on(writer)?.single_write();
    access.run(move |_| Ok::<_, CollectiveError>(vec![7; bytes]))
}

fn check_call<T: Debug>(outcome: Result<T, CollectiveError>) {
    let error = outcome.unwrap_err();
    assert!(
        matches!(
            error,
            CollectiveError::RankEnded {
                panicked: false,
                ..
            }
        ),
        "{error}"
    );
}

fn held<T: Debug>(outcome: Result<T, LockError>, last: i32) {
    let error = outcome.unwrap_err();
    assert_eq!(error, LockError::HolderEnded { rank: last });
    named(&error, last);
}

fn named(error: &dyn std::error::Error, rank: i32) {
    assert!(
        error.to_string().contains(&format!("rank {rank}")),
        "{error}"
    );
}

/// The last rank fails in a collective call while the others are in `wait` inside of it. All get its failure in the end.
fn left<O>(
    make: impl Fn(&SimpleCommunicator) -> Made<O>,
    wait: impl Fn(&mut WindowController, &mut O),
) {
    let universe = mpisync::initialize().unwrap();
    let world = universe.world();
    let last = world.size() - 1;
    let mut ctrl = mpisync::sync(&world).unwrap();
    let mut object = make(&world).unwrap();
    let error = step(&mut ctrl, &mut object, last, &wait)
        .unwrap_err()
        .to_string();
    assert!(error.contains("the last rank fails"), "{error}");
    // All objects are as good as new.
    agree(&mut ctrl).unwrap();
}

#[mpisync::collective]
fn step<O>(
    ctrl: &mut WindowController,
    object: &mut O,
    last: i32,
    wait: &impl Fn(&mut WindowController, &mut O),
) -> anyhow::Result<()> {
    if ctrl.rank() == last {
        anyhow::bail!("the last rank fails");
    }
    wait(ctrl, object);
    Ok(())
}

/// Ranks that do not need the one that has ended are not disturbed.
fn other_ranks_go_on() {
    others(
        |world| {
            (
                controller(world),
                Counter::<u32>::new(world).unwrap(),
                Mutex::with_value(world, 0u32).unwrap(),
            )
        },
        |(ctrl, counter, mutex)| {
            let end = Instant::now() + Duration::from_millis(300);
            while Instant::now() < end {
                drop(ctrl.read_timeout(LONG).unwrap());
                drop(ctrl.write_timeout(LONG).unwrap());
                counter.next();
                *mutex.lock_timeout(LONG).unwrap() += 1;
                sleep(Duration::from_millis(1));
            }
        },
    );
}
