//! Conditions: waiting for what another rank changes.

mpisync_tests::on_ranks!(condvars on [1, 2, 3, 4, 8]:
    "condvar_wakes_in_order",
    "condvar_wakes_so_many",
    "condvar_wakes_who_waits",
    "condvar_counts_add_up",
    "condvar_makes_a_barrier",
    "condvar_waits_while",
    "condvar_times_out",
    "condvar_ping_pong",
    "condvar_guards_a_buffer",
    "condvar_refuses_to_wait_alone",
    "condvar_line_closes_up",
    "condvar_roots",
    "condvars_beside_each_other",
    "condvars_come_and_go",
    "condvar_arguments_differ",
    "condvar_shows_its_state",
    "condvar_through_windows",
);
