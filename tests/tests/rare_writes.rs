//! Many reads between two writes.

mpisync_tests::on_ranks!(rare_writes on [1, 2, 3, 4, 8]:
    "one_writes_now_and_then",
    "all_write_now_and_then",
);
