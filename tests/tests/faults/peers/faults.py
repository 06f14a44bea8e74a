"""One fault of a rank in one situation of a Python package, for the table of `cargo xtask peers`.

    faults.py DIRECTORY SITUATION FAULT

The last rank is the victim. It comes to where it has what the situation says, tells so by a file, and has its fault. The
others wait for the file, make the call of the situation, and leave what they get in files. Each then stays alive without a
further call until the job is ended from outside.

Locks are used as the packages document it: by `with`, where the package has that.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy
from mpi4py import MPI

DIRECTORY, SITUATION, FAULT = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
WORLD = MPI.COMM_WORLD
RANK, SIZE = WORLD.rank, WORLD.size
VICTIM = SIZE - 1

HEAD_START = 0.5  # seconds that the others have to get into their waits
STOPPED = 5  # seconds


class Fault(Exception):
    """What the victim raises."""


def tell(name, text):
    """Leaves a file, of which others see all or nothing."""
    draft = DIRECTORY / f"draft.{RANK}"
    draft.write_text(text)
    draft.rename(DIRECTORY / name)


def rest():
    while True:
        time.sleep(1000)


def strike():
    """The victim has its fault. Returns if it goes on, or is to return from `main`."""
    (DIRECTORY / "ready").touch()
    time.sleep(HEAD_START)
    tell(f"verdict.{VICTIM}", "struck")
    if FAULT == "raises":
        raise Fault
    if FAULT == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if FAULT == "exits":
        os._exit(0)
    if FAULT == "stopped":
        subprocess.Popen(["sh", "-c", f"sleep {STOPPED}; kill -CONT {os.getpid()}"])
        os.kill(os.getpid(), signal.SIGSTOP)
    if FAULT == "leaks":
        rest()


def await_victim():
    while not (DIRECTORY / "ready").exists():
        time.sleep(0.01)


def held(with_lock, enter):
    """Others wait for what the victim has. `with_lock` runs a function while it has that; `enter` takes it and keeps it."""
    if RANK != VICTIM:
        await_victim()
        with_lock(lambda: None)
    elif FAULT == "leaks":
        enter()
        strike()
    else:
        with_lock(strike)


def missing(call):
    """All make a call, and the victim does not come, or late."""
    if RANK == VICTIM:
        strike()
        if FAULT != "stopped":
            return
    else:
        await_victim()
    call()


def within(manager):
    """Runs a function inside a `with` block."""

    def with_lock(run):
        with manager():
            run()

    return with_lock


def mpilock_write():
    import mpilock

    ctrl = mpilock.sync()
    held(within(ctrl.write), lambda: ctrl.write().__enter__())


def mpilock_fence():
    import mpilock

    ctrl = mpilock.sync()
    if RANK != VICTIM:
        await_victim()
    with ctrl.single_write(rank=VICTIM) as fence:
        fence.guard()
        strike()
        if FAULT == "returns":
            return
        fence.share(7)
    fence.collect()


def mpilock_fence_missing():
    import mpilock

    ctrl = mpilock.sync()

    def call():
        with ctrl.single_write(rank=VICTIM) as fence:
            fence.guard()
            fence.share(7)
        fence.collect()

    missing(call)


def mpilock_make():
    import mpilock

    missing(mpilock.sync)


def pshmem_lock():
    from pshmem import MPILock

    lock = MPILock(WORLD)

    def with_lock(run):
        lock.lock()
        try:
            run()
        finally:
            lock.unlock()

    held(with_lock, lock.lock)


def pshmem_set():
    from pshmem import MPIShared

    shared = MPIShared((100,), numpy.float64, WORLD)
    data = numpy.ones(100) if RANK == 0 else None
    missing(lambda: shared.set(data, fromrank=0))


def pshmem_make():
    from pshmem import MPILock

    missing(lambda: MPILock(WORLD))


def channel(room):
    from mpi_channels import RemoteChannel

    return RemoteChannel(room, 1, t_wait=0, r_wait=0.01)


def channels_put():
    """Rank 0 is the host. The victim is the only one that takes."""
    way = channel(1)
    if RANK == VICTIM:
        strike()
        if FAULT == "stopped":
            way.claim(2)
            take_until_told(way)
        return
    await_victim()
    if RANK != 0:
        stand_by()
    way.claim(4)
    for _ in range(3):
        way.put(numpy.ones(1))


def take_until_told(way):
    while not (DIRECTORY / "verdict.0").exists():
        way.take()


def channels_take():
    """The victim is the only one that puts."""
    way = channel(4)
    if RANK == VICTIM:
        strike()
        if FAULT == "stopped":
            for _ in range(SIZE - 1):
                way.put(numpy.ones(1))
        return
    way.claim(SIZE - 1)
    await_victim()
    way.take()


def channels_make():
    missing(lambda: channel(1))


def mpi4py_mutex():
    from mpi4py.util.sync import Mutex

    mutex = Mutex(comm=WORLD)
    held(within(lambda: mutex), mutex.acquire)


def mpi4py_semaphore():
    from mpi4py.util.sync import Semaphore

    semaphore = Semaphore(1, comm=WORLD)
    held(within(lambda: semaphore), semaphore.acquire)


def mpi4py_condition():
    from mpi4py.util.sync import Condition

    condition = Condition(comm=WORLD)
    if RANK != VICTIM:
        await_victim()
        with condition:
            condition.wait()
        return
    strike()
    if FAULT == "stopped":
        while not all((DIRECTORY / f"verdict.{rank}").exists() for rank in range(VICTIM)):
            with condition:
                condition.notify_all()
            time.sleep(0.01)


def mpi4py_turn():
    """The victim has the first turn, since ranks are in another order."""
    from mpi4py.util.sync import Sequential

    ranks = WORLD.Split(0, (RANK + 1) % SIZE)
    sequence = Sequential(ranks)
    held(within(lambda: sequence), sequence.begin)


def mpi4py_make():
    from mpi4py.util.sync import Mutex

    missing(lambda: Mutex(comm=WORLD))


def since_fault():
    """Seconds; 0 before the fault."""
    fault = DIRECTORY / f"verdict.{VICTIM}"
    return max(time.time() - fault.stat().st_mtime, 0) if fault.exists() else 0


def stand_by():
    tell(f"verdict.{RANK}", "bystander")
    rest()


def main():
    run = globals()[SITUATION]
    if RANK == VICTIM:
        run()
        if FAULT == "stopped":
            rest()
        return
    try:
        run()
        outcome = "goes on"
    except Exception as error:
        outcome = f"`{type(error).__name__}`"
    tell(f"verdict.{RANK}", f"{outcome}\t{since_fault()}")
    rest()


main()
