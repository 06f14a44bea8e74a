//! How nodes reach each other.

use mpisync_tests::launch::Launch;
use mpisync_tests::suite::check_launch;

mpisync_tests::on_ranks!(transport on [1, 3, 4]:
    "transport_of_choice",
    "windows",
    "windows_lose_nothing",
    "channel_through_windows",
    "region_through_windows",
    "without_progress_thread",
    "region_without_progress_thread",
    "transports_differ",
    "transports_of_ranks_differ",
);

fn in_environment(transport: &str, case: &str, ranks: usize) {
    let launch = Launch::new(env!("CARGO_BIN_EXE_ranks"), ranks);
    check_launch(launch.env("MPISYNC_TRANSPORT", transport), &[case]);
}

#[test]
fn environment_on_3_ranks() {
    in_environment("windows", "transport_of_the_environment", 3);
    in_environment("pigeons", "meaningless_transport", 3);
}

#[test]
fn environment_on_4_ranks() {
    in_environment("windows", "transport_of_the_environment", 4);
    in_environment("pigeons", "meaningless_transport", 4);
}
