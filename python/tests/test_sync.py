"""Semaphore, counter, barrier, turn, condition, and the object that is computed once."""

import time

import mpisync
from harness import case, raises


@case(0, 1, 2, 4)
def permits(comm):
    semaphore = mpisync.Semaphore(comm, 2, name="licences")
    with semaphore:
        assert semaphore.available in (0, 1)
    with semaphore.permits(2):
        assert semaphore.available == 0
    semaphore.acquire(timeout=30)
    semaphore.release()
    with raises(mpisync.Exhausted, object="licences"):
        semaphore.acquire(3)
    with raises(mpisync.Misuse):
        semaphore.release()
    with raises(mpisync.Misuse):
        semaphore.release(2)
    if comm is None or comm.size == 1:
        assert semaphore.try_acquire(2)
        assert not semaphore.try_acquire()
        with raises(mpisync.Misuse):
            semaphore.acquire()
        semaphore.release(2)
        assert semaphore.available == 2
    semaphore.close()


@case(0, 1, 2, 4)
def numbers(comm):
    counter = mpisync.Counter(comm)
    mine = [counter.next() for _ in range(10)]
    mine += counter.reserve(5)
    size = 1 if comm is None else comm.size
    everyone = sorted(mine) if comm is None else sorted(sum(comm.allgather(mine), []))
    assert everyone == list(range(15 * size))
    assert counter.get() == 15 * size
    if comm is not None:
        comm.Barrier()
    assert counter.add(0) == 15 * size
    counter.close()
    loop = mpisync.Counter(comm, start=3, step=2)
    mine = list(loop.up_to(1000, block=4))
    everyone = sorted(mine) if comm is None else sorted(sum(comm.allgather(mine), []))
    assert everyone == list(range(3, 1000, 2))
    down = mpisync.Counter(comm, start=5, step=-1)
    if comm is None:
        assert list(down.up_to(0)) == [5, 4, 3, 2, 1]
        assert list(down.reserve(2)) == [-1, -2]
    with raises(mpisync.InvalidArgument):
        mpisync.Counter(comm, step=0)


@case(0, 1, 2, 4)
def barriers(comm):
    barrier = mpisync.Barrier(comm, name="step")
    for _ in range(10):
        barrier.wait()
        barrier.wait(timeout=30)
    if comm is not None and comm.size == 4:
        if comm.rank == 3:
            comm.Barrier()
        else:
            with raises(mpisync.TimedOut, missing=(3,), object="step"):
                barrier.wait(timeout=0.1)
            comm.Barrier()
        barrier.wait()
    barrier.close()


@case(0, 1, 2)
def permits_that_are_forgotten(comm):
    signal = mpisync.Semaphore(comm, 0, bounded=False)
    if comm is None or comm.rank == 0:
        signal.add(3)
    if comm is None or comm.rank == comm.size - 1:
        signal.acquire(3, timeout=30)
        with raises(mpisync.Misuse):
            signal.forget(2)
        signal.forget(3)
        with raises(mpisync.Misuse):
            signal.release(3)
        assert signal.available == 0
    if comm is not None:
        comm.Barrier()
    with raises(mpisync.Exhausted):
        mpisync.Semaphore(comm, 1).add(1)


@case(0, 1, 2, 4)
def latches(comm):
    size, rank = (1, 0) if comm is None else (comm.size, comm.rank)
    latch = mpisync.Latch(comm, 2 * size)
    latch.count_down()
    if comm is not None:
        comm.Barrier()
    assert latch.remaining == size
    with raises(mpisync.TimedOut):
        latch.wait(timeout=0.05)
    if comm is not None:
        comm.Barrier()
    latch.count_down(1)
    latch.wait()
    with raises(mpisync.Exhausted):
        latch.count_down(1)
    if size == 4:
        latch = mpisync.Latch(comm, 3)
        if rank != 3:
            latch.count_down()
            comm.Barrier()
        else:
            comm.Barrier()
            latch.wait(timeout=30)
    latch.close()


@case(0, 1, 2, 4)
def turns(comm):
    turn = mpisync.Turn(comm)
    order = mpisync.Counter(comm)
    for step in range(3):
        with turn:
            size = 1 if comm is None else comm.size
            rank = 0 if comm is None else comm.rank
            assert order.next() == step * size + rank
    turn.acquire(timeout=30)
    turn.release()
    with raises(mpisync.Misuse):
        turn.release()


@case(2)
def conditions(comm):
    mutex, condition = mpisync.Mutex(comm), mpisync.Condvar(comm)
    ready = mpisync.Counter(comm)
    if comm.rank == 0:
        with mutex:
            while ready.get() == 0:
                assert condition.wait(mutex, timeout=30)
            assert mutex.held
            assert not condition.wait(mutex, timeout=0.05)
            assert mutex.held
    else:
        time.sleep(0.05)
        with mutex:
            ready.next()
        condition.notify()
    with raises(mpisync.Misuse):
        condition.wait(mutex)
    comm.Barrier()
    assert condition.notify_all() == 0


@case(0, 1)
def a_condition_that_nobody_can_fulfil(comm):
    mutex, condition = mpisync.Mutex(comm), mpisync.Condvar(comm)
    with raises(mpisync.Deadlock):
        with mutex:
            condition.wait(mutex)


@case(0, 1, 2, 4)
def an_object_is_computed_once(comm):
    once = mpisync.OnceShared(comm)
    runs = mpisync.Counter(comm)
    assert once.get() is None or comm is not None

    def compute():
        runs.next()
        return {"token": [1, 2, 3]}

    first = once.get_or_init(compute)
    assert first == {"token": [1, 2, 3]}
    assert once.get_or_init(compute) is first
    assert once.get() is first
    if comm is not None:
        comm.Barrier()
    assert runs.get() == 1
    failing = mpisync.OnceShared(comm)
    if comm is None:
        with raises(KeyError):
            failing.get_or_init(lambda: {}["missing"])
        assert failing.get_or_init(lambda: 7) == 7
        itself = mpisync.OnceShared(comm)
        with raises(mpisync.Misuse):
            itself.get_or_init(lambda: itself.get_or_init(lambda: 1))
        small = mpisync.OnceShared(comm)
        with raises(mpisync.InvalidArgument):
            small.get_or_init(lambda: b"x" * 100_000)


@case(2, dies=(1,))
def a_rank_dies_with_a_permit_before_a_barrier_and_before_its_turn(comm):
    import os
    import signal

    semaphore = mpisync.Semaphore(comm, 1)
    barrier, turn = mpisync.Barrier(comm), mpisync.Turn(comm)
    if comm.rank == 1:
        semaphore.acquire()
        comm.Barrier()
        os.kill(os.getpid(), signal.SIGKILL)
    comm.Barrier()
    # Its permit is free again.
    semaphore.acquire(timeout=30)
    with raises(mpisync.RankDied, rank=1):
        barrier.wait()
    with turn:
        pass
    with raises(mpisync.RankDied, rank=1):
        turn.acquire()
