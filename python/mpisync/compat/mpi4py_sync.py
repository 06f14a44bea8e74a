"""`mpi4py.util.sync` of mpi4py 4.1.2, over the objects of mpisync.

Names, arguments and results are those of the original, and so are the exceptions for wrong calls, which are of the classes
`mpisync.Misuse` and `mpisync.InvalidArgument` too. A wait for a rank that has died or ended raises an exception of mpisync.
Objects are made and freed by all ranks of their communicator together. `info` has no effect.
"""

from __future__ import annotations

import array
from typing import Any, Callable, Iterator, Optional, TypeVar, Union

from mpi4py import MPI

from .._errors import InvalidArgument, Misuse
from .._mpisync import Condvar, Turn
from .._mpisync import Counter as _Counter
from .._mpisync import Mutex as _Mutex

__all__ = [
    "Sequential",
    "Counter",
    "Mutex",
    "Condition",
    "Semaphore",
]

_Result = TypeVar("_Result")

#: More ranks than there are.
_ALL = (1 << 31) - 1


class Sequential:
    """Sections that ranks run one after the other, in the order of their numbers. Collective.

    All ranks have had their turn before the next round begins.
    """

    def __init__(self, comm: Any, tag: int = 0) -> None:
        self.comm = comm
        self.tag = int(tag)
        self._turn = Turn(comm, name=f"Sequential {self.tag}")

    def __enter__(self) -> Sequential:
        self.begin()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.end()

    def begin(self) -> None:
        """Waits for the turn of this rank."""
        self._turn.acquire()

    def end(self) -> None:
        """Passes the turn to the next rank."""
        self._turn.release()


class _Integers:
    """A number of a type of C with so many bits, in a counter of 64 bits."""

    def __init__(self, typecode: str, start: int, comm: Any, root: int) -> None:
        self._bits = 8 * array.array(typecode).itemsize
        self._is_signed = typecode.islower()
        self._counter = _Counter(comm, start=self._wrap(start, 64, True), root=root, name="Counter")

    @staticmethod
    def _wrap(value: int, bits: int, is_signed: bool) -> int:
        value &= (1 << bits) - 1
        return value - (1 << bits) if is_signed and value >> (bits - 1) else value

    def add(self, amount: int) -> int:
        before = self._counter.add(self._wrap(amount, 64, True))
        return self._wrap(before, self._bits, self._is_signed)

    def close(self) -> None:
        self._counter.close()


class _Floats:
    """A number with a fraction, in a region."""

    def __init__(self, typecode: str, start: float, comm: Any, root: int) -> None:
        from .._region import Region

        self._region = Region(comm, 1, typecode, master=root, name="Counter")
        self._region.set([start], root=root)

    def add(self, amount: float) -> float:
        with self._region.write() as items:
            before = float(items[0])
            items[0] += amount
        return before

    def close(self) -> None:
        self._region.close()


class Counter:
    """A number that all ranks increment, in the memory of `root`. Collective."""

    def __init__(
        self,
        start: Any = 0,
        step: Any = 1,
        *,
        typecode: str = "i",
        comm: Any = MPI.COMM_SELF,
        info: Any = MPI.INFO_NULL,
        root: int = 0,
    ) -> None:
        typechar = MPI.Datatype.fromcode(typecode).typechar
        self._start = start
        self._step = step
        self._typechar = typechar
        self._comm = comm
        # It checks the value, too.
        first = array.array(typechar, [start])[0]
        kind = _Floats if typechar in "fd" else _Integers
        self._number: Union[None, _Floats, _Integers] = kind(typechar, first, comm, root)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self.next()

    def next(self, incr: Any = None) -> Any:
        """Adds `incr`, by default the step. Returns what the number was before."""
        if self._number is None:
            raise Misuse("counter already freed")
        amount = array.array(self._typechar, [self._step if incr is None else incr])
        return self._number.add(amount[0])

    def free(self) -> None:
        """Frees the memory. Collective."""
        number, self._number = self._number, None
        self._comm = MPI.COMM_NULL
        if number is not None:
            number.close()


class Mutex:
    """A lock that one rank has at a time, in the order of arrival. Collective."""

    def __init__(
        self, *, recursive: bool = False, comm: Any = MPI.COMM_SELF, info: Any = MPI.INFO_NULL
    ) -> None:
        self._recursive = bool(recursive)
        self._comm = comm
        self._count = 0
        self._mutex: Optional[_Mutex] = _Mutex(comm, name="Mutex")

    def _not_freed(self) -> _Mutex:
        if self._mutex is None:
            raise Misuse("mutex already freed")
        return self._mutex

    def __enter__(self) -> Mutex:
        self.acquire()
        return self

    def __exit__(self, kind: Any, *exc: Any) -> None:
        # The wait of a condition that has failed has released the lock before.
        if kind is None or self._count > 0:
            self.release()

    def acquire(self, blocking: bool = True) -> bool:
        """Takes the lock. Returns whether this rank has it, which is False only if it is not `blocking`."""
        mutex = self._not_freed()
        if self._count > 0:
            if not self._recursive:
                raise Misuse("cannot acquire already held mutex")
            self._count += 1
            return True
        if blocking:
            mutex.acquire()
        elif not mutex.try_acquire():
            return False
        self._count = 1
        return True

    def release(self) -> None:
        """Releases the lock, if this was the last `release` for the calls of `acquire`."""
        mutex = self._not_freed()
        if self._count == 0:
            raise Misuse("cannot release unheld mutex")
        if self._count == 1:
            mutex.release()
        self._count -= 1

    def _release_all(self) -> None:
        """Releases the lock if this rank has it."""
        if self._mutex is not None and self._count > 0:
            self._count = 0
            self._mutex.release()

    def locked(self) -> bool:
        """Whether this rank has the lock."""
        self._not_freed()
        return self._count > 0

    def count(self) -> int:
        """How many calls of `acquire` this rank has to release."""
        self._not_freed()
        return self._count

    def free(self) -> None:
        """Releases the lock and frees the memory. Collective."""
        self._release_all()
        mutex, self._mutex = self._mutex, None
        self._comm = MPI.COMM_NULL
        if mutex is not None:
            mutex.close()


