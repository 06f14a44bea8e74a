//! Guards inside guards, upgrades and downgrades.

mpisync_tests::on_ranks!(nesting on [1, 2, 3, 4, 8]:
    "inner_guards_keep_writing",
    "inner_guards_keep_reading",
    "downgrade_is_atomic",
    "downgrade_lets_readers_in",
    "upgrade_lets_go_in_between",
    "upgrade_beside_another_guard",
    "local_controller",
);
