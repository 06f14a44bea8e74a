//! Heat spreads over a square plate that all ranks share.
//!
//! The plate is in two regions: a step reads one and writes the other. Each rank reads its rows and
//! one more above and below in place, whichever rank has written them, so no rows are exchanged. It
//! computes the new rows in its own memory and then writes them, while the others compute. All
//! ranks meet after each step. In the end rank 0 repeats the steps alone, and every bit of the
//! plate has to be the same.
//!
//! With `--frames DIR` rank 0 draws the plate every few steps.

use std::{
    fs, mem,
    ops::Range,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Parser;
use mpisync::{
    ndarray::{Array2, Ix2, s},
    prelude::*,
};
use mpisync_examples::cli;

mod picture;
mod plate;

/// Spreads heat over a plate; each rank computes some of its rows
#[derive(Parser)]
struct Args {
    /// Rows and columns of the plate
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(3..=16384))]
    size: u32,
    /// Time steps
    #[arg(long, value_name = "N", default_value_t = 200)]
    steps: u32,
    /// Draw the plate into PNG files in this directory
    #[arg(long, value_name = "DIR")]
    frames: Option<PathBuf>,
    /// Steps between two pictures
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
}

fn main() -> ExitCode {
    mpisync::run(|world| cli::run(world, |args: Args| run(world, &args)))
}

fn run(world: &SimpleCommunicator, args: &Args) -> anyhow::Result<String> {
    let mut ctrl = mpisync::sync(world)?;
    let size = args.size as usize;
    let plate = ctrl.is_master().then(|| plate::initial(size));
    let mut old = Region::from_root(world, ctrl.master(), plate.as_ref())?;
    // No rank writes the edges, so both regions need them.
    let mut new = Region::from_root(world, ctrl.master(), plate.as_ref())?;
    let rows = plate::rows_of(ctrl.rank(), ctrl.size(), size);
    let mut mine = Array2::zeros([rows.len(), size]);
    let mut took = Duration::ZERO;
    for number in 0..=args.steps {
        if number > 0 {
            let start = Instant::now();
            step(&mut ctrl, &old, &mut new, &rows, &mut mine)?;
            took += start.elapsed();
            mem::swap(&mut old, &mut new);
        }
        if let Some(dir) = &args.frames
            && number.is_multiple_of(args.every)
        {
            draw(&mut ctrl, &old, dir, number)?;
        }
    }
    let summary = verify(&mut ctrl, &old, args, took)?;
    old.close()?;
    new.close()?;
    ctrl.close()?;
    Ok(summary)
}

/// All ranks make a step, each in its own rows. Returns after all have written theirs.
#[mpisync::collective]
fn step(
    ctrl: &mut WindowController,
    old: &Region<f64, Ix2>,
    new: &mut Region<f64, Ix2>,
    rows: &Range<usize>,
    mine: &mut Array2<f64>,
) -> anyhow::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    {
        let plate = old.read();
        let around = plate.slice(s![rows.start - 1..rows.end + 1, ..]);
        plate::spread(around, mine.view_mut());
    }
    let mut plate = new.write();
    plate.slice_mut(s![rows.clone(), ..]).assign(mine);
    Ok(plate.publish()?) // returns an error, unlike the guard's drop
}

/// Rank 0 draws the plate.
#[mpisync::single_write]
fn draw(
    ctrl: &mut WindowController,
    plate: &Region<f64, Ix2>,
    dir: &Path,
    step: u32,
) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    picture::draw(&plate.read(), dir, step)
}

/// Rank 0 compares the plate with the result of a serial run; all return the summary.
#[mpisync::single_write]
fn verify(
    ctrl: &mut WindowController,
    plate: &Region<f64, Ix2>,
    args: &Args,
    took: Duration,
) -> anyhow::Result<String> {
    let start = Instant::now();
    let serial = plate::serial(args.size as usize, args.steps);
    let alone = start.elapsed();
    let plate = plate.read();
    if let Some((row, column)) = plate::difference(&plate, &serial) {
        let (found, right) = (plate[[row, column]], serial[[row, column]]);
        bail!(
            "the cell in row {row} and column {column} is {found:?}, and {right:?} in a serial run"
        );
    }
    let (size, steps) = (args.size, args.steps);
    let mean = plate.mean().expect("the plate has cells");
    let pictures = match &args.frames {
        Some(dir) => format!("{} pictures in {}\n", 1 + steps / args.every, dir.display()),
        None => String::new(),
    };
    Ok(format!(
        "{pictures}ranks: {}; {steps} steps in {took:.3?}; on one rank alone in {alone:.3?}\n\
         verified: {size} x {size} cells are bit for bit those of a serial run; their mean is {mean:.6}",
        ctrl.size()
    ))
}
