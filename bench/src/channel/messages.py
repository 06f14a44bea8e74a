"""How the Python programs send messages in the cases of the channel benchmark.

The cases and the counted operations are those of the benchmark; the number of messages is chosen so that rounds have the
same length.

Messages are arrays of 64-bit floating-point numbers; the first of them is the message's number, by which the program checks
that each arrived once.
"""

import numpy
from mpi4py import MPI
from team import LAST, RANK, ROUND, WORLD, meet, now, start

FIRST = 20  # messages of the first round, which is not counted

SIZES = (8, 64, 512, 1024, 4096, 32768, 65536, 262144, 1048576)
CASES = [f"stream_{size}" for size in SIZES] + ["latency_8"] + ["two_by_two_8"] * (LAST >= 3)


def produce(way, message, numbers):
    for number in numbers:
        message[0] = number
        way.put(message)
    return sum(numbers)


def consume(way, message):
    """Takes all messages. Returns the sum of their numbers."""
    numbers = 0
    while (taken := way.take()) is not None:
        message[:] = taken
        numbers += int(message[0])
    return numbers


def stream(ways, message, senders, receivers, count):
    (way,) = ways
    if RANK in senders:
        return produce(way, message, range(RANK, count, len(senders)))
    if RANK in receivers:
        return -consume(way, message)
    return 0


def latency(ways, message, count):
    forth, back = ways
    for number in range(count // 2):
        if RANK == 0:
            message[0] = number
            forth.put(message)
            message[:] = back.take()
        elif RANK == LAST:
            message[:] = forth.take()
            back.put(message)
        assert message[0] == number or 0 < RANK < LAST, "a message out of order"
    return 0


def one_round(kind, ways, message, count):
    """Nanoseconds per message. Collective."""
    if RANK == 0:
        for way in ways:
            way.claim(count // len(ways))
    begin = start()
    if kind == "latency":
        balance = latency(ways, message, count)
    elif kind == "two_by_two":
        balance = stream(ways, message, (0, 1), (LAST - 1, LAST), count)
    else:
        balance = stream(ways, message, (0,), (LAST,), count)
    end = now()
    meet()
    assert WORLD.allreduce(balance) == 0, "messages were lost or changed"
    return (WORLD.allreduce(end, MPI.MAX) - begin) / count


def sending(case, rounds, channel, close):
    """All rounds of a case. Collective.

    `channel` makes a channel for this number of messages with this number of items; `close` frees several.
    """
    kind, _, size = case.rpartition("_")
    size = int(size)
    # The same capacity as the other subjects.
    capacity = min((4 << 20) // size, 1024)
    ways = [channel(capacity, size // 8) for _ in range(2 if kind == "latency" else 1)]
    message = numpy.ones(size // 8)
    took = one_round(kind, ways, message, FIRST)
    figures = []
    for _ in range(rounds):
        count = max(4, int(ROUND / took) // 4 * 4)
        took = one_round(kind, ways, message, count)
        figures.append(took)
    close(ways)
    return figures
