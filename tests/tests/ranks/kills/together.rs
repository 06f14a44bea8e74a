//! What all ranks do together: in each step one call, or a few.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use mpisync::batch::BatchError;
use mpisync::{Batch, ChannelError, LockError, WindowController};

use super::alone::{CONTROLLER, REGION, TURN, message, take_one};
use super::objects::{ITEMS, Objects, Outcome};
use super::round::{GONE, LIMIT, Round};
use super::words::{COME, COUNTED, FINISHED};
use super::{FOREVER, RANKS};

/// Without a rank, or because of a lock that it has taken along. A writer that does not get the
/// lock fails, and the others get its error.
const GONE_OR_LOST: &[&str] = &["RankDied", "HolderDied", "WriterFailed", "Unshared"];

/// The text of a failure that is intended.
const INTENDED: &str = "as intended";

/// The step of this number.
pub fn step(round: &mut Round<'_>, objects: &mut Objects, number: usize) {
    match round.common.below(10) {
        0 => single_write(round, objects, number),
        1 => collective(round, objects, number),
        2 => barrier(round, objects, number),
        3 | 4 => turns(round, objects, number),
        5 => set_region(round, objects, number),
        6 => update_region(round, objects),
        7 => gate(round, objects, number),
        8 => pipe(round, objects, number),
        _ => pairs(round, &mut objects.pairs),
    }
    let counted = round.job.scratch.word(COUNTED);
    counted.fetch_add(1, SeqCst);
    round.call("count down", &[], |_| objects.latch.count_down(1));
}

/// A value of one rank for all.
fn single_write(round: &mut Round<'_>, objects: &mut Objects, number: usize) {
    let writer = round.common.below(RANKS as u64) as i32;
    let length = match round.common.below(3) {
        0 => 40_000,
        _ => round.common.below(100),
    };
    let fresh = round.own.bits();
    let value = round.call("single_write", GONE_OR_LOST, |round| {
        let access = objects.controller.on(writer)?;
        access.single_write_timeout(FOREVER)?.run(|_| {
            round.only_one(COME + number, "a single write");
            round.alone(CONTROLLER);
            Outcome::Ok(vec![fresh; length as usize + 1])
        })
    });
    if let Some(value) = value {
        assert_eq!(value.len() as u64, length + 1);
        round.record(format_args!("shared {number} {}", value[value.len() - 1]));
    }
}

#[mpisync::collective]
fn run_on_all(
    ctrl: &mut WindowController,
    come: &AtomicU64,
    fails: i32,
) -> Result<(), Box<dyn Error>> {
    come.fetch_add(1, SeqCst);
    match ctrl.rank() == fails {
        true => Err(INTENDED.into()),
        false => Ok(()),
    }
}

/// A call whose body all ranks run, and in which one may fail.
fn collective(round: &mut Round<'_>, objects: &mut Objects, number: usize) {
    let fails = round.common.below(2 * RANKS as u64) as i32;
    let come = round.job.scratch.word(COME + number);
    round.call("collective", GONE, |_| {
        match run_on_all(&mut objects.controller, come, fails) {
            Ok(()) => {
                assert!(fails >= RANKS as i32, "rank {fails} has failed");
                assert_eq!(come.load(SeqCst), RANKS as u64, "not all have run it");
                Ok(())
            }
            Err(error) if error.to_string().contains(INTENDED) => Ok(()),
            Err(error) => Err(error),
        }
    });
}

fn barrier(round: &mut Round<'_>, objects: &mut Objects, number: usize) {
    let come = round.job.scratch.word(COME + number);
    come.fetch_add(1, SeqCst);
    round.call("barrier", GONE, |_| {
        objects.barrier.wait_timeout(FOREVER)?;
        assert_eq!(come.load(SeqCst), RANKS as u64, "not all have come");
        Outcome::Ok(())
    });
}

/// The order is in a file.
fn turns(round: &mut Round<'_>, objects: &mut Objects, number: usize) {
    let path = round.job.file("turns");
    round.call("take a turn", GONE, |round| {
        let turn = objects.turn.take_timeout(FOREVER)?;
        round.alone(TURN);
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        let line = format!("{number} {}\n", round.rank());
        file.write_all(line.as_bytes())?;
        drop(turn);
        Outcome::Ok(())
    });
}

