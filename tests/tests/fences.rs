//! Fences and the values that travel through them.

mpisync_tests::on_ranks!(values on [1, 2, 3, 4, 8]:
    "texts_of_many_sizes",
    "bytes_of_many_sizes",
    "all_kinds_of_values",
    "slices_of_many_lengths",
    "slices_of_many_types",
);

mpisync_tests::on_ranks!(fences on [1, 2, 3, 4, 8]:
    "three_forms",
    "writer_is_alone",
    "writer_reads",
    "fence_waits_for_a_reader",
    "lock_is_free_after_share",
    "excluded_may_skip_the_value",
    "missing_branch_waits",
    "missing_branch_learns",
    "panic_does_not_wait",
    "named_calls",
    "forgotten_writers_fence",
    "forgotten_excluded_fence",
    "collect_timeout",
    "fences_of_two_controllers",
    "many_fences",
    "late_rank",
);
