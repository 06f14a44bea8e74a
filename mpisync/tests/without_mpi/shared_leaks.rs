//! What futures and threads have leaked (`mem::forget`) keeps nobody waiting.

use crate::common::{LIMIT, ranks, within};
use crate::polling::{poll_once, poll_until_ready};
use mpisync::prelude::*;
use std::mem;
use std::sync::Barrier as ThreadBarrier;
use std::thread;

/// Leaks a future that waits to read, or to write.
fn leak_future(ctrl: &mut WindowController, writes: bool) {
    if writes {
        let mut write = ctrl.write_async();
        assert!(poll_once(&mut write).is_pending());
        mem::forget(write);
    } else {
        let mut read = ctrl.read_async();
        assert!(poll_once(&mut read).is_pending());
        mem::forget(read);
    }
}

/// Threads do not wait for what a future of their rank has leaked, and no other rank does, whether the future
/// has been granted the lock or not.
#[test]
fn threads_share_a_controller_of_which_a_future_leaked() {
    within(LIMIT, || {
        for (writes, is_granted) in [(false, false), (false, true), (true, false), (true, true)] {
            let step = ThreadBarrier::new(2);
            ranks(2).run(|mut ctrl| {
                if ctrl.rank() == 0 {
                    let writing = ctrl.write();
                    step.wait();
                    step.wait();
                    if is_granted {
                        drop(writing);
                        step.wait();
                        step.wait();
                    } else {
                        step.wait();
                        step.wait();
                        drop(writing);
                    }
                    // The other rank shares the controller, and its threads do nothing.
                    drop(ctrl.write_timeout(LIMIT).expect("nobody has the lock"));
                    step.wait();
                    return;
                }
                step.wait();
                leak_future(&mut ctrl, writes);
                step.wait();
                step.wait();
                let shared = ctrl.shared().expect("no MPI");
                step.wait();
                step.wait();
                thread::scope(|scope| {
                    for _ in 0..2 {
                        scope.spawn(|| {
                            drop(shared.read_timeout(LIMIT).expect("nobody has the lock"));
                            drop(shared.write_timeout(LIMIT).expect("nobody has the lock"));
                        });
                    }
                });
            });
        }
    });
}

/// A controller of which a thread has leaked a guard, and the shared controller was leaked, too.
fn leaked_by_a_thread(writes: bool) -> WindowController {
    let mut ctrl = WindowController::local();
    let shared = ctrl.shared().expect("no MPI");
    thread::scope(|scope| {
        scope.spawn(|| match writes {
            true => mem::forget(shared.write()),
            false => mem::forget(shared.read()),
        });
    });
    mem::forget(shared);
    ctrl
}

#[test]
fn each_call_releases_what_threads_have_leaked() {
    within(LIMIT, || {
        for writes in [false, true] {
            let ctrl = leaked_by_a_thread(writes);
            assert!(ctrl.try_read().is_some());
            let ctrl = leaked_by_a_thread(writes);
            assert!(ctrl.read_timeout(LIMIT).is_ok());
            let ctrl = leaked_by_a_thread(writes);
            assert!(poll_until_ready(&mut ctrl.read_async()).is_ok());
            let ctrl = leaked_by_a_thread(writes);
            assert!(ctrl.read().upgrade().is_ok());
            let mut ctrl = leaked_by_a_thread(writes);
            assert!(poll_until_ready(&mut ctrl.write_async()).is_ok());
        }
    });
}

/// Permits that futures wait for, or have been granted, come back to the threads.
#[test]
fn threads_share_a_semaphore_of_which_futures_leaked() {
    within(LIMIT, || {
        for is_granted in [false, true] {
            let mut semaphore = Semaphore::local(2).expect("a valid number");
            let permits = semaphore.acquire_many(2);
            for _ in 0..2 {
                let mut acquire = semaphore.acquire_async();
                assert!(poll_once(&mut acquire).is_pending());
                mem::forget(acquire);
            }
            if is_granted {
                drop(permits);
            } else {
                mem::forget(permits);
            }
            let shared = semaphore.shared().expect("no MPI");
            thread::scope(|scope| {
                scope.spawn(|| drop(shared.acquire_many_timeout(2, LIMIT).expect("all are free")));
            });
            drop(shared);
            assert_eq!(semaphore.available(), 2);
        }
    });
}
