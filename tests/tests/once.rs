//! Values that one rank computes and all have.

mpisync_tests::on_ranks!(onces on [1, 2, 3, 4, 8]:
    "once_is_computed_once",
    "once_gets",
    "once_errors_pass_it_on",
    "once_panics_pass_it_on",
    "once_passes_on_in_order",
    "once_types",
    "once_has_so_much_room",
    "once_large",
    "once_that_cannot_be_sent",
    "once_times_out",
    "once_asks_for_itself",
    "once_of_another_once",
    "once_without_some",
    "once_roots",
    "onces_beside_each_other",
    "onces_come_and_go",
    "once_arguments_differ",
    "once_shows_its_state",
    "once_through_windows",
);
