"""Batches: many independent tasks."""

from __future__ import annotations

import os
import sys
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Sequence, Union

from ._mpisync import Task, TaskTable


class Summary(NamedTuple):
    """The numbers of a batch's tasks in each state."""

    open: int
    running: int
    done: int
    failed: int
    invalid: int

    @property
    def left(self) -> int:
        """The tasks that are open or running."""
        return self.open + self.running


class Batch:
    """Many independent tasks, which groups of ranks, the workers, take one after the other. Collective.

    `tasks` is their number, or their names. `worker_size` is the number of ranks of each worker, or a list of the numbers of all
    workers, or "node" for a worker on each node. `state_dir` is a directory that keeps the states of the tasks between jobs,
    in the format of pshmem; `stale_after`, in seconds, is how long a job that runs a task may be silent there before it is
    taken for dead; with `durable`, a change is on the disk before a call returns; with `strict`, a task whose state cannot be
    read is an error. `initial_states` are the states at first, of the root, such as "DONE"; all are open by default. `tries` is how often a task is tried, and `task_timeout`, in seconds, how long a worker may have it.
    """

    def __init__(
        self,
        comm: Any,
        tasks: Union[int, Sequence[str]],
        *,
        worker_size: Union[int, Sequence[int], str] = 1,
        state_dir: Union[None, str, "os.PathLike[str]"] = None,
        name: Optional[str] = None,
        root: int = 0,
        durable: bool = True,
        strict: bool = False,
        stale_after: Optional[float] = None,
        tries: Optional[int] = None,
        task_timeout: Optional[float] = None,
        initial_states: Optional[Sequence[str]] = None,
    ) -> None:
        self._table = TaskTable(
            comm,
            tasks if isinstance(tasks, int) else list(tasks),
            worker_size=worker_size if isinstance(worker_size, (int, str)) else list(worker_size),
            state_dir=state_dir,
            name=name,
            root=root,
            durable=durable,
            strict=strict,
            stale_after=stale_after,
            tries=tries,
            task_timeout=task_timeout,
            initial_states=None if initial_states is None else list(initial_states),
        )

    def next_task(self, *, running: bool = False, failed: bool = False, done: bool = False) -> Optional[Task]:
        """Takes the next task for this rank's worker; None if no task is open now. Collective in the worker.

        End the task by `done`, `failed` or `reopen`, or use it in a `with` block. `running`, `failed` and `done` also take tasks
        again that are in this state and not of this batch.
        """
        return self._table.next_task(running=running, failed=failed, done=done)

    def next_tasks(self, most: int, *, running: bool = False, failed: bool = False, done: bool = False) -> List[Task]:
        """Takes up to `most` tasks at a time for this rank's worker; an empty list if no task is open now. Collective in the worker.

        All ranks of the worker get the same tasks in the same order. End each of them by `done`, `failed` or `reopen`, or use it in
        a `with` block, in any order, and all of them before the next call. There are at most 256. The other arguments are those of
        `next_task`.
        """
        return self._table.next_tasks(min(max(most, 0), sys.maxsize), running=running, failed=failed, done=done)

    def __iter__(self) -> Iterator[Task]:
        """Takes tasks until no task is left, also none that another worker may open again. Collective in the worker.

        A task that the body of the loop has not ended is done when the loop takes the next one. After an exception in the body
        it is open again once the batch is closed or dropped: use `with task:` in the body to let it fail at once.
        """
        # The ranks of a worker have to decide alike, so only by what the first rank shares with the others.
        open_before = 0
        while True:
            task = self._table.next_task()
            if task is not None:
                open_before = 0
                yield task
                if not task.ended:
                    task.done()
                continue
            still_open = self.wait_all().open
            if still_open in (0, open_before):
                # None is open, or the batch has been stopped.
                return
            open_before = still_open

    def for_each(self, run: Callable[[Task], None]) -> Summary:
        """Calls `run` with each task, which is done if that returns and has failed if it raises an exception. Collective."""
        for task in self:
            try:
                run(task)
            except Exception as error:
                if not task.ended:
                    task.failed(f"{type(error).__qualname__}: {error}")
        return self.summary()

    def wait_all(self, *, timeout: Optional[float] = None) -> Summary:
        """Waits until no task runs. Collective in the worker."""
        return Summary(*self._table.wait_all(timeout))

    def summary(self) -> Summary:
        """The numbers of tasks in each state."""
        return Summary(*self._table.summary())

    def state(self, task: int) -> str:
        """The state of a task: OPEN, RUNNING, DONE, FAILED or INVALID."""
        return self._table.state(task)

    def set_state(self, task: int, state: str) -> None:
        """Sets the state of a task that does not run."""
        self._table.set_state(task, state)

    def task_name(self, task: int) -> str:
        """The name of a task, which is its number if it was given none."""
        return self._table.task_name(task)

    def problems(self) -> List[str]:
        """What is wrong with tasks in the state directory."""
        return self._table.problems()

    def stop(self) -> None:
        """Lets the workers of all ranks end the tasks that they have, and take no more."""
        self._table.stop()

    @property
    def stopped(self) -> bool:
        """Whether the batch has been stopped."""
        return self._table.stopped

    def __len__(self) -> int:
        """The number of tasks."""
        return len(self._table)

    @property
    def workers(self) -> int:
        """The number of workers."""
        return self._table.workers

    @property
    def worker(self) -> int:
        """The number of this rank's worker."""
        return self._table.worker[0]

    @property
    def worker_rank(self) -> int:
        """The number of this rank in its worker."""
        return self._table.worker[1]

    @property
    def worker_size(self) -> int:
        """The number of ranks of this rank's worker."""
        return self._table.worker[2]

    @property
    def name(self) -> str:
        return self._table.name

    def close(self) -> None:
        """Frees the memory on all ranks. Collective."""
        self._table.close()

    def __repr__(self) -> str:
        return f"<mpisync.Batch {self.name!r} of {len(self)} tasks>"
