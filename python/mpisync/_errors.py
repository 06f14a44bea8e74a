"""The exceptions of mpisync."""

from __future__ import annotations

from typing import Optional, Tuple


class Error(Exception):
    """The base of all exceptions of mpisync.

    `rank` is the rank that caused it, in the communicator of the object, or None. `object` is the name of the object
    of the call. `reason` is the text of another rank's exception. `missing` has the ranks that did not come.
    """

    rank: Optional[int] = None
    object: Optional[str] = None
    reason: Optional[str] = None
    missing: Tuple[int, ...] = ()


class Misuse(Error, RuntimeError):
    """A call in the wrong place: a guard that has ended, an object of another thread, a lock inside itself."""


class Finalized(Misuse):
    """MPI is not initialized yet, or finalized already."""


class InvalidArgument(Error, ValueError):
    """An argument that cannot be used."""


class CreationError(Error):
    """The object cannot be made here."""


class OutOfMemory(CreationError, MemoryError):
    """There is not enough memory, or no more room for objects."""


class Mismatch(Error):
    """The ranks make different calls, or pass different arguments."""


class TimedOut(Error, TimeoutError):
    """It was not possible within the time limit."""


class RankDied(Error):
    """A rank died, for which this one would wait."""


class RankEnded(RankDied):
    """A rank ended, or left the call, for which this one would wait."""


class Poisoned(RankDied):
    """A rank died while it held the lock. See `take_over` and `clear_poison` of the object."""


class HostSilent(Error):
    """A host does not answer."""


class Deadlock(Error):
    """Ranks wait for each other, or no other rank is left that could end the wait."""


class RankFailed(Error):
    """The rank that writes for all, or a rank of a collective call, has raised an exception. `reason` is its text."""


class Closed(Error):
    """No rank takes messages from the channel any more."""


class Exhausted(Error):
    """The numbers or permits of the object do not suffice."""


class TaskError(Error):
    """A batch's state directory cannot be used, or a task was taken away."""


class InternalError(Error):
    """A fault of mpisync. Please report it."""
