//! Making, dropping and closing controllers.

mpisync_tests::on_ranks!(lifetime on [1, 2, 3, 4, 8]:
    "made_and_dropped",
    "made_and_closed",
    "alive_at_once",
    "communicator_dropped_first",
    "dropped_on_one_rank",
    "dropped_at_different_times",
    "close_frees",
);

mpisync_tests::on_ranks!(places on [2, 3, 4, 8]:
    "place_in_use_is_not_given_away",
);

// A communicator that spans nodes keeps its memory until MPI ends.
mpisync_tests::on_ranks!(one_node on [1, 2, 3, 4, 8]:
    "on_short_lived_communicators",
);
