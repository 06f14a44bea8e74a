"""Channels: queues of messages between ranks."""

from __future__ import annotations

import asyncio
import struct
from typing import Any, AsyncIterator, Callable, Iterable, Iterator, Optional, Tuple

from ._errors import Closed, InvalidArgument
from ._mpisync import Channel

#: The pauses between the tries of a coroutine, in seconds.
_FIRST_PAUSE = 0.00005
_LONGEST_PAUSE = 0.01


def _coding(message: Any) -> Tuple[int, str, Callable[[Any], bytes], Callable[[bytes], Any]]:
    """The size of messages, their type in the channel's name, and how they become bytes and values again."""
    if isinstance(message, int) and not isinstance(message, bool):
        if message < 0:
            raise InvalidArgument(f"a message cannot have {message} bytes")
        return message, f"{message}B", _to_bytes, bytes
    if isinstance(message, struct.Struct):
        form = message.format
        return (
            message.size,
            form if isinstance(form, str) else form.decode(),
            lambda values: message.pack(*values) if isinstance(values, tuple) else message.pack(values),
            message.unpack,
        )
    import numpy

    if isinstance(message, tuple) and len(message) == 2 and isinstance(message[1], (int, tuple)):
        dtype = numpy.dtype(message[0])
        shape = (message[1],) if isinstance(message[1], int) else message[1]
    else:
        dtype, shape = numpy.dtype(message), ()
    if dtype.hasobject or dtype.itemsize == 0:
        raise InvalidArgument(f"messages are numbers or records of numbers, and {dtype} is not")
    size = dtype.itemsize
    for length in shape:
        size *= length

    def encode(value: Any) -> bytes:
        array = numpy.asarray(value, dtype)
        if array.shape != shape:
            raise InvalidArgument(f"the message has the shape {array.shape}, and those of the channel {shape}")
        return array.tobytes()

    def decode(data: bytes) -> Any:
        if shape:
            return numpy.frombuffer(bytearray(data), dtype).reshape(shape)
        return numpy.frombuffer(data, dtype)[0]

    return size, f"{str(dtype).replace(' ', '')[:80]}{list(shape) if shape else ''}", encode, decode


def _to_bytes(message: Any) -> bytes:
    return message if isinstance(message, bytes) else bytes(memoryview(message))


class RemoteChannel:
    """A bounded queue of messages, which any rank puts and any rank takes. Collective.

    `message` says what they are: a number of bytes, for `bytes` of at most that length; a type of numpy, for its numbers or
    records; a pair of a type and a shape, for arrays; or a `struct.Struct`, for tuples. `capacity` is how many messages the
    channel holds, in the memory of the node of `root`.
    """

    def __init__(
        self, comm: Any, capacity: int, message: Any = 56, *, root: int = 0, name: Optional[str] = None
    ) -> None:
        size, kind, self._encode, self._decode = _coding(message)
        self._capacity = capacity
        # The ranks compare the name, and with it the type of messages.
        self._channel = Channel(comm, capacity, size, root=root, name=f"{name or 'channel'} {kind}")
        self._rank = 0 if comm is None else comm.rank

    @property
    def capacity(self) -> int:
        return self._capacity

    @property
    def name(self) -> str:
        return self._channel.name

    def put(self, message: Any, *, timeout: Optional[float] = None) -> None:
        """Puts a message; waits while the channel is full."""
        data = self._encode(message)
        if not self._channel.put(data, timeout):
            # A limit of 0 is a try.
            self._channel.put(data, 1e-9)

    def try_put(self, message: Any) -> bool:
        """Puts a message unless the channel is full. Returns whether it has."""
        return self._channel.put(self._encode(message), 0.0)

    def put_all(self, messages: Iterable[Any]) -> None:
        """Puts all messages; waits while the channel is full."""
        for message in messages:
            self.put(message)

    def take(self, *, timeout: Optional[float] = None) -> Any:
        """Takes the next message; waits while the channel is empty. Returns None at the end of the stream.

        The stream ends when all messages that were claimed are taken, or the channel is empty and no rank is left that could
        put one: all have closed theirs, have ended, or wait in `take` themselves.
        """
        data = self._channel.take(timeout)
        if data is None:
            # A limit of 0 is a try.
            data = self._channel.take(1e-9)
        return None if data is False else self._decode(data)

    def try_take(self) -> Any:
        """Takes the next message; None if there is none now. Raises `Closed` at the end of the stream."""
        data = self._channel.take(0.0)
        if data is False:
            raise Closed("the stream has ended: no rank puts messages any more")
        return None if data is None else self._decode(data)

    def __iter__(self) -> Iterator[Any]:
        """Takes messages until the end of the stream."""
        while (data := self._channel.take()) is not False:
            yield self._decode(data)

    async def put_async(self, message: Any) -> None:
        """`put` for coroutines: while the channel is full, others run."""
        data, pause = self._encode(message), _FIRST_PAUSE
        while not self._channel.put(data, 0.0):
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def take_async(self) -> Any:
        """`take` for coroutines: while the channel is empty, others run. The rank does not count as one that waits."""
        pause = _FIRST_PAUSE
        while (data := self._channel.take(0.0)) is None:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        return None if data is False else self._decode(data)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (message := await self.take_async()) is not None:
            yield message

    def claim(self, messages: int) -> None:
        """Promises that this rank or another will put so many more messages. The promises of all calls add up.

        Once all of them are taken, the stream has ended. Promise before any rank begins to take, with a barrier in between.
        """
        self._channel.claim(messages)

    def claim_together(self, messages: int) -> None:
        """Promises, on all ranks, that all of them together put so many more messages. The number of rank 0 counts."""
        if self._rank == 0:
            self._channel.claim(messages)

    def __len__(self) -> int:
        return len(self._channel)

    def close(self) -> None:
        """This rank puts and takes no more. Local; the others may go on."""
        self._channel.close()

    def __enter__(self) -> RemoteChannel:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<mpisync.RemoteChannel {self.name!r}>"
