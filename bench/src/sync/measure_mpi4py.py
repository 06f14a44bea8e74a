"""Measures the module `mpi4py.util.sync` in the cases of the sync benchmark that it supports."""

import sys
from pathlib import Path

from mpi4py import MPI
from mpi4py.util import sync

# For the modules that all Python programs share.
sys.path.append(str(Path(__file__).resolve().parent.parent))

from rounds import counting, excluding, taking_turns
from team import HOSTS, LAST, RANK, WORLD, run

CASES = ("mutex_alone", "mutex_all", "counter", "semaphore_alone", "semaphore_all", "turn")


def mutex(case, rounds):
    each = sync.Mutex(comm=WORLD)
    figures = excluding(each.acquire, each.release, case == "mutex_alone", rounds)
    each.free()
    return figures


def semaphore(case, rounds):
    each = sync.Semaphore(1, comm=WORLD)
    figures = excluding(each.acquire, each.release, case == "semaphore_alone", rounds)
    each.free()
    return figures


def counter(_case, rounds):
    # Enough for all numbers that the rounds can take.
    each = sync.Counter(1, typecode="q", comm=WORLD)
    figures = counting(each.next, rounds)
    each.free()
    return figures


def turn(_case, rounds):
    """`Sequential` passes through the ranks once: an empty message from the last rank lets the first one begin again."""
    sequence = sync.Sequential(WORLD)
    nothing = (bytearray(), 0, MPI.BYTE)

    def take(section):
        with sequence:
            section()
        if RANK == LAST > 0:
            WORLD.Send(nothing, 0)
        elif RANK == 0 < LAST:
            WORLD.Recv(nothing, LAST)

    return taking_turns(take, rounds)


def measure(case, rounds):
    """All rounds of a case. Collective."""
    kind, _, _ = case.partition("_")
    return {"mutex": mutex, "counter": counter, "semaphore": semaphore, "turn": turn}[kind](case, rounds)


def fit():
    """The cases that work with this MPI on these hosts."""
    library, (major, *_) = MPI.get_vendor()
    if HOSTS > 1 and (library, major) == ("Open MPI", 4):
        # Open MPI, as Debian configures it, has no windows over hosts.
        return ["turn"]
    if (library, major) == ("MPICH", 4):
        # A contended mutex fails with an error, or the ranks hang.
        return [case for case in CASES if case not in ("mutex_all", "semaphore_all")]
    return CASES


run("mpi4py", fit(), measure)
