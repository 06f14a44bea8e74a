"""The Python package pshmem in the cases of the region benchmark.

The cases and what is counted are those of the benchmark, and rounds are as long. An operation is `MPIShared.set`, in which
all ranks take part, also where the benchmark has one rank write a row by itself.

The first and the last of the items that are set bear the number of the operation, and after each round every rank checks
that it sees those of the last.
"""

import sys
from pathlib import Path

import numpy
from mpi4py import MPI
from pshmem import MPIShared

# For what all programs in Python have in common.
sys.path.append(str(Path(__file__).resolve().parent.parent))

from team import LONE_RANK, RANK, WORLD, now, paced, run, start

# The shape of the array, that of what is set, nanoseconds a round, and which part of the rounds that are asked for.
CASES = {
    "set_120": ((15,), (15,), 80e6, 1),
    "set_8000000": ((1_000_000,), (1_000_000,), 200e6, 1),
    "set_160000000": ((20_000_000,), (20_000_000,), 600e6, 3),
    "row_of_8000000": ((1000, 1000), (1, 1000), 80e6, 1),
}


class Subject:
    """A shared array, and what the worker has for it. Made by all ranks together."""

    def __init__(self, case):
        shape, part, _, _ = CASES[case]
        self.shared = MPIShared(shape, numpy.float64, WORLD)
        # For a row one that is not on the first one's host, if there is any.
        self.worker = 0 if case.startswith("set") else LONE_RANK
        self.data = None
        if RANK == self.worker:
            self.data = numpy.arange(numpy.prod(part), dtype=numpy.float64).reshape(part)
        # Of the next items; a new array is full of zeros.
        self.number = 1

    def offset(self, number):
        """Where the items of this number are set: rows one after the other."""
        shape = self.shared.shape
        return (0,) if len(shape) == 1 else (number % shape[0], 0)

    def set(self):
        if self.data is not None:
            self.data.flat[0] = self.data.flat[-1] = self.number
        self.shared.set(self.data, self.offset(self.number), fromrank=self.worker)
        self.number += 1

    def check(self):
        last = self.number - 1
        row, *column = self.offset(last)
        items = self.shared[row] if column else self.shared
        assert items[0] == last and items[-1] == last, "the items are not those set last"

    def operations(self, count):
        """Nanoseconds an operation, of so many. Collective."""
        begin = start()
        for _ in range(count):
            self.set()
        end = WORLD.allreduce(now(), MPI.MAX)
        self.check()
        return (end - begin) / count


def measure(case, rounds):
    """All rounds of a case. Collective."""
    _, _, span, share = CASES[case]
    subject = Subject(case)
    figures = paced(subject.operations, span, -(-rounds // share))
    subject.shared.close()
    return figures


run("pshmem", CASES, measure)
