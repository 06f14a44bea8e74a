"""Reports of long waits name lines of the program."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from typing import Any, Callable, List

import mpisync
from harness import case, raises

#: After how many seconds a wait is reported.
REPORTED = "0.2"
#: How long the others wait.
WAIT = 1.5


def _line() -> int:
    """The line that follows the caller's."""
    return sys._getframe(1).f_lineno + 1


def _reported(wait: Callable[[], int]) -> str:
    """What this process prints on standard error in `wait`, with the place that it returns put in front of it."""
    with tempfile.TemporaryFile() as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            line = wait()
        finally:
            os.dup2(saved, 2)
            os.close(saved)
        file.seek(0)
        report = file.read().decode()
    assert f" at test_reports.py:{line}\n" in report and ".rs" not in report, report
    return report


@case(2, MPISYNC_WATCHDOG=REPORTED)
def long_wait_is_reported_with_its_line(comm: Any) -> None:
    from mpisync.compat.mpi4py_sync import Mutex

    channel, mutex, region = mpisync.RemoteChannel(comm, 4), mpisync.Mutex(comm), mpisync.Region(comm, 2)
    drop_in = Mutex(comm=comm)

    def take() -> int:
        line = _line()
        assert channel.take() == b"last"
        return line

    def lock() -> int:
        line = _line()
        with mutex:
            return line

    def lock_drop_in() -> int:
        line = _line()
        with drop_in:
            return line

    def read() -> int:
        line = _line()
        with region.read():
            return line

    if comm.rank == 0:
        mutex.acquire()
        drop_in.acquire()
        writing = region.write()
        writing.__enter__()
        ends: List[Callable[[], Any]] = [
            lambda: channel.put(b"last"),
            mutex.release,
            drop_in.release,
            lambda: writing.__exit__(None, None, None),
        ]
        for end in ends:
            comm.Barrier()
            time.sleep(WAIT)
            end()
    else:
        for wait in (take, lock, lock_drop_in, read):
            comm.Barrier()
            assert "rank 1 has waited" in _reported(wait)
    comm.Barrier()


@case(2)
def time_limit_names_the_line(comm: Any) -> None:
    mutex, channel = mpisync.Mutex(comm), mpisync.RemoteChannel(comm, 4)
    if comm.rank == 0:
        mutex.acquire()
    comm.Barrier()
    if comm.rank == 1:
        with raises(mpisync.TimedOut) as caught:
            line = _line()
            mutex.acquire(timeout=0.1)
        assert f" at test_reports.py:{line}" in str(caught[0]) and ".rs" not in str(caught[0]), str(caught[0])
        with raises(mpisync.TimedOut) as caught:
            line = _line()
            channel.take(timeout=0.1)
        assert f" at test_reports.py:{line}" in str(caught[0]) and ".rs" not in str(caught[0]), str(caught[0])
        # A try looks for no place.
        with raises(mpisync.TimedOut) as caught:
            mutex.acquire(timeout=0)
        assert "test_reports.py" not in str(caught[0]) and ".rs" not in str(caught[0]), str(caught[0])
    comm.Barrier()
    if comm.rank == 0:
        mutex.release()
    comm.Barrier()
