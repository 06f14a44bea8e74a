//! Processes that use objects before MPI is initialized and after it is finalized.

use std::time::Duration;

use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use mpisync::batch::{BatchError, State};
use mpisync::{
    Access, Batch, ChannelError, CollectiveError, CreateError, LockError, RemoteChannel,
    WindowController,
};
use mpisync_tests::panics::{self, expect_panic};

const SOON: Duration = Duration::from_secs(5);

mpisync_tests::cases!(processes on [1, 3] with [OneNode]:
    before_initialization,
    thread_that_must_not_call_mpi,
    local_without_mpi,
    controller_beyond_universe,
    guard_beyond_universe,
    fence_beyond_universe,
    batch_beyond_universe,
    channel_ends_forgotten,
    many_at_finalization,
);

// The tests of the launchers start these.
mpisync_tests::cases!(processes on []:
    started_by_another_launcher,
    alone,
);

fn before_initialization() {
    let error = mpisync::sync(&SimpleCommunicator::world()).expect_err("MPI is not initialized");
    assert!(matches!(error, CreateError::NotInitialized), "{error:?}");
    let words = error.to_string();
    assert!(words.contains("initialize"), "says what to do: {words}");
    // It was only an error: everything works once MPI is initialized.
    let universe = mpi::initialize().expect("MPI is initialized once");
    let mut ctrl = mpisync::sync(&universe.world()).expect("now MPI is initialized");
    drop(ctrl.write());
}

/// MPI is initialized for one thread only.
fn thread_that_must_not_call_mpi() {
    let asked = mpi::Threading::Funneled;
    let (universe, provided) =
        mpi::initialize_with_threading(asked).expect("MPI is initialized once");
    if provided < mpi::Threading::Serialized {
        let beside = std::thread::spawn(|| {
            let world = SimpleCommunicator::world();
            let told = |error: Option<CreateError>| {
                let error = error.expect("this thread must not call MPI");
                assert!(
                    matches!(error, CreateError::WrongThread { .. }),
                    "{error:?}"
                );
                let words = error.to_string();
                assert!(words.contains("mpisync::initialize()"), "{words}");
            };
            told(mpisync::sync(&world).err());
            told(mpisync::Mutex::new(&world).err());
            told(mpisync::RemoteChannel::<u8>::new(&world, 1).err());
            told(mpisync::Region::<u8>::new(&world, [1]).err());
            match Batch::builder(&world).tasks(1).build() {
                Err(BatchError::Create(error)) => told(Some(error)),
                other => panic!("{other:?}"),
            }
        });
        beside.join().unwrap();
    }
    // The thread that initialized MPI may call it.
    let mut ctrl = mpisync::sync(&universe.world()).unwrap();
    drop(ctrl.write());
}

/// Started by a launcher that this program's MPI does not understand, as one of several processes.
fn started_by_another_launcher() {
    let universe = mpisync::initialize().expect("MPI is initialized once");
    let world = universe.world();
    assert_eq!(world.size(), 1, "MPI does not understand the launcher");
    let error = mpisync::sync(&world).expect_err("the others have their own lock");
    assert!(
        matches!(error, CreateError::OtherLauncher { .. }),
        "{error:?}"
    );
    println!("told: {error}");
    let error = mpisync::Region::<u8>::new(&SimpleCommunicator::self_comm(), [1]);
    assert!(
        matches!(error, Err(CreateError::OtherLauncher { .. })),
        "{error:?}"
    );
}

/// As the only process, without a launcher or with one that is to be ignored.
fn alone() {
    let universe = mpisync::initialize().expect("MPI is initialized once");
    let world = universe.world();
    assert_eq!(world.size(), 1);
    drop(mpisync::sync(&world).unwrap().write());
}

fn local_without_mpi() {
    let mut ctrl = WindowController::local();
    assert_eq!((ctrl.rank(), ctrl.size(), ctrl.is_master()), (0, 1, true));
    drop((ctrl.read(), ctrl.read()));
    drop(ctrl.write());
    let value = ctrl
        .single_write()
        .run(|_| Ok::<_, CollectiveError>("value".to_owned()));
    assert_eq!(value.unwrap(), "value");
    match ctrl.single_write() {
        Access::Writer(fence) => fence.share_slice(&[1, 2, 3]).unwrap(),
        Access::Excluded(_) => panic!("there is no other rank"),
    }
    ctrl.close().unwrap();
    assert!(!mpi_is_initialized());
}

fn mpi_is_initialized() -> bool {
    let mut flag = 0;
    // SAFETY: may be called at any time; the flag is a local variable.
    unsafe { mpi::ffi::MPI_Initialized(&mut flag) };
    flag != 0
}

#[mpisync::collective]
fn step(ctrl: &mut WindowController) -> Result<i32, CollectiveError> {
    Ok(ctrl.rank())
}

