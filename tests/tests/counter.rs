//! Counters: numbers that are given out once.

mpisync_tests::on_ranks!(counters on [1, 2, 3, 4, 8]:
    "counter_counts",
    "counter_starts_and_steps",
    "counter_types",
    "counter_ends_near_its_type",
    "counter_roots",
    "counter_shares_work",
    "counter_adds_anything",
    "counter_orders_what_was_done",
    "counters_beside_each_other",
    "counters_come_and_go",
    "counter_arguments_differ",
    "counter_through_windows",
);
