"""Runs tasks with pshmem, in one process: `start` leaves tasks to others, `finish` takes all remaining ones.

    run_with_pshmem.py start ROOT TASKS HOW_MANY
    run_with_pshmem.py finish ROOT TASKS

Prints the number and the outcome of each task that it runs.
"""

import os
import sys

from pshmem import MPIBatch


def batch(root, tasks):
    names = [f"{task:02}" for task in range(tasks)]
    return MPIBatch(None, 1, tasks, task_fs_root=root, task_fs_names=names)


def run(states, task):
    """Every fourth task fails."""
    state = MPIBatch.FAILED if task % 4 == 3 else MPIBatch.DONE
    states.set_task_state(task, state)
    print(task, MPIBatch.state_to_string(state), flush=True)


def main():
    what, root, tasks = sys.argv[1], sys.argv[2], int(sys.argv[3])
    states = batch(root, tasks)
    if what == "start":
        for _ in range(int(sys.argv[4])):
            run(states, states.next_task())
        # Killed with a task in hand. In one process pshmem does not set a task to running by itself.
        task = states.next_task()
        states.set_task_state(task, MPIBatch.RUNNING)
        print(task, "RUNNING", flush=True)
        os._exit(0)
    while (task := states.next_task(ignore_running=True)) is not None:
        run(states, task)


main()