class Condition:
    """A condition that ranks wait for under a mutex, which is their own if none is given. Collective."""

    def __init__(
        self,
        mutex: Optional[Mutex] = None,
        *,
        recursive: bool = True,
        comm: Any = MPI.COMM_SELF,
        info: Any = MPI.INFO_NULL,
    ) -> None:
        self._owns_mutex = mutex is None
        self._mutex = Mutex(recursive=recursive, comm=comm, info=info) if mutex is None else mutex
        self._comm = self._mutex._comm
        self._condvar: Optional[Condvar] = Condvar(self._comm, name="Condition")

    def _not_freed(self) -> Condvar:
        if self._condvar is None:
            raise Misuse("condition already freed")
        return self._condvar

    def __enter__(self) -> Condition:
        self.acquire()
        return self

    def __exit__(self, *exc: Any) -> None:
        self._not_freed()
        self._mutex.__exit__(*exc)

    def acquire(self, blocking: bool = True) -> bool:
        """Takes the lock of the mutex."""
        self._not_freed()
        return self._mutex.acquire(blocking)

    def release(self) -> None:
        """Releases the lock of the mutex."""
        self._not_freed()
        self._mutex.release()

    def locked(self) -> bool:
        """Whether this rank has the lock of the mutex."""
        return self._mutex.locked()

    def wait(self) -> bool:
        """Releases the lock, waits for a notification, and takes the lock again. Returns True."""
        condvar = self._not_freed()
        if not self.locked():
            raise Misuse("cannot wait on unheld mutex")
        mutex = self._mutex._not_freed()
        count, self._mutex._count = self._mutex._count, 0
        try:
            condvar.wait(mutex)
        finally:
            # A wait that has failed has the lock or not.
            self._mutex._count = count if mutex.held else 0
        return True

    def wait_for(self, predicate: Callable[[], _Result]) -> _Result:
        """Waits until `predicate` returns something that is true, and returns that."""
        while not (result := predicate()):
            self.wait()
        return result

    def notify(self, n: int = 1) -> int:
        """Wakes the `n` ranks that have waited longest. Returns how many."""
        condvar = self._not_freed()
        if not self.locked():
            raise Misuse("cannot notify on unheld mutex")
        return condvar.notify(max(0, min(n, _ALL)))

    def notify_all(self) -> int:
        """Wakes all ranks that wait. Returns how many."""
        return self.notify(_ALL)

    def free(self) -> None:
        """Releases the lock and frees the memory. Collective."""
        self._mutex._release_all()
        if self._owns_mutex:
            self._mutex.free()
        condvar, self._condvar = self._condvar, None
        self._comm = MPI.COMM_NULL
        if condvar is not None:
            condvar.close()


class Semaphore:
    """A limited number of permits. Any rank may give permits back. Collective."""

    def __init__(
        self,
        value: int = 1,
        *,
        bounded: bool = True,
        comm: Any = MPI.COMM_SELF,
        info: Any = MPI.INFO_NULL,
    ) -> None:
        if value < 0:
            raise InvalidArgument("initial value must be non-negative")
        self._bounded = bool(bounded)
        self._counter = Counter(value, comm=comm, info=info)
        self._condvar = Condition(recursive=False, comm=comm, info=info)
        self._comm = comm

    def __enter__(self) -> Semaphore:
        self.acquire()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.release()

    def acquire(self, blocking: bool = True) -> bool:
        """Takes a permit. Returns whether it has, which is False only if it is not `blocking`."""
        with self._condvar:
            while self._counter.next(0) == 0:
                if not blocking:
                    return False
                self._condvar.wait()
            self._counter.next(-1)
            return True

    def release(self, n: int = 1) -> None:
        """Gives `n` permits back."""
        if n < 1:
            raise InvalidArgument("increment must be one or more")
        with self._condvar:
            if self._bounded and self._counter.next(0) + n > self._counter._start:
                raise InvalidArgument("semaphore released too many times")
            self._counter.next(n)
            self._condvar.notify(n)

    def free(self) -> None:
        """Frees the memory. Collective."""
        self._counter.free()
        self._condvar.free()
        self._comm = MPI.COMM_NULL
