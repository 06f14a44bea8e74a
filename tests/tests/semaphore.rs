//! Semaphores: so many at a time, first come, first served.

mpisync_tests::on_ranks!(semaphores on [1, 2, 3, 4, 8]:
    "semaphore_limits",
    "semaphore_serves_in_order",
    "semaphore_is_not_passed",
    "semaphore_line_closes_up",
    "semaphore_tries",
    "semaphore_times_out",
    "semaphore_refuses_itself",
    "semaphore_is_bounded",
    "semaphore_grows",
    "semaphore_signals",
    "semaphore_roots",
    "semaphores_come_and_go",
    "semaphore_arguments_differ",
    "semaphore_shows_its_state",
    "semaphore_through_windows",
    "semaphore_soak",
);
