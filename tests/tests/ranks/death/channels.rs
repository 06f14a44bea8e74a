//! A rank that uses a channel is killed.

use std::sync::atomic::Ordering::SeqCst;

use mpi::traits::*;
use mpisync::{ChannelError, LockError, RemoteChannel};
use mpisync_tests::job::Job;

use super::{COUNT, LONG, await_death, die, ready, survived, victim};

mpisync_tests::cases!(on [2, 4] with [LastRankDies]:
    rank_dies_with_a_channel,
    carrier_of_a_channel_dies,
    rank_dies_while_it_puts,
    rank_dies_while_it_takes,
);

/// The ends of a rank that dies are closed, and a stream ends without it.
fn rank_dies_with_a_channel(job: &Job) {
    let channel = RemoteChannel::<i32>::new(&job.world, 4).unwrap();
    if job.rank == victim(job) {
        channel.put(-1).unwrap();
        ready(job);
        die();
    }
    await_death(job);
    let (producer, consumer) = channel.split();
    drop(producer);
    while let Some(message) = consumer.take_timeout(LONG).unwrap() {
        assert_eq!(message, -1);
        job.scratch.word(COUNT).fetch_add(1, SeqCst);
    }
    assert_eq!(consumer.take(), None);
    job.scratch.meet(COUNT + 1, job.size - 1);
    let count = job.scratch.word(COUNT).load(SeqCst);
    assert_eq!(count, 1, "what it put before");
    survived(job)
}

/// The lowest rank of a node carries the messages of channels: over several nodes, the others of
/// its node get an error when it dies. On one node it is a rank like any other.
fn carrier_of_a_channel_dies(job: &Job) {
    let channel = RemoteChannel::<i32>::new(&job.world, 4).unwrap();
    let last = job.size - 1;
    let node = job.world.split_shared(job.rank);
    let mut carrier = job.rank;
    node.process_at_rank(0).broadcast_into(&mut carrier);
    job.world.process_at_rank(last).broadcast_into(&mut carrier);
    let nodes = mpisync::sync(&job.world).unwrap().nodes();
    if job.rank == carrier {
        ready(job);
        die();
    }
    await_death(job);
    if job.rank == last && nodes > 1 {
        let lost = ChannelError::Lost(LockError::LeaderDied { rank: carrier });
        assert_eq!(channel.take_timeout(LONG), Err(lost.clone()));
        assert_eq!(channel.try_take(), Err(lost.clone()));
        let refused = channel.try_put(1).unwrap_err();
        assert_eq!(refused.reason, lost);
    } else if job.rank == last {
        channel.put(1).unwrap();
        assert_eq!(channel.take_timeout(LONG), Ok(Some(1)));
    }
    survived(job)
}

/// A rank that dies in the middle of a message leaves none, and the messages behind it arrive.
fn rank_dies_while_it_puts(job: &Job) {
    let mut channel = RemoteChannel::<i32>::new(&job.world, 4).unwrap();
    if job.rank == victim(job) {
        let _ = channel.put_with(|_| -> i32 {
            ready(job);
            die()
        });
    }
    await_death(job);
    if job.rank == 0 {
        channel.put(5).unwrap();
        assert_eq!(channel.take_timeout(LONG), Ok(Some(5)));
    }
    survived(job)
}

/// A rank that dies while it takes a message loses that message, and its slot is free again.
fn rank_dies_while_it_takes(job: &Job) {
    let mut channel = RemoteChannel::<i32>::new(&job.world, 1).unwrap();
    if job.rank == victim(job) {
        channel.put(1).unwrap();
        channel.take_with(|_| -> i32 {
            ready(job);
            die()
        });
    }
    await_death(job);
    if job.rank == 0 {
        channel.put_timeout(2, LONG).unwrap();
        assert_eq!(channel.take(), Some(2));
    }
    survived(job)
}
