"""Measures `MPIBatch` of the Python package pshmem in the cases of the batch benchmark that it supports.

It searches all tasks from the first one whenever it takes one, so the total time grows with the square of their number. It
writes files without `fsync`: the cases with and without `fsync` have the same figures, measured once.
"""

import argparse
import functools
import os
import shutil
import sys
from pathlib import Path

from pshmem import MPIBatch

# For the modules that all Python programs share.
sys.path.append(str(Path(__file__).resolve().parent.parent))

from passes import one_pass, passes
from team import RANK, SIZE, WORLD, run

SMALL = (200, 1000, 3000)

CASES = [f"tasks_{tasks}{kind}" for kind in ("", "_dir", "_dir_nosync") for tasks in SMALL]
if SIZE % 2 == 0:
    CASES.append("tasks_1000_pairs")
# One round takes minutes, so these are measured only if the command line names them.
LONG = ("tasks_3000_dir", "tasks_3000_dir_nosync")


def options():
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--apart", type=Path)
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--cases")
    return parser.parse_known_args()[0]


def parent():
    """The directory for state directories. Defaults to that of the figures, which is close to the benchmark."""
    return options().dir or options().apart.parent


def one_round(tasks, worker_size, root):
    """Nanoseconds per task of a new batch. Collective."""
    files = {}
    if root:
        # Named as in mpisync.
        width = len(str(tasks - 1))
        names = [f"{task:0{width}}" for task in range(tasks)]
        files = {"task_fs_root": str(root), "task_fs_names": names}
    batch = MPIBatch(WORLD, worker_size, tasks, **files)
    if root and RANK == 0:
        os.sync()
    leads = batch.worker_rank == 0

    def take_all():
        taken = 0
        while (task := batch.next_task()) is not None:
            taken += 1
            if leads:
                batch.set_task_state(task, MPIBatch.DONE)
        return taken

    took = one_pass(tasks, worker_size, take_all)
    if RANK == 0:
        states = [batch.get_task_state(task) for task in range(tasks)]
        assert states == [MPIBatch.DONE] * tasks, "tasks are not done"
    WORLD.Barrier()
    batch.close()
    if root and RANK == 0:
        shutil.rmtree(root)
        os.sync()
    WORLD.Barrier()
    return took


@functools.cache
def rounds_of(tasks, worker_size, has_files, rounds):
    """All rounds. Collective."""
    root = None
    if has_files:
        root = parent() / f"pshmem-bench-batch-{WORLD.bcast(os.getpid())}"
    return passes(lambda: one_round(tasks, worker_size, root), rounds)


def measure(case, rounds):
    """All rounds of a case. Collective."""
    _, tasks, *kind = case.split("_")
    return rounds_of(int(tasks), 2 if kind == ["pairs"] else 1, "dir" in kind, rounds)


fit = CASES if options().cases else [case for case in CASES if case not in LONG]
run("pshmem", fit, measure)
