"""Locks, fences, channels, shared arrays and task queues for the ranks of an MPI program."""

from __future__ import annotations

from ._batch import Batch, Summary
from ._channel import RemoteChannel
from ._errors import (
    Closed,
    CreationError,
    Deadlock,
    Error,
    Exhausted,
    Finalized,
    HostSilent,
    InternalError,
    InvalidArgument,
    Mismatch,
    Misuse,
    OutOfMemory,
    Poisoned,
    RankDied,
    RankEnded,
    RankFailed,
    TaskError,
    TimedOut,
)
from ._functions import collective, single_write, sync
from ._mpisync import (
    Barrier,
    Condvar,
    Controller,
    Counter,
    Latch,
    Mutex,
    OnceShared,
    Semaphore,
    Task,
    Turn,
    __version__,
)


def __getattr__(name: str) -> object:
    # What needs numpy is loaded when it is asked for.
    if name in ("Region", "RegionView"):
        from . import _region

        return getattr(_region, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Barrier",
    "Batch",
    "Closed",
    "Condvar",
    "Controller",
    "Counter",
    "CreationError",
    "Deadlock",
    "Error",
    "Exhausted",
    "Finalized",
    "HostSilent",
    "InternalError",
    "InvalidArgument",
    "Latch",
    "Mismatch",
    "Misuse",
    "Mutex",
    "OnceShared",
    "OutOfMemory",
    "Poisoned",
    "RankDied",
    "RankEnded",
    "RankFailed",
    "Region",
    "RegionView",
    "RemoteChannel",
    "Semaphore",
    "Summary",
    "Task",
    "TaskError",
    "TimedOut",
    "Turn",
    "__version__",
    "collective",
    "single_write",
    "sync",
]
