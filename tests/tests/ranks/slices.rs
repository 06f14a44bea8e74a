//! Channels of messages of varying length between real ranks.

use std::time::Duration;

use mpi::collective::SystemOperation;
use mpi::traits::*;
use mpisync::{ChannelError, CreateError, RemoteChannel};
use mpisync_tests::job::Job;
use mpisync_tests::rng::Rng;

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    slices_come_whole,
    slices_of_other_ranks_in_place,
    slices_that_are_too_long,
    longest_messages_differ,
);

/// A message: its producer, its number, and a length and items that follow from both.
fn message(producer: i32, number: u32, longest: usize) -> Vec<u32> {
    let mut rng = Rng::new(u64::from(number) << 32 | producer as u64);
    // Most are short.
    let most = if number.is_multiple_of(7) {
        longest
    } else {
        16
    };
    let length = 2 + rng.below(most as u64 - 1) as usize;
    let mut items = vec![producer as u32, number];
    items.resize_with(length, || rng.below(1 << 32) as u32);
    items
}

/// All ranks put and take. Each message comes once and whole. After calls with a time limit they need not be in order over nodes.
fn slices_come_whole(job: &Job) {
    const MESSAGES: u32 = 300;
    for (capacity, longest) in [(1, 20), (5, 1000), (64, 40_000)] {
        let channel = RemoteChannel::<[u32]>::slices(&job.world, capacity, longest).unwrap();
        assert_eq!(channel.longest(), longest);
        let (mut taken, mut sum) = (0_u64, 0_u64);
        let mut take = |items: &[u32]| {
            let (producer, number) = (items[0] as i32, items[1]);
            assert_eq!(items, message(producer, number, longest));
            taken += 1;
            sum += u64::from(number);
        };
        for number in 0..MESSAGES {
            let items = message(job.rank, number, longest);
            while let Err(error) = channel.try_put_items(&items) {
                assert_eq!(error, ChannelError::Full);
                match channel.take_items_timeout(Duration::from_millis(1)) {
                    Ok(items) => take(&items.expect("this rank still puts")),
                    Err(error) => assert!(matches!(error, ChannelError::Timeout { .. }), "{error}"),
                }
            }
        }
        let (producer, consumer) = channel.split();
        drop(producer);
        let mut items = Vec::new();
        while consumer.take_items_into(&mut items) {
            take(&items);
        }
        let mut all = [0; 2];
        job.world
            .all_reduce_into(&[taken, sum], &mut all, SystemOperation::sum());
        let (ranks, messages) = (job.size as u64, u64::from(MESSAGES));
        assert_eq!(
            all,
            [ranks * messages, ranks * messages * (messages - 1) / 2]
        );
    }
}

/// One rank fills messages in their slots, and all others read them there, each in the order in which they were put.
fn slices_of_other_ranks_in_place(job: &Job) {
    const MESSAGES: usize = 200;
    let mut channel = RemoteChannel::<[f64]>::slices(&job.world, 4, 500).unwrap();
    channel.claim_together(MESSAGES as u64);
    job.world.barrier();
    let mut sum = 0.0;
    for number in 0..MESSAGES {
        if job.rank == 0 {
            channel
                .put_items_with(number, |items| items.fill(number as f64))
                .unwrap();
        }
        if job.size == 1 {
            sum += channel
                .take_items_with(|items| items.iter().sum::<f64>())
                .unwrap();
        }
    }
    let mut last = None;
    while let Some((number, one)) =
        channel.take_items_with(|items| (items.len(), items.iter().sum::<f64>()))
    {
        assert!(last < Some(number), "{number} after {last:?}");
        last = Some(number);
        sum += one;
    }
    let mut all = 0.0;
    job.world
        .all_reduce_into(&sum, &mut all, SystemOperation::sum());
    let expected: usize = (0..MESSAGES).map(|number| number * number).sum();
    assert_eq!(all, expected as f64);
}

fn slices_that_are_too_long(job: &Job) {
    let channel = RemoteChannel::<[u8]>::slices(&job.world, 2, 10).unwrap();
    let error = channel.put_items(&[0; 11]).unwrap_err();
    assert_eq!(
        error,
        ChannelError::TooLong {
            length: 11,
            longest: 10
        }
    );
    for longest in [usize::MAX, usize::MAX / 2] {
        let error = RemoteChannel::<[u16]>::slices(&job.world, 1, longest).unwrap_err();
        assert!(matches!(error, CreateError::Capacity { .. }), "{error}");
    }
    job.world.barrier();
    assert!(channel.is_empty());
}

fn longest_messages_differ(job: &Job) {
    let longest = if job.rank == job.size - 1 { 8 } else { 7 };
    let made = RemoteChannel::<[u8]>::slices(&job.world, 2, longest);
    if job.size == 1 {
        return drop(made.unwrap());
    }
    let error = made.map(|_| ()).unwrap_err().to_string();
    if job.rank == job.size - 1 {
        assert!(error.contains("up to 8 items of 1 bytes"), "{error}");
    }
    assert!(error.contains("layout of messages"), "{error}");
}
