"""The drop-in module for pshmem, beside the tests of the original."""

from __future__ import annotations

import os
import signal
import tempfile
from typing import Any

import mpisync
from harness import ON_NODES, case, raises, raises_at_death


def _module() -> Any:
    from mpisync.compat import pshmem

    return pshmem


@case(0, 1, 2, 4)
def items_are_seen_by_all_and_written_by_none_alone(comm: Any) -> None:
    import numpy as np

    rank, size = (0, 1) if comm is None else (comm.rank, comm.size)
    with _module().MPIShared((4, 3), np.int64, comm) as shared:
        row = shared[1]
        for writer in range(size):
            data = np.full((1, 2), writer + 7) if rank == writer else None
            shared.set(data, offset=(1, 1), fromrank=writer)
            assert row.tolist() == [0, writer + 7, writer + 7]
            if comm is not None:
                comm.Barrier()
        with raises(ValueError):
            shared.data[0, 0] = 1
        assert np.asarray(shared).sum() == 2 * (size + 6)
        del row


@case(2, 4)
def views_outlive_the_array(comm: Any) -> None:
    import numpy as np

    shared = _module().MPIShared((3,), np.float64, comm)
    shared.set(np.arange(3.0), fromrank=0)
    view = np.array(shared, copy=False)
    shared.close()
    assert view.tolist() == [0, 1, 2]


@case(2, 4)
def data_that_do_not_fit_are_an_exception_on_all_ranks(comm: Any) -> None:
    import numpy as np

    with _module().MPIShared((3,), np.float64, comm) as shared:
        for data, offset, kind in (
            (np.zeros((1, 1)), (0, 0), RuntimeError),
            (np.zeros(1, np.int8), (0,), RuntimeError),
            (np.zeros(2), (2,), ValueError),
        ):
            try:
                shared.set(data, offset, fromrank=1)
                raise AssertionError("no exception was raised")
            except mpisync.Error as error:
                assert isinstance(error, kind if comm.rank == 1 else mpisync.RankFailed), error
        with raises(_module().shmem.NoData):
            shared[0] = None
        shared[0] = np.ones(1) if comm.rank == 1 else None
        assert shared[0] == 1
        comm.Barrier()


@case(2, 4)
def arrays_on_communicators_that_are_freed_leave_none_behind(comm: Any) -> None:
    import numpy as np

    for _ in range(50):
        other = comm.Dup()
        first = _module().MPIShared((3,), np.float64, other)
        second = _module().MPIShared((3,), np.float64, other)
        assert first.nodecomm is second.nodecomm
        nodes = first.nodecomm
        first.close()
        second.close()
        assert not nodes
        other.Free()


@case(2, 4, dies=(0,))
def death_before_a_set_is_an_exception(comm: Any) -> None:
    import numpy as np

    shared = _module().MPIShared((3,), np.float64, comm)
    comm.Barrier()
    if comm.rank == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    with raises_at_death(0, mpisync.RankDied, rank=0):
        shared.set(np.zeros(3), fromrank=1)


@case(2, 4, dies=(1,))
def death_with_the_lock_is_an_exception(comm: Any) -> None:
    lock = _module().MPILock(comm, root=comm.size - 1)
    if comm.rank == 1:
        lock.lock()
        lock.lock()
        comm.Barrier()
        os.kill(os.getpid(), signal.SIGKILL)
    comm.Barrier()
    with raises_at_death(1, mpisync.Poisoned, rank=1):
        lock.lock()


@case(0, 1, 2, 4)
def states_of_tasks_are_in_files_of_the_same_format(comm: Any) -> None:
    MPIBatch = _module().MPIBatch
    rank, size = (0, 1) if comm is None else (comm.rank, comm.size)
    directory = tempfile.TemporaryDirectory() if rank == 0 else None
    root = None if directory is None else directory.name
    if comm is not None:
        root = comm.bcast(root)
    names = ["a", "b", "c"]
    for again in range(2):
        with MPIBatch(comm, size, 3, task_fs_root=root, task_fs_names=names) as batch:
            tasks = []
            while (task := batch.next_task(ignore_failed=again == 1 and not tasks)) is not None:
                tasks.append(task)
                if batch.worker_rank == 0:
                    batch.set_task_state(task, batch.FAILED if task == 1 and again == 0 else batch.DONE)
            assert tasks == ([1] if again else [0, 1, 2]), tasks
            if comm is not None:
                comm.Barrier()
            if rank == 0:
                with open(os.path.join(root, "b", "state")) as file:
                    assert file.read() == ("DONE\n" if again else "FAILED\n")
            assert batch.get_task_state(0) == MPIBatch.DONE
            if comm is not None:
                comm.Barrier()
    if directory is not None:
        directory.cleanup()


@case(4, dies=(0,))
def death_of_the_first_rank_of_a_worker_is_an_exception(comm: Any) -> None:
    batch = _module().MPIBatch(comm, 2, 3)
    comm.Barrier()
    if comm.rank == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if comm.rank == 1 or comm.rank == 2 and ON_NODES:
        # The states of the tasks are on the host of rank 0.
        with raises_at_death(0, mpisync.RankDied, rank=0):
            batch.next_task()
    elif ON_NODES:
        # Rank 2, the first rank of this worker, has got the exception.
        with raises(mpisync.RankFailed, rank=0):
            batch.next_task()
    else:
        assert batch.next_task() == 0
