//! Turns: ranks one after the other.

mpisync_tests::on_ranks!(turns on [1, 2, 3, 4, 8]:
    "turn_goes_in_order",
    "turn_is_made_anew",
    "turn_excludes",
    "turn_runs_each",
    "turn_times_out",
    "turn_tries",
    "turn_survives_panics",
    "turn_on_parts",
    "turns_beside_each_other",
    "turns_come_and_go",
    "turn_shows_its_state",
    "turn_through_windows",
);
