"""The faults that hang other packages: a rank that dies, ends, or fails while others wait."""

import os
import signal
import sys
import time

import mpisync
from harness import case, raises


def die():
    os.kill(os.getpid(), signal.SIGKILL)


@case(2, dies=(1,))
def the_holder_of_a_mutex_is_killed(comm):
    mutex = mpisync.Mutex(comm, name="log")
    if comm.rank == 1:
        mutex.acquire()
        comm.Barrier()
        die()
    comm.Barrier()
    with raises(mpisync.Poisoned, rank=1, object="log") as caught:
        mutex.acquire()
    assert isinstance(caught[0], mpisync.RankDied)
    with raises(mpisync.Poisoned):
        mutex.try_acquire()
    assert mutex.take_over()
    mutex.release()
    with mutex:
        pass


@case(2, dies=(1,))
def a_writer_is_killed(comm):
    ctrl = mpisync.sync(comm)
    if comm.rank == 1:
        with ctrl.write():
            comm.Barrier()
            die()
    comm.Barrier()
    with raises(mpisync.Poisoned, rank=1):
        with ctrl.read():
            pass
    guard = ctrl.take_over()
    assert guard is not None
    with guard:
        assert guard.held
    with ctrl.write():
        pass
    assert ctrl.take_over() is None
    with raises(mpisync.RankDied, rank=1):
        ctrl.close()
    with raises(mpisync.RankDied, rank=1):
        mpisync.sync(comm)


@case(2, dies=(1,))
def a_reader_is_killed(comm):
    ctrl = mpisync.sync(comm)
    if comm.rank == 1:
        with ctrl.read():
            comm.Barrier()
            die()
    comm.Barrier()
    # Reading poisons nothing.
    with ctrl.write(timeout=30):
        pass


@case(4, dies=(0,))
def the_rank_that_writes_is_killed(comm):
    ctrl = mpisync.sync(comm)
    if comm.rank == 0:
        with ctrl.single_write(name="header"):
            time.sleep(0.1)
            die()
    with raises(mpisync.RankDied, rank=0):
        with ctrl.single_write(name="header"):
            pass


@case(4, dies=(2,))
def a_rank_of_a_collective_call_is_killed(comm):
    ctrl = mpisync.sync(comm)
    with raises(mpisync.RankDied, rank=2):
        with ctrl.collective("step"):
            if comm.rank == 2:
                die()


@case(2, ends=(1,))
def a_rank_ends(comm):
    ctrl = mpisync.sync(comm)
    if comm.rank == 1:
        # As at the end of a program, or after an exception that nobody catches.
        sys.exit()
    with raises(mpisync.RankEnded, rank=1) as caught:
        with ctrl.collective("step"):
            pass
    assert isinstance(caught[0], mpisync.RankDied)


@case(2, ends=(1,))
def a_rank_ends_with_a_lock(comm):
    from mpi4py import MPI

    mutex = mpisync.Mutex(comm)
    if comm.rank == 1:
        mutex.acquire()
        comm.Barrier()
        MPI.Finalize()
        sys.exit()
    comm.Barrier()
    with raises(mpisync.RankEnded, rank=1):
        mutex.acquire()


@case(2, MPISYNC_DEADLOCK="error")
def a_deadlock_is_an_exception(comm):
    first, second = mpisync.Mutex(comm, name="first"), mpisync.Mutex(comm, name="second")
    mine, other = (first, second) if comm.rank == 0 else (second, first)
    with mine:
        comm.Barrier()
        with raises(mpisync.Deadlock) as caught:
            other.acquire()
        # Until then both keep what they have.
        comm.Barrier()
        assert "first" in str(caught[0]) and "second" in str(caught[0])
