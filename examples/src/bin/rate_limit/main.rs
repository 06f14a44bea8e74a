//! Many ranks use a slow service, which accepts only a few requests at a time.
//!
//! The service is a small HTTP server (tiny_http), which rank 0 starts in threads of its own; all
//! ranks are its clients (ureq), and a `#[single_write]` sends them its address. It works on a few
//! requests at a time, and refuses further ones. So the ranks share a `Semaphore` with the same
//! number of permits, and send a request only while they have one. A `Counter` gives each of them
//! the next task, and a `OnceShared` the token of a session, for which the first rank that asks for
//! it logs in.
//!
//! ```sh
//! cargo xtask run -n 8 rate_limit --limit 3
//! cargo xtask run -n 8 rate_limit --limit 3 --unlimited
//! cargo xtask run -n 4 --hosts 2 rate_limit
//! ```
//!
//! The second command uses no semaphore: a rank that is refused tries again later. On one host the
//! service listens at 127.0.0.1, over several at all addresses of rank 0's host.

use std::{
    net::SocketAddr,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use clap::Parser;
use mpisync::{ndarray::Ix1, prelude::*};
use mpisync_examples::cli;

mod client;
mod service;
mod share;

use client::Client;
use service::{Plan, Service};
use share::Share;

/// Uses a service from all ranks, with a limited number of requests at a time
#[derive(Parser)]
struct Args {
    /// Number of answers to get from the service
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    requests: u32,
    /// Number of requests that the service works on at a time
    #[arg(long, value_name = "K", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Duration of each request in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 20)]
    time: u32,
    /// Send requests without waiting for a permit, and again after a refusal
    #[arg(long)]
    unlimited: bool,
}

/// The shared objects of the ranks.
struct Shared {
    addresses: Vec<SocketAddr>,
    /// One for each task.
    tasks: Counter<u32>,
    /// As many as the requests that the service accepts at a time; None with `--unlimited`.
    permits: Option<Semaphore>,
    /// The token of the session.
    session: OnceShared<String>,
}

fn main() -> ExitCode {
    mpisync::run(|world| cli::run(world, |args: Args| run(world, &args)))
}

fn run(world: &SimpleCommunicator, args: &Args) -> anyhow::Result<String> {
    let mut ctrl = mpisync::sync(world)?;
    let mut service = None; // of rank 0
    let shared = Shared {
        addresses: start(&mut ctrl, args, &mut service)?,
        tasks: Counter::new(world)?,
        permits: if args.unlimited {
            None
        } else {
            Some(Semaphore::new(world, args.limit)?)
        },
        session: OnceShared::new(world)?,
    };
    let mut shares = Region::new(world, ctrl.size() as usize)?;
    let start = Instant::now();
    ask(&mut ctrl, args, &shared, &mut shares)?;
    let took = start.elapsed();
    let summary = verify(&mut ctrl, args, service.as_ref(), &shares, took)?;
    ctrl.close()?;
    Ok(summary)
}

impl Args {
    fn time(&self) -> Duration {
        Duration::from_millis(self.time.into())
    }
}

/// Rank 0 starts the service and keeps it; all return its addresses.
#[mpisync::single_write]
fn start(
    ctrl: &mut WindowController,
    args: &Args,
    service: &mut Option<Service>,
) -> anyhow::Result<Vec<SocketAddr>> {
    let plan = Plan {
        limit: args.limit,
        time: args.time(),
        requests: args.requests,
        is_remote: ctrl.nodes() > 1,
    };
    service.insert(Service::start(&plan)?).addresses()
}

/// All ranks send requests until no task is left; then each writes its share into `shares`.
#[mpisync::collective]
fn ask(
    ctrl: &mut WindowController,
    args: &Args,
    shared: &Shared,
    shares: &mut Region<Share, Ix1>,
) -> anyhow::Result<()> {
    let client = Client::connect(&shared.addresses, args.time())?;
    let token = shared.session.get_or_try_init(|| client.log_in())?;
    let mut share = Share::default();
    for number in shared.tasks.up_to(args.requests) {
        let start = Instant::now();
        loop {
            let permit = shared.permits.as_ref().map(Semaphore::acquire);
            let asked = Instant::now();
            let answer = client.square(number, token)?;
            let answered = Instant::now();
            drop(permit);
            if let Some(answer) = answer {
                share.add(answer, asked - start, answered - asked);
                break;
            }
            share.refused += 1;
            thread::sleep(args.time());
        }
    }
    let mut shares = shares.write();
    shares[ctrl.rank() as usize] = share;
    Ok(shares.publish()?)
}

/// Rank 0 checks that all answers arrived, and that the service never had too many requests at
/// once, except with `--unlimited`; all return the summary.
#[mpisync::single_write]
fn verify(
    ctrl: &mut WindowController,
    args: &Args,
    service: Option<&Service>,
    shares: &Region<Share, Ix1>,
    took: Duration,
) -> anyhow::Result<String> {
    let seen = service.expect("rank 0 has started it").seen();
    let shares = shares.read().to_vec();
    let all: Share = shares.iter().copied().sum();
    let (requests, limit) = (args.requests, args.limit);
    let (most, refused) = (seen.most, seen.refused);
    ensure!(
        args.unlimited || (most <= limit && refused == 0),
        "{most} requests came at once in spite of the limit of {limit}, and {refused} were refused"
    );
    let right: u64 = (0..u64::from(requests)).map(|number| number * number).sum();
    ensure!(
        (all.answers, all.sum) == (requests.into(), right) && seen.answered == requests,
        "{} answers with the sum {} instead of {requests} with the sum {right}",
        all.answers,
        all.sum
    );
    ensure!(
        seen.sessions == 1,
        "{} sessions were begun, for which one token is enough",
        seen.sessions
    );
    let rate = f64::from(requests) / took.as_secs_f64();
    let table = share::table(&shares, took);
    let outcome = if refused == 0 {
        format!("none refused, {most} at once at most")
    } else {
        "some only after refusals".to_owned()
    };
    Ok(format!(
        "{table}ranks: {}; nodes: {}; limit: {limit}; {} requests in {took:.3?}, {rate:.0} answers a second; \
         {refused} refused\n\
         verified: {requests} answers, {outcome}",
        ctrl.size(),
        ctrl.nodes(),
        requests + refused
    ))
}
