//! Barriers: nobody goes on before all have come.

mpisync_tests::on_ranks!(barriers on [1, 2, 3, 4, 8]:
    "barrier_holds_all",
    "barrier_names_who_is_missing",
    "barrier_goes_on_after_a_timeout",
    "barrier_tries",
    "barrier_orders_what_was_done",
    "barriers_beside_each_other",
    "barriers_come_and_go",
    "barrier_on_parts",
    "barrier_shows_its_state",
    "barrier_through_windows",
);
