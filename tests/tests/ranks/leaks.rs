//! Guards that are leaked by `mem::forget`: the object releases what they hold.

use std::mem;
use std::time::Duration;

use mpi::traits::*;
use mpisync::ndarray::Ix1;
use mpisync::{CollectiveError, Mutex, Region, Semaphore, Turn, WindowController};
use mpisync_tests::job::Job;

mpisync_tests::cases!(on [1, 2, 4]:
    leaked_guards_of_a_controller,
    leaked_guards_of_a_region,
    leaked_guards_of_a_mutex,
    leaked_permits,
    leaked_turns,
);

const SOON: Duration = Duration::from_secs(20);

/// The event by which an object learns that no guard is alive.
#[derive(Clone, Copy, Debug)]
enum End {
    Next,
    Try,
    Timeout,
    Drop,
    Close,
}

const ENDS: [End; 5] = [End::Next, End::Try, End::Timeout, End::Drop, End::Close];

/// The rank that leaks, in turn, and the way to end the leak.
fn leakers(job: &Job) -> impl Iterator<Item = (i32, End)> + use<> {
    let ranks = [0, job.size - 1];
    let both = ENDS
        .into_iter()
        .flat_map(move |end| ranks.map(|rank| (rank, end)));
    both.filter(move |(rank, _)| *rank == 0 || ranks[0] != ranks[1])
}

/// Closes an object, at the same place on all ranks.
fn close<T>(object: T, close: impl FnOnce(T) -> Result<(), CollectiveError>) {
    close(object).unwrap();
}

fn leaked_guards_of_a_controller(job: &Job) {
    let leak_reads = |ctrl: &WindowController| {
        mem::forget(ctrl.read());
        mem::forget(ctrl.try_read());
    };
    for (leaker, end) in leakers(job) {
        for writes in [false, true] {
            let mut ctrl = mpisync::sync(&job.world).unwrap();
            let leaks = job.rank == leaker;
            if leaks && writes {
                let mut guard = ctrl.write();
                mem::forget(guard.write());
                mem::forget(guard);
            }
            if leaks {
                leak_reads(&ctrl);
            }
            job.world.barrier();
            match end {
                End::Next if leaks => drop(ctrl.write()),
                End::Try if leaks => until_written(&mut ctrl),
                End::Timeout if leaks => drop(ctrl.write_timeout(SOON).unwrap()),
                End::Drop if leaks => {
                    drop(ctrl);
                    continue;
                }
                End::Close if leaks => {
                    close(ctrl, WindowController::close);
                    continue;
                }
                _ => drop(ctrl.write_timeout(SOON).expect("it is free again")),
            }
            match end {
                End::Close => close(ctrl, WindowController::close),
                End::Drop => {}
                _ => {
                    // A call of all ranks with another writer.
                    if leaks {
                        leak_reads(&ctrl);
                    }
                    let writer = job.size - 1 - leaker;
                    let access = ctrl.on(writer).unwrap().single_write();
                    access.run(|_| Ok::<(), CollectiveError>(())).unwrap();
                    let access = ctrl.single_write_timeout(SOON).unwrap();
                    access.run(|_| Ok::<(), CollectiveError>(())).unwrap();
                }
            }
        }
    }
}

/// Others may be about to take it.
fn until_written(ctrl: &mut WindowController) {
    mpisync_tests::scratch::until("the lock", || ctrl.try_write().is_some());
}

