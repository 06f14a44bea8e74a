"""The drop-in module for `mpi4py.util.sync`, beside the tests of the original."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import mpisync
from harness import case, raises, raises_at_death


def _module() -> Any:
    from mpisync.compat import mpi4py_sync

    return mpi4py_sync


@case(1, 2)
def wrong_calls_are_both_kinds_of_exceptions(comm: Any) -> None:
    sync = _module()
    mutex = sync.Mutex(comm=comm)
    with raises(mpisync.Misuse) as caught:
        mutex.release()
    assert isinstance(caught[0], RuntimeError)
    semaphore = sync.Semaphore(1, comm=comm)
    with raises(mpisync.InvalidArgument) as caught:
        semaphore.release(0)
    assert isinstance(caught[0], ValueError)
    comm.Barrier()
    semaphore.free()
    mutex.free()
    mutex.free()


@case(1, 2, 4)
def numbers_of_small_types_wrap_around(comm: Any) -> None:
    sync = _module()
    for typecode, start, after in (("h", 32767, -32768), ("H", 65535, 0), ("Q", 2**64 - 1, 0), ("d", 0.5, 1.5)):
        counter = sync.Counter(start, typecode=typecode, comm=comm, root=comm.size - 1)
        numbers = comm.allgather(counter.next(1 if comm.rank == 0 else 0))
        assert numbers[0] == start and set(numbers) <= {start, after}, numbers
        comm.Barrier()
        assert counter.next(0) == after
        comm.Barrier()
        counter.free()


@case(2, 4)
def condition_gives_a_recursive_mutex_back(comm: Any) -> None:
    sync = _module()
    condition = sync.Condition(comm=comm)
    ready = sync.Counter(comm=comm)
    if comm.rank == 0:
        while ready.next(0) < comm.size - 1:
            time.sleep(0.001)
        woken = 0
        while woken < comm.size - 1:
            with condition:
                woken += condition.notify_all()
    else:
        with condition, condition:
            ready.next()
            assert condition.wait()
            assert condition._mutex.count() == 2
    comm.Barrier()
    assert not condition.locked()
    condition.free()
    ready.free()


@case(4)
def sections_follow_the_ranks(comm: Any) -> None:
    sync = _module()
    counter, sections = sync.Counter(comm=comm), sync.Sequential(comm, 7)
    for turn in range(3):
        with sections:
            assert counter.next() == turn * comm.size + comm.rank
    comm.Barrier()
    counter.free()


@case(2, 4, dies=(0,))
def death_with_the_mutex_is_an_exception(comm: Any) -> None:
    mutex = _module().Mutex(comm=comm)
    if comm.rank == 0:
        mutex.acquire()
        comm.Barrier()
        os.kill(os.getpid(), signal.SIGKILL)
    comm.Barrier()
    with raises_at_death(0, mpisync.Poisoned, rank=0):
        mutex.acquire()
    assert not mutex.locked()


@case(2, 4, dies=(0,))
def death_of_the_only_rank_that_could_notify_is_an_exception(comm: Any) -> None:
    condition = _module().Condition(comm=comm)
    comm.Barrier()
    if comm.rank == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    with raises_at_death(0, mpisync.Deadlock):
        with condition:
            condition.wait()
