//! Channels that the threads of a rank share.

use crate::common::{LIMIT, within};
use crate::shared::A_WHILE;
use crate::shared_objects::{THREADS, on_threads};
use mpisync::ChannelError;
use mpisync::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// Threads put and take at the same time, at both ends of one handle.
#[test]
fn each_message_comes_to_one_thread() {
    within(LIMIT, || {
        const EACH: u64 = 2_000;
        let mut channel = RemoteChannel::<u64>::local(8).expect("memory");
        channel.claim(2 * EACH);
        let shared = channel.shared().expect("no MPI");
        let all = std::sync::Mutex::new(Vec::new());
        on_threads(|thread| match thread {
            0 | 1 => {
                for number in 0..EACH {
                    let message = thread as u64 * EACH + number;
                    shared.put(message).expect("threads take");
                }
            }
            _ => {
                let mine: Vec<u64> = shared.iter().collect();
                all.lock().expect("no thread panics").extend(mine);
            }
        });
        let mut all = all.into_inner().expect("no thread panics");
        all.sort_unstable();
        assert!(all.into_iter().eq(0..2 * EACH));
    });
}

/// The thread that made the channel puts while others take, and the other way round.
#[test]
fn the_other_end_is_used_at_the_same_time() {
    within(LIMIT, || {
        let (mut producer, mut consumer) = RemoteChannel::<u64>::local(2).expect("memory").split();
        let shared = consumer.shared().expect("no MPI");
        let taken = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..500 {
                        assert_eq!(shared.take(), Some(1));
                        taken.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            for _ in 0..1_000 {
                // A full channel is waited for, because threads of this rank take.
                producer.put(1).expect("threads take");
                producer.put_with(|slot| *slot = 1).expect("threads take");
            }
        });
        assert_eq!(taken.into_inner(), 2_000);
        drop(shared);
        let shared = producer.shared().expect("no MPI");
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| (0..500).for_each(|_| shared.put(1).expect("room at last")));
            }
            for _ in 0..1_000 {
                // An empty channel is waited for, because threads of this rank put.
                assert_eq!(consumer.take(), Some(1));
                assert_eq!(consumer.take_with(|message| *message), Some(1));
            }
        });
    });
}

/// As without threads, a call inside a closure that has a slot is an error, and only there.
#[test]
fn a_closure_does_not_wait_for_its_own_slot() {
    within(LIMIT, || {
        let (mut producer, mut consumer) = RemoteChannel::<u64>::local(1).expect("memory").split();
        producer.put(1).expect("room");
        let shared = producer.shared().expect("no MPI");
        consumer.take_with(|_| {
            let error = shared.put(2).expect_err("the slot is lent to this thread");
            assert_eq!(error.reason, ChannelError::Nested);
            thread::scope(|scope| {
                let waits = scope.spawn(|| shared.put_timeout(2, A_WHILE));
                let error = waits
                    .join()
                    .expect("no panic")
                    .expect_err("there is no room");
                assert!(matches!(error.reason, ChannelError::Timeout { .. }));
            });
        });
    });
}

#[test]
fn threads_put_and_take_in_the_order_of_their_calls() {
    const EACH: u64 = 20;
    within(LIMIT, || {
        let (mut producer, mut consumer) = RemoteChannel::<u64>::local(1).expect("memory").split();
        producer.put(0).expect("room");
        let putters = producer.shared().expect("no MPI");
        let takers = consumer.shared().expect("no MPI");
        let order: Vec<_> = thread::scope(|scope| {
            for message in 1..EACH {
                let putters = &putters;
                scope.spawn(move || putters.put(message).expect("room at last"));
                thread::sleep(A_WHILE);
            }
            (0..EACH).map(|_| takers.take()).collect()
        });
        assert!(order.into_iter().eq((0..EACH).map(Some)), "puts");
        let order: Vec<_> = thread::scope(|scope| {
            let take = |_| {
                let taking = scope.spawn(|| takers.take());
                thread::sleep(A_WHILE);
                taking
            };
            let takes: Vec<_> = (0..EACH).map(take).collect();
            (0..EACH).for_each(|message| putters.put(message).expect("room at last"));
            let join = |take: thread::ScopedJoinHandle<'_, _>| take.join().expect("no panic");
            takes.into_iter().map(join).collect()
        });
        assert!(order.into_iter().eq((0..EACH).map(Some)), "takes");
    });
}

#[test]
fn waits_of_threads_end() {
    within(LIMIT, || {
        let mut channel = RemoteChannel::<u64>::local(1).expect("memory");
        let shared = channel.shared().expect("no MPI");
        // One of them waits for a message, the others for that one.
        on_threads(|_| {
            let Err(ChannelError::Timeout { waited, .. }) = shared.take_timeout(A_WHILE) else {
                panic!("there is no message");
            };
            assert_eq!(waited, A_WHILE);
        });
        shared.put(5).expect("room");
        on_threads(|_| {
            let error = shared
                .put_timeout(6, A_WHILE)
                .expect_err("there is no room");
            assert!(
                matches!(error.reason, ChannelError::Timeout { waited, .. } if waited == A_WHILE)
            );
            assert_eq!(error.message, 6);
        });
        assert_eq!(shared.take(), Some(5));
    });
}

