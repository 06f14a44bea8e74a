//! Deadlocks over several hosts by way of channels, turns, latches, conditions, values that are computed
//! once, and shared values; and waits for these that only look like one for a while.

use std::cell::RefCell;
use std::fmt::Debug;
use std::thread;
use std::time::Duration;

use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use mpisync::sync::{LatchError, OnceError, TurnError};
use mpisync::{Access, ChannelError, Condvar, Latch, Mutex, OnceShared, RemoteChannel, Turn};
use mpisync_tests::job::Job;

use super::super::{FOREVER, MET, ends, is_found_among, meet, tell};
use super::{controller_on, is_found_on_hosts, mutex_on, pair, two};

// Jobs that the tests below start.
mpisync_tests::cases!(on []:
    message,
    messages_of_each_other,
    room,
    room_for_all,
    turn,
    latch,
    condition,
    once,
    collectors,
);

mpisync_tests::cases!(tests on [4] with [SeveralNodes, BesideOthers]:
    reports_a_take_under_a_guard = |ranks| is_found_on_hosts("hosts::objects::message", ranks, 2, &["`take` of channel \"c\"", "`lock` of mutex \"a\""]),
    reports_takes_from_each_other = |ranks| is_found_on_hosts("hosts::objects::messages_of_each_other", ranks, 2, &["`take` of channel \"to\"", "`take` of channel \"from\""]),
    reports_a_put_under_a_guard = |ranks| is_found_on_hosts("hosts::objects::room", ranks, 2, &["`put` of channel \"c\"", "`lock` of mutex \"a\""]),
    reports_a_channel_that_all_put_into = |ranks| is_found_on_hosts("hosts::objects::room_for_all", ranks, ranks, &["`put` of channel \"c\""]),
    reports_a_ring_of_full_channels = |ranks| is_found_among("full_ring", ranks, ranks, 1, &["`put` of channel"]),
    reports_a_turn = |ranks| is_found_on_hosts("hosts::objects::turn", ranks, 2, &["`take` of turn", "`lock` of mutex \"a\""]),
    reports_a_latch = |ranks| is_found_on_hosts("hosts::objects::latch", ranks, 2, &["`wait` of latch", "`lock` of mutex \"a\""]),
    reports_a_condition = |ranks| is_found_on_hosts("hosts::objects::condition", ranks, 2, &["`wait` of condition", "`lock` of mutex \"a\""]),
    reports_a_computation = |ranks| is_found_on_hosts("hosts::objects::once", ranks, 2, &["`get_or_init` of once", "`lock` of mutex \"a\""]),
    // The writer goes on when the others have collected.
    reports_a_writer = |ranks| is_found_among("hosts::objects::collectors", ranks, 2, 1, &["`share` of controller \"b\"", "`lock` of mutex \"a\""]),
);

mpisync_tests::cases!(on [4] with [SeveralNodes, OwnJob, Environment(&[("MPISYNC_DEADLOCK", "error")])]:
    all_that_comes_late,
);

/// Mutex "a", of the second of two ranks on two hosts, and what they wait for beside it.
fn two_with<T>(
    job: &Job,
    make: impl FnOnce(&SimpleCommunicator) -> T,
) -> Option<(bool, Mutex, T, SimpleCommunicator)> {
    let (is_first, pair) = pair(job)?;
    let a = mutex_on(&pair, "a", 1);
    let other = make(&pair);
    Some((is_first, a, other, pair))
}

/// The ends of a wait at a channel. One whose wait has ended because others have left goes on.
#[track_caller]
fn ends_at_channel<T: Debug>(outcome: Result<T, ChannelError>) {
    match outcome {
        Ok(_) | Err(ChannelError::Closed) => tell("went on"),
        Err(error @ ChannelError::Deadlock { .. }) => tell(&error.to_string()),
        Err(error) => panic!("{error}"),
    }
}

fn channel_on(world: &SimpleCommunicator, name: &str, root: i32) -> RemoteChannel<u64> {
    let builder = RemoteChannel::builder(world, 2).name(name).root(root);
    builder.build().unwrap()
}

