import threading
import time

import mpisync
from harness import case, raises


@case(0, 1, 2, 4)
def readers_and_writers(comm):
    ctrl = mpisync.sync(comm, name="results")
    assert (ctrl.name, ctrl.master) == ("results", 0)
    assert (ctrl.rank, ctrl.size) == ((0, 1) if comm is None else (comm.rank, comm.size))
    for _ in range(100):
        with ctrl.read():
            pass
        with ctrl.write():
            pass
    with ctrl.read() as guard:
        assert guard.held
    assert not guard.held
    ctrl.close()


@case(2)
def readers_share_and_writers_exclude(comm):
    ctrl = mpisync.sync(comm)
    with ctrl.read():
        comm.Barrier()
        # Both read.
        comm.Barrier()
    if comm.rank == 0:
        with ctrl.write():
            comm.Barrier()
            comm.Barrier()
    else:
        comm.Barrier()
        assert ctrl.try_read() is None
        assert ctrl.try_write() is None
        with raises(mpisync.TimedOut, object="controller"):
            with ctrl.read(timeout=0.1):
                pass
        comm.Barrier()
    comm.Barrier()
    # Over several nodes the gate may open a moment later.
    while (guard := ctrl.try_read()) is None:
        time.sleep(0.001)
    assert guard.held
    guard.release()
    assert not guard.held


@case(0, 1)
def guards_upgrade_and_downgrade(comm):
    ctrl = mpisync.sync(comm)
    with ctrl.read() as guard:
        guard.upgrade()
        with ctrl.write():
            pass
        guard.downgrade()
        with raises(mpisync.Misuse):
            with ctrl.write():
                pass
    with ctrl.write():
        pass


@case(0, 1, 2)
def locks_nest(comm):
    ctrl = mpisync.sync(comm)
    with ctrl.read():
        with ctrl.read():
            pass
        with raises(mpisync.Misuse, object="controller"):
            with ctrl.write(timeout=10):
                pass
    if comm is not None:
        comm.Barrier()
    with ctrl.write():
        with ctrl.read():
            with ctrl.write():
                pass
    with ctrl.write():
        pass


@case(0, 1, 2, 4)
def one_rank_writes(comm):
    ctrl = mpisync.sync(comm)
    for rank in range(ctrl.size):
        with ctrl.single_write(rank) as call:
            assert call.writes == (ctrl.rank == rank)
            if call.writes:
                assert call.share({"rank": rank}) == {"rank": rank}
        assert call.value == {"rank": rank}
    # Nothing shared is None.
    with ctrl.single_write() as call:
        pass
    assert call.value is None
    # Large objects.
    with ctrl.single_write() as call:
        if call.writes:
            call.share(b"x" * 1_000_000)
        else:
            assert len(call.collect()) == 1_000_000
    assert len(call.value) == 1_000_000
    ctrl.close()


@case(0, 1, 2, 4)
def decorators(comm):
    ctrl = mpisync.sync(comm)
    ran = []

    @mpisync.single_write(ctrl)
    def create(path):
        ran.append(path)
        return path.upper()

    assert create("a") == "A"
    assert ran == (["a"] if ctrl.rank == 0 else [])

    @mpisync.single_write
    def with_argument(ctrl, number):
        return number + 1

    assert with_argument(ctrl, 1) == 2
    assert with_argument(number=2, ctrl=ctrl) == 3
    with raises(mpisync.Misuse):
        with_argument(None, 1)

    @mpisync.collective(ctrl)
    def step():
        return ctrl.rank

    assert step() == ctrl.rank

    @mpisync.collective
    def outer(ctrl):
        return step()

    assert outer(ctrl) == ctrl.rank


@case(2, 4)
def a_writer_that_fails_is_an_exception_on_all(comm):
    ctrl = mpisync.sync(comm, name="results")
    if ctrl.rank == 0:
        with raises(KeyError):
            with ctrl.single_write(name="header"):
                raise KeyError("no such key")
    else:
        with raises(mpisync.RankFailed, rank=0, object="results", reason="KeyError: 'no such key'"):
            with ctrl.single_write(name="header"):
                pass

    @mpisync.single_write(ctrl, rank=1)
    def fails():
        raise ValueError("bad")

    if ctrl.rank == 1:
        with raises(ValueError):
            fails()
    else:
        with raises(mpisync.RankFailed, rank=1, reason="ValueError: bad"):
            fails()
    # What cannot be pickled.
    if ctrl.rank == 0:
        with raises(TypeError):
            with ctrl.single_write(name="unpicklable") as call:
                call.share(threading.Lock())
    else:
        with raises(mpisync.RankFailed, rank=0):
            with ctrl.single_write(name="unpicklable"):
                pass
    with ctrl.write():
        pass


@case(2, 4)
def a_collective_call_that_fails_is_an_exception_on_all(comm):
    ctrl = mpisync.sync(comm)

    @mpisync.collective(ctrl)
    def step():
        if ctrl.rank == 1:
            raise ZeroDivisionError("division by zero")

    if ctrl.rank == 1:
        with raises(ZeroDivisionError):
            step()
    else:
        with raises(mpisync.RankFailed, rank=1, reason="ZeroDivisionError: division by zero"):
            step()


@case(2)
def different_calls_are_a_mismatch(comm):
    ctrl = mpisync.sync(comm)

    @mpisync.collective(ctrl)
    def first():
        pass

    @mpisync.collective(ctrl)
    def second():
        pass

    with raises(mpisync.Mismatch) as caught:
        (first if ctrl.rank == 0 else second)()
    assert "first" in str(caught[0]) and "second" in str(caught[0]), caught
    # Calls without names are compared by their places.
    ctrl = mpisync.sync(comm)
    if ctrl.rank == 0:
        with ctrl.single_write():
            pass
    else:
        with raises(mpisync.Mismatch) as caught:
            with ctrl.single_write():
                pass
        assert str(caught[0]).count("test_controller.py:") == 2, caught
        assert ".rs" not in str(caught[0]), caught


@case(2)
def a_busy_rank_holds_nobody_up(comm):
    ctrl = mpisync.sync(comm)
    comm.Barrier()
    if comm.rank == 0:
        # It computes, and answers nobody.
        end = time.monotonic() + 2
        while time.monotonic() < end:
            pass
    else:
        start = time.monotonic()
        for _ in range(10):
            with ctrl.write():
                pass
        assert time.monotonic() - start < 1.5
    comm.Barrier()
