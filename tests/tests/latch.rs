//! Latches: ranks wait until others have counted down.

mpisync_tests::on_ranks!(latches on [1, 2, 3, 4, 8]:
    "latch_holds_until_zero",
    "latch_names_missing_ranks",
    "latch_refuses_too_much",
    "latch_is_opened_by_one_rank",
    "latch_orders_what_was_done",
    "latch_wakes_ranks_that_sleep",
    "latch_counts_are_compared",
    "latch_on_parts",
    "latches_come_and_go",
    "latch_shows_its_state",
    "latch_through_windows",
);
