//! Writers come first, readers are not starved, and neither are writers.

mpisync_tests::on_ranks!(queues on [3, 4, 8]:
    "waiting_writer_stops_new_readers",
);

mpisync_tests::on_ranks!(fairness on [2, 3, 4, 8]:
    "reading_again_passes_a_waiting_writer",
    "readers_are_not_starved",
    "writers_are_not_starved_by_writers",
);

// What a rank sees of others, and how soon it stops them, is another matter over a network.
mpisync_tests::on_ranks!(one_node on [2, 3, 4, 8]:
    "debug_tells_who_holds_and_waits",
    "writers_are_not_starved_by_readers",
);
