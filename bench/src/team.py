"""What the programs in Python have in common: the ranks of a benchmark that start together and add up what they did.

Each is run by `cargo xtask bench`, with a Python that has the package which it measures, and the benchmark takes its rounds
over:

    mpiexec -n 2 python3 measure_SUBJECT.py --apart FILE [--rounds N] [--cases CASE,…]
"""

import argparse
import json
import time
import traceback

from mpi4py import MPI

ROUND = 80e6  # nanoseconds
NOTICE = 10e6  # from the choice of a start to the start

WORLD = MPI.COMM_WORLD
RANK = WORLD.Get_rank()
SIZE = WORLD.Get_size()
LAST = SIZE - 1
# The ranks of this host, and how many hosts there are.
HOST = WORLD.Split_type(MPI.COMM_TYPE_SHARED, RANK)
HOSTS = WORLD.allreduce(int(HOST.Get_rank() == 0))
# The rank that works where one does: over several hosts one that is not on the first one's host.
LONE_RANK = 0 if HOSTS == 1 else LAST


def now():
    """The clock that all ranks of a host read alike."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def meet():
    """A barrier in which ranks that come early leave their cores to the others."""
    request = WORLD.Ibarrier()
    while not request.Test():
        time.sleep(0.001)


def sleep_until(moment):
    time.sleep(max(0, moment - now()) / 1e9)


def start():
    """Waits for the moment at which all ranks start."""
    meet()
    moment = WORLD.bcast(now() + NOTICE if RANK == 0 else None)
    sleep_until(moment)
    return moment


def paced(operations, span, rounds):
    """So many rounds of about `span` nanoseconds. Collective.

    `operations` goes through so many operations of all ranks together and tells nanoseconds each. No rank looks at the clock:
    a round has as many as fit at the pace of the one before. The first is not counted.
    """
    first = 4
    figures = [operations(first)]
    for _ in range(1 + rounds):
        figures.append(operations(max(1, int(span / figures[-1]))))
    return figures[2:]


def run(subject, cases, measure):
    """The whole program: `measure` gives the rounds of a case that is asked for, nanoseconds an operation. Collective."""
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--apart", required=True)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cases")
    # The other options are for the other subjects.
    options, _ = parser.parse_known_args()
    asked = options.cases.split(",") if options.cases else cases
    outcomes = []
    try:
        for case in cases:
            if case in asked:
                rounds = measure(case, options.rounds)
                outcomes.append({"case": case, "subject": subject, "rounds": rounds})
    except BaseException:
        # The other ranks would wait for this one.
        traceback.print_exc()
        WORLD.Abort(1)
    if RANK == 0:
        with open(options.apart, "w") as file:
            json.dump(outcomes, file)
