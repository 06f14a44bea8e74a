//! A rank is killed with SIGKILL: the others go on or are told, but never hang.

use std::time::Duration;

use mpisync_tests::launch::Launch;

/// Runs a case; the last rank dies, all others must survive.
fn survive(case: &str, ranks: usize) {
    let ended = Launch::new(env!("CARGO_BIN_EXE_ranks"), ranks)
        .args([case])
        .survive_deaths()
        .limit(Duration::from_secs(30))
        .run();
    let verdicts: Vec<&str> = ended
        .verdicts
        .iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let good = verdicts == vec!["survived"; ranks - 1];
    assert!(
        good,
        "{case} on {ranks} ranks: {verdicts:?}, {}",
        ended.report()
    );
}

macro_rules! deaths {
    ($($case:ident)*) => {
        $(
            mod $case {
                #[test]
                fn on_2_ranks() {
                    super::survive(stringify!($case), 2);
                }

                #[test]
                fn on_4_ranks() {
                    super::survive(stringify!($case), 4);
                }
            }
        )*
    };
}

deaths! {
    reader_dies
    writer_dies
    writer_dies_while_others_wait
    writer_dies_in_nested_guard
    waiting_writer_dies
    waiting_reader_dies
    writer_that_waits_for_readers_dies
    writer_of_a_fence_dies
    writer_of_a_fence_never_comes
    excluded_rank_dies
    excluded_rank_never_comes
    rank_dies_in_collective_call
    idle_rank_dies
    rank_dies_with_a_channel
    carrier_of_a_channel_dies
    rank_dies_while_it_puts
    rank_dies_while_it_takes
    reader_of_a_region_dies
    writer_of_a_region_dies
    publisher_of_a_region_dies
    root_of_a_region_dies
    holder_of_everything_dies
    idle_rank_with_objects_dies
    waiter_for_a_mutex_dies
    user_of_a_mutex_dies
    user_of_permits_dies
    waiter_for_a_condition_dies
    rank_that_a_latch_needs_dies
    rank_that_has_counted_down_dies
    worker_with_a_task_dies
    worker_with_a_task_on_disk_dies
    last_of_all_dies
    busy_worker_dies
    busy_worker_on_disk_dies
}

/// Over several nodes the lowest rank of each has to live. These are about the first rank of a worker, or one that is alone on its
/// node where the worker is on two.
mod one_node {
    use super::survive;

    deaths! {
        first_of_a_worker_dies
        first_of_a_worker_on_disk_dies
        last_of_a_worker_dies
        last_of_a_worker_on_disk_dies
        first_of_all_dies
        first_of_a_busy_worker_dies
        first_of_a_busy_worker_on_disk_dies
    }
}
