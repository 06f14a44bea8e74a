"""How the Python programs take the tasks of a batch."""

from mpi4py import MPI
from team import WORLD, now

LIMIT = 5e9  # in nanoseconds; no further round begins after it


def one_pass(tasks, worker_size, take_all):
    """Nanoseconds per task, from a barrier until every rank has found that no task is left. Collective.

    `take_all` takes and ends tasks until none is left, and returns how many.
    """
    WORLD.Barrier()
    begin = now()
    taken = take_all()
    end = now()
    took = WORLD.allreduce(end, MPI.MAX) - WORLD.allreduce(begin, MPI.MIN)
    assert WORLD.allreduce(taken) == tasks * worker_size, "tasks were lost, or given twice"
    return took / tasks


def passes(one_round, rounds):
    """All rounds. The first is not counted, unless it takes all the available time. Collective."""
    begin = now()
    figures = []
    for lap in range(1 + rounds):
        if lap > 0 and WORLD.allreduce(now() - begin, MPI.MAX) >= LIMIT:
            break
        if lap == 1:
            figures.clear()
        figures.append(one_round())
    return figures
