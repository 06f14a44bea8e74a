"""The drop-in module for mpi-channels."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import mpisync
from harness import case, raises, raises_at_death


def _channel(*arguments: Any, **more: Any) -> Any:
    from mpisync.compat.mpi_channels import RemoteChannel

    return RemoteChannel(*arguments, **more)


@case(1, 2, 4)
def messages_of_all_lengths_come_once(comm: Any) -> None:
    channel = _channel(3, 4, dtype="i4", host=comm.size - 1)
    assert channel.take() is None
    comm.Barrier()
    channel.claim(40)
    comm.Barrier()
    if comm.rank == 0:
        for number in range(40):
            channel.putf([number] * (number % 5))
    taken = []
    while (message := channel.take()) is not None:
        assert message.dtype == "i4"
        taken.append(message.tolist())
    taken = sum(comm.allgather(taken), [])
    assert sorted(taken) == sorted([number] * (number % 5) for number in range(40))
    with raises(mpisync.InvalidArgument):
        channel.put([1] * 5)
    assert all(future.result() is None for future in channel.put_futures)


@case(1, 2, 4)
def long_messages_stay_whole(comm: Any) -> None:
    channel = _channel(2, 30000)
    channel.claim(2 * comm.size)
    comm.Barrier()
    for length in (30000, 29999):
        channel.putf([comm.rank + 0.5] * length)
    for _ in range(2):
        message = channel.take()
        assert len(message) in (30000, 29999) and set(message) == {message[0]}
    comm.Barrier()
    assert channel.take() is None


@case(2, 4)
def messages_come_in_the_order_of_put(comm: Any) -> None:
    channel = _channel(2, 1)
    channel.claim(30)
    comm.Barrier()
    if comm.rank == 1:
        for number in range(30):
            channel.put((number,))
    elif comm.rank == 0:
        assert [channel.take()[0] for _ in range(30)] == list(range(30))
    comm.Barrier()


@case(1, 2)
def two_threads_of_a_rank_use_a_channel(comm: Any) -> None:
    channel = _channel(2, 1)
    channel.claim(1)
    taken = []
    if comm.rank == 0:
        taker = threading.Thread(target=lambda: taken.append(channel.take()[0]))
        taker.start()
        time.sleep(1.5)
        channel.put((7,))
        taker.join()
        assert taken == [7]
    comm.Barrier()


@case(2, 4, dies=(0,))
def take_that_no_rank_can_end_is_an_exception(comm: Any) -> None:
    channel = _channel(2, 1)
    channel.claim(5)
    comm.Barrier()
    if comm.rank == 0:
        channel.put((1,))
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)
    taken = 0
    with raises_at_death(0, mpisync.Deadlock):
        while channel.take() is not None:
            taken += 1
    assert taken <= 1


@case(2, dies=(1,))
def put_that_no_rank_can_end_is_an_exception(comm: Any) -> None:
    channel = _channel(2, 1)
    comm.Barrier()
    if comm.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    with raises_at_death(1, mpisync.Deadlock):
        for _ in range(3):
            channel.put((1,))
