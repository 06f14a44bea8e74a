"""What Rust's types forbid is an exception at run time."""

import gc
import os
import threading

import mpisync
from harness import case, raises


@case(0, 1, 2)
def a_lock_inside_itself(comm):
    mutex = mpisync.Mutex(comm, name="log")
    with mutex:
        with raises(mpisync.Misuse, object="log"):
            mutex.acquire()
        with raises(mpisync.Misuse):
            mutex.close()
    with raises(mpisync.Misuse):
        mutex.release()


@case(0, 1)
def a_guard_after_its_end(comm):
    ctrl = mpisync.sync(comm)
    guard = ctrl.read()
    with raises(mpisync.Misuse):
        guard.release()
    with guard:
        pass
    for call in guard.release, guard.upgrade, guard.downgrade, guard.__enter__:
        with raises(mpisync.Misuse):
            call()
    with ctrl.single_write() as call:
        with raises(mpisync.Misuse):
            call.value
        with raises(mpisync.Misuse):
            call.collect()
        with raises(mpisync.Misuse):
            with ctrl.read():
                pass
    with raises(mpisync.Misuse):
        call.share(1)
    with raises(mpisync.Misuse):
        call.__enter__()
    assert call.value is None


@case(0, 1, 2)
def an_object_of_another_thread(comm):
    ctrl = mpisync.sync(comm)
    mutex = mpisync.Mutex(comm)
    found = []

    def use():
        for call in (
            mutex.acquire,
            mutex.release,
            mutex.close,
            lambda: ctrl.read().__enter__(),
            lambda: ctrl.single_write().__enter__(),
            lambda: ctrl.collective().__enter__(),
        ):
            try:
                call()
            except mpisync.Misuse as error:
                found.append(str(error))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert len(found) == 6 and all("thread" in text for text in found), found
    with mutex:
        pass


@case(0, 1, 2)
def objects_that_another_thread_drops(comm):
    mutexes = [mpisync.Mutex(comm) for _ in range(10)]
    if comm is None or comm.rank == 0:
        mutexes[0].acquire()
        thread = threading.Thread(target=mutexes.clear)
        thread.start()
        thread.join()
        # The next call of this thread drops them, and with them the lock.
        with mpisync.Mutex(None):
            pass
    else:
        mutexes[0].acquire(timeout=10)
        mutexes[0].release()
    if comm is not None:
        comm.Barrier()


@case(0)
def objects_of_a_thread_that_ends(comm):
    kept = []

    def work():
        mutex = mpisync.Mutex(None)
        mutex.acquire()
        kept.append(mutex)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    with raises(mpisync.Misuse):
        kept[0].release()
    kept.clear()
    gc.collect()
    mpisync.Mutex(None)


@case(1, 2)
def objects_of_several_threads(comm):
    from mpi4py import MPI

    if MPI.Query_thread() < MPI.THREAD_MULTIPLE:
        return
    own, other = mpisync.Mutex(comm), comm.Dup()
    errors = []

    def work():
        try:
            ctrl = mpisync.sync(other)
            for number in range(50):
                with ctrl.write():
                    pass
                with ctrl.single_write() as call:
                    if call.writes:
                        call.share(number)
                assert call.value == number
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        with own:
            pass
    thread.join()
    assert not errors, errors
    comm.Barrier()


@case(0, 2)
def a_forked_process_is_no_rank(comm):
    mutex = mpisync.Mutex(comm)
    if comm is None or comm.rank == 0:
        mutex.acquire()
        child = os.fork()
        if child == 0:
            try:
                with raises(mpisync.Misuse):
                    mutex.release()
                with raises(mpisync.Misuse):
                    mutex.acquire()
                del mutex
                gc.collect()
            except BaseException:
                os._exit(1)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert mutex.held
    if comm is not None:
        comm.Barrier()
        if comm.rank == 1:
            assert not mutex.try_acquire()
        comm.Barrier()
    if comm is None or comm.rank == 0:
        mutex.release()


@case(0, 1)
def closed_objects(comm):
    mutex = mpisync.Mutex(comm)
    mutex.close()
    for call in mutex.acquire, mutex.release, mutex.close:
        with raises(mpisync.Misuse):
            call()


@case(0, 1)
def arguments(comm):
    mutex = mpisync.Mutex(comm)
    for timeout in (-1.0, float("nan")):
        with raises(mpisync.InvalidArgument):
            mutex.acquire(timeout=timeout)
    with raises(mpisync.InvalidArgument):
        mpisync.sync("world")
    with raises(mpisync.InvalidArgument):
        mpisync.sync(comm).single_write(7).__enter__() if comm else mpisync.sync(3)
    with raises(TypeError):
        mpisync.sync()


@case(1, 2)
def communicators(comm):
    from mpi4py import MPI

    with raises(mpisync.InvalidArgument):
        mpisync.sync(MPI.COMM_NULL)
    assert mpisync.sync(MPI.COMM_SELF).size == 1
    half = comm.Split(comm.rank)
    assert mpisync.sync(half).size == 1
    half.Free()
    if comm.size == 2:
        parts = comm.Split(comm.rank)
        inter = parts.Create_intercomm(0, comm, 1 - comm.rank)
        with raises(mpisync.InvalidArgument):
            mpisync.sync(inter)
        inter.Free()
        with raises(mpisync.Mismatch if comm.rank == 1 else mpisync.CreationError, rank=1) as caught:
            mpisync.sync(comm, name=f"name {comm.rank}")
        assert "name 0" in str(caught[0]) and "name 1" in str(caught[0]) and ".rs" not in str(caught[0]), caught
    with raises(mpisync.InvalidArgument):
        mpisync.sync(comm, master=comm.size)


@case(1, 2, alone=True)
def after_finalize(comm):
    from mpi4py import MPI

    ctrl = mpisync.sync(comm)
    mutex = mpisync.Mutex(comm)
    held = mpisync.Mutex(MPI.COMM_SELF)
    held.acquire()
    MPI.Finalize()
    for call in (
        mutex.acquire,
        lambda: ctrl.read().__enter__(),
        lambda: ctrl.write().__enter__(),
        lambda: ctrl.single_write().__enter__(),
        lambda: ctrl.collective("step").__enter__(),
        mutex.close,
        lambda: mpisync.sync(comm),
    ):
        with raises(mpisync.Finalized):
            call()
    held.release()
    del ctrl, mutex, held
    gc.collect()
