"""mpi-channels 0.1.4, over the objects of mpisync: `RemoteChannel`.

Names, arguments and results are those of the original. A wait in `put` or `take` that no other rank can end any more raises an
exception of mpisync. A thread of the rank makes all calls, as it makes those of futures in the original. `s_threashold`, `t_wait`
and `r_wait` have no effect: waits end as soon as they can.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import Any, Callable, Deque, List, Optional

import numpy as np
from mpi4py import MPI

from .._errors import InvalidArgument, Misuse
from .._mpisync import Channel, Condvar, Counter, Mutex

__all__ = ["RemoteChannel"]

#: How long a call waits before those that have come meanwhile have their turn, in seconds.
_SLICE = 0.01
#: After how many seconds a rank whose only thread waits does so without a limit, which finds that no rank can end the wait.
_PATIENCE = 1.0
#: What the threads of channels are called.
_NAME = "RemoteChannel of mpisync"
#: The pauses between the tries of futures, in seconds.
_FIRST_PAUSE = 0.0001
_LONGEST_PAUSE = 0.005

#: What a try returns that has to be repeated.
_AGAIN = object()


class _Queue:
    """What the ranks share: messages, how many were taken, put and claimed, and a lock for them. Of one thread."""

    def __init__(self, comm: Any, capacity: int, longest: int, host: int) -> None:
        self._capacity = capacity
        self._mutex = Mutex(comm, root=host, name="RemoteChannel")
        self._changed = Condvar(comm, root=host, name="RemoteChannel")
        self._messages = Channel(comm, capacity, longest, root=host, name=f"RemoteChannel {longest}B")
        self._taken, self._put, self._claimed = (
            Counter(comm, root=host, name=f"{name} messages of RemoteChannel") for name in ("taken", "put", "claimed")
        )

    def _locked(self, attempt: Callable[[], Any], limit: Optional[float]) -> Any:
        """Calls `attempt` under the lock; if it is to be repeated, waits for a change until the limit, and calls it again."""
        self._mutex.acquire()
        try:
            result = attempt()
            if result is _AGAIN and limit != 0:
                self._changed.wait(self._mutex, timeout=limit)
                result = attempt()
            if result is not _AGAIN:
                self._changed.notify_all()
            return result
        finally:
            # A wait that has failed may have released it.
            if self._mutex.held:
                self._mutex.release()

    def put(self, message: bytes, limit: Optional[float]) -> Any:
        def attempt() -> Any:
            if self._put.get() - self._taken.get() >= self._capacity:
                return _AGAIN
            # There is room, which another node may hear of later.
            self._messages.put(message, None)
            self._put.next()
            return None

        return self._locked(attempt, limit)

    def take(self, limit: Optional[float]) -> Any:
        def attempt() -> Any:
            taken = self._taken.get()
            if taken >= self._claimed.get():
                return None
            if taken >= self._put.get():
                return _AGAIN
            message = self._messages.take(None)
            self._taken.next()
            return message

        return self._locked(attempt, limit)

    def claim(self, count: int) -> Any:
        return self._locked(lambda: self._claimed.add(count) and None, 0)


class _Call:
    """A call that the channel's thread makes."""

    def __init__(self, attempt: Callable[[Optional[float]], Any]) -> None:
        self.attempt = attempt
        self.future: Future[Any] = Future()


