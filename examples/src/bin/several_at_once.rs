//! Each rank has several requests under way, on one thread, by tasks of the runtime tokio.
//!
//! A request takes a while, and the service accepts only a few at a time, of all ranks together: a
//! `Semaphore` has as many permits. A task that waits for a permit or for a lock lets the other tasks of
//! its rank go on. The ranks take the numbers of the requests from a `Counter`, and add up the answers
//! in a `Mutex`.
//!
//! ```sh
//! cargo xtask run -n 4 several_at_once --limit 6 --tasks 4
//! ```

use std::{cell::Cell, process::ExitCode, rc::Rc, time::Duration};

use anyhow::ensure;
use clap::Parser;
use mpisync::prelude::*;
use mpisync_examples::cli;
use tokio::{
    runtime,
    task::LocalSet,
    time::{sleep, timeout},
};

/// Sends requests from all ranks, several at a time on each
#[derive(Parser)]
struct Args {
    /// Number of requests
    #[arg(long, value_name = "N", default_value_t = 200)]
    requests: u64,
    /// Number of requests that the service accepts at a time
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Number of tasks on each rank
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    tasks: u32,
}

/// The shared objects of the ranks.
struct Shared {
    requests: Counter<u64>,
    permits: Semaphore,
    /// The sum of this rank's answers.
    sum: Cell<u64>,
}

fn main() -> ExitCode {
    mpisync::run(|world| cli::run(world, |args: Args| run(world, &args)))
}

fn run(world: &SimpleCommunicator, args: &Args) -> anyhow::Result<String> {
    let shared = Rc::new(Shared {
        requests: Counter::new(world)?,
        permits: Semaphore::new(world, args.limit)?,
        sum: Cell::new(0),
    });
    let mut total = Mutex::with_value(world, 0_u64)?;
    // The objects stay on this thread, and so do the tasks.
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let tasks = LocalSet::new();
    let handles: Vec<_> = (0..args.tasks)
        .map(|_| tasks.spawn_local(send_requests(Rc::clone(&shared), args.requests)))
        .collect();
    runtime.block_on(tasks.run_until(async {
        for handle in handles {
            handle.await??;
        }
        // If the lock takes too long the future is dropped, and the rank is in no queue any more.
        let locked = timeout(Duration::from_secs(60), total.lock_async()).await;
        *locked?? += shared.sum.get();
        anyhow::Ok(())
    }))?;
    world.barrier();
    let total = *total.lock();
    let expected: u64 = (0..args.requests).map(answer).sum();
    ensure!(total == expected, "the answers are {total}, not {expected}");
    Ok(format!("verified: {} answers", args.requests))
}

/// One task: sends the next request as long as there is one.
async fn send_requests(shared: Rc<Shared>, requests: u64) -> anyhow::Result<()> {
    loop {
        let number = shared.requests.next();
        if number >= requests {
            return Ok(());
        }
        let permit = shared.permits.acquire_async().await?;
        // The service works.
        sleep(Duration::from_millis(2)).await;
        drop(permit);
        shared.sum.set(shared.sum.get() + answer(number));
    }
}

/// What the service answers.
fn answer(number: u64) -> u64 {
    number * number % 1000
}