#[test]
fn the_stream_ends_for_all_threads() {
    within(LIMIT, || {
        let (producer, mut consumer) = RemoteChannel::<u64>::local(4).expect("memory").split();
        let shared = consumer.shared().expect("no MPI");
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| assert_eq!(shared.iter().count(), 0));
            }
            thread::sleep(A_WHILE);
            drop(producer);
        });
        assert_eq!(shared.take(), None);
    });
}

/// Slices of different lengths arrive whole, and each at one thread.
#[test]
fn threads_put_and_take_slices() {
    within(LIMIT, || {
        const EACH: usize = 500;
        let channel = RemoteChannel::<[u16]>::local_slices(4, 9).expect("memory");
        let (mut producer, mut consumer) = channel.split();
        let (puts, takes) = (producer.shared(), consumer.shared());
        let (puts, takes) = (puts.expect("no MPI"), takes.expect("no MPI"));
        let all = std::sync::Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let taken: Vec<Vec<u16>> =
                        (0..EACH).filter_map(|_| takes.take_items()).collect();
                    all.lock().expect("no thread panics").extend(taken);
                });
            }
            for thread in 0..2 {
                let puts = &puts;
                scope.spawn(move || {
                    for number in 0..EACH {
                        let items = vec![(thread * EACH + number) as u16; number % 9 + 1];
                        puts.put_items(&items).expect("threads take");
                    }
                });
            }
        });
        let mut all = all.into_inner().expect("no thread panics");
        all.sort_unstable();
        let expected = |number: usize| vec![number as u16; number % EACH % 9 + 1];
        assert!(all.into_iter().eq((0..2 * EACH).map(expected)));
        let too_long = ChannelError::TooLong {
            length: 10,
            longest: 9,
        };
        assert_eq!(puts.put_items(&[0; 10]), Err(too_long));
        assert_eq!(takes.try_take_items(), Err(ChannelError::Empty));
        let timeout = takes.take_items_timeout(A_WHILE).expect_err("it is empty");
        assert!(matches!(timeout, ChannelError::Timeout { .. }));
        assert_eq!(puts.try_put_items(&[1, 2]), Ok(()));
        assert_eq!(takes.iter().next(), Some(vec![1, 2]));
    });
}

/// Attempts wait neither for room or a message, nor for another thread that does.
#[test]
fn attempts_of_threads_do_not_wait() {
    within(LIMIT, || {
        let mut channel = RemoteChannel::<u64>::local(1).expect("memory");
        let shared = channel.shared().expect("no MPI");
        assert_eq!(shared.try_take(), Err(ChannelError::Empty));
        thread::scope(|scope| {
            let taking = scope.spawn(|| shared.take());
            thread::sleep(A_WHILE);
            // The thread above has the turn.
            assert_eq!(shared.try_take(), Err(ChannelError::Empty));
            assert_eq!(shared.try_put(1), Ok(()));
            assert_eq!(taking.join().expect("no panic"), Some(1));
        });
        shared.put(2).expect("room");
        let error = shared.try_put(3).expect_err("it is full");
        assert_eq!((error.message, error.reason), (3, ChannelError::Full));
        thread::scope(|scope| {
            let putting = scope.spawn(|| shared.put(4));
            thread::sleep(A_WHILE);
            let error = shared.try_put(5).expect_err("another thread puts");
            assert_eq!((error.message, error.reason), (5, ChannelError::Full));
            assert_eq!(shared.try_take(), Ok(Some(2)));
            putting.join().expect("no panic").expect("room");
        });
        assert_eq!(shared.try_take(), Ok(Some(4)));
    });
}

/// The messages of a slice stay together among those of the rank's threads.
#[test]
fn threads_put_and_take_many() {
    within(LIMIT, || {
        let mut channel = RemoteChannel::<[usize; 2]>::local(7).expect("memory");
        channel.claim(4 * 1_000);
        let shared = channel.shared().expect("no MPI");
        let order = thread::scope(|scope| {
            for thread in 0..4 {
                let shared = &shared;
                scope.spawn(move || {
                    let messages: Vec<_> = (0..100).map(|number| [thread, number]).collect();
                    (0..10).for_each(|_| shared.put_slice(&messages).expect("threads take"));
                });
            }
            let mut order = Vec::new();
            while shared.take_many(&mut order, 5) > 0 {}
            order
        });
        assert_eq!(order.len(), 4 * 1_000);
        for together in order.chunks(100) {
            let thread = together[0][0];
            assert!(
                together
                    .iter()
                    .copied()
                    .eq((0..100).map(|number| [thread, number]))
            );
        }
        assert_eq!(shared.take_many(&mut Vec::new(), 0), 0);
    });
}

/// Two threads have slots at the same time, one at each end; a call inside is an error for both.
#[test]
fn closures_of_two_threads_have_slots() {
    within(LIMIT, || {
        let mut channel = RemoteChannel::<u64>::local(2).expect("memory");
        let shared = channel.shared().expect("no MPI");
        shared.put(1).expect("room");
        let both = std::sync::Barrier::new(2);
        let is_nested = || {
            both.wait();
            let error = shared.put(9).expect_err("a slot is lent to this thread");
            assert_eq!(error.reason, ChannelError::Nested);
            assert_eq!(shared.try_take(), Err(ChannelError::Nested));
            both.wait();
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                let put = shared.put_with(|slot| {
                    is_nested();
                    *slot = 2;
                });
                put.expect("room");
            });
            let taken = shared.take_with(|message| {
                is_nested();
                *message
            });
            assert_eq!(taken, Some(1));
        });
        assert_eq!(shared.take_with(|message| *message), Some(2));
    });
}
