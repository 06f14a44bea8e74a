//! Controllers on the world, on parts of it, and on communicators that share ranks.

mpisync_tests::on_ranks!(communicators on [1, 2, 3, 4, 8]:
    "names_and_numbers",
    "self_communicator",
    "split_communicators",
    "reversed_ranks",
    "ranks_in_other_orders",
    "overlapping_communicators",
    "some_ranks_only",
);

mpisync_tests::on_ranks!(groups on [2, 3, 4]:
    "inter_communicator",
);

mpisync_tests::on_ranks!(threads on [1, 2, 3, 4]:
    "threads_on_one_communicator",
);
