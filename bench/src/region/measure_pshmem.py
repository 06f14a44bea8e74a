"""Measures `MPIShared.set` of the Python package pshmem in the cases of the region benchmark."""

import sys
from pathlib import Path

import numpy
from pshmem import MPIShared

# For the modules that all Python programs share.
sys.path.append(str(Path(__file__).resolve().parent.parent))

from setting import CASES, setting
from team import WORLD, run


class Array:
    """A shared array. Made by all ranks together."""

    def __init__(self, shape):
        self.shared = MPIShared(shape, numpy.float64, WORLD)

    def set(self, items, offset, rank):
        self.shared.set(items, offset, fromrank=rank)

    def row(self, row):
        return self.shared[row]

    def close(self):
        self.shared.close()


def measure(case, rounds):
    """All rounds of a case. Collective."""
    return setting(case, rounds, Array)


run("pshmem", CASES, measure)
