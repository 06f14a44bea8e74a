"""`MPIBatch`: tasks for groups of ranks, with their states in shared memory and in a directory."""

from __future__ import annotations

import os
from typing import Any, Callable, List, Optional, TypeVar

import numpy as np

from ..._errors import InvalidArgument, Misuse
from .utils import InvalidData

_Result = TypeVar("_Result")

_STATES = {"INVALID": -1, "OPEN": 0, "RUNNING": 1, "DONE": 2, "FAILED": 3}


class MPIBatch:
    """Tasks, which groups of `worker_size` ranks, the workers, take one after the other. Collective.

    `init_state` has the first states, of rank `root`. With `task_fs_root` and `task_fs_names`, the state of each task is also in
    a file, which other jobs may change.
    """

    INVALID = _STATES["INVALID"]
    OPEN = _STATES["OPEN"]
    RUNNING = _STATES["RUNNING"]
    DONE = _STATES["DONE"]
    FAILED = _STATES["FAILED"]

    state_file_name = "state"

    def __init__(
        self,
        comm: Any,
        worker_size: int,
        n_task: int,
        init_state: Any = None,
        task_fs_root: Optional[str] = None,
        task_fs_names: Optional[List[str]] = None,
        root: int = 0,
        debug: bool = False,
    ) -> None:
        if task_fs_root is not None and task_fs_names is None:
            raise InvalidData("If tracking state with the filesystem, task names are required")
        if task_fs_names is not None and n_task != len(task_fs_names):
            raise InvalidData("If using filesystem, n_task should match length of task_fs_names")
        if comm is None and worker_size != 1:
            raise InvalidData("If comm is None, worker_size should be 1")
        rank: int = 0 if comm is None else comm.rank
        size: int = 1 if comm is None else comm.size
        if size % worker_size != 0:
            raise InvalidData("Total number of MPI processes must be divisible by worker_size")
        self._comm = comm
        self._rank = rank
        self._n_task = n_task
        self._root = root
        self._debug = debug
        self._task_fs_root = task_fs_root
        self._task_fs_names = task_fs_names
        self._worker_size = worker_size
        self._n_worker = size // worker_size
        self._worker, self._worker_rank = divmod(rank, worker_size)
        self._worker_comm = None if comm is None else comm.Split(self._worker, self._worker_rank)
        self._team: Any = None
        if worker_size > 1:
            from ..._mpisync import Controller

            self._team = Controller(self._worker_comm, name="worker of MPIBatch")
        from ..._region import Region

        # A batch without tasks has a region, too.
        self._states: Optional[Region] = Region(comm, max(n_task, 1), np.int32, master=root, name="MPIBatch")
        self._states.update(lambda states: self._fill(states, init_state), rank=root, name="MPIBatch")

    def _fill(self, states: Any, init_state: Any) -> None:
        """Sets the first states, on the root."""
        if self._task_fs_root is None:
            if init_state is not None:
                states[: self._n_task] = init_state
            return
        if os.path.exists(self._task_fs_root) and init_state is not None:
            raise InvalidData(
                f"Filesystem root {self._task_fs_root} exists.  Initial state will be read from that and init_state should be "
                "None"
            )
        for task in range(self._n_task):
            os.makedirs(self._directory(task), exist_ok=True)
            state = self.read_task_state(task)
            if state == self.INVALID:
                state = self.OPEN
                self.write_task_state(task, state)
            states[task] = state

    @classmethod
    def state_to_string(cls, state: int) -> str:
        """The name of a state."""
        for name, number in _STATES.items():
            if number == state:
                return name
        raise InvalidData(f"Unknown state '{state}'")

    @classmethod
    def string_to_state(cls, state_str: str) -> int:
        """The state of this name."""
        if state_str not in _STATES:
            raise InvalidData(f"Unknown state string '{state_str}'")
        return _STATES[state_str]

    def _directory(self, task: int) -> str:
        if self._task_fs_root is None or self._task_fs_names is None:
            raise Misuse("the batch has no directory")
        return os.path.join(self._task_fs_root, self._task_fs_names[task])

    def write_task_state(self, task: int, state: int) -> None:
        """Writes the file of a task, if there is a directory. Local."""
        if self._task_fs_root is None:
            return
        path = os.path.join(self._directory(task), self.state_file_name)
        with open(f"{path}.temp", "w") as file:
            file.write(self.state_to_string(state) + "\n")
        os.rename(f"{path}.temp", path)

    def read_task_state(self, task: int) -> int:
        """Reads the file of a task. Local."""
        path = os.path.join(self._directory(task), self.state_file_name)
        if not os.path.isfile(path):
            return self.INVALID
        with open(path) as file:
            return self.string_to_state(file.readline().rstrip())

    def __del__(self) -> None:
        # The others may still use it.
        self._states = self._team = None

    def __enter__(self) -> MPIBatch:
        return self

    def __exit__(self, type: Any, value: Any, tb: Any) -> None:
        if value is None:
            self.close()

    def close(self) -> None:
        """Frees the memory. Collective."""
        states, self._states = self._states, None
        if states is not None:
            states.close()

    @property
    def comm(self) -> Any:
        """The communicator of all ranks."""
        return self._comm

    @property
    def n_task(self) -> int:
        """The number of tasks."""
        return self._n_task

    @property
    def n_worker(self) -> int:
        """The number of workers."""
        return self._n_worker

    @property
    def worker_size(self) -> int:
        """The number of ranks of each worker."""
        return self._worker_size

    @property
    def worker(self) -> int:
        """The number of this rank's worker."""
        return self._worker

    @property
    def worker_rank(self) -> int:
        """The number of this rank in its worker."""
        return self._worker_rank

    @property
    def worker_comm(self) -> Any:
        """The communicator of this rank's worker."""
        return self._worker_comm

    def _say(self, text: str) -> None:
        if self._debug:
            print(f"MPIBatch: rank {self._rank} of worker {self._worker}: {text}", flush=True)

    def _change(self, change: Callable[[Any], _Result]) -> _Result:
        """Calls `change` with the states, while no other rank uses them."""
        if self._states is None:
            raise Misuse("the batch is closed")
        with self._states.write() as states:
            return change(states)

    def _check(self, task: int) -> None:
        if not 0 <= task < self._n_task:
            raise InvalidArgument(f"there is no task {task}; the batch has {self._n_task}")

    def _look(self, states: Any, task: int) -> int:
        """The state of a task. What the file has comes first, because another job may have changed it."""
        if self._task_fs_root is not None:
            states[task] = self.read_task_state(task)
        return int(states[task])

    def next_task(
        self, ignore_running: bool = False, ignore_failed: bool = False, ignore_done: bool = False
    ) -> Optional[int]:
        """Takes the first task that is open, or in a state that is ignored; None if there is none. Collective in the worker."""
        wanted = {self.OPEN}
        for state, is_ignored in ((self.RUNNING, ignore_running), (self.FAILED, ignore_failed), (self.DONE, ignore_done)):
            if is_ignored:
                wanted.add(state)

        def take(states: Any) -> Optional[int]:
            for task in range(self._n_task):
                if self._look(states, task) in wanted:
                    self.write_task_state(task, self.RUNNING)
                    states[task] = self.RUNNING
                    return task
            return None

        if self._team is None:
            task = self._change(take)
        else:
            with self._team.single_write(name="MPIBatch.next_task") as call:
                if call.writes:
                    call.share(self._change(take))
            task = call.value
        if self._worker_rank == 0:
            self._say("no task is left" if task is None else f"takes task {task}")
        return task

    def set_task_state(self, task: int, state: int) -> None:
        """Sets the state of a task."""
        name = self.state_to_string(state)
        self._check(task)

        def put(states: Any) -> None:
            self.write_task_state(task, state)
            states[task] = state

        self._change(put)
        self._say(f"task {task} is {name}")

    def get_task_state(self, task: int) -> int:
        """The state of a task."""
        self._check(task)
        return self._change(lambda states: self._look(states, task))
