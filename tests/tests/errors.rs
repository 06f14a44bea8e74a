//! Errors of making controllers, and controllers outside MPI's lifetime.

use mpisync_tests::launch::Launch;

mpisync_tests::on_ranks!(creation on [1, 2, 3, 4, 8]:
    "master_out_of_range",
    "long_names",
    "made_anywhere",
);

mpisync_tests::on_ranks!(disagreement on [2, 3, 4, 8]:
    "master_out_of_range_on_one_rank",
    "masters_differ",
    "names_differ",
    "errors_then_controllers",
    "other_orders",
    "types_of_one_name",
    "once_types_of_one_name",
    "alignments_differ",
    "many_dimensions",
    "long_arguments",
);

/// Each of these needs a process of its own.
fn lifecycle(case: &str) {
    for ranks in [1, 3] {
        let ended = Launch::new(env!("CARGO_BIN_EXE_lifecycle"), ranks)
            .args([case])
            .run();
        let passed = ended.output.matches(&format!("ok {case}")).count();
        let good = ended.succeeded() && passed == ranks;
        assert!(good, "{case} on {ranks} ranks: {}", ended.report());
    }
}

#[test]
fn before_initialization() {
    lifecycle("before_initialization");
}

#[test]
fn thread_that_must_not_call_mpi() {
    lifecycle("thread_that_must_not_call_mpi");
}

#[test]
fn local_without_mpi() {
    lifecycle("local_without_mpi");
}

#[test]
fn controller_beyond_universe() {
    lifecycle("controller_beyond_universe");
}

#[test]
fn guard_beyond_universe() {
    lifecycle("guard_beyond_universe");
}

#[test]
fn fence_beyond_universe() {
    lifecycle("fence_beyond_universe");
}

#[test]
fn batch_beyond_universe() {
    lifecycle("batch_beyond_universe");
}

#[test]
fn channel_ends_forgotten() {
    lifecycle("channel_ends_forgotten");
}

#[test]
fn many_at_finalization() {
    lifecycle("many_at_finalization");
}
