//! The queue under real threads.

use crate::channel::ring::memory::QueueMemory;
use crate::channel::ring::tests::*;
use std::thread;
use std::time::Duration;

/// A message: the number of its producer, and its count.
fn message(producer: u64, count: u64) -> u64 {
    producer << 32 | count
}

fn try_put(queue: &Queue<HeapQueue>, message: u64) -> Result<(), NoRoom> {
    let mut putting = queue.try_put(1)?;
    queue.memory.write(putting.index().expect("one"), message);
    putting.publish();
    Ok(())
}

fn try_take(queue: &Queue<HeapQueue>) -> Option<u64> {
    let taking = queue.try_take(1)?;
    Some(queue.memory.read(taking.index().expect("one")))
}

#[test]
fn in_order_and_no_more_than_there_is_room_for() {
    for capacity in 1..9 {
        let queue = &queues(1, capacity)[0];
        for round in 0..5 {
            for count in 0..capacity {
                assert_eq!(queue.len(), count);
                assert_eq!(try_put(queue, message(round, count)), Ok(()));
            }
            assert_eq!(try_put(queue, 0), Err(NoRoom::Full));
            for count in 0..capacity {
                assert_eq!(try_take(queue), Some(message(round, count)));
            }
            assert_eq!(try_take(queue), None);
        }
    }
}

#[test]
fn many_at_once_as_far_as_there_is_room() {
    let queue = &queues(1, 5)[0];
    let mut putting = queue.try_put(3).expect("room");
    assert_eq!(putting.left(), 3);
    putting.publish();
    drop(putting);
    assert_eq!(queue.try_put(9).map(|putting| putting.left()), Ok(2));
    // Four of the five slots are void.
    assert_eq!(try_take(queue), Some(0));
    assert_eq!(try_take(queue), None);
    assert_eq!(queue.len(), 0);
    assert_eq!(queue.try_put(9).map(|putting| putting.left()), Ok(5));
}

#[test]
fn a_polling_rank_learns_of_an_end_that_others_found() {
    let queues = queues(2, 4);
    let (polls, waits) = (&queues[0], &queues[1]);
    let began = polls.begin_waiting(false);
    assert_eq!(polls.take_since(1, began).err(), Some(NoMessage::Empty));
    polls.close_producer();
    assert_eq!(polls.take_since(1, began).err(), Some(NoMessage::Empty));
    assert_eq!(take(waits, 1), Err(NoMessage::Over));
    let later = polls.begin_waiting(false);
    // A message that was put after the end is still taken first.
    assert_eq!(try_put(waits, 5), Ok(()));
    assert_eq!(try_take(polls), Some(5));
    assert_eq!(polls.take_since(1, began).err(), Some(NoMessage::Over));
    assert_eq!(polls.take_since(1, later).err(), Some(NoMessage::Empty));
    waits.close_producer();
    assert_eq!(polls.take_since(1, later).err(), Some(NoMessage::Over));
}

#[test]
fn a_polling_rank_keeps_the_others_waiting() {
    let queues = queues(2, 4);
    let (polls, waits) = (&queues[0], &queues[1]);
    let began = polls.begin_waiting(false);
    assert_eq!(polls.take_since(1, began).err(), Some(NoMessage::Empty));
    let soon = || Deadline::after(Duration::from_millis(5));
    assert_eq!(waits.take(1, soon).err(), Some(NoMessage::Empty));
    thread::scope(|scope| {
        let taken = scope.spawn(|| take(waits, 1));
        thread::sleep(Duration::from_millis(5));
        assert_eq!(polls.take_since(1, began).err(), Some(NoMessage::Empty));
        assert_eq!(try_put(polls, 7), Ok(()));
        assert_eq!(taken.join().expect("no panic"), Ok(vec![7]));
    });
}

