//! Mutual exclusion and reader parallelism.

mpisync_tests::on_ranks!(exclusion on [1, 2, 3, 4, 8]:
    "plain_counter",
    "readers_are_together",
    "try_says_no",
    "timeouts_end",
    "mixed_operations",
    "interleaved_controllers",
);
