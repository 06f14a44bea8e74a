"""The batch: tasks for groups of ranks."""

import os
import signal
import tempfile
import time

import mpisync
from harness import case, raises


def everyone(comm, mine):
    return sorted(mine) if comm is None else sorted(sum(comm.allgather(mine), []))


@case(0, 1, 2, 4)
def each_task_runs_once(comm):
    batch = mpisync.Batch(comm, 50, name="files")
    assert len(batch) == 50
    mine = []
    for task in batch:
        assert not task.ended
        mine.append(task.index)
    assert everyone(comm, mine) == list(range(50))
    assert batch.summary() == (0, 0, 50, 0, 0) == mpisync.Summary(0, 0, 50, 0, 0)
    assert batch.state(7) == "DONE" and batch.task_name(7) == "07"
    batch.close()


@case(2, 4)
def workers_of_two_ranks(comm):
    batch = mpisync.Batch(comm, ["a", "b", "c"], worker_size=2)
    assert (batch.workers, batch.worker, batch.worker_rank, batch.worker_size) == (
        comm.size // 2,
        comm.rank // 2,
        comm.rank % 2,
        2,
    )
    names = [task.name for task in batch]
    assert sorted(everyone(comm, names)) == sorted(["a", "b", "c"] * 2)
    sizes = [1] * (comm.size - 1) + [1]
    assert mpisync.Batch(comm, 3, worker_size=sizes).workers == comm.size
    from mpi4py import MPI

    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    assert mpisync.Batch(comm, 3, worker_size="node").worker_size == node.size
    node.Free()
    with raises(mpisync.InvalidArgument):
        mpisync.Batch(comm, 3, worker_size=3)
    with raises(mpisync.InvalidArgument):
        mpisync.Batch(comm, 3, worker_size="rank")


@case(0, 1, 2)
def tasks_fail_and_are_reopened(comm):
    batch = mpisync.Batch(comm, 10)
    if comm is None or comm.rank == 0:
        first = batch.next_task()
        with raises(mpisync.Misuse):
            batch.next_task()
        first.reopen()
        with raises(mpisync.Misuse):
            first.done()
        with raises(ZeroDivisionError):
            with batch.next_task():
                1 / 0
    if comm is not None:
        comm.Barrier()

    def run(task):
        if task.index % 2 == 1:
            raise ValueError("odd")

    summary = batch.for_each(run)
    if comm is not None:
        comm.Barrier()
        summary = batch.summary()
    assert (summary.left, summary.failed + summary.done) == (0, 10)
    assert summary.failed >= 5
    again = batch.next_task(failed=True)
    assert again is not None and again.was == "FAILED"
    again.done()


@case(0, 1, 2, 4)
def several_at_a_time_run_once(comm):
    for most in (3, 16, 10**30):
        batch = mpisync.Batch(comm, 50)
        mine = []
        while tasks := batch.next_tasks(most):
            assert len(tasks) <= most and not any(task.ended for task in tasks)
            assert batch.state(tasks[-1].index) == "RUNNING" and batch.summary().running >= len(tasks)
            mine += [task.index for task in tasks]
            for task in reversed(tasks):
                task.done()
                assert task.ended
        assert batch.next_tasks(1) == []
        batch.wait_all()
        assert everyone(comm, mine) == list(range(50))
        assert batch.summary().done == 50


@case(0, 1, 2, 4)
def several_end_each_by_itself(comm):
    rank, size = (0, 1) if comm is None else (comm.rank, comm.size)
    batch = mpisync.Batch(comm, 7, worker_size=size)
    first = batch.next_tasks(5)
    assert [task.index for task in first] == [0, 1, 2, 3, 4]
    # None is taken while this rank has some.
    for take in (batch.next_task, lambda: batch.next_tasks(2), batch.wait_all, batch.close):
        with raises(mpisync.Misuse):
            take()
    order = first[rank % 5 :] + first[: rank % 5]
    for task in order:
        if task.index == 1:
            task.failed("no such input") if rank == size - 1 else task.done()
        elif task.index == 2:
            task.reopen()
        elif task.index == 3:
            try:
                with task:
                    if rank == size - 1:
                        raise ValueError("odd")
            except ValueError:
                assert rank == size - 1
        else:
            with task:
                pass
        with raises(mpisync.Misuse):
            task.done()
    assert [task.index for task in batch.next_tasks(5)] == [2, 5, 6]
    # A batch is dropped with its tasks.
    states = [batch.state(task) for task in range(7)]
    assert states == ["DONE", "FAILED", "RUNNING", "FAILED", "DONE", "RUNNING", "RUNNING"], states
    if comm is not None:
        comm.Barrier()


