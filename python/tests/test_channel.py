"""The channel: messages between ranks."""

import asyncio
import struct
import threading
import time

import mpisync
from harness import case, raises

try:
    import numpy as np
except ImportError:
    np = None


@case(0, 1, 2, 4)
def every_message_is_taken_once(comm):
    size, rank = (1, 0) if comm is None else (comm.size, comm.rank)
    channel = mpisync.RemoteChannel(comm, 16, np.int64, name="work")
    channel.claim_together(100 * size)
    if comm is not None:
        comm.Barrier()
    taken = []
    if size == 1:
        for start in range(0, 100, 10):
            channel.put_all(range(start, start + 10))
            taken += [channel.take() for _ in range(10)]
    else:
        if rank == 0:
            channel.put_all(range(100 * size))
        taken += channel
    assert channel.take() is None
    everyone = sorted(taken) if comm is None else sorted(sum(comm.allgather(taken), []))
    assert everyone == list(range(100 * size))
    assert all(isinstance(number, np.int64) for number in taken)
    assert len(channel) == 0 and channel.capacity == 16
    channel.close()
    with raises(mpisync.Misuse):
        channel.take()


@case(0, 1)
def kinds_of_messages(comm):
    record = np.dtype([("id", "i4"), ("position", "f8", (3,))])
    cases = (
        (100, b"", b"some bytes", bytearray(b"more")),
        (np.float32, 1.5, np.float32(2.5)),
        ((np.float64, 3), [1, 2, 3], np.zeros(3)),
        ((np.uint8, (2, 2)), [[1, 2], [3, 4]]),
        (record, (1, (1.0, 2.0, 3.0))),
        (struct.Struct("<if"), (1, 2.5)),
        (100_000, b"x" * 100_000),
    )
    for kind, *messages in cases:
        channel = mpisync.RemoteChannel(comm, 4, kind)
        for message in messages:
            channel.put(message)
            got = channel.take(timeout=1)
            if isinstance(got, (np.ndarray, np.void)):
                assert np.array_equal(np.asarray(got), np.array(message, got.dtype)), (kind, message, got)
                assert kind is record or got.flags.writeable
            else:
                assert got == message, (kind, message, got)
    with raises(mpisync.InvalidArgument):
        mpisync.RemoteChannel(comm, 4, 100).put(b"x" * 101)
    with raises(mpisync.InvalidArgument):
        mpisync.RemoteChannel(comm, 4, (float, 3)).put([1, 2])
    with raises(mpisync.InvalidArgument):
        mpisync.RemoteChannel(comm, 4, object)
    with raises(mpisync.InvalidArgument):
        mpisync.RemoteChannel(comm, 4, 2**62)
    with raises(mpisync.InvalidArgument):
        mpisync.RemoteChannel(comm, 0)


@case(0, 1)
def full_and_empty(comm):
    channel = mpisync.RemoteChannel(comm, 2)
    assert channel.try_put(b"1") and channel.try_put(b"2") and not channel.try_put(b"3")
    with raises(mpisync.TimedOut):
        channel.put(b"3", timeout=0.05)
    with raises(mpisync.TimedOut):
        channel.put(b"3", timeout=0)
    with raises(mpisync.Deadlock):
        channel.put(b"3")
    assert channel.try_take() == b"1" and channel.take(timeout=0) == b"2"
    assert channel.try_take() is None
    with raises(mpisync.TimedOut):
        channel.take(timeout=0.05)
    with raises(mpisync.TimedOut):
        channel.take(timeout=0)
    # Nobody else can put.
    assert channel.take() is None
    assert list(channel) == []
    other = mpisync.RemoteChannel(comm, 2)
    other.claim(1)
    other.put(b"1")
    assert list(other) == [b"1"]
    with raises(mpisync.Closed):
        other.try_take()


@case(2)
def the_stream_ends_when_producers_close(comm):
    channel = mpisync.RemoteChannel(comm, 4, 8)
    if comm.rank == 0:
        with channel:
            channel.put_all(bytes([number]) for number in range(50))
    else:
        assert [message[0] for message in channel] == list(range(50))
    comm.Barrier()
    closed = mpisync.RemoteChannel(comm, 1, 8)
    if comm.rank == 0:
        closed.close()
    comm.Barrier()
    if comm.rank == 1:
        closed.put(b"1")
        with raises(mpisync.Deadlock):
            closed.put(b"2")


@case(2)
def coroutines(comm):
    channel = mpisync.RemoteChannel(comm, 2, np.int64)
    channel.claim_together(20)
    comm.Barrier()

    async def produce():
        for number in range(20):
            await channel.put_async(number)

    async def consume():
        ticks, numbers = [], []

        async def tick():
            while True:
                ticks.append(1)
                await asyncio.sleep(0.001)

        ticking = asyncio.ensure_future(tick())
        async for number in channel:
            numbers.append(int(number))
        ticking.cancel()
        return ticks, numbers

    if comm.rank == 0:
        time.sleep(0.1)
        asyncio.run(produce())
    else:
        ticks, numbers = asyncio.run(consume())
        assert numbers == list(range(20))
        assert len(ticks) > 10
    comm.Barrier()


@case(2)
def ranks_that_differ(comm):
    kind = np.int64 if comm.rank == 0 else np.float64
    with raises(mpisync.Mismatch if comm.rank == 1 else mpisync.CreationError):
        mpisync.RemoteChannel(comm, 4, kind)


@case(2, dies=(0,))
def a_producer_dies(comm):
    import os
    import signal

    channel = mpisync.RemoteChannel(comm, 4)
    if comm.rank == 0:
        channel.put(b"last")
        comm.Barrier()
        os.kill(os.getpid(), signal.SIGKILL)
    comm.Barrier()
    # The stream has ended: nobody is left that could put.
    assert list(channel) == [b"last"]
    channel.claim(3)
    with raises(mpisync.RankEnded):
        channel.take()


@case(2)
def ctrl_c_ends_waits_for_messages(comm):
    from test_signals import SOON, interrupted

    channel = mpisync.RemoteChannel(comm, 1)
    if comm.rank == 1:
        assert interrupted(channel.take) < SOON
        channel.put(b"1")
        assert interrupted(lambda: channel.put(b"2")) < SOON
        assert channel.take() == b"1"
    comm.Barrier()


@case(0)
def channels_stay_on_their_thread(comm):
    channel = mpisync.RemoteChannel(comm, 1)
    found = []

    def use():
        try:
            channel.put(b"1")
        except mpisync.Misuse as error:
            found.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert len(found) == 1


@case(0, 1)
def no_reference_is_lost(comm):
    from test_memory import check_flat

    channel = mpisync.RemoteChannel(comm, 8, np.float64)

    def work(count):
        for _ in range(count):
            channel.put(1.5)
            channel.take(timeout=1)

    check_flat(work, 100_000)
