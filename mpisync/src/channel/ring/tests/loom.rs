//! All interleavings of a few ranks with up to two preemptions. The messages are cells that loom
//! checks: the model fails if a message is read while it is written, or without acquire and release
//! in between, and also if a wake-up is lost.

use crate::channel::ring::tests::*;
use ::loom::thread;

type Act = fn(&Queue<HeapQueue>) -> u64;

/// Runs one act for each rank concurrently. `sum` is the expected sum of their results.
fn explore(capacity: u64, preemptions: usize, acts: &'static [Act], sum: u64) {
    let mut model = ::loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(preemptions));
    model.check(move || {
        let mut queues = queues(acts.len(), capacity);
        let last = queues.pop().expect("at least one rank");
        let threads: Vec<_> = (queues.into_iter().zip(acts))
            .map(|(queue, act)| thread::spawn(move || act(&queue)))
            .collect();
        let mut all = acts[acts.len() - 1](&last);
        for thread in threads {
            all += thread.join().expect("no rank fails");
        }
        assert_eq!(all, sum);
    });
}

/// Puts these messages, then closes the producer.
fn producer(queue: &Queue<HeapQueue>, messages: &[u64]) -> u64 {
    queue.close_consumer();
    put(queue, messages).expect("somebody takes");
    queue.close_producer();
    0
}

/// The sum of the messages until the stream ends.
fn consumer(queue: &Queue<HeapQueue>, most: usize) -> u64 {
    queue.close_producer();
    rest(queue, most)
}

fn rest(queue: &Queue<HeapQueue>, most: usize) -> u64 {
    let mut sum = 0;
    loop {
        match take(queue, most) {
            Ok(messages) => sum += messages.iter().sum::<u64>(),
            Err(end) => {
                assert_eq!(end, NoMessage::Over);
                return sum;
            }
        }
    }
}

const PUT_ONE: Act = |queue| producer(queue, &[1]);
const PUT_TWO: Act = |queue| producer(queue, &[10, 20]);
const TAKE: Act = |queue| consumer(queue, 1);
const TAKE_TWO: Act = |queue| consumer(queue, 2);

#[test]
fn one_slot() {
    explore(1, 2, &[PUT_ONE, TAKE], 1);
    explore(1, 2, &[PUT_TWO, TAKE], 30);
}

#[test]
fn two_slots() {
    explore(2, 2, &[PUT_TWO, TAKE], 30);
    explore(2, 2, &[PUT_TWO, TAKE_TWO], 30);
}

#[test]
fn two_producers() {
    explore(1, 1, &[PUT_ONE, PUT_ONE, TAKE], 2);
    explore(2, 1, &[PUT_ONE, PUT_TWO, TAKE_TWO], 31);
}

#[test]
fn two_consumers() {
    explore(1, 1, &[PUT_TWO, TAKE, TAKE], 30);
    explore(2, 1, &[PUT_TWO, TAKE, TAKE_TWO], 30);
}

/// Ranks put what they take, until all wait.
#[test]
fn all_wait() {
    const TASKS: Act = |queue| {
        let mut sum = 0;
        loop {
            match take(queue, 1) {
                Ok(tasks) => {
                    sum += tasks[0];
                    if tasks[0] > 1 {
                        put(queue, &[tasks[0] - 1]).expect("somebody takes");
                    }
                }
                Err(end) => {
                    assert_eq!(end, NoMessage::Over);
                    return sum;
                }
            }
        }
    };
    const FIRST: Act = |queue| {
        put(queue, &[2]).expect("somebody takes");
        TASKS(queue)
    };
    explore(2, 2, &[FIRST, TASKS], 3);
}

/// Ranks continue after an end, and the end waits for a rank that puts again.
#[test]
fn after_an_end() {
    const FIRST: Act = |queue| {
        let sum = rest(queue, 1);
        put(queue, &[5]).expect("somebody takes");
        queue.close_producer();
        sum
    };
    const SECOND: Act = |queue| {
        let sum = rest(queue, 1);
        queue.close_producer();
        sum + rest(queue, 1)
    };
    explore(2, 2, &[FIRST, SECOND], 5);
}

#[test]
fn nobody_takes() {
    const PUT_UNTIL_CLOSED: Act = |queue| {
        queue.close_consumer();
        let mut put_so_far = 0;
        while put(queue, &[1]).is_ok() {
            put_so_far += 1;
        }
        assert!(put_so_far <= 2);
        0
    };
    const TAKE_ONE: Act = |queue| {
        queue.close_producer();
        let taken = take(queue, 1).is_ok();
        queue.close_consumer();
        assert!(taken);
        0
    };
    explore(1, 2, &[PUT_UNTIL_CLOSED, TAKE_ONE], 0);
}

#[test]
fn promises() {
    const PUT_CLAIMED: Act = |queue| {
        queue.claim(1);
        put(queue, &[1]).expect("somebody takes");
        0
    };
    // Without the promise this would wait until the other rank closes its producer.
    const TAKE_CLAIMED: Act = |queue| {
        queue.close_producer();
        take(queue, 1).expect("one message").iter().sum::<u64>() + rest(queue, 1)
    };
    explore(1, 2, &[PUT_CLAIMED, TAKE_CLAIMED], 1);
}
