//! Damages the file by writing without a lock.

use std::{process, sync::mpsc, thread, time::Duration};

use anyhow::{anyhow, bail};
use mpisync::{mpi::collective::SystemOperation, prelude::*};
use mpisync_examples::{
    results::{self, Header},
    sum::sum,
};

/// Writes the datasets of all ranks at the same time, then checks which of them are intact.
/// Collective.
///
/// # Errors
/// If datasets are damaged or missing: their number, and the first error of HDF5.
pub fn write_results(
    world: &SimpleCommunicator,
    ctrl: &mut WindowController,
    header: &Header,
    input: &[f64],
) -> anyhow::Result<()> {
    let rank = ctrl.rank();
    let watchdog = Watchdog::start(header);
    let mut troubles = Vec::new();
    for dataset in 0..header.datasets {
        let result = results::compute(header, input, rank, dataset);
        world.barrier(); // so that all write at the same time
        troubles.extend(results::write(header, rank, dataset, &result).err());
    }
    let failed = sum(world, troubles.len() as u64);

    world.barrier(); // so that all have written before any rank reads
    let before = troubles.len();
    match results::open(&header.path) {
        Ok(file) => {
            let inspected = results::inspect(&file, header, (rank + 1) % ctrl.size());
            troubles.extend(inspected.into_iter().filter_map(Result::err));
        }
        Err(_) => {
            troubles.extend((0..header.datasets).map(|_| anyhow!("the file cannot be opened")))
        }
    }
    let lost = sum(world, (troubles.len() - before) as u64);
    watchdog.stop();

    let total = header.total();
    let Some(first) = first_rank(world, !troubles.is_empty()) else {
        if ctrl.is_master() {
            let why = if header.ranks == 1 {
                "there is one rank only"
            } else {
                "by luck"
            };
            println!("without locks: all {total} datasets are intact, {why}");
        }
        return Ok(());
    };
    let trouble = tell(ctrl, first, troubles.first())?;
    bail!(
        "without locks, {lost} of {total} datasets are damaged or missing; \
         errors that HDF5 reported while writing: {failed}.\n\
         the first error, on rank {first}: {trouble}\n\
         Without --no-lock the ranks take turns."
    )
}

/// Rank `from` reports its first error to all ranks.
#[mpisync::single_write(rank = from)]
fn tell(
    ctrl: &mut WindowController,
    from: i32,
    trouble: Option<&anyhow::Error>,
) -> anyhow::Result<String> {
    Ok(trouble
        .map(|error| format!("{error:#}"))
        .unwrap_or_default())
}

/// The first of the ranks for which `yes` holds.
fn first_rank(world: &SimpleCommunicator, yes: bool) -> Option<i32> {
    let mine = if yes { world.rank() } else { world.size() };
    let mut first = 0;
    world.all_reduce_into(&mine, &mut first, SystemOperation::min());
    (first < world.size()).then_some(first)
}

/// Ends the job if HDF5 loops forever in a file with a damaged structure.
struct Watchdog {
    stop: mpsc::Sender<()>,
}

impl Watchdog {
    fn start(header: &Header) -> Self {
        let bytes = header.total() * u64::from(header.size) * 8;
        // A minute, plus the time for a slow disk.
        let limit = Duration::from_secs(60 + bytes / 10_000_000);
        let (stop, stopped) = mpsc::channel();
        thread::spawn(move || {
            if stopped.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!(
                    "error: without locks, the file is so damaged that HDF5 loops forever in it"
                );
                process::exit(1);
            }
        });
        Watchdog { stop }
    }

    /// Ends the thread, which waits until the sender is dropped.
    fn stop(self) {
        drop(self.stop);
    }
}