#[test]
fn there_is_room_when_a_message_can_be_put() {
    for capacity in [1, 2, 5] {
        let queue = &queues(1, capacity)[0];
        for _ in 0..3 {
            for count in 0..capacity {
                assert_eq!(queue.check_room(), Ok(()));
                assert_eq!(try_put(queue, count), Ok(()));
            }
            assert_eq!(queue.check_room(), Err(NoRoom::Full));
            let taking = queue.try_take(1).expect("a message");
            // The slot is free only after the message was read.
            assert_eq!(queue.check_room(), Err(NoRoom::Full));
            drop(taking);
            assert_eq!(queue.check_room(), Ok(()));
            while try_take(queue).is_some() {}
        }
        queue.close_consumer();
        assert_eq!(queue.check_room(), Err(NoRoom::Closed));
    }
}

/// No message is lost or taken twice, and each consumer gets the messages of each producer in
/// order.
fn streams(producers: u64, consumers: usize, capacity: u64, many: usize) {
    const MESSAGES: u64 = 5_000;
    let mut queues = queues(producers as usize + consumers, capacity);
    let taking = queues.split_off(producers as usize);
    thread::scope(|scope| {
        for (producer, queue) in queues.into_iter().enumerate() {
            scope.spawn(move || {
                queue.close_consumer();
                let all: Vec<u64> = (0..MESSAGES)
                    .map(|count| message(producer as u64, count))
                    .collect();
                for some in all.chunks(many) {
                    put(&queue, some).expect("somebody takes");
                }
                queue.close_producer();
            });
        }
        let consumers: Vec<_> = (taking.into_iter())
            .map(|queue| {
                scope.spawn(move || {
                    queue.close_producer();
                    let mut all = Vec::new();
                    while let Ok(mut some) = take(&queue, many) {
                        all.append(&mut some);
                    }
                    assert_eq!(take(&queue, 1), Err(NoMessage::Over));
                    all
                })
            })
            .collect();
        let mut counts = vec![vec![false; MESSAGES as usize]; producers as usize];
        for consumer in consumers {
            let mut last = vec![None; producers as usize];
            for message in consumer.join().expect("no panic") {
                let (producer, count) = ((message >> 32) as usize, message & u64::from(u32::MAX));
                assert!(last[producer] < Some(count), "out of order");
                last[producer] = Some(count);
                let seen = std::mem::replace(&mut counts[producer][count as usize], true);
                assert!(!seen, "taken twice");
            }
        }
        assert!(counts.iter().flatten().all(|seen| *seen), "lost");
    });
}

#[test]
fn one_to_one() {
    streams(1, 1, 64, 1);
    streams(1, 1, 1, 1);
    streams(1, 1, 7, 5);
}

#[test]
fn many_to_many() {
    streams(2, 2, 64, 1);
    streams(3, 2, 1, 1);
    streams(2, 3, 10, 4);
}

#[test]
fn a_stream_ends_with_its_promises() {
    let queues = queues(2, 4);
    queues[0].claim(3);
    put(&queues[0], &[1, 2, 3]).expect("room");
    assert_eq!(take(&queues[1], 2), Ok(vec![1, 2]));
    assert_eq!(take(&queues[1], 2), Ok(vec![3]));
    assert_eq!(take(&queues[1], 2), Err(NoMessage::Over));
    queues[1].claim(2);
    put(&queues[0], &[4]).expect("room");
    assert_eq!(take(&queues[1], 2), Ok(vec![4]));
    assert_eq!(queues[1].end(), None);
    queues[0].close_producer();
    queues[1].close_producer();
    assert_eq!(take(&queues[1], 2), Err(NoMessage::Missing(1)));
}

#[test]
fn a_stream_ends_when_all_wait() {
    let queues = queues(3, 2);
    thread::scope(|scope| {
        let tasks: Vec<_> = (queues.iter())
            .map(|queue| {
                scope.spawn(move || {
                    if queue.memory.me() == 0 {
                        put(queue, &[10]).expect("room");
                    } else if queue.memory.me() == 2 {
                        // This rank neither puts nor takes.
                        queue.close_producer();
                        return 0;
                    }
                    let mut done = 0;
                    while let Ok(task) = take(queue, 1) {
                        done += 1;
                        if task[0] > 0 {
                            put(queue, &[task[0] - 1]).expect("room");
                        }
                    }
                    done
                })
            })
            .collect();
        let done: u64 = tasks
            .into_iter()
            .map(|task| task.join().expect("ends"))
            .sum();
        assert_eq!(done, 11);
    });
}

