//! Batches: tasks for groups of ranks.

mpisync_tests::on_ranks!(batches on [1, 2, 3, 4, 8]:
    "batch_runs_each_task_once",
    "batch_workers_run_together",
    "batch_ballots_are_counted",
    "batch_tasks_are_taken_again",
    "batch_states_are_set",
    "batch_states_are_set_while_others_run",
    "batch_waits_for_all",
    "batch_all_wait_and_go_on",
    "batches_at_once",
    "batches_in_turns",
    "batch_shows_its_state",
);

mpisync_tests::on_ranks!(layouts on [1, 2, 3, 4, 8]:
    "batch_workers_of_unequal_sizes",
    "batch_worker_on_each_node",
    "batch_roots",
    "batch_of_a_part_of_the_ranks",
    "batch_sizes_that_do_not_come_out",
    "batch_arguments_differ",
    "batch_states_at_first",
    "batch_through_windows",
);

mpisync_tests::on_ranks!(ends on [1, 2, 3, 4]:
    "batch_for_each",
    "batch_for_each_waits_for_others",
    "batch_tasks_that_panic",
    "batch_tasks_that_are_forgotten",
    "batch_reasons_that_are_long",
    "batch_last_rank_leaves",
    "batch_first_rank_leaves",
    "batch_one_task_for_each",
    "batch_closes_with_a_task_in_hand",
);

mpisync_tests::on_ranks!(directories on [1, 2, 3, 4]:
    "batch_directory_outlives_the_batch",
    "batch_directory_with_names",
    "batch_directory_that_cannot_be",
    "batch_directory_with_corrupt_states",
    "batch_state_becomes_corrupt",
    "batch_directory_is_removed",
    "batch_directory_of_two_jobs",
    "batch_task_of_another_job",
    "batch_directory_from_pshmem",
);

mpisync_tests::on_ranks!(trouble on [1, 2, 4]:
    "batch_directory_is_another_one_elsewhere",
    "batch_leaves_tasks_to_who_can_write",
    "batch_outcome_that_cannot_be_written",
    "batch_for_each_ends_where_nothing_can_be_written",
    "batch_numbers_keep_their_folders",
    "batch_options_that_cannot_be",
);

mpisync_tests::on_ranks!(many on [4]:
    "batches_come_and_go",
    "batch_of_a_million_tasks",
);