fn set_region(round: &mut Round<'_>, objects: &mut Objects, number: usize) {
    let root = round.common.below(RANKS as u64) as i32;
    let data = (round.rank() == root).then(|| vec![number as u64; ITEMS]);
    round.call("set a region", GONE_OR_LOST, |_| {
        objects.region.set(root, data.as_ref(), [0])
    });
}

fn update_region(round: &mut Round<'_>, objects: &mut Objects) {
    round.call("update a region", GONE_OR_LOST, |round| {
        objects.region.update(|items| {
            round.enter(REGION);
            let next = items[0].wrapping_add(1);
            items.fill(next);
            round.alone_no_more(REGION);
        })
    });
}

/// All wait for a change that one rank makes when all wait.
fn gate(round: &mut Round<'_>, objects: &mut Objects, number: usize) {
    let opener = round.common.below(RANKS as u64) as i32;
    let (gate, opens) = (&mut objects.gate, &objects.gate_opens);
    let next = number as u64 + 1;
    if round.rank() != opener {
        round.call("wait for a condition", &["HolderDied", "Alone"], |_| {
            let mut state = gate.lock_timeout(LIMIT)?;
            state[1] += 1;
            while state[0] < next {
                (state, _) = opens.wait_timeout(state, FOREVER)?;
            }
            Ok::<(), LockError>(())
        });
        return;
    }
    round.call("notify all", &["HolderDied"], |round| {
        loop {
            let has_lost_one = round.has_lost_one();
            match gate.lock_timeout(LIMIT) {
                Ok(mut state) if has_lost_one || state[1] == RANKS as u64 - 1 => {
                    *state = [next, 0];
                    opens.notify_all();
                    return Ok(());
                }
                Ok(_) => {}
                Err(error) => {
                    // Those that wait already then find that the mutex is lost.
                    opens.notify_all();
                    return Err(error);
                }
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    });
}

/// Ranks with even numbers put, by the calls that wait, and the others take.
fn pipe(round: &mut Round<'_>, objects: &mut Objects, number: usize) {
    const PUTS: u64 = 12;
    let finished = round.job.scratch.word(FINISHED + number);
    if round.rank() % 2 == 0 {
        for _ in 0..PUTS {
            let messages: Vec<_> = (0..3).map(|_| message(round)).collect();
            for [number, ..] in &messages {
                round.record(format_args!("puts {number}"));
            }
            let pipe = &mut objects.pipe;
            let put = round.call("put three messages", &[], |round| {
                if round.own.below(2) == 0 {
                    pipe.put_slice(&messages)?;
                    return Ok(());
                }
                pipe.put(messages[0])?;
                for message in &messages[1..] {
                    pipe.put_with(|slot| *slot = *message)?;
                }
                Ok::<(), ChannelError>(())
            });
            assert!(put.is_some(), "ranks that take are left");
            for [number, ..] in &messages {
                round.record(format_args!("put {number}"));
            }
        }
        finished.fetch_or(1 << round.rank(), SeqCst);
        return;
    }
    loop {
        let flags = finished.load(SeqCst);
        let is_last = (0..RANKS as i32)
            .step_by(2)
            .all(|rank| flags & 1 << rank != 0 || round.is_dead(rank));
        let taken = take_one(round, &objects.pipe, Duration::from_millis(2));
        if taken.is_none() && is_last {
            return;
        }
    }
}

/// Some tasks in workers of two, one at a time and then two.
fn pairs(round: &mut Round<'_>, batch: &mut Batch) {
    for most in [1, 2] {
        let is_first = batch.worker().rank() == 0;
        round.call("run tasks in a pair", GONE, |round| {
            for task in batch.next_tasks(most)?.unwrap_or_default() {
                let index = task.index();
                if is_first {
                    round.runs_task(2, index);
                }
                task.done()?;
                if is_first {
                    round.record(format_args!("done 2 {index}"));
                }
            }
            Ok::<(), BatchError>(())
        });
    }
}
