from __future__ import annotations

import os
from types import TracebackType
from typing import Any, Callable, Iterator, List, Optional, Sequence, Tuple, Type, TypeVar, Union, final

_Object = TypeVar("_Object")
_ExceptionType = Optional[Type[BaseException]]
_Traceback = Optional[TracebackType]

__version__: str

@final
class Controller:
    """A reader-writer lock that all ranks of a communicator share. Made by `sync`."""

    def __new__(cls, comm: Any, *, master: int = 0, name: Optional[str] = None) -> Controller: ...
    def read(self, *, timeout: Optional[float] = None) -> Guard:
        """The lock for reading, in a `with` block. Waits while another rank writes or waits to write."""
    def write(self, *, timeout: Optional[float] = None) -> Guard:
        """The lock for writing, in a `with` block. Waits until no other rank reads or writes."""
    def try_read(self) -> Optional[Guard]:
        """The lock for reading, taken already; None if it is not free."""
    def try_write(self) -> Optional[Guard]:
        """The lock for writing, taken already; None if it is not free."""
    def single_write(
        self, rank: Optional[int] = None, *, timeout: Optional[float] = None, name: Optional[str] = None
    ) -> SingleWrite:
        """A call in which `rank`, by default the master, writes under the write lock. Collective.

        The ranks compare the place of the call, or its `name`.
        """
    def collective(self, name: Optional[str] = None) -> Collective:
        """A call that all ranks make, and whose outcome they agree on. Collective.

        The ranks compare the place of the call, or its `name`.
        """
    def take_over(self) -> Optional[Guard]:
        """The write lock in place of a rank that died with it, taken already; None if no rank has."""
    def clear_poison(self) -> bool:
        """Makes the lock usable again after the death of a rank that wrote. Returns whether there was one."""
    def close(self) -> None:
        """Frees the memory on all ranks. Collective."""
    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def master(self) -> int: ...
    @property
    def name(self) -> str: ...

@final
class Guard:
    """A lock of a controller, as a context manager."""

    def __enter__(self) -> Guard: ...
    def __exit__(self, kind: _ExceptionType, value: Optional[BaseException], traceback: _Traceback) -> None: ...
    def release(self) -> None:
        """Releases the lock before the end of the block."""
    def upgrade(self) -> None:
        """Releases the lock for reading and takes that for writing; another rank may write in between."""
    def downgrade(self) -> None:
        """Turns the lock for writing into one for reading; no other rank writes in between."""
    @property
    def held(self) -> bool: ...

@final
class SingleWrite:
    """A call in which one rank writes, as a context manager.

    The writer's object goes to the others at the end of the block, and its exception as well. The others wait for it
    there.
    """

    def __enter__(self) -> SingleWrite: ...
    def __exit__(self, kind: _ExceptionType, value: Optional[BaseException], traceback: _Traceback) -> None: ...
    @property
    def writes(self) -> bool:
        """Whether this rank writes."""
    def share(self, object: _Object) -> _Object:
        """On the writer: shares an object at the end of the block. It is pickled at once."""
    def collect(self) -> Any:
        """On another rank: waits for the object."""
    @property
    def value(self) -> Any:
        """The shared object, after the block; None if the writer has shared none."""

@final
class Collective:
    """A call that all ranks make together, as a context manager."""

    def __enter__(self) -> Collective: ...
    def __exit__(self, kind: _ExceptionType, value: Optional[BaseException], traceback: _Traceback) -> None: ...

@final
class Mutex:
    """A lock that all ranks of a communicator share, granted in the order of arrival. Collective."""

    def __new__(cls, comm: Any, *, root: int = 0, name: Optional[str] = None) -> Mutex: ...
    def __enter__(self) -> Mutex: ...
    def __exit__(self, kind: _ExceptionType, value: Optional[BaseException], traceback: _Traceback) -> None: ...
    def acquire(self, timeout: Optional[float] = None) -> None:
        """Takes the lock; waits behind the ranks that came before. Raises `TimedOut`."""
    def try_acquire(self) -> bool:
        """Takes the lock if it is free. Returns whether it was."""
    def release(self) -> None: ...
    def lock(self, timeout: Optional[float] = None) -> MutexLock:
        """The lock with a time limit, in a `with` block."""
    def take_over(self) -> bool:
        """Takes the lock in place of a rank that died with it. Returns whether one has."""
    def clear_poison(self) -> bool: ...
    def close(self) -> None: ...
    @property
    def held(self) -> bool:
        """Whether this rank holds the lock."""
    @property
    def name(self) -> str: ...

