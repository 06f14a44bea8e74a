"""Measures `MPILock` of the Python package pshmem in the cases of the sync benchmark that have a mutex."""

import sys
from pathlib import Path

from pshmem import MPILock

# For the modules that all Python programs share.
sys.path.append(str(Path(__file__).resolve().parent.parent))

from rounds import excluding
from team import WORLD, run


def measure(case, rounds):
    """All rounds of a case. Collective."""
    mutex = MPILock(WORLD)
    figures = excluding(mutex.lock, mutex.unlock, case == "mutex_alone", rounds)
    mutex.close()
    return figures


run("pshmem", ("mutex_alone", "mutex_all"), measure)