@case(0, 1, 2, 4)
def no_tasks_at_a_time_are_an_exception(comm):
    batch = mpisync.Batch(comm, 4, worker_size=1 if comm is None else comm.size)
    for most in (0, -3, -(10**30)):
        with raises(mpisync.InvalidArgument):
            batch.next_tasks(most)
    with raises(TypeError):
        batch.next_tasks("3")
    tasks = batch.next_tasks(9)
    assert [task.index for task in tasks] == [0, 1, 2, 3]
    for task in tasks:
        task.done()
    assert batch.next_tasks(9) == []


@case(0, 1, 2)
def several_states_are_in_a_directory(comm):
    directory = tempfile.mkdtemp(prefix="mpisync-") if comm is None or comm.rank == 0 else None
    if comm is not None:
        directory = comm.bcast(directory)

    def state(task):
        with open(os.path.join(directory, str(task), "state")) as file:
            return file.read().split()[0]

    batch = mpisync.Batch(comm, 8, state_dir=directory, tries=2)
    tasks = batch.next_tasks(3)
    if comm is not None:
        comm.Barrier()
    for task in tasks:
        assert (task.attempt, state(task.index)) == (1, "RUNNING")
        assert str(task.directory).startswith(directory)
    tasks[1].done()
    assert [state(task.index) for task in tasks] == ["RUNNING", "DONE", "RUNNING"]
    tasks[0].failed("no input")
    tasks[2].done()
    assert [state(task.index) for task in tasks] == ["OPEN", "DONE", "DONE"]
    if comm is not None:
        comm.Barrier()
    for task in batch:
        pass
    assert batch.summary().done == 8


@case(0, 2)
def tasks_begin_in_a_state(comm):
    batch = mpisync.Batch(comm, 3, initial_states=["DONE", "OPEN", "FAILED"])
    assert everyone(comm, [task.index for task in batch]) == [1]
    assert batch.summary() == (0, 0, 2, 1, 0)
    with raises(mpisync.InvalidArgument):
        mpisync.Batch(comm, 3, initial_states=["READY"] * 3)


@case(0, 2)
def a_batch_stops(comm):
    batch = mpisync.Batch(comm, 100)
    for task in batch:
        batch.stop()
        assert batch.stopped
    summary = batch.summary()
    assert 1 <= summary.done <= 2 and summary.open >= 98


@case(0, 1, 2)
def states_survive_in_a_directory(comm):
    directory = tempfile.mkdtemp(prefix="mpisync-") if comm is None or comm.rank == 0 else None
    if comm is not None:
        directory = comm.bcast(directory)
    batch = mpisync.Batch(comm, 4, state_dir=directory)
    done = []
    for task in batch:
        assert str(task.directory).startswith(directory)
        if task.index == 2:
            task.failed("it is the third")
        done.append(task.index)
    batch.close()
    again = mpisync.Batch(comm, 4, state_dir=directory)
    assert again.summary() == (0, 0, 3, 1, 0)
    assert list(again) == []
    again.close()
    with open(os.path.join(directory, "2", "state")) as file:
        assert file.read().split()[0] == "FAILED"
    with raises(mpisync.TaskError):
        mpisync.Batch(comm, 4, state_dir=os.path.join(directory, "2", "state"))


@case(2, dies=(1,))
def the_task_of_a_dead_rank_is_open_again(comm):
    batch = mpisync.Batch(comm, 3)
    if comm.rank == 1:
        batch.next_task()
        comm.Barrier()
        os.kill(os.getpid(), signal.SIGKILL)
    comm.Barrier()
    assert sorted(task.index for task in batch) == [0, 1, 2]


@case(2, 4, dies=(1,))
def several_tasks_of_a_dead_rank_are_open_again(comm):
    batch = mpisync.Batch(comm, 20)
    done = []
    if comm.rank == 1:
        tasks = batch.next_tasks(5)
        tasks.pop(1).done()
        tasks.pop(3).done()
        comm.send(sorted(task.index for task in tasks), 0)
        comm.Barrier()
        os.kill(os.getpid(), signal.SIGKILL)
    held = comm.recv(source=1) if comm.rank == 0 else None
    comm.Barrier()
    while batch.wait_all().open:
        for task in batch.next_tasks(4):
            done.append(task.index)
            task.done()
    assert batch.summary().done == 20
    if comm.size == 2:
        assert len(held) == 3 and sorted(done) == sorted(set(range(20)) - {1, 4})


@case(2)
def ctrl_c_ends_waits_for_tasks(comm):
    from test_signals import SOON, interrupted

    batch = mpisync.Batch(comm, 1)
    if comm.rank == 0:
        task = batch.next_task()
        comm.Barrier()
        comm.Barrier()
        task.done()
    else:
        comm.Barrier()
        assert interrupted(batch.wait_all) < SOON
        comm.Barrier()
        assert batch.wait_all().done == 1
    comm.Barrier()
    # The first rank of a worker waits for the others.
    team = mpisync.Batch(comm, 1, worker_size=2)
    task = team.next_task()
    if comm.rank == 0:
        assert interrupted(task.done) < SOON
        comm.Barrier()
    else:
        comm.Barrier()
        task.done()
    comm.Barrier()