@final
class MutexLock:
    def __enter__(self) -> Mutex: ...
    def __exit__(self, kind: _ExceptionType, value: Optional[BaseException], traceback: _Traceback) -> None: ...

@final
class Condvar:
    """A condition that ranks wait for under a mutex. Collective."""

    def __new__(cls, comm: Any, *, root: int = 0, name: Optional[str] = None) -> Condvar: ...
    def wait(self, mutex: Mutex, *, timeout: Optional[float] = None) -> bool:
        """Releases the mutex, waits for a notification, and takes the mutex again. Returns False after the time limit."""
    def notify(self, most: int = 1) -> int:
        """Wakes the ranks that have waited longest. Returns how many."""
    def notify_all(self) -> int: ...
    def clear_poison(self) -> bool: ...
    def close(self) -> None: ...
    @property
    def name(self) -> str: ...

@final
class Semaphore:
    """A limited number of permits. Collective."""

    def __new__(
        cls, comm: Any, permits: int, *, bounded: bool = True, root: int = 0, name: Optional[str] = None
    ) -> Semaphore: ...
    def __enter__(self) -> Semaphore: ...
    def __exit__(self, kind: _ExceptionType, value: Optional[BaseException], traceback: _Traceback) -> None: ...
    def acquire(self, permits: int = 1, *, timeout: Optional[float] = None) -> None: ...
    def try_acquire(self, permits: int = 1) -> bool: ...
    def release(self, permits: int = 1) -> None:
        """Gives permits back that one call has acquired."""
    def permits(self, permits: int = 1, *, timeout: Optional[float] = None) -> Permits:
        """Permits in a `with` block."""
    def forget(self, permits: int = 1) -> None:
        """Keeps permits that one call has acquired from being given back. Any rank may `add` them later."""
    def add(self, permits: int = 1) -> None:
        """Adds free permits: those that a rank has forgotten, or new ones if the semaphore is not bounded."""
    @property
    def available(self) -> int:
        """How many permits are free now."""
    def clear_poison(self) -> bool: ...
    def close(self) -> None: ...
    @property
    def name(self) -> str: ...

@final
class Permits:
    def __enter__(self) -> Semaphore: ...
    def __exit__(self, kind: _ExceptionType, value: Optional[BaseException], traceback: _Traceback) -> None: ...

@final
class Counter:
    """Numbers, each given out once. Collective."""

    def __new__(
        cls, comm: Any, *, start: int = 0, step: int = 1, root: int = 0, name: Optional[str] = None
    ) -> Counter: ...
    def next(self) -> int:
        """Takes the next number."""
    def add(self, amount: int) -> int:
        """Adds to the counter. Returns what it was before."""
    def get(self) -> int:
        """The next number, which stays."""
    def reserve(self, count: int) -> range:
        """Takes the next `count` numbers."""
    def up_to(self, end: int, *, block: int = 1) -> UpTo:
        """The numbers up to `end`, each on one rank, which takes `block` of them at a time."""
    def close(self) -> None: ...
    @property
    def step(self) -> int: ...
    @property
    def name(self) -> str: ...

@final
class UpTo(Iterator[int]):
    def __iter__(self) -> UpTo: ...
    def __next__(self) -> int: ...

@final
class Barrier:
    """A meeting point of all ranks. Collective."""

    def __new__(cls, comm: Any, *, name: Optional[str] = None) -> Barrier: ...
    def wait(self, timeout: Optional[float] = None) -> None:
        """Arrives, and waits for all ranks. `TimedOut.missing` has those that did not come; this rank stays arrived."""
    def close(self) -> None: ...
    @property
    def name(self) -> str: ...

@final
class Latch:
    """A count that goes down to zero once. Collective."""

    def __new__(cls, comm: Any, count: int, *, root: int = 0, name: Optional[str] = None) -> Latch: ...
    def count_down(self, count: int = 1) -> None:
        """Counts down. The latch is open at zero."""
    def wait(self, timeout: Optional[float] = None) -> None:
        """Waits until the latch is open. `TimedOut.missing` has the ranks that have not counted down."""
    @property
    def remaining(self) -> int:
        """The count that is left."""
    def close(self) -> None: ...
    @property
    def name(self) -> str: ...

