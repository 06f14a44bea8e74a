//! Mutexes: first come, first served.

mpisync_tests::on_ranks!(mutexes on [1, 2, 3, 4, 8]:
    "mutex_excludes",
    "mutex_sections_are_not_torn",
    "mutex_is_fair",
    "mutex_serves_in_order",
    "mutex_order_is_strict",
    "mutex_order_with_timeouts",
    "mutex_tries",
    "mutex_times_out",
    "mutex_is_kept_for_who_waits",
    "mutex_nests",
    "mutex_value_travels",
    "mutex_survives_panics",
    "mutex_roots",
    "mutexes_beside_each_other",
    "mutexes_come_and_go",
    "mutex_arguments_differ",
    "mutex_shows_its_state",
    "mutex_through_windows",
);
