"""How the Python programs set items of a shared array in the cases of the region benchmark.

The cases, the counted operations and the length of a round are those of the benchmark. All ranks take part in an operation,
even in the case in which one rank of the benchmark writes a row alone.

The first and the last item that are set have the number of the operation, and after each round every rank checks that it
sees those of the last operation.
"""

import numpy
from mpi4py import MPI
from team import LONE_RANK, RANK, WORLD, now, paced, start

# The shape of the array, the shape of the data that is set, nanoseconds per round, and the divisor of the number of rounds.
CASES = {
    "set_120": ((15,), (15,), 80e6, 1),
    "set_8000000": ((1_000_000,), (1_000_000,), 200e6, 1),
    "set_160000000": ((20_000_000,), (20_000_000,), 600e6, 3),
    "row_of_8000000": ((1000, 1000), (1, 1000), 80e6, 1),
}


class Setting:
    """A shared array, and the items that the worker sets. Made by all ranks together."""

    def __init__(self, case, array):
        shape, part, _, _ = CASES[case]
        self.shape = shape
        self.array = array(shape)
        # For a row a rank that is not on the first rank's host, if there is one.
        self.worker = 0 if case.startswith("set") else LONE_RANK
        self.data = None
        if RANK == self.worker:
            self.data = numpy.arange(numpy.prod(part), dtype=numpy.float64).reshape(part)
        # The number of the next items; a new array is full of zeros.
        self.number = 1

    def offset(self, number):
        """The position of the items of this number: rows one after the other."""
        return (0,) if len(self.shape) == 1 else (number % self.shape[0], 0)

    def set(self):
        if self.data is not None:
            self.data.flat[0] = self.data.flat[-1] = self.number
        self.array.set(self.data, self.offset(self.number), self.worker)
        self.number += 1

    def check(self):
        last = self.number - 1
        row, *column = self.offset(last)
        items = self.array.row(row) if column else self.array.row(slice(None))
        assert items[0] == last and items[-1] == last, "the items are not those set last"

    def operations(self, count):
        """Runs this number of operations. Returns nanoseconds per operation. Collective."""
        begin = start()
        for _ in range(count):
            self.set()
        end = WORLD.allreduce(now(), MPI.MAX)
        self.check()
        return (end - begin) / count


def setting(case, rounds, array):
    """All rounds of a case. Collective.

    `array` makes an array of a shape, with methods to set items, to get a copy of a row or of all items, and to close it.
    """
    _, _, span, share = CASES[case]
    subject = Setting(case, array)
    figures = paced(subject.operations, span, -(-rounds // share))
    subject.array.close()
    return figures