#[test]
fn putting_is_an_error_when_nobody_takes() {
    let queues = queues(2, 1);
    put(&queues[0], &[1]).expect("room");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| put(&queues[0], &[2]));
        queues[0].close_consumer();
        assert!(!waiting.is_finished());
        queues[1].close_consumer();
        assert_eq!(waiting.join().expect("no panic"), Err(NoRoom::Closed));
    });
    assert_eq!(try_put(&queues[1], 3), Err(NoRoom::Closed));
}

/// A dead rank leaves reserved slots.
#[test]
fn a_slot_that_a_dead_rank_was_filling_is_skipped() {
    for published in 0..3 {
        let queues = queues(3, 4);
        put(&queues[0], &[1]).expect("room");
        let mut putting = queues[1].try_put(2).expect("room");
        for count in 0..published {
            queues[1]
                .memory
                .write(putting.index().expect("two"), 20 + count);
            putting.publish();
        }
        std::mem::forget(putting);
        queues[1].memory.die();
        put(&queues[0], &[3]).expect("room");
        let mut expected = vec![1];
        expected.extend((0..published).map(|count| 20 + count));
        expected.push(3);
        for message in expected {
            assert_eq!(take(&queues[2], 1), Ok(vec![message]));
        }
        // The ends of the dead rank are closed when another rank waits.
        queues[0].close_producer();
        queues[2].close_producer();
        assert_eq!(take(&queues[2], 1), Err(NoMessage::Over));
        assert_eq!(queues[2].len(), 0);
    }
}

/// A rank that dies while it takes leaves a slot that it does not free.
#[test]
fn a_slot_that_a_dead_rank_was_reading_is_freed() {
    let queues = queues(2, 2);
    put(&queues[0], &[1, 2]).expect("room");
    let mut taking = queues[1].try_take(2).expect("two messages");
    taking.free();
    std::mem::forget(taking);
    queues[1].memory.die();
    put(&queues[0], &[3, 4]).expect("room");
    assert_eq!(take(&queues[0], 2), Ok(vec![3, 4]));
}

/// A slow living rank keeps its slot, even if a dead rank had announced the same slot.
#[test]
fn a_slot_that_a_living_rank_is_filling_is_waited_for() {
    let queues = queues(3, 2);
    let mut putting = queues[0].try_put(1).expect("room");
    let other = queues[1].try_put(1).expect("room");
    // As if it had announced the slot that the other rank got.
    let announced = &queues[1].memory.rank_state(1).putting;
    announced.announce(laps_before_the_end(Shape::new(2), 1), 1);
    std::mem::forget(other);
    queues[1].memory.die();
    thread::scope(|scope| {
        let taken = scope.spawn(|| take(&queues[2], 1));
        thread::sleep(Duration::from_millis(20));
        assert!(!taken.is_finished());
        queues[0].memory.write(putting.index().expect("one"), 5);
        putting.publish();
        drop(putting);
        assert_eq!(taken.join().expect("no panic"), Ok(vec![5]));
    });
}

/// A rank that learns late of an end does not count later promises as missing messages.
#[test]
fn an_end_is_what_it_was_when_it_came() {
    let queues = queues(2, 2);
    let late = queues[1].begin_waiting(true);
    let first = queues[0].begin_waiting(true);
    assert_eq!(queues[0].end_of_wait(first), Some(NoMessage::Over));
    queues[0].stop_waiting();
    queues[0].claim(2);
    assert_eq!(queues[1].end_of_wait(late), Some(NoMessage::Over));
    // Both ranks wait again, and the promise is not kept.
    let late = queues[1].begin_waiting(true);
    assert_eq!(queues[1].end_of_wait(late), None);
    let first = queues[0].begin_waiting(true);
    assert_eq!(queues[0].end_of_wait(first), Some(NoMessage::Missing(2)));
    assert_eq!(queues[1].end_of_wait(late), Some(NoMessage::Missing(2)));
}
