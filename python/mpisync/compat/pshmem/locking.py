"""`MPILock`: a lock that one rank has at a time."""

from __future__ import annotations

from typing import Any, Optional

from ..._errors import Misuse
from ..._mpisync import Mutex


class MPILock:
    """A lock that one rank has at a time, in the order of arrival, in the memory of `root`. Collective.

    The `with` block closes the lock at its end, and takes it not.
    """

    def __init__(self, comm: Any, root: int = 0, debug: bool = False) -> None:
        self._comm = comm
        self._root = root
        self._debug = debug
        self._rank = 0 if comm is None else comm.rank
        self._have_lock = False
        self._mutex: Optional[Mutex] = Mutex(comm, root=root if comm is not None else 0, name="MPILock")

    def __enter__(self) -> MPILock:
        return self

    def __exit__(self, type: Any, value: Any, tb: Any) -> None:
        if value is None:
            self.close()
        else:
            self._drop()

    def _open(self) -> Mutex:
        if self._mutex is None:
            raise Misuse("the lock is closed")
        return self._mutex

    def _drop(self) -> None:
        """Leaves the memory to the ranks that still have it."""
        mutex, self._mutex = self._mutex, None
        if mutex is not None and self._have_lock:
            self._have_lock = False
            mutex.release()

    def close(self) -> None:
        """Releases the lock and frees the memory. Collective."""
        mutex = self._mutex
        self._drop()
        if mutex is not None:
            mutex.close()

    @property
    def comm(self) -> Any:
        """The communicator."""
        return self._comm

    def _say(self, text: str) -> None:
        if self._debug:
            print(f"{text} rank {self._rank}", flush=True)

    def lock(self) -> None:
        """Takes the lock, unless this rank has it already."""
        if self._have_lock:
            return
        self._say("lock: waits on")
        self._open().acquire()
        self._have_lock = True
        self._say("lock: taken by")

    def unlock(self) -> None:
        """Releases the lock, if this rank has it."""
        if not self._have_lock:
            return
        self._have_lock = False
        self._open().release()
        self._say("unlock: released by")
