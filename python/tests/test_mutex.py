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
    # Each rank reads and writes a number in between which another rank would be seen.
    from mpi4py import MPI

    window = MPI.Win.Allocate(8 if comm.rank == 0 else 0, comm=comm)
    import struct

    for _ in range(100):
        with mutex:
            window.Lock(0)
            buffer = bytearray(8)
            window.Get([buffer, MPI.BYTE], 0)
            window.Flush(0)
            (number,) = struct.unpack("q", buffer)
            window.Put([struct.pack("q", number + 1), MPI.BYTE], 0)
            window.Unlock(0)
    comm.Barrier()
    if comm.rank == 0:
        window.Lock(0)
        buffer = bytearray(8)
        window.Get([buffer, MPI.BYTE], 0)
        window.Unlock(0)
        assert struct.unpack("q", buffer) == (100 * comm.size,)
    window.Free()
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
