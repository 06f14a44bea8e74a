//! A pipeline of three stages, with a channel from each to the next.
//!
//! The first rank splits the numbers into ranges, the ranks in the middle search them for primes,
//! and the last rank joins their results. These arrive in any order, because some ranges take
//! longer than others, so the last rank keeps early results. In the end it compares its result with
//! that of a sieve.
//!
//! On two ranks the first one also searches for primes; on one rank it does everything. A rank with
//! several stages works on the later one while the channel in between is full, because otherwise it
//! would wait for itself.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::ensure;
use clap::Parser;
use mpisync::prelude::*;
use mpisync_examples::{cli, room::put_or_take};

mod primes;

use primes::Primes;

/// Searches for primes in a pipeline of ranks
#[derive(Parser)]
struct Args {
    /// Search the numbers below this one
    #[arg(default_value_t = 1_000_000)]
    below: u32,
    /// Numbers per range
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    range: u32,
    /// Capacity of each channel in messages
    #[arg(long, value_name = "N", default_value_t = 64)]
    capacity: usize,
}

/// A message to the second stage: a range of numbers.
#[derive(Clone, Copy, Equivalence)]
struct Range {
    /// Its position among the ranges.
    number: u64,
    from: u64,
    below: u64,
}

/// A message to the third stage: the primes of a range.
#[derive(Clone, Copy, Equivalence)]
struct Found {
    /// The number of the range.
    number: u64,
    /// The rank that searched.
    by: u64,
    primes: Primes,
}

/// The state of the last stage.
#[derive(Default)]
struct Collected {
    /// The primes of all ranges up to the first missing one.
    primes: Primes,
    /// The number of these ranges.
    joined: u64,
    /// Results of later ranges.
    early: BTreeMap<u64, Primes>,
    /// The number of ranges that each rank has searched.
    shares: BTreeMap<u64, u64>,
    took: Duration,
}

fn main() -> ExitCode {
    mpisync::run(|world| cli::run(world, |args: Args| run(world, &args)))
}

fn run(world: &SimpleCommunicator, args: &Args) -> anyhow::Result<String> {
    let mut ctrl = mpisync::sync(world)?;
    let last = ctrl.size() - 1;
    // Each channel is on the node whose ranks take most of its messages.
    let ranges = RemoteChannel::builder(world, args.capacity).name("ranges");
    let ranges = ranges.build()?;
    let found = RemoteChannel::builder(world, args.capacity).name("found");
    let found = found.root(last).build()?;
    let collected = work(&mut ctrl, ranges, found, args)?;
    let summary = verify(&mut ctrl, last, args, &collected)?;
    ctrl.close()?;
    Ok(summary)
}

/// All ranks run their stages until the streams end; the last one returns its results.
///
/// The function owns the channels. So a rank that fails drops them, and no other rank waits for it.
#[mpisync::collective]
fn work(
    ctrl: &mut WindowController,
    ranges: RemoteChannel<Range>,
    found: RemoteChannel<Found>,
    args: &Args,
) -> anyhow::Result<Collected> {
    let start = Instant::now();
    let (rank, last) = (ctrl.rank(), ctrl.size() - 1);
    let generates = rank == 0;
    let collects = rank == last;
    let searches = if last < 2 {
        generates
    } else {
        !generates && !collects
    };
    let (range_producer, range_consumer) = ranges.split();
    let (found_producer, found_consumer) = found.split();
    let mut collected = Collected::default();

    let mut search = |range: Range| {
        let found = range.search(rank);
        if collects {
            put_or_take(&found_producer, &found_consumer, found, |found| {
                collected.add(found);
                Ok(())
            })
        } else {
            Ok(found_producer.put(found)?)
        }
    };
    if generates {
        for range in all_ranges(args) {
            if searches {
                put_or_take(&range_producer, &range_consumer, range, &mut search)?;
            } else {
                range_producer.put(range)?;
            }
        }
    }
    // Each rank closes the ends that it does not need any more, so the next stage finds the end of
    // the stream.
    drop(range_producer);
    if searches {
        range_consumer.iter().try_for_each(search)?;
    }
    drop((range_consumer, found_producer));
    if collects {
        found_consumer.iter().for_each(|found| collected.add(found));
    }
    collected.took = start.elapsed();
    Ok(collected)
}

/// The first stage.
fn all_ranges(args: &Args) -> impl Iterator<Item = Range> {
    let (below, length) = (u64::from(args.below), u64::from(args.range));
    (0..below.div_ceil(length)).map(move |number| Range {
        number,
        from: number * length,
        below: below.min((number + 1) * length),
    })
}

impl Range {
    /// The second stage.
    fn search(self, rank: i32) -> Found {
        Found {
            number: self.number,
            by: u64::from(rank.unsigned_abs()),
            primes: Primes::search(self.from, self.below),
        }
    }
}

impl Collected {
    /// The third stage.
    fn add(&mut self, found: Found) {
        *self.shares.entry(found.by).or_default() += 1;
        self.early.insert(found.number, found.primes);
        while let Some(next) = self.early.remove(&self.joined) {
            self.primes = self.primes.join(next);
            self.joined += 1;
        }
    }
}

/// The last rank compares its result with that of a sieve; all return the summary.
#[mpisync::single_write(rank = last)]
fn verify(
    ctrl: &mut WindowController,
    last: i32,
    args: &Args,
    collected: &Collected,
) -> anyhow::Result<String> {
    let (primes, below) = (collected.primes, args.below);
    let right = Primes::sieve(u64::from(below));
    ensure!(
        primes == right && collected.early.is_empty(),
        "the pipeline finds {primes:?}, and a sieve {right:?}"
    );
    let mut summary = String::new();
    for (rank, ranges) in &collected.shares {
        summary += &format!("rank {rank} searched {ranges} ranges\n");
    }
    let messages = 2 * collected.joined;
    let took = collected.took;
    let rate = messages as f64 / took.as_secs_f64();
    summary += &format!(
        "ranks: {}; {messages} messages in {took:.3?}, {rate:.0} a second\n\
         verified: {} primes below {below}; the longest gap is {} and comes after {}",
        ctrl.size(),
        primes.count,
        primes.gap,
        primes.before_gap
    );
    Ok(summary)
}
