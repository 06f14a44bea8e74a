//! Channels: streams, ends, sizes, and many at once.

mpisync_tests::on_ranks!(channels on [1, 2, 3, 4, 8]:
    "streams",
    "streams_in_bulk",
    "tasks_that_make_tasks",
    "backpressure",
    "claims",
    "broken_claims",
    "any_host",
    "consumer_leaves_early",
    "no_consumer_is_left",
    "sizes",
    "timeouts",
    "many_channels",
    "sub_communicators",
    "beside_a_controller",
    "isend_while_taking",
    "random_ends",
    "futures",
    "impossible_arguments",
    "arguments_differ",
    "objects_differ",
);
