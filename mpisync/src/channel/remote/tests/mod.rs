//! Channels on simulated nodes.

mod coordinator;
mod world;

use crate::channel::remote::tests::world::{Behaviour, Quiet, Random, World};

/// Runs with many seeds, more with `TEST_SEEDS`. Prints the seed of a failure.
fn run_many(adapt: impl Fn(Behaviour) -> Behaviour) -> Quiet {
    let mut all = Quiet::default();
    let most = std::env::var("TEST_SEEDS").map_or(60, |text| text.parse().unwrap());
    for seed in 0..most {
        let mut random = Random(seed);
        let capacity = [1, 2, 3, 10, 100][random.below(5)];
        let behaviour = adapt(Behaviour {
            nodes: 2 + random.below(3),
            capacity,
            ring: capacity.min([1, 2, 5][random.below(3)]),
            messages: 40,
            make_tasks: false,
            give_up: false,
            die: false,
        });
        let run = std::panic::AssertUnwindSafe(|| World::new(seed, behaviour).run());
        match std::panic::catch_unwind(run) {
            Ok(quiet) => {
                all.empty += quiet.empty;
                all.full += quiet.full;
            }
            Err(panic) => {
                eprintln!("seed {seed}, {behaviour:?}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    all
}

#[test]
fn every_message_is_taken_once_and_in_order() {
    let quiet = run_many(|behaviour| behaviour);
    assert!(quiet.empty > 0 && quiet.full > 0, "{quiet:?}");
}

#[test]
fn a_stream_ends_when_all_ranks_wait() {
    let quiet = run_many(|behaviour| Behaviour {
        make_tasks: true,
        // With less room, all ranks could wait for room.
        capacity: 1_000,
        ..behaviour
    });
    assert!(quiet.empty > 0, "{quiet:?}");
}

#[test]
fn nothing_is_lost_when_ranks_give_up() {
    run_many(|behaviour| Behaviour {
        give_up: true,
        ..behaviour
    });
}

#[test]
fn a_rank_that_dies_keeps_nobody_waiting() {
    run_many(|behaviour| Behaviour {
        die: true,
        ..behaviour
    });
}
