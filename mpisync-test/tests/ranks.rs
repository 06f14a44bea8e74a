//! Tests on ranks as a user writes them.

use mpisync::prelude::*;
use std::error::Error;

#[mpisync_test::ranks(1, 2, 4)]
fn all_ranks_count(world: &SimpleCommunicator) -> anyhow::Result<()> {
    let mut count = Mutex::with_value(world, 0)?;
    *count.lock() += 1;
    world.barrier();
    anyhow::ensure!(*count.lock() == world.size(), "a rank is missing");
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
