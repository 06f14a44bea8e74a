"""Measures the Python package mpilock in the cases of the Python benchmark that have a reader-writer lock."""

import sys
from pathlib import Path

import mpilock

# For the modules that all Python programs share.
for folder in ("", "sync"):
    sys.path.append(str(Path(__file__).resolve().parent.parent / folder))

from locks import CASES, locking
from team import WORLD, run


def measure(case, rounds):
    """All rounds of a case. Collective."""
    controller = mpilock.sync(WORLD)

    def step(number):
        with controller.single_write() as fence:
            fence.guard()
            fence.share(number)
        return fence.collect()

    figures = locking(case, rounds, controller.read, controller.write, step)
    controller.close()
    return figures


run("mpilock", CASES, measure)
