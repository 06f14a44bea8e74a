"""The common parts of the Python programs: the ranks of a benchmark start together and add up their operations.

`cargo xtask bench` runs each program with a Python that has the measured package, and the benchmark includes its rounds:

    mpiexec -n 2 python3 measure_SUBJECT.py --apart FILE [--rounds N] [--cases CASE,…]
"""

import argparse
import json
import time
import traceback

from mpi4py import MPI

ROUND = 80e6  # nanoseconds
NOTICE = 10e6  # nanoseconds from the choice of a start to the start

WORLD = MPI.COMM_WORLD
RANK = WORLD.Get_rank()
SIZE = WORLD.Get_size()
LAST = SIZE - 1
# The ranks of this host, and the number of hosts.
HOST = WORLD.Split_type(MPI.COMM_TYPE_SHARED, RANK)
HOSTS = WORLD.allreduce(int(HOST.Get_rank() == 0))
# The rank that works alone: over several hosts one that is not on the first rank's host.
LONE_RANK = 0 if HOSTS == 1 else LAST


def now():
    """The clock that all ranks of a host share."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def meet():
    """A barrier in which ranks that arrive early sleep."""
    request = WORLD.Ibarrier()
    while not request.Test():
        time.sleep(0.001)


def sleep_until(moment):
    time.sleep(max(0, moment - now()) / 1e9)


def start():
    """Waits for the common start of all ranks."""
    meet()
    moment = WORLD.bcast(now() + NOTICE if RANK == 0 else None)
    sleep_until(moment)
    return moment


def paced(operations, span, rounds):
    """`rounds` rounds of about `span` nanoseconds. Collective.

    `operations` runs the given number of operations of all ranks together and returns nanoseconds per operation. No rank
    reads the clock: a round has as many operations as fit at the pace of the previous round. The first round is not counted.
    """
    first = 4
    figures = [operations(first)]
    for _ in range(1 + rounds):
        figures.append(operations(max(1, int(span / figures[-1]))))
    return figures[2:]


def run(subject, cases, measure):
    """The whole program: `measure` returns the rounds of a case in nanoseconds per operation. Collective."""
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--apart", required=True)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cases")
    # The other options concern the other subjects.
    options, _ = parser.parse_known_args()
    asked = options.cases.split(",") if options.cases else cases
    outcomes = []
    try:
        for case in cases:
            if case in asked:
                rounds = measure(case, options.rounds)
                outcomes.append({"case": case, "subject": subject, "rounds": rounds})
    except BaseException:
        # Otherwise the other ranks would wait for this one.
        traceback.print_exc()
        WORLD.Abort(1)
    if RANK == 0:
        with open(options.apart, "w") as file:
            json.dump(outcomes, file)