class RemoteChannel:
    """A queue of at most `n_buf` messages, arrays of at most `n_mes` items, which any rank puts and any rank takes.

    The messages are in the memory of rank `host`. Collective over all ranks.
    """

    def __init__(
        self,
        n_buf: int,
        n_mes: int,
        dtype: Any = np.float64,
        host: int = 0,
        s_threashold: int = 128,
        t_wait: float = 0,
        r_wait: float = 1,
    ) -> None:
        self.comm = MPI.COMM_WORLD
        self.rank = self.comm.Get_rank()
        self.dtype = dtype
        self.host = host
        self._n_mes = n_mes
        self._items = np.dtype(dtype)
        if self._items.hasobject:
            raise InvalidArgument(f"items are numbers or records of numbers, and {self._items} is not")
        self.put_futures: List[Future[Any]] = []
        self.take_futures: List[Future[Any]] = []
        # The calls that this rank waits for, and the others, which are made one after the other.
        self._direct: Deque[_Call] = deque()
        self._deferred: Deque[_Call] = deque()
        self._change = threading.Condition()
        self._ends = False
        self._is_interrupted = False
        longest = max(1, n_mes * self._items.itemsize)
        made: Future[_Queue] = Future()
        make = lambda: _Queue(self.comm, n_buf, longest, host)  # noqa: E731
        self._thread = threading.Thread(target=self._run, args=(make, made), name=_NAME, daemon=True)
        self._thread.start()
        made.result()
        # Before MPI is finalized.
        atexit.register(self._end)

    def put(self, src: Any) -> None:
        """Puts a message, which has a length; waits while the channel is full."""
        self._wait(_Call(self._put(src)))

    def putf(self, src: Any) -> Future[Any]:
        """`put` in the background."""
        self.put_futures.append(self._defer(_Call(self._put(src))))
        return self.put_futures[-1]

    def take(self) -> Any:
        """Takes the next message; waits for it. Returns None if all messages that were claimed have been taken."""
        return self._wait(_Call(self._take))

    def takef(self) -> Future[Any]:
        """`take` in the background."""
        self.take_futures.append(self._defer(_Call(self._take)))
        return self.take_futures[-1]

    def claim(self, N: int) -> None:
        """Says on the host that so many more messages will come. Nothing on other ranks."""
        if self.rank == self.host:
            self._wait(_Call(lambda limit: self._queue.claim(int(N))))

    def _put(self, src: Any) -> Callable[[Optional[float]], Any]:
        length = len(src)
        if length > self._n_mes:
            raise InvalidArgument(f"the message has {length} items, and may have {self._n_mes}")
        items = np.zeros(length, self._items)
        items[:] = src[:]
        message = items.tobytes()
        return lambda limit: self._queue.put(message, limit)

    def _take(self, limit: Optional[float]) -> Any:
        message = self._queue.take(limit)
        if message is None or message is _AGAIN:
            return message
        return np.frombuffer(bytearray(message), self._items)

    def _wait(self, call: _Call) -> Any:
        self._add(self._direct, call)
        try:
            return call.future.result()
        except BaseException:
            # A signal handler has raised it, and the call goes on.
            self._is_interrupted |= not call.future.done()
            raise

    def _defer(self, call: _Call) -> Future[Any]:
        # It goes on whatever happens to the future.
        call.future.set_running_or_notify_cancel()
        self._add(self._deferred, call)
        return call.future

    def _add(self, calls: Deque[_Call], call: _Call) -> None:
        with self._change:
            if self._is_interrupted or self._ends:
                raise Misuse("a call of the channel was interrupted, or the program ends; make another channel")
            calls.append(call)
            self._change.notify()

    def _end(self) -> None:
        """Lets the calls in the background end, and then the thread."""
        with self._change:
            self._ends = True
            self._change.notify()
        if not self._is_interrupted:
            self._thread.join()

    def _run(self, make: Callable[[], _Queue], made: Future[_Queue]) -> None:
        """Makes the calls, on the thread that owns the queue."""
        try:
            self._queue = make()
        except BaseException as error:
            made.set_exception(error)
            return
        made.set_result(self._queue)
        pause: float = 0
        since = time.monotonic()
        while True:
            with self._change:
                if not self._direct and not self._deferred:
                    if self._ends:
                        break
                    self._change.wait()
                    since = time.monotonic()
                    continue
                calls = [*self._direct, *list(self._deferred)[:1]]
                is_awaited = bool(self._direct)
            limit: Optional[float] = 0
            # A rank that does not wait may still put messages itself, so that others must not count it as one that waits.
            if is_awaited:
                is_patient = time.monotonic() - since > _PATIENCE and _is_only_thread()
                limit = None if is_patient else _SLICE
            results = [self._try(call, limit if call is calls[-1] else 0) for call in calls]
            if any(results):
                since = time.monotonic()
                pause = 0
            elif not is_awaited:
                pause = min(max(2 * pause, _FIRST_PAUSE), _LONGEST_PAUSE)
                time.sleep(pause)
        # Its objects end with the thread.
        del self._queue

    def _try(self, call: _Call, limit: Optional[float]) -> bool:
        """Makes a call. Returns whether it has ended."""
        failure: Optional[BaseException] = None
        result = None
        try:
            result = call.attempt(limit)
            if result is _AGAIN:
                return False
        except BaseException as error:
            failure = error
        with self._change:
            calls = self._deferred if self._deferred and self._deferred[0] is call else self._direct
            calls.remove(call)
        if failure is None:
            call.future.set_result(result)
        else:
            call.future.set_exception(failure)
        return True


def _is_only_thread() -> bool:
    """Whether no thread of the program but one could make a call."""
    return sum(thread.name != _NAME for thread in threading.enumerate()) == 1
