"""Measures the Python package of this project in all cases of the Python benchmark."""

import sys
from pathlib import Path

import mpisync
import numpy

# For the modules that all Python programs share.
for folder in ("", "batch", "channel", "region", "sync"):
    sys.path.append(str(Path(__file__).resolve().parent.parent / folder))

from locks import CASES as LOCKS
from locks import locking
from messages import sending
from passes import one_pass, passes
from rounds import counting, excluding, taking_turns
from setting import setting
from team import WORLD, run

SYNC = ("mutex_alone", "mutex_all", "counter", "semaphore_alone", "semaphore_all", "turn")
REGION = ("set_120", "set_8000000")
CHANNEL = ("stream_8", "stream_65536")
BATCH = ("tasks_3000",)


def controller(case, rounds):
    each = mpisync.sync(WORLD)

    def step(number):
        with each.single_write() as call:
            if call.writes:
                call.share(number)
        return call.value

    figures = locking(case, rounds, each.read, each.write, step)
    each.close()
    return figures


def sync(case, rounds):
    kind, _, how = case.partition("_")
    if kind == "turn":
        each = mpisync.Turn(WORLD)

        def take(section):
            with each:
                section()

        figures = taking_turns(take, rounds)
    elif kind == "counter":
        each = mpisync.Counter(WORLD)
        figures = counting(each.next, rounds)
    else:
        each = mpisync.Mutex(WORLD) if kind == "mutex" else mpisync.Semaphore(WORLD, 1)
        figures = excluding(each.acquire, each.release, how == "alone", rounds)
    each.close()
    return figures


class Array:
    """A shared array. Made by all ranks together."""

    def __init__(self, shape):
        self.region = mpisync.Region(WORLD, shape, numpy.float64)

    def set(self, items, offset, rank):
        self.region.set(items, root=rank, offset=offset)

    def row(self, row):
        with self.region.read() as items:
            return items[row].copy()

    def close(self):
        self.region.close()


def channel(capacity, items):
    return mpisync.RemoteChannel(WORLD, capacity, (numpy.float64, items))


def close(channels):
    for each in channels:
        each.close()


def one_round(tasks):
    """Nanoseconds per task of a new batch. Collective."""
    batch = mpisync.Batch(WORLD, tasks)

    def take_all():
        taken = 0
        while (task := batch.next_task()) is not None:
            taken += 1
            task.done()
        return taken

    took = one_pass(tasks, 1, take_all)
    assert batch.summary().done == tasks, "tasks are not done"
    batch.close()
    return took


def measure(case, rounds):
    """All rounds of a case. Collective."""
    if case in LOCKS:
        return controller(case, rounds)
    if case in SYNC:
        return sync(case, rounds)
    if case in REGION:
        return setting(case, rounds, Array)
    if case in CHANNEL:
        return sending(case, rounds, channel, close)
    _, tasks = case.split("_")
    return passes(lambda: one_round(int(tasks)), rounds)


run("mpisync", (*LOCKS, *SYNC, *REGION, *CHANNEL, *BATCH), measure)