/// A program whose controller outlives MPI.
fn controller_beyond_universe() {
    let universe = mpi::initialize().expect("MPI is initialized once");
    let world = universe.world();
    let mut ctrl = mpisync::sync(&world).unwrap();
    let mut other = mpisync::sync(&world).unwrap();
    drop(ctrl.write());
    drop(universe);

    let outcome = ctrl.read_timeout(SOON).map(drop);
    assert!(matches!(outcome, Err(LockError::Finalized)), "{outcome:?}");
    let outcome = ctrl.write_timeout(SOON).map(drop);
    assert!(matches!(outcome, Err(LockError::Finalized)), "{outcome:?}");
    let outcome = ctrl.single_write_timeout(SOON).map(drop);
    let finalized = matches!(outcome, Err(CollectiveError::Lock(LockError::Finalized)));
    assert!(finalized, "{outcome:?}");
    let outcome = step(&mut ctrl);
    assert!(
        matches!(outcome, Err(CollectiveError::Lock(LockError::Finalized))),
        "{outcome:?}"
    );
    assert!(format!("{ctrl:?}").contains("WindowController"));

    says_finalized(&expect_panic(|| drop(ctrl.read())));
    says_finalized(&expect_panic(|| drop(ctrl.write())));
    says_finalized(&expect_panic(|| drop(ctrl.single_write())));
    says_finalized(&ctrl.close().unwrap_err().to_string());
    match mpisync::sync(&world) {
        Err(CreateError::Finalized) => says_finalized(&CreateError::Finalized.to_string()),
        other => panic!("{other:?}"),
    }
    // The calls without a `Result` do not grant the lock either; they may panic.
    let granted = panics::quietly(|| {
        let granted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            other.try_read().is_some() || other.try_write().is_some()
        }));
        granted.unwrap_or(false)
    });
    assert!(!granted);
}

fn says_finalized(words: &str) {
    assert!(words.to_lowercase().contains("finalize"), "{words}");
}

/// A guard that is dropped too late does no harm.
fn guard_beyond_universe() {
    let universe = mpi::initialize().expect("MPI is initialized once");
    let ctrl = mpisync::sync(&universe.world()).unwrap();
    let mut other = mpisync::sync(&universe.world()).unwrap();
    let reading = ctrl.read();
    let writing = (other.rank() == 0).then(|| other.write());
    drop(universe);
    drop(reading);
    drop(writing);
}

/// Nor does a fence that is dropped too late.
fn fence_beyond_universe() {
    let universe = mpi::initialize().expect("MPI is initialized once");
    let mut ctrl = mpisync::sync(&universe.world()).unwrap();
    let access = ctrl.single_write();
    drop(universe);
    drop(access);
}

/// MPI is finalized while controllers are alive, on communicators that are alive or not, and with a
/// task in hand, which is open again for the next job.
fn batch_beyond_universe() {
    let directory = std::env::args().nth(2).expect("a directory is named");
    let universe = mpisync::initialize().expect("MPI is initialized once");
    let world = universe.world();
    let states = std::path::Path::new(&directory).join("states");
    let builder = || Batch::builder(&world).tasks(5).worker_size(world.size());
    let mut batch = builder().state_dir(&states).build().expect("a batch");
    let mut plain = builder().build().expect("a batch");
    let task = batch.next_task().unwrap().expect("a task");
    task.done().unwrap();
    std::mem::forget(batch.next_task().unwrap().expect("a task"));
    std::mem::forget(plain.next_task().unwrap().expect("a task"));
    let others = builder().build().expect("a batch");
    let leads = batch.worker().rank() == 0;
    world.barrier();
    drop(universe);
    for batch in [&mut batch, &mut plain] {
        let is_told = |outcome: Result<(), BatchError>| {
            let error = outcome.unwrap_err();
            let is_finalized = matches!(error, BatchError::Lock(LockError::Finalized));
            assert!(is_finalized, "{error:?}");
        };
        is_told(batch.next_task().map(drop));
        is_told(batch.for_each(|_, _| Ok::<(), String>(())).map(drop));
        is_told(batch.state(0).map(drop));
        is_told(batch.set_state(0, State::Open));
        is_told(batch.summary().map(drop));
        is_told(batch.wait_all().map(drop));
        is_told(batch.wait_all_timeout(SOON).map(drop));
        assert_eq!((batch.tasks(), batch.name(4).unwrap()), (5, "4".to_owned()));
        assert!(format!("{batch:?}").contains("tasks: 5"));
    }
    says_finalized(&others.close().unwrap_err().to_string());
    drop((batch, plain));
    if leads {
        let state = |task: &str| std::fs::read_to_string(states.join(task).join("state")).unwrap();
        assert_eq!((state("0"), state("1")), ("DONE\n".into(), "OPEN\n".into()));
    }
}

/// Ends of channels that are never dropped keep the other ranks waiting until MPI is finalized, and
/// no longer.
fn channel_ends_forgotten() {
    let universe = mpisync::initialize().expect("MPI is initialized once");
    let world = universe.world();
    let (producer, consumer) = RemoteChannel::<u64>::new(&world, 2).unwrap().split();
    let (other_producer, other_consumer) = RemoteChannel::<u64>::new(&world, 2).unwrap().split();
    if world.rank() == 0 {
        producer.put(1).unwrap();
        std::mem::forget((producer, consumer, other_producer, other_consumer));
        return drop(universe);
    }
    drop((producer, other_consumer));
    let taken = consumer.iter().count();
    assert!(taken <= 1, "{taken} messages");
    let error = loop {
        if let Err(error) = other_producer.put(2) {
            break error.reason;
        }
    };
    assert_eq!(error, ChannelError::Closed);
}

fn many_at_finalization() {
    let universe = mpi::initialize().expect("MPI is initialized once");
    let world = universe.world();
    let duplicate = world.duplicate();
    let kept: Vec<WindowController> = (0..100)
        .map(|number| match number % 3 {
            0 => mpisync::sync(&world).unwrap(),
            1 => mpisync::sync(&duplicate).unwrap(),
            _ => mpisync::sync(&world.duplicate()).unwrap(),
        })
        .collect();
    world.barrier();
    drop(duplicate);
    drop(universe);
    drop(kept);
}