@final
class Turn:
    """A turn that passes from rank to rank, in the order of their numbers. Collective."""

    def __new__(cls, comm: Any, *, name: Optional[str] = None) -> Turn: ...
    def __enter__(self) -> Turn: ...
    def __exit__(self, kind: _ExceptionType, value: Optional[BaseException], traceback: _Traceback) -> None: ...
    def acquire(self, timeout: Optional[float] = None) -> None: ...
    def release(self) -> None: ...
    def close(self) -> None: ...
    @property
    def name(self) -> str: ...

@final
class OnceShared:
    """An object that the first rank computes which needs it. Collective.

    `capacity` is how many bytes it may have when it is pickled.
    """

    def __new__(
        cls, comm: Any, *, capacity: int = 65536, root: int = 0, name: Optional[str] = None
    ) -> OnceShared: ...
    def get_or_init(self, compute: Callable[[], _Object], *, timeout: Optional[float] = None) -> _Object:
        """The object. Calls `compute` if no rank has computed it or is computing it."""
    def get(self) -> Any:
        """The object; None if no rank has computed it."""
    def clear_poison(self) -> bool: ...
    def close(self) -> None: ...
    @property
    def name(self) -> str: ...

@final
class RegionMemory:
    def __new__(cls, comm: Any, shape: Sequence[int], item_size: int, *, master: int, name: str) -> RegionMemory: ...
    def lock_read(self, timeout: Optional[float] = None) -> Lent: ...
    def lock_write(self, timeout: Optional[float] = None) -> Lent: ...
    def lock_part(self, start: int, stop: int, timeout: Optional[float] = None) -> Lent: ...
    def unlock(self) -> None: ...
    def take_over(self) -> Optional[Lent]: ...
    def clear_poison(self) -> bool: ...
    def update(self, function: Callable[[Lent], _Object], rank: int, name: Optional[str] = None) -> _Object: ...
    def set(self, prepare: Callable[[], tuple[Any, Sequence[int]]], root: int) -> None: ...
    def close(self) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def master(self) -> int: ...

@final
class Lent:
    @property
    def __array_interface__(self) -> dict[str, Any]: ...

@final
class Channel:
    def __new__(cls, comm: Any, capacity: int, message_size: int, *, root: int, name: str) -> Channel: ...
    def put(self, message: bytes, timeout: Optional[float] = None) -> bool: ...
    def take(self, timeout: Optional[float] = None) -> Any: ...
    def claim(self, messages: int) -> None: ...
    def close(self) -> None: ...
    def __len__(self) -> int: ...
    @property
    def name(self) -> str: ...

@final
class TaskTable:
    def __new__(
        cls,
        comm: Any,
        tasks: Union[int, Sequence[str]],
        *,
        worker_size: Union[int, Sequence[int], str],
        state_dir: Union[None, str, os.PathLike[str]],
        name: Optional[str],
        root: int,
        durable: bool,
        strict: bool,
        stale_after: Optional[float],
        tries: Optional[int],
        task_timeout: Optional[float],
        initial_states: Optional[List[str]] = None,
    ) -> TaskTable: ...
    def next_task(self, *, running: bool = False, failed: bool = False, done: bool = False) -> Optional[Task]: ...
    def next_tasks(
        self, most: int, *, running: bool = False, failed: bool = False, done: bool = False
    ) -> List[Task]: ...
    def wait_all(self, timeout: Optional[float] = None) -> Tuple[int, int, int, int, int]: ...
    def summary(self) -> Tuple[int, int, int, int, int]: ...
    def state(self, task: int) -> str: ...
    def set_state(self, task: int, state: str) -> None: ...
    def task_name(self, task: int) -> str: ...
    def problems(self) -> List[str]: ...
    def stop(self) -> None: ...
    @property
    def stopped(self) -> bool: ...
    def close(self) -> None: ...
    def __len__(self) -> int: ...
    @property
    def workers(self) -> int: ...
    @property
    def worker(self) -> Tuple[int, int, int]: ...
    @property
    def name(self) -> str: ...

@final
class Task:
    """A task that this rank's worker has. Each rank of the worker ends it."""

    def __enter__(self) -> Task: ...
    def __exit__(self, kind: _ExceptionType, value: Optional[BaseException], traceback: _Traceback) -> None: ...
    def done(self) -> None: ...
    def failed(self, reason: str = ...) -> None: ...
    def reopen(self) -> None:
        """Leaves the task to any worker."""
    @property
    def index(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def directory(self) -> Optional[os.PathLike[str]]: ...
    @property
    def attempt(self) -> Optional[int]: ...
    @property
    def was(self) -> str:
        """The state before the task was taken."""
    @property
    def ended(self) -> bool: ...
