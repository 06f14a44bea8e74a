//! What a rank does with the objects on its own, at random.

use std::io::{BufRead, Write};
use std::thread;
use std::time::Duration;

use mpisync::batch::BatchError;
use mpisync::{Batch, ChannelError, RemoteChannel};

use super::objects::{Message, Objects, Outcome, VALUES};
use super::round::{LIMIT, LOST, Round};
use super::words::{COMPUTED, MOST_PERMITS, TASKS};

/// The numbers of the locks, for the words of scratch memory.
pub const CONTROLLER: usize = 0;
pub const FILE: usize = 1;
pub const MUTEX: usize = 2;
pub const REGION: usize = 3;
pub const TURN: usize = 4;

/// A wait that may be in vain.
const SHORT: Duration = Duration::from_millis(3);

/// One random call.
pub fn act(round: &mut Round<'_>, objects: &mut Objects) {
    match round.own.below(20) {
        0 | 1 => read(round, objects),
        2 => write(round, objects),
        3 => write_lines(round, objects),
        4 => read_lines(round, objects),
        5 | 6 => lock(round, objects),
        7 => give_token(round, objects),
        8 => take_token(round, objects),
        9 | 10 => acquire(round, objects),
        11 => count(round, objects),
        12 => compute(round, objects),
        13 => put(round, objects),
        14 => take(round, objects),
        15 => read_region(round, objects),
        16 => write_region(round, objects),
        17 | 18 => run_tasks(round, &mut objects.batch, 0),
        _ => run_tasks(round, &mut objects.kept, 1),
    }
}

pub fn read(round: &mut Round<'_>, objects: &mut Objects) {
    round.call("read", LOST, |round| {
        let guard = objects.controller.read_timeout(LIMIT)?;
        round.among_readers(CONTROLLER);
        let second = objects.controller.read_timeout(LIMIT)?;
        drop(guard);
        round.among_readers(CONTROLLER);
        drop(second);
        Outcome::Ok(())
    });
}

pub fn write(round: &mut Round<'_>, objects: &mut Objects) {
    round.call("write", LOST, |round| {
        let guard = objects.controller.write_timeout(LIMIT)?;
        round.alone(CONTROLLER);
        if round.own.below(2) == 0 {
            let guard = guard.downgrade();
            round.among_readers(CONTROLLER);
            drop(guard);
        }
        Outcome::Ok(())
    });
}

/// Lines of up to some KiB, which are written in several pieces.
pub fn write_lines(round: &mut Round<'_>, objects: &mut Objects) {
    let number = round.own.bits();
    let length = round.own.below(20_000) as usize;
    let written = round.call("append to a file", LOST, |round| {
        objects.file.write_timeout(LIMIT, |file| {
            round.enter(FILE);
            writeln!(file, "{number} {} .", "-".repeat(length))?;
            round.alone_no_more(FILE);
            Ok(())
        })
    });
    if written.is_some() {
        round.record(format_args!("line {number}"));
    }
}

fn read_lines(round: &mut Round<'_>, objects: &mut Objects) {
    round.call("read a file", LOST, |round| {
        objects.file.read_timeout(LIMIT, |file| {
            round.among_readers(FILE);
            for line in file.lines() {
                assert!(line?.ends_with('.'), "a torn line");
            }
            Ok(())
        })
    });
}

pub fn lock(round: &mut Round<'_>, objects: &mut Objects) {
    round.call("lock a mutex", LOST, |round| {
        let mut pair = objects.mutex.lock_timeout(LIMIT)?;
        assert_eq!(pair[0], pair[1], "a torn value");
        pair[0] += 1;
        round.alone(MUTEX);
        pair[1] += 1;
        Outcome::Ok(())
    });
}

fn give_token(round: &mut Round<'_>, objects: &mut Objects) {
    round.call("give a token", LOST, |_| {
        *objects.tokens.lock_timeout(LIMIT)? += 1;
        objects.more_tokens.notify_one();
        Outcome::Ok(())
    });
}

fn take_token(round: &mut Round<'_>, objects: &mut Objects) {
    round.call("take a token", LOST, |_| {
        let guard = objects.tokens.lock_timeout(LIMIT)?;
        let condition = &objects.more_tokens;
        let (mut tokens, _) = condition.wait_timeout_while(guard, SHORT, |tokens| *tokens == 0)?;
        *tokens = tokens.saturating_sub(1);
        Outcome::Ok(())
    });
}

/// A rank that dies where nobody knows whether it has permits leaves the semaphore unusable.
fn acquire(round: &mut Round<'_>, objects: &mut Objects) {
    let count = 1 + round.own.below(MOST_PERMITS.into()) as u32;
    round.call("acquire permits", LOST, |round| {
        let permits = objects.semaphore.acquire_many_timeout(count, LIMIT)?;
        round.with_permits(count);
        drop(permits);
        Outcome::Ok(())
    });
}

