"""mpilock 2.2.1, over the objects of mpisync: `sync`, `WindowController`, `Fence` and `FencedSignal`.

Names, arguments and results are those of the original. A wait for a rank that has died or ended raises an exception of
mpisync, and so does `Fence.collect` if the rank that writes has raised one in its block. `pump` and `pump_interval` have no
effect: a rank that computes delays no other rank.
"""

from __future__ import annotations

from typing import Any, Optional

from mpi4py import MPI

from .._errors import Misuse, RankFailed
from .._mpisync import Controller

__all__ = ["sync", "WindowController", "Fence", "FencedSignal"]

__version__ = "2.2.1"


class FencedSignal(Exception):
    """Takes a rank that does not write out of the block of a fence."""


def sync(
    comm: Any = None, master: int = 0, pump: Optional[bool] = None, pump_interval: float = 1e-4
) -> WindowController:
    """Makes a controller on a communicator, by default that of all ranks. Collective."""
    return WindowController(comm, master, pump=pump, pump_interval=pump_interval)


class WindowController:
    """A reader-writer lock that all ranks of a communicator share. Collective."""

    def __init__(
        self, comm: Any = None, master: int = 0, pump: Optional[bool] = None, pump_interval: float = 1e-4
    ) -> None:
        self._comm = MPI.COMM_WORLD if comm is None else comm
        self._size = self._comm.Get_size()
        self._rank = self._comm.Get_rank()
        self._master = master
        self._lock = Controller(self._comm, master=master, name="mpilock")
        #: For what goes between the ranks in a call of all, whatever locks they have.
        self._calls = Controller(self._comm, master=master, name="mpilock single_write")
        #: The lock that this rank has.
        self._guard: Any = None
        self._read_depth = 0
        self._write_depth = 0
        self._closed = False

    @property
    def master(self) -> int:
        """The rank that writes in a `single_write`, if no other is named."""
        return self._master

    @property
    def rank(self) -> int:
        """The number of this rank."""
        return self._rank

    @property
    def closed(self) -> bool:
        """Whether the controller is closed."""
        return self._closed

    def close(self) -> None:
        """Frees the memory. Collective."""
        if self._closed:
            return
        self._closed = True
        self._lock.close()
        self._calls.close()

    def __enter__(self) -> WindowController:
        return self

    def __exit__(self, kind: Any, *args: Any) -> None:
        if kind is None:
            self.close()
        else:
            # The other ranks may still be in the block. The memory goes with the last of them.
            self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise Misuse("the controller is closed")

    def read(self) -> _ReadLock:
        """The lock for reading, in a `with` block. Waits while another rank writes or waits to write."""
        return _ReadLock(self)

    def write(self) -> _WriteLock:
        """The lock for writing, in a `with` block. Waits until no other rank reads or writes.

        Inside a lock for reading of this rank, that is released before, and taken again at the end.
        """
        return _WriteLock(self)

    def single_write(self, handle: Any = None, rank: Optional[int] = None) -> Any:
        """A block in which `rank`, by default the master, writes. All ranks wait for each other at its end. Collective.

        The block gets a `Fence`; or with a `handle`, that on the rank that writes, and None on the others.
        """
        rank = self._master if rank is None else rank
        fence = Fence(rank, self._rank == rank, self._comm, self._calls)
        if self._rank == rank:
            return _WriteLock(self, fence, handle)
        return _NoHandle(fence) if handle else fence


class _ReadLock:
    def __init__(self, controller: WindowController) -> None:
        self._ctrl = controller
        self._owns = False

    def __enter__(self) -> None:
        ctrl = self._ctrl
        ctrl._check_open()
        self._owns = ctrl._guard is None
        if self._owns:
            ctrl._guard = ctrl._lock.read().__enter__()
        ctrl._read_depth += 1

    def __exit__(self, *exception: Any) -> None:
        ctrl = self._ctrl
        ctrl._read_depth -= 1
        if self._owns:
            guard, ctrl._guard = ctrl._guard, None
            guard.__exit__(*exception)


class _WriteLock:
    def __init__(self, controller: WindowController, fence: Optional[Fence] = None, handle: Any = None) -> None:
        self._ctrl = controller
        self._fence = fence
        self._handle = handle
        self._owns = self._upgraded = False

    def __enter__(self) -> Any:
        ctrl = self._ctrl
        ctrl._check_open()
        if ctrl._guard is None:
            ctrl._guard = ctrl._lock.write().__enter__()
            self._owns = True
        elif ctrl._write_depth == 0:
            ctrl._guard.upgrade()
            self._upgraded = True
        ctrl._write_depth += 1
        return self._fence if self._handle is None else self._handle

    def __exit__(self, *exception: Any) -> None:
        ctrl = self._ctrl
        ctrl._write_depth -= 1
        if self._owns:
            guard, ctrl._guard = ctrl._guard, None
            guard.__exit__(*exception)
        elif self._upgraded:
            ctrl._guard.downgrade()
        if self._fence is not None:
            self._fence._meet(*exception)


class Fence:
    """Keeps the ranks that do not write out of a block, and shares what the one that writes has."""

    def __init__(self, master: int, access: bool, comm: Any, calls: Optional[Controller] = None) -> None:
        self._master = master
        self._access = access
        self._comm = comm
        self._calls = Controller(comm, master=master, name="mpilock fence") if calls is None else calls
        self._obj: Any = None
        #: What the other ranks get instead of the object.
        self._failure: Optional[RankFailed] = None
        self._has_failed = False

    def guard(self) -> None:
        """Takes this rank to the end of the block, unless it is the one that writes."""
        if not self._access:
            raise FencedSignal()

    def share(self, obj: Any) -> None:
        """Gives an object to `collect`."""
        self._obj = obj

    def collect(self) -> Any:
        """Waits for the object of the rank that writes, and returns it. Collective."""
        if self._failure is not None:
            raise self._failure
        if self._has_failed:
            return self._obj
        with self._calls.single_write(self._master, name="mpilock.Fence.collect") as call:
            if call.writes:
                call.share(self._obj)
        return self._obj if self._access else call.value

    def __enter__(self) -> Fence:
        return self

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> bool:
        self._meet(kind, value, traceback)
        return kind is FencedSignal

    def _meet(self, kind: Any, value: Any, traceback: Any) -> None:
        """Waits for all ranks, and tells those that do not write if the one that does has raised an exception."""
        call = self._calls.collective("mpilock.single_write")
        call.__enter__()
        if self._access:
            self._has_failed = kind is not None
            call.__exit__(kind, value, traceback)
            return
        try:
            call.__exit__(None, None, None)
        except RankFailed as failure:
            self._failure = failure


class _NoHandle:
    def __init__(self, fence: Fence) -> None:
        self._fence = fence

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        self._fence._meet(kind, value, traceback)
