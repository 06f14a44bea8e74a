//! Locks that own what they protect.

mpisync_tests::on_ranks!(guarded on [1, 2, 4]:
    "lines_are_whole",
    "lines_are_torn_without_it",
    "closed_before_the_unlock",
    "readers_are_inside_together",
    "one_rank_creates_it",
    "one_rank_names_it",
    "other_names_on_other_ranks",
    "one_rank_writes_for_all",
    "guarded_file_missing_on_a_node",
    "timeouts_of_guarded_files",
    "collective_with_a_guarded_file",
);
