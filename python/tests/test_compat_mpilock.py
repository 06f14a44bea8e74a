"""The drop-in module for mpilock."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import mpisync
from harness import case, raises, raises_at_death


def _module() -> Any:
    from mpisync.compat import mpilock

    return mpilock


@case(1, 2, 4)
def fence_keeps_others_out_and_shares_an_object(comm: Any) -> None:
    mpilock = _module()
    with mpilock.sync(comm, master=comm.size - 1, pump=False) as ctrl:
        assert (ctrl.master, ctrl.rank, ctrl.closed) == (comm.size - 1, comm.rank, False)
        for rank in (None, 0):
            entered = 0
            with ctrl.single_write(rank=rank) as fence:
                fence.guard()
                entered = 1
                fence.share({"writer": comm.rank})
            writer = ctrl.master if rank is None else rank
            assert fence.collect() == {"writer": writer}
            assert comm.allgather(entered) == [int(one == writer) for one in range(comm.size)]
    assert ctrl.closed
    with raises(mpisync.Misuse):
        with ctrl.read():
            pass


@case(1, 2, 4)
def all_ranks_meet_at_the_end_of_single_write(comm: Any) -> None:
    with _module().sync(comm) as ctrl:
        begin = time.monotonic()
        with ctrl.single_write():
            # Without a guard, all run the block.
            if comm.rank == comm.size - 1:
                time.sleep(0.2)
        assert time.monotonic() - begin > 0.15
        handle = object()
        with ctrl.single_write(handle=handle) as mine:
            assert mine is (handle if comm.rank == 0 else None)


@case(1, 2, 4)
def locks_nest(comm: Any) -> None:
    with _module().sync(comm) as ctrl:
        total = mpisync.Counter(comm)
        for _ in range(20):
            with ctrl.read(), ctrl.read():
                with ctrl.write(), ctrl.write(), ctrl.read():
                    before = total.get()
                    time.sleep(0.001)
                    assert total.next() == before
                # The lock for reading is there again.
                seen = total.get()
                time.sleep(0.003)
                assert total.get() == seen
        with ctrl.write():
            pass
        comm.Barrier()
        assert total.get() == 20 * comm.size
        comm.Barrier()


@case(2, 4)
def exception_of_the_writer_is_one_in_collect(comm: Any) -> None:
    with _module().sync(comm) as ctrl:
        fence = None
        try:
            with ctrl.single_write() as fence:
                fence.guard()
                raise KeyError("no such file")
        except KeyError:
            assert comm.rank == 0
        if comm.rank != 0:
            with raises(mpisync.RankFailed, rank=0) as caught:
                fence.collect()
            assert "no such file" in str(caught[0])
        else:
            assert fence.collect() is None
        # All go on.
        with ctrl.write():
            pass


@case(2, 4)
def object_that_cannot_be_pickled_is_an_exception_on_all_ranks(comm: Any) -> None:
    with _module().sync(comm) as ctrl:
        with ctrl.single_write() as fence:
            fence.guard()
            fence.share(lambda: None)
        try:
            fence.collect()
            raise RuntimeError("it was shared")
        except (AttributeError, TypeError, mpisync.RankFailed) as error:
            assert isinstance(error, mpisync.RankFailed) == (comm.rank != 0)


@case(2, 4, dies=(0,))
def death_in_single_write_is_an_exception(comm: Any) -> None:
    ctrl = _module().sync(comm)
    comm.Barrier()
    with raises_at_death(0, mpisync.RankDied, rank=0):
        with ctrl.single_write() as fence:
            fence.guard()
            os.kill(os.getpid(), signal.SIGKILL)


@case(2, ends=(0,))
def end_before_collect_is_an_exception(comm: Any) -> None:
    ctrl = _module().sync(comm)
    with ctrl.single_write() as fence:
        fence.guard()
    if comm.rank == 0:
        sys.exit(0)
    with raises(mpisync.RankEnded, rank=0):
        fence.collect()
