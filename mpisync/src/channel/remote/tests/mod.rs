//! Channels over imagined nodes.

mod coordinator;
mod world;

use crate::channel::remote::tests::world::{Manners, Random, World};

/// Runs with many seeds, more with `MPISYNC_SEEDS`; says which one failed.
fn run_many(adapt: impl Fn(Manners) -> Manners) {
    let most = std::env::var("MPISYNC_SEEDS").map_or(60, |text| text.parse().unwrap());
    for seed in 0..most {
        let mut random = Random(seed);
        let capacity = [1, 2, 3, 10, 100][random.below(5)];
        let manners = adapt(Manners {
            nodes: 2 + random.below(3),
            capacity,
            ring: capacity.min([1, 2, 5][random.below(3)]),
            messages: 40,
            make_tasks: false,
            give_up: false,
            die: false,
        });
        let run = std::panic::AssertUnwindSafe(|| World::new(seed, manners).run());
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("seed {seed}, {manners:?}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn every_message_is_taken_once_and_in_order() {
    run_many(|manners| manners);
}

#[test]
fn a_stream_ends_where_all_ranks_wait() {
    run_many(|manners| Manners {
        make_tasks: true,
        // Or all of them could wait for room.
        capacity: 1_000,
        ..manners
    });
}

#[test]
fn nothing_is_lost_where_ranks_give_up() {
    run_many(|manners| Manners {
        give_up: true,
        ..manners
    });
}

#[test]
fn a_rank_that_dies_keeps_nobody_waiting() {
    run_many(|manners| Manners {
        die: true,
        ..manners
    });
}
