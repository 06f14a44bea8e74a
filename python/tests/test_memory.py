"""No reference and no memory is lost, however many operations there are."""

import gc
import resource
import sys

import mpisync
from harness import case, raises


def peak():
    """The most memory that this process had, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def check_flat(work, repeats, kib=2048):
    """Checks that `work(count)` needs no more memory for many repeats than for some."""
    work(1000)
    gc.collect()
    before, blocks = peak(), sys.getallocatedblocks()
    work(repeats)
    gc.collect()
    grown = peak() - before
    assert grown <= kib, f"{grown} KiB more after {repeats} operations"
    more = sys.getallocatedblocks() - blocks
    assert more < 200, f"{more} more blocks after {repeats} operations"


@case(0, 1)
def locks(comm):
    ctrl, mutex = mpisync.sync(comm), mpisync.Mutex(comm)

    def work(count):
        for _ in range(count):
            with ctrl.read():
                with ctrl.read():
                    pass
            with ctrl.write():
                pass
            with mutex:
                pass
            with mutex.lock(timeout=1):
                pass

    references = sys.getrefcount(ctrl), sys.getrefcount(mutex)
    check_flat(work, 250_000)
    assert (sys.getrefcount(ctrl), sys.getrefcount(mutex)) == references


@case(0, 2)
def single_writes(comm):
    ctrl = mpisync.sync(comm)
    shared = object if comm is None else str

    @mpisync.single_write(ctrl)
    def write(value):
        return value

    @mpisync.collective(ctrl)
    def step():
        pass

    value = [1, 2, 3]
    references = sys.getrefcount(value), sys.getrefcount(ctrl)

    def work(count):
        for _ in range(count):
            write(value)
            step()

    check_flat(work, 30_000)
    assert (sys.getrefcount(value), sys.getrefcount(ctrl)) == references, shared


@case(0)
def exceptions(comm):
    ctrl, mutex = mpisync.sync(comm), mpisync.Mutex(comm)
    mutex.acquire()

    def work(count):
        for _ in range(count):
            with raises(mpisync.Misuse):
                mutex.acquire()
            with raises(KeyError):
                with ctrl.single_write():
                    raise KeyError("key")

    check_flat(work, 50_000)


@case(0, 1, 2)
def objects(comm):
    def work(count):
        for _ in range(count // 100):
            ctrl, mutex = mpisync.sync(comm), mpisync.Mutex(comm)
            with ctrl.write(), mutex:
                pass

    # What is dropped is used again once all ranks have dropped it.
    check_flat(work, 100_000, kib=8192)
