//! Tests on ranks as a user writes them.

use mpisync::prelude::*;
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, Write};

#[mpisync_test::ranks(1, 2, 4)]
fn all_ranks_count(world: &SimpleCommunicator) -> anyhow::Result<()> {
    let mut count = Mutex::with_value(world, 0)?;
    *count.lock() += 1;
    world.barrier();
    anyhow::ensure!(*count.lock() == world.size(), "a rank is missing");
    Ok(())
}

/// The example of the crate's documentation.
#[mpisync_test::ranks(1, 2, 4)]
fn all_ranks_sign(world: &SimpleCommunicator) -> Result<(), Box<dyn Error>> {
    let mut ctrl = mpisync::sync(world)?;
    let path = match ctrl.single_write() {
        Access::Writer(fence) => fence.share(format!("/tmp/list-{}", std::process::id())),
        Access::Excluded(fence) => fence.collect(),
    }?;
    let mut list = Guarded::create(world, || {
        File::create(&path).map(|_| AppendFile::new(&path))
    })?;
    list.write(|file| writeln!(file, "rank {}", world.rank()))?;
    world.barrier();
    let lines = list.read(|file| Ok(file.lines().count()))?;
    assert_eq!(lines, world.size() as usize);
    world.barrier();
    if world.rank() == 0 {
        fs::remove_file(&path)?;
    }
    Ok(())
}

mod in_a_module {
    use super::*;

    #[mpisync_test::ranks(2, limit = 30)]
    fn nothing_is_returned(world: &SimpleCommunicator) {
        assert_eq!(world.size(), 2);
        println!("this is not shown");
    }
}

#[mpisync_test::ranks(3)]
fn a_panic_that_is_caught_does_not_count(world: &SimpleCommunicator) -> Result<(), Box<dyn Error>> {
    if world.rank() == 1 {
        std::panic::catch_unwind(|| panic!("caught")).unwrap_err();
    }
    Ok(())
}

#[mpisync_test::ranks(2)]
#[cfg(any())]
fn is_left_out(world: &NoSuchType) {}
