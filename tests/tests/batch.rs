//! Batches: tasks for groups of ranks.

mpisync_tests::on_ranks!(batches on [1, 2, 3, 4, 8]:
    "batch_runs_each_task_once",
    "batch_workers_run_together",
    "batch_ballots_are_counted",
);