/// One waits for a message of the other one, which wants its lock.
fn message(job: &Job) {
    let channel = |pair: &SimpleCommunicator| channel_on(pair, "c", 0);
    let Some((is_first, mut a, c, _pair)) = two_with(job, channel) else {
        return;
    };
    let (producer, consumer) = c.split();
    if is_first {
        drop(producer);
        let _guard = a.lock();
        meet(job);
        // A message that has been taken is no message that comes.
        assert_eq!(consumer.take(), Some(7));
        ends_at_channel(consumer.take_timeout(FOREVER));
    } else {
        drop(consumer);
        meet(job);
        producer.put(7).unwrap();
        ends(a.lock_timeout(FOREVER));
    }
}

/// Each of two ranks waits for a message of the other one. Each also puts into the channel that it
/// takes from.
fn messages_of_each_other(job: &Job) {
    let Some((is_first, pair)) = pair(job) else {
        return;
    };
    let (to, from) = (channel_on(&pair, "to", 0), channel_on(&pair, "from", 0));
    let mine = if is_first { &from } else { &to };
    meet(job);
    ends_at_channel(mine.take_timeout(FOREVER));
}

/// One waits for room that the other one makes, which wants its lock.
fn room(job: &Job) {
    let channel = |pair: &SimpleCommunicator| channel_on(pair, "c", 1);
    let Some((is_first, mut a, c, _pair)) = two_with(job, channel) else {
        return;
    };
    let (producer, consumer) = c.split();
    if is_first {
        drop(consumer);
        let _guard = a.lock();
        meet(job);
        let outcome = (0..4).try_for_each(|message| producer.put_timeout(message, FOREVER));
        ends_at_channel(outcome.map_err(|error| error.reason));
    } else {
        drop(producer);
        meet(job);
        assert_eq!(consumer.take(), Some(0));
        ends(a.lock_timeout(FOREVER));
    }
}

/// All ranks put, and none takes.
fn room_for_all(job: &Job) {
    let c = channel_on(&job.world, "c", 0);
    job.scratch.meet(MET, job.size);
    let outcome = (0..3).try_for_each(|message| c.put_timeout(message, FOREVER));
    ends_at_channel(outcome.map_err(|error| error.reason));
}

/// One has its turn and wants the lock of the other one, which waits for its turn.
fn turn(job: &Job) {
    let turn = |pair: &SimpleCommunicator| Turn::new(pair).unwrap();
    let Some((is_first, mut a, mut turn, _pair)) = two_with(job, turn) else {
        return;
    };
    if is_first {
        // The second round, so that the turn has been on both hosts.
        drop(turn.take());
        let _mine = turn.take();
        meet(job);
        ends(a.lock_timeout(FOREVER));
    } else {
        drop(turn.take());
        let _guard = a.lock();
        meet(job);
        ends(turn.take_timeout(FOREVER).map_err(|error| match error {
            TurnError::Lock(error) => error,
            error => panic!("{error}"),
        }));
    }
}

fn latch(job: &Job) {
    let latch = |pair: &SimpleCommunicator| Latch::builder(pair, 2).root(1).build().unwrap();
    let Some((is_first, mut a, latch, _pair)) = two_with(job, latch) else {
        return;
    };
    if is_first {
        let _guard = a.lock();
        meet(job);
        latch.count_down(1).unwrap();
        ends(latch.wait_timeout(FOREVER).map_err(|error| match error {
            LatchError::Lock(error) => error,
            error => panic!("{error}"),
        }));
    } else {
        meet(job);
        ends(a.lock_timeout(FOREVER));
    }
}

fn condition(job: &Job) {
    let condition = |pair: &SimpleCommunicator| {
        let condvar = Condvar::builder(pair).root(1).build().unwrap();
        (condvar, mutex_on(pair, "m", 0))
    };
    let Some((is_first, mut a, (condvar, mut m), _pair)) = two_with(job, condition) else {
        return;
    };
    if is_first {
        let _guard = a.lock();
        meet(job);
        ends(condvar.wait_timeout(m.lock(), FOREVER));
    } else {
        // Nobody waits yet.
        assert_eq!(condvar.notify_all(), 0);
        meet(job);
        ends(a.lock_timeout(FOREVER));
    }
}

fn once(job: &Job) {
    let once = |pair: &SimpleCommunicator| OnceShared::<u64>::new(pair).unwrap();
    let Some((is_first, mut a, once, _pair)) = two_with(job, once) else {
        return;
    };
    if is_first {
        once.get_or_init(|| {
            meet(job);
            ends(a.lock_timeout(FOREVER));
            7
        });
    } else {
        let _guard = a.lock();
        meet(job);
        let value = once.get_or_try_init_timeout(FOREVER, || Ok::<_, OnceError>(8));
        ends(value.map_err(|error| match error {
            OnceError::Lock(error) => error,
            error => panic!("{error}"),
        }));
    }
}

