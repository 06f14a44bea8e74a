//! The transport between nodes: the requested one, and the actual one. On one node it has no
//! effect.

use mpi::collective::SystemOperation;
use mpi::traits::*;
use mpisync::ndarray::Ix1;
use mpisync::{CreateError, Mutex, Region, RemoteChannel, Transport, WindowController};
use mpisync_tests::job::Job;

use crate::common::still_works;

mpisync_tests::cases!(on [1, 3, 4]:
    transport_of_choice,
    windows,
    windows_lose_nothing,
    channel_through_windows,
    region_through_windows,
    without_progress_thread,
    region_without_progress_thread,
    transports_differ,
    transports_of_ranks_differ,
);

mpisync_tests::cases!(on [3, 4] with [Environment(&[("MPISYNC_TRANSPORT", "windows")])]:
    transport_of_the_environment,
);

mpisync_tests::cases!(on [3, 4] with [Environment(&[("MPISYNC_TRANSPORT", "pigeons")])]:
    meaningless_transport,
);

mpisync_tests::cases!(processes on [3, 4]:
    misspelt_variable_on_one_rank,
);

mpisync_tests::cases!(on [1, 3, 4] with [Environment(&[("MPISYNC_TRANSPROT", "windows")])]:
    misspelt_variable,
);

/// What a controller over several nodes has; on one node it is shared memory in any case.
fn over_nodes(ctrl: &WindowController, transport: Transport) -> Transport {
    match ctrl.nodes() {
        1 => Transport::SharedMemory,
        _ => transport,
    }
}

fn transport_of_choice(job: &Job) {
    let comm = job.world.duplicate();
    let builder = WindowController::builder(&comm).transport(Transport::Messages);
    let mut ctrl = builder.build().unwrap();
    assert_eq!(ctrl.transport(), over_nodes(&ctrl, Transport::Messages));
    still_works(&mut ctrl);
}

/// The environment requests windows.
fn transport_of_the_environment(job: &Job) {
    match mpisync::sync(&job.world) {
        Ok(mut ctrl) => {
            assert_eq!(ctrl.transport(), over_nodes(&ctrl, Transport::Windows));
            still_works(&mut ctrl);
        }
        Err(error) => assert!(matches!(error, CreateError::NoWindows { .. }), "{error}"),
    }
    // The program's request has precedence.
    let comm = job.world.duplicate();
    let builder = WindowController::builder(&comm).transport(Transport::Messages);
    let ctrl = builder.build().unwrap();
    assert_eq!(ctrl.transport(), over_nodes(&ctrl, Transport::Messages));
}

/// The environment requests an unknown transport.
fn meaningless_transport(job: &Job) {
    for _ in 0..3 {
        let error = mpisync::sync(&job.world).unwrap_err();
        let message = error.to_string();
        for word in ["MPISYNC_TRANSPORT", "pigeons", "messages", "windows"] {
            assert!(message.contains(word), "{message}");
        }
    }
    let builder = WindowController::builder(&job.world).transport(Transport::Messages);
    still_works(&mut builder.build().unwrap());
}

/// The environment has a variable that the library does not read.
fn misspelt_variable(job: &Job) {
    for _ in 0..2 {
        let error = mpisync::sync(&job.world).unwrap_err();
        let CreateError::UnknownVariable { variable, nearest } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(
            (&**variable, *nearest),
            ("MPISYNC_TRANSPROT", "MPISYNC_TRANSPORT")
        );
    }
    let error = Mutex::new(&job.world).unwrap_err();
    assert!(
        matches!(error, CreateError::UnknownVariable { .. }),
        "{error:?}"
    );
}

/// One rank has such a variable: the launcher has not passed it on to all hosts.
fn misspelt_variable_on_one_rank() {
    let ranks = ["OMPI_COMM_WORLD_RANK", "PMI_RANK"];
    let rank = ranks.iter().find_map(|name| std::env::var(name).ok());
    if rank.expect("the launcher tells the rank") == "1" {
        // SAFETY: MPI is not initialized, so this process has one thread.
        unsafe { std::env::set_var("MPISYNC_PROGRESS", "off") };
    }
    let universe = mpisync::initialize().expect("MPI is initialized once");
    let world = universe.world();
    let is_misspelt = world.rank() == 1;
    match mpisync::sync(&world).unwrap_err() {
        CreateError::UnknownVariable { nearest, .. } if is_misspelt => {
            assert_eq!(nearest, "MPISYNC_PROGRESS_THREAD");
        }
        CreateError::OtherRank { rank: 1, found } if !is_misspelt => {
            assert!(found.contains("MPISYNC_PROGRESS_THREAD"), "{found}");
        }
        error => panic!("{error:?}"),
    }
}

