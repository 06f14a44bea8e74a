"""How the Python programs use a reader-writer lock in the cases of the Python benchmark.

Locks are held in `with` blocks: the packages have no other form.
"""

from mpi4py import MPI
from rounds import Shared, excluding_in_blocks, lone_or_all
from team import RANK, ROUND, WORLD, now, paced, start

CASES = ("read_alone", "read_all", "write_alone", "write_all", "single_write")


def reading(lock, alone, rounds):
    """Rounds in which one rank or all look at a shared number under a read lock. Collective."""
    shared = Shared()
    number = shared.number

    def operation():
        with lock():
            assert number[0] == 0

    # The first round is not counted.
    figures = [lone_or_all(operation, alone)[1] for _ in range(1 + rounds)][1:]
    shared.close()
    return figures


def single_writing(step, rounds):
    """Rounds of a step that one rank does for all. `step` does it with a number and returns that on all ranks. Collective."""
    last = 0

    def steps(count):
        nonlocal last
        begin = start()
        for _ in range(count):
            last += 1
            assert step(last if RANK == 0 else None) == last, "a rank has another number"
        return (WORLD.allreduce(now(), MPI.MAX) - begin) / count

    return paced(steps, ROUND, rounds)


def locking(case, rounds, read, write, step):
    """All rounds of a case. `read` and `write` make what is held in a `with` block. Collective."""
    if case == "single_write":
        return single_writing(step, rounds)
    kind, _, how = case.partition("_")
    alone = how == "alone"
    if kind == "read":
        return reading(read, alone, rounds)
    return excluding_in_blocks(write, alone, rounds)