/// The number of values that a rank shares before the first of them is collected.
const SHARED: u64 = 6;

fn collectors(job: &Job) {
    let controller = |pair: &SimpleCommunicator| controller_on(pair, "b", 0);
    let Some((is_first, mut a, mut b, _pair)) = two_with(job, controller) else {
        return;
    };
    let mut all = |is_heard: &mut dyn FnMut(u64)| {
        for number in 0..SHARED {
            let value = match b.single_write() {
                Access::Writer(fence) => fence.share(number),
                Access::Excluded(fence) => fence.collect(),
            };
            is_heard(value.unwrap());
        }
    };
    if is_first {
        let _guard = a.lock();
        meet(job);
        all(&mut |_| {});
        tell("went on");
    } else {
        meet(job);
        ends(a.lock_timeout(FOREVER));
        let mut sum = 0;
        all(&mut |value| sum += value);
        assert_eq!(sum, (0..SHARED).sum::<u64>());
    }
}

/// How long a rank computes while the others wait for it: longer than it takes to find a deadlock.
const LATE: Duration = Duration::from_secs(4);

/// One rank has a lock and waits, and all others want the lock, but for one on the other host, which
/// computes: in turn for each kind of object. That one gives what is waited for, and then wants the lock
/// as well.
fn all_that_comes_late(job: &Job) {
    let [first, second] = two(job);
    let late = |a: &mut Mutex, take: &mut dyn FnMut(), give: &mut dyn FnMut()| {
        if job.rank == first {
            let _guard = a.lock();
            job.world.barrier();
            take();
        } else {
            job.world.barrier();
            if job.rank == second {
                thread::sleep(LATE);
                give();
            }
            drop(a.lock());
        }
    };
    let mut a = mutex_on(&job.world, "a", second);
    let c = channel_on(&job.world, "c", first);
    let take = |messages: u64| (0..messages).for_each(|_| assert!(c.take().is_some()));
    let put = |messages: u64| (0..messages).for_each(|message| c.put(message).unwrap());
    late(&mut a, &mut || take(1), &mut || put(1));
    late(&mut a, &mut || put(4), &mut || take(2));
    let latch = Latch::builder(&job.world, 1).root(second).build().unwrap();
    let open = || latch.count_down(1).unwrap();
    late(&mut a, &mut || latch.wait(), &mut || open());
    let condvar = Condvar::builder(&job.world).root(second).build().unwrap();
    let mut m = mutex_on(&job.world, "m", first);
    let notify = || assert_eq!(condvar.notify_one(), 1);
    late(&mut a, &mut || drop(condvar.wait(m.lock())), &mut || {
        notify()
    });
    // The others are not in these.
    let pair = pair(job);
    let turn = pair
        .as_ref()
        .map(|(_, pair)| RefCell::new(Turn::new(pair).unwrap()));
    let take_turn = || drop(turn.as_ref().unwrap().borrow_mut().take());
    late(
        &mut a,
        &mut || (0..2).for_each(|_| take_turn()),
        &mut || take_turn(),
    );
    let once = pair
        .as_ref()
        .map(|(_, pair)| OnceShared::<u64>::new(pair).unwrap());
    let compute = || assert_eq!(*once.as_ref().unwrap().get_or_init(|| 7), 7);
    if job.rank == second {
        once.as_ref().unwrap().get_or_init(|| {
            job.world.barrier();
            thread::sleep(LATE);
            7
        });
        drop(a.lock());
    } else {
        late(&mut a, &mut || compute(), &mut || {});
    }
    let b = pair
        .as_ref()
        .map(|(_, pair)| RefCell::new(controller_on(pair, "b", 0)));
    let all = || {
        for number in 0..SHARED {
            let mut b = b.as_ref().unwrap().borrow_mut();
            let value = match b.single_write() {
                Access::Writer(fence) => fence.share(number),
                Access::Excluded(fence) => fence.collect(),
            };
            assert_eq!(value.unwrap(), number);
        }
    };
    late(&mut a, &mut || all(), &mut || all());
    job.world.barrier();
}
