import os
import tempfile
import time

import mpisync
from harness import case, raises


@case(0, 1, 2, 4)
def locks_exclude_each_other(comm):
    mutex = mpisync.Mutex(comm, name="log")
    assert mutex.name == "log"
    assert not mutex.held
    with mutex as same:
        assert same is mutex and mutex.held
    assert not mutex.held
    if comm is None or comm.size == 1:
        return
    # Each rank reads and writes a number in between, in which another rank would be seen.
    path = comm.bcast(tempfile.mkstemp(prefix="mpisync-")[1] if comm.rank == 0 else None)
    for _ in range(100):
        with mutex:
            with open(path) as file:
                number = int(file.read() or 0)
            with open(path, "w") as file:
                file.write(str(number + 1))
    comm.Barrier()
    with open(path) as file:
        assert int(file.read()) == 100 * comm.size
    comm.Barrier()
    if comm.rank == 0:
        os.remove(path)
    mutex.close()


@case(0, 1, 2)
def acquire_and_release(comm):
    mutex = mpisync.Mutex(comm)
    mutex.acquire()
    mutex.release()
    if comm is None or comm.size == 1:
        assert mutex.try_acquire()
        mutex.release()
        with mutex.lock(timeout=1):
            pass
        assert not mutex.clear_poison()
        assert not mutex.take_over()


@case(2)
def timeouts(comm):
    mutex = mpisync.Mutex(comm, name="slow")
    if comm.rank == 0:
        mutex.acquire()
    comm.Barrier()
    if comm.rank == 1:
        assert not mutex.try_acquire()
        start = time.monotonic()
        with raises(mpisync.TimedOut, object="slow") as caught:
            mutex.acquire(timeout=0.1)
        assert 0.1 <= time.monotonic() - start < 5
        assert isinstance(caught[0], TimeoutError)
        with raises(mpisync.TimedOut):
            with mutex.lock(timeout=0.05):
                raise AssertionError("it is not granted")
    comm.Barrier()
    if comm.rank == 0:
        mutex.release()


@case(0, 2)
def an_exception_releases_the_lock(comm):
    mutex = mpisync.Mutex(comm)
    with raises(KeyError):
        with mutex:
            raise KeyError("key")
    assert not mutex.held
    with mutex:
        pass