fn leaked_guards_of_a_region(job: &Job) {
    const ITEMS: usize = 1000;
    for (leaker, end) in leakers(job) {
        let mut region = Region::<u64, Ix1>::new(&job.world, ITEMS).unwrap();
        let leaks = job.rank == leaker;
        if leaks {
            let mut items = region.write();
            items.fill(3);
            mem::forget(items);
        }
        job.world.barrier();
        match end {
            End::Next if leaks => region.write()[0] += 1,
            End::Try if leaks => {
                let mut written = || region.try_write().map(|mut items| items[0] += 1);
                mpisync_tests::scratch::until("the lock", || written().is_some());
            }
            End::Timeout if leaks => region.write_timeout(SOON).unwrap()[0] += 1,
            End::Drop if leaks => drop(region),
            End::Close if leaks => close(region, Region::close),
            _ => {
                // All changed items have arrived, on every node.
                let items = region.read_timeout(SOON).expect("it is free again");
                assert!(items.iter().skip(1).all(|item| *item == 3), "{end:?}");
                assert!([3, 4].contains(&items[0]), "{}", items[0]);
                drop(items);
                if let End::Close = end {
                    close(region, Region::close);
                }
            }
        }
        job.world.barrier();
    }
    // In calls of all ranks.
    let mut region = Region::<u64, Ix1>::new(&job.world, ITEMS).unwrap();
    for round in 0..job.size {
        if job.rank == round {
            let mut items = region.write();
            items.fill(round as u64);
            mem::forget(items);
        }
        let sum = region.update(|items| items.sum()).unwrap();
        if job.rank == (round + 1) % job.size {
            mem::forget(region.read());
        }
        // The rank that leaked is the master, or arrived at the call too late to write.
        assert!(sum == (ITEMS as u64) * round as u64 || job.size > 1);
        region
            .set_from_any((job.rank == 0).then_some(&[7; ITEMS]), [0])
            .unwrap();
        assert_eq!(region.read().sum(), 7 * ITEMS as u64);
        job.world.barrier();
    }
}

fn leaked_guards_of_a_mutex(job: &Job) {
    for (leaker, end) in leakers(job) {
        let builder = Mutex::builder(&job.world).value(5u64);
        let mut mutex = builder.root(job.size - 1).build().unwrap();
        let leaks = job.rank == leaker;
        if leaks {
            let mut value = mutex.lock();
            *value = 8;
            mem::forget(value);
        }
        job.world.barrier();
        match end {
            End::Next if leaks => assert!(*mutex.lock() >= 8),
            End::Try if leaks => {
                mpisync_tests::scratch::until("the lock", || mutex.try_lock().is_some());
            }
            End::Timeout if leaks => assert!(*mutex.lock_timeout(SOON).unwrap() >= 8),
            End::Drop if leaks => drop(mutex),
            End::Close if leaks => close(mutex, Mutex::close),
            _ => {
                let mut value = mutex.lock_timeout(SOON).expect("it is free again");
                assert!(*value >= 8, "{end:?}: the value has come with the lock");
                *value += 1;
                drop(value);
                if let End::Close = end {
                    close(mutex, Mutex::close);
                }
            }
        }
        job.world.barrier();
    }
}

fn leaked_permits(job: &Job) {
    for (leaker, end) in leakers(job) {
        let builder = Semaphore::builder(&job.world, 3);
        let semaphore = builder.root(job.size - 1).build().unwrap();
        let leaks = job.rank == leaker;
        if leaks {
            mem::forget(semaphore.acquire());
            mem::forget(semaphore.acquire_many(2));
        }
        job.world.barrier();
        match end {
            End::Close if leaks => close(semaphore, Semaphore::close),
            _ if leaks => drop(semaphore),
            _ => {
                let permits = semaphore.acquire_many_timeout(3, SOON);
                drop(permits.expect("they are back"));
                if let End::Close = end {
                    close(semaphore, Semaphore::close);
                }
            }
        }
        job.world.barrier();
    }
}

fn leaked_turns(job: &Job) {
    for (leaker, end) in leakers(job) {
        let mut turn = Turn::new(&job.world).unwrap();
        if job.rank == leaker {
            mem::forget(turn.take_timeout(SOON).unwrap());
            match end {
                End::Next => drop(turn.take()),
                End::Try => {
                    mpisync_tests::scratch::until("the turn", || turn.try_take().is_some());
                }
                End::Timeout => drop(turn.take_timeout(SOON).unwrap()),
                End::Drop => drop(turn),
                End::Close => close(turn, Turn::close),
            }
        } else {
            drop(turn.take_timeout(SOON).expect("it comes to all"));
            match end {
                End::Next | End::Try | End::Timeout => {
                    // The rank that leaked takes its second turn after the ranks before it.
                    drop(turn.take_timeout(SOON).expect("it comes round"));
                }
                End::Drop => {}
                End::Close => close(turn, Turn::close),
            }
        }
        job.world.barrier();
    }
}
