"""Measures the Python package mpi-channels in the cases of the channel benchmark.

By default the package lets a receiver without a message sleep for up to a second; here it polls without a pause.
"""

import sys
from pathlib import Path

from mpi_channels import RemoteChannel

# For the modules that all Python programs share.
sys.path.append(str(Path(__file__).resolve().parent.parent))

from messages import CASES, sending
from team import run


def channel(capacity, items):
    return RemoteChannel(capacity, items, t_wait=0, r_wait=0)


def close(channels):
    """Frees the resources of the channels. Collective."""
    for each in channels:
        each.buf.win.Free()
        each.buf.ptr.Free()
        each.pool.shutdown()


def measure(case, rounds):
    """All rounds of a case. Collective."""
    return sending(case, rounds, channel, close)


run("mpi_channels", CASES, measure)
