"""The Python package pshmem in the cases of the region benchmark.

    mpiexec -n 2 python3 measure_pshmem.py --apart FILE [--rounds N] [--cases set_120,row_of_8000000]

`cargo xtask bench region` runs it, with a Python that has the package, and the benchmark takes its rounds over. The cases
and what is counted are those of the benchmark, and rounds are as long.

An operation is `MPIShared.set`, in which all ranks take part, also where the benchmark has one rank write a row by itself.
The first and the last of the items that are set bear the number of the operation, and after each round every rank checks
that it sees those of the last.
"""

import argparse
import json
import time

import numpy
from mpi4py import MPI
from pshmem import MPIShared

NOTICE = 10e6  # nanoseconds, from the choice of a start to the start
FIRST = 4  # operations before there is any figure to go by

# The shape of the array, that of what is set, nanoseconds a round, and which part of the rounds that are asked for.
CASES = {
    "set_120": ((15,), (15,), 80e6, 1),
    "set_8000000": ((1_000_000,), (1_000_000,), 200e6, 1),
    "set_160000000": ((20_000_000,), (20_000_000,), 600e6, 3),
    "row_of_8000000": ((1000, 1000), (1, 1000), 80e6, 1),
}

WORLD = MPI.COMM_WORLD
RANK = WORLD.Get_rank()


def now():
    """The clock that all ranks of a host read alike."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def meet():
    """A barrier in which ranks that come early leave their cores to the others."""
    request = WORLD.Ibarrier()
    while not request.Test():
        time.sleep(0.001)


def start():
    """Waits for the moment at which all ranks start."""
    meet()
    moment = WORLD.bcast(now() + NOTICE if RANK == 0 else None)
    time.sleep(max(0, moment - now()) / 1e9)
    return moment


def worker(case):
    """The rank that has the items: for a row one that is not on the first one's host, if there is any."""
    host = WORLD.Split_type(MPI.COMM_TYPE_SHARED)
    one_host = host.Get_size() == WORLD.Get_size()
    host.Free()
    return 0 if one_host or case.startswith("set") else WORLD.Get_size() - 1


class Subject:
    """A shared array, and what the worker has for it. Made by all ranks together."""

    def __init__(self, case):
        shape, part, self.span, _ = CASES[case]
        self.shared = MPIShared(shape, numpy.float64, WORLD)
        self.worker = worker(case)
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

    def rounds(self, count):
        """All rounds, each with as many operations as fit at the pace of the one before. Collective."""
        figures = [self.operations(FIRST)]
        # After the first guess comes a round that is not counted.
        for _ in range(1 + count):
            figures.append(self.operations(max(1, int(self.span / figures[-1]))))
        return figures[2:]


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--apart", required=True)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cases")
    # The other options are for the other subjects.
    options, _ = parser.parse_known_args()
    asked = options.cases.split(",") if options.cases else CASES
    outcomes = []
    for case, (_, _, _, share) in CASES.items():
        if case not in asked:
            continue
        subject = Subject(case)
        rounds = subject.rounds(-(-options.rounds // share))
        subject.shared.close()
        outcomes.append({"case": case, "subject": "pshmem", "rounds": rounds})
    if RANK == 0:
        with open(options.apart, "w") as file:
            json.dump(outcomes, file)


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        # The other ranks would wait for this one.
        import traceback

        traceback.print_exc()
        WORLD.Abort(1)