fn count(round: &mut Round<'_>, objects: &mut Objects) {
    let counter = &objects.counter;
    if round.own.below(3) > 0 {
        if let Some(number) = round.call("count", &[], |_| counter.try_next()) {
            round.record(format_args!("number {number}"));
        }
    } else if let Some(numbers) = round.call("reserve numbers", &[], |_| counter.try_reserve(3)) {
        let numbers: Vec<u64> = numbers.collect();
        round.record(format_args!(
            "number {}\nnumber {}\nnumber {}",
            numbers[0], numbers[1], numbers[2]
        ));
    }
}

fn compute(round: &mut Round<'_>, objects: &mut Objects) {
    let which = round.own.below(VALUES as u64) as usize;
    let fresh = round.own.bits();
    let value = round.call("compute a value once", &[], |round| {
        objects.values[which].get_or_try_init_timeout(LIMIT, || {
            round.only_one(COMPUTED + which, "a value");
            Outcome::Ok(vec![fresh; 100])
        })
    });
    if let Some(value) = value {
        round.record(format_args!("value {which} {}", value[99]));
    }
}

/// A new message of this rank.
pub fn message(round: &mut Round<'_>) -> Message {
    let number = (round.own.bits() << 8) | round.rank() as u64;
    [number, !number, number ^ 17, number.wrapping_mul(3)]
}

/// The number of a message that is whole.
pub fn number_of(message: Message) -> u64 {
    let [number, ..] = message;
    let whole = [number, !number, number ^ 17, number.wrapping_mul(3)];
    assert_eq!(message, whole, "a torn message");
    number
}

fn put(round: &mut Round<'_>, objects: &mut Objects) {
    let message = message(round);
    let is_try = round.own.below(2) == 0;
    round.record(format_args!("puts {}", message[0]));
    let put = round.call("put", &[], |_| {
        let put = match is_try {
            true => objects.channel.try_put(message),
            false => objects.channel.put_timeout(message, SHORT),
        };
        match put.map_err(ChannelError::from) {
            Ok(()) => Ok(true),
            Err(ChannelError::Full | ChannelError::Timeout { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    });
    match put {
        Some(true) => round.record(format_args!("put {}", message[0])),
        _ => round.record(format_args!("kept {}", message[0])),
    }
}

fn take(round: &mut Round<'_>, objects: &mut Objects) {
    take_one(round, &objects.channel, SHORT);
}

/// Takes a message, if one comes in time.
pub fn take_one(
    round: &mut Round<'_>,
    channel: &RemoteChannel<Message>,
    limit: Duration,
) -> Option<()> {
    let taken = round.call("take", &[], |_| match channel.take_timeout(limit) {
        Ok(taken) => Ok(Some(taken.expect("no rank has dropped its producer"))),
        Err(ChannelError::Timeout { .. }) => Ok(None),
        Err(error) => Err(error),
    });
    let number = number_of(taken.flatten()?);
    round.record(format_args!("took {number}"));
    Some(())
}

pub fn read_region(round: &mut Round<'_>, objects: &mut Objects) {
    round.call("read a region", LOST, |round| {
        let items = objects.region.read_timeout(LIMIT)?;
        round.among_readers(REGION);
        let first = items[0];
        assert!(items.iter().all(|item| *item == first), "a torn region");
        Outcome::Ok(())
    });
}

pub fn write_region(round: &mut Round<'_>, objects: &mut Objects) {
    let stamp = round.own.bits();
    round.call("write to a region", LOST, |round| {
        let mut items = objects.region.write_timeout(LIMIT)?;
        round.enter(REGION);
        items[0] = stamp;
        round.linger();
        items.fill(stamp);
        round.alone_no_more(REGION);
        Outcome::Ok(())
    });
}

/// Runs one task, or several that it has at the same time.
fn run_tasks(round: &mut Round<'_>, batch: &mut Batch, number: usize) {
    let most = 1 + round.own.below(3) as usize;
    round.call("run tasks", &[], |round| {
        for task in batch.next_tasks(most)?.unwrap_or_default() {
            let index = task.index();
            round.runs_task(number, index);
            task.done()?;
            round.record(format_args!("done {number} {index}"));
        }
        Ok::<(), BatchError>(())
    });
}

impl Round<'_> {
    /// This rank runs a task, which no other one runs.
    pub fn runs_task(&mut self, batch: usize, task: usize) {
        let word = TASKS + 100 * batch + task;
        self.record(format_args!("runs {batch} {task}"));
        self.only_one(word, "a task");
        let time = Duration::from_micros(self.own.below(300));
        thread::sleep(time);
        self.forget(word);
    }
}
