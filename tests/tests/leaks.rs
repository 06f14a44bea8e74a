//! Guards that are leaked with `mem::forget`: the object takes back what they hold.

mpisync_tests::on_ranks!(leaks on [1, 2, 4]:
    "leaked_guards_of_a_controller",
    "leaked_guards_of_a_region",
    "leaked_guards_of_a_mutex",
    "leaked_permits",
    "leaked_turns",
);