fn with_windows(job: &Job) -> Option<WindowController> {
    let comm = job.world.duplicate();
    let builder = WindowController::builder(&comm).transport(Transport::Windows);
    match builder.build() {
        Ok(ctrl) => Some(ctrl),
        Err(error @ CreateError::NoWindows { .. }) => {
            // On all ranks, and messages work then.
            assert!(error.to_string().contains("Transport::Messages"), "{error}");
            still_works(&mut mpisync::sync(&comm).unwrap());
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn windows(job: &Job) {
    let Some(mut ctrl) = with_windows(job) else {
        return;
    };
    assert_eq!(ctrl.transport(), over_nodes(&ctrl, Transport::Windows));
    still_works(&mut ctrl);
}

/// Values of sizes around the capacity of a window, many times around.
fn windows_lose_nothing(job: &Job) {
    let Some(mut ctrl) = with_windows(job) else {
        return;
    };
    let mut counted = 0_u64;
    for round in 0..300_usize {
        let length = (round * 37) % 1_500;
        let writer = round as i32 % ctrl.size();
        let right: Vec<u64> = (0..length as u64).map(|index| index * counted).collect();
        let mine = if writer == ctrl.rank() {
            right.clone()
        } else {
            Vec::new()
        };
        assert_eq!(crate::common::shared(&mut ctrl, writer, mine), right);
        counted += length as u64;
    }
}

/// All ranks put and take messages much longer than the capacity of a window.
fn channel_through_windows(job: &Job) {
    const LENGTH: usize = 1_000;
    let comm = job.world.duplicate();
    let builder = RemoteChannel::<[u64; LENGTH]>::builder(&comm, 8).transport(Transport::Windows);
    let channel = match builder.build() {
        Ok(channel) => channel,
        Err(CreateError::NoWindows { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    let mine = job.rank as u64;
    channel.claim(10);
    job.world.barrier();
    let (mut left, mut sum) = (10, 0);
    while left > 0 {
        if channel.try_put([mine; LENGTH]).is_ok() {
            left -= 1;
        } else if let Ok(Some(message)) = channel.try_take() {
            sum += message.iter().sum::<u64>();
        }
    }
    for message in &channel {
        sum += message.iter().sum::<u64>();
    }
    let mut all = 0;
    job.world
        .all_reduce_into(&sum, &mut all, SystemOperation::sum());
    let ranks = job.size as u64;
    assert_eq!(all, ranks * (ranks - 1) / 2 * 10 * LENGTH as u64);
}

/// Ranks in turn write a whole region and a part of it, which takes one message or pieces.
fn region_through_windows(job: &Job) {
    const ITEMS: usize = 300_000;
    let comm = job.world.duplicate();
    let builder = Region::<u64, Ix1>::builder(&comm, [ITEMS]).transport(Transport::Windows);
    let mut region = match builder.build() {
        Ok(region) => region,
        Err(CreateError::NoWindows { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    for round in 1..=6 {
        for writer in 0..job.size {
            let stamp = 100 * round + writer as u64;
            if job.rank == writer {
                region.write().fill(stamp);
                let mut items = region.write();
                items[7] = 0;
                items[ITEMS - 1] = 0;
            }
            job.world.barrier();
            {
                let items = region.read();
                let stamped = items.iter().filter(|item| **item == stamp).count();
                assert_eq!((stamped, items[7], items[ITEMS - 1]), (ITEMS - 2, 0, 0));
            }
            let data = (job.rank == writer).then_some([stamp; 3]);
            region.set(writer, data.as_ref(), [6]).unwrap();
            assert_eq!(region.read()[7], stamp);
            job.world.barrier();
        }
    }
}

/// Calls of all ranks work, because the waiting ranks apply the changes.
fn region_without_progress_thread(job: &Job) {
    let comm = job.world.duplicate();
    let builder = Region::<u64, Ix1>::builder(&comm, [200_000]).progress_thread(false);
    let mut region = builder.build().unwrap();
    for round in 0..5 {
        for root in 0..job.size {
            let data = (job.rank == root).then(|| vec![round + root as u64; 150_000]);
            region.set(root, data.as_ref(), [50_000]).unwrap();
            assert_eq!(region.read()[199_999], round + root as u64);
        }
    }
    job.world.barrier();
    region.update(|items| items.fill(9)).unwrap();
    assert!(region.read().iter().all(|item| *item == 9));
    region.close().unwrap();
}

/// Then MPI need not be called from several threads, and everything works while the ranks wait for
/// each other.
fn without_progress_thread(job: &Job) {
    let comm = job.world.duplicate();
    let builder = WindowController::builder(&comm).progress_thread(false);
    let mut ctrl = builder.build().unwrap();
    for _ in 0..20 {
        let round = ctrl.single_write();
        round
            .run(|_| Ok::<_, mpisync::CollectiveError>(7_u8))
            .expect("all ranks are in it");
    }
    let size = ctrl.size();
    for writer in 0..size {
        assert_eq!(crate::common::shared(&mut ctrl, writer, writer), writer);
    }
}

/// A communicator has one transport.
fn transports_differ(job: &Job) {
    let comm = job.world.duplicate();
    let mut first = mpisync::sync(&comm).unwrap();
    let builder = || WindowController::builder(&comm);
    let second = builder().transport(Transport::Windows).build();
    let third = builder().progress_thread(false).build();
    if first.nodes() == 1 {
        assert!(second.is_ok() && third.is_ok());
    } else {
        for outcome in [second, third] {
            let error = outcome.unwrap_err();
            assert!(
                matches!(error, CreateError::CarrierDiffers { .. }),
                "{error}"
            );
        }
    }
    still_works(&mut first);
}

/// One rank requests another transport than the others: all get an error.
fn transports_of_ranks_differ(job: &Job) {
    let comm = job.world.duplicate();
    let on = job.rank != job.size - 1;
    let outcome = WindowController::builder(&comm).progress_thread(on).build();
    match outcome {
        Ok(ctrl) => assert!(ctrl.nodes() == 1 || job.size == 1),
        Err(CreateError::CarrierDiffers { .. }) => assert!(!on),
        Err(CreateError::OtherRank { rank, .. }) => assert!(on && rank == job.size - 1),
        Err(error) => panic!("{error}"),
    }
    still_works(&mut mpisync::sync(&job.world.duplicate()).unwrap());
}
