//! A pipeline of three stages, with a channel from each to the next.
//!
//! The first rank cuts the numbers into ranges, the ranks in the middle look for primes in them, and the last rank
//! joins what they have found. That comes in any order, for some take longer than others, so the last rank keeps what
//! comes too early. In the end it compares with what a sieve finds.
//!
//! On two ranks the first one looks for primes too, on one rank it does all. A rank with several stages works on the
//! later one while the channel in between is full, or it would wait for itself.

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

/// Looks for primes in a pipeline of ranks
#[derive(Parser)]
struct Args {
    /// Look at the numbers below this one
    #[arg(default_value_t = 1_000_000)]
    below: u32,
    /// Numbers in a range
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    range: u32,
    /// Messages that each channel has room for
    #[arg(long, value_name = "N", default_value_t = 64)]
    capacity: usize,
}

/// A message to the second stage: numbers to look at.
#[derive(Clone, Copy, Equivalence)]
struct Range {
    /// Its place among the ranges.
    number: u64,
    from: u64,
    below: u64,
}

/// A message to the third stage: what was found in a range.
#[derive(Clone, Copy, Equivalence)]
struct Found {
    /// The number of the range.
    number: u64,
    /// The rank that looked.
    by: u64,
    primes: Primes,
}

/// What the last stage knows.
#[derive(Default)]
struct Collected {
    /// All ranges up to the first that is missing.
    primes: Primes,
    /// How many these are.
    joined: u64,
    /// What came too early.
    early: BTreeMap<u64, Primes>,
    /// How many ranges each rank did.
    shares: BTreeMap<u64, u64>,
    took: Duration,
}

fn main() -> ExitCode {
    mpisync::run(|world| cli::run(world, |args: Args| run(world, &args)))
}

fn run(world: &SimpleCommunicator, args: &Args) -> anyhow::Result<String> {
    let mut ctrl = mpisync::sync(world)?;
    let last = ctrl.size() - 1;
    // A channel lies where it is taken from most.
    let ranges = RemoteChannel::builder(world, args.capacity).name("ranges");
    let ranges = ranges.build()?;
    let found = RemoteChannel::builder(world, args.capacity).name("found");
    let found = found.root(last).build()?;
    let collected = work(&mut ctrl, ranges, found, args)?;
    let summary = verify(&mut ctrl, last, args, &collected)?;
    ctrl.close()?;
    Ok(summary)
}

/// All ranks do their stages, up to the end of the streams; the last one returns what it has collected.
///
/// The channels are the function's own. So they are dropped where a rank fails, and no other rank waits for it.
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
    // Each rank closes what it does not use, or not any more: so the next stage finds the end.
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

/// The last rank compares what it has with what a sieve finds; all return the summary.
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
