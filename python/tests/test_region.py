"""The region: arrays in shared memory."""

import gc
import os
import signal
import threading

import mpisync
from harness import case, raises

try:
    import numpy as np
except ImportError:
    np = None


@case(0, 1, 2, 4)
def items_are_shared(comm):
    field = mpisync.Region(comm, (4, 3), name="field")
    assert (field.shape, field.dtype) == ((4, 3), np.dtype(float))
    rank, size = field.rank, field.size
    with field.read() as items:
        assert items.shape == (4, 3) and (items == 0).all()
    if comm is not None:
        comm.Barrier()
    with field.write() as items:
        items[rank % 4] += rank + 1
    if comm is not None:
        comm.Barrier()
    with field.read() as items:
        assert items.sum() == 3 * sum(range(1, size + 1))
        row = items[0].copy()
    assert row[0] == 1
    del items
    field.close()


@case(0, 1, 2)
def items_of_many_types(comm):
    record = np.dtype([("id", "i4"), ("position", "f8", (3,))])
    for dtype, value in ((np.uint8, 7), (np.complex128, 1j), (bool, True), ("S8", b"text"), (record, (3, (1, 2, 3)))):
        region = mpisync.Region(comm, 5, dtype)
        region.update(lambda items: items.__setitem__(2, value))
        with region.read() as items:
            assert items[2] == np.array(value, dtype)[()], (dtype, items[2])
    for wrong in (object, "S0"):
        with raises(mpisync.InvalidArgument):
            mpisync.Region(comm, 5, wrong)
    with raises(mpisync.InvalidArgument):
        mpisync.Region(comm, -1)
    assert mpisync.Region(comm, (0, 5)).shape == (0, 5)
    scalar = mpisync.Region(comm, ())
    with scalar.read() as items:
        assert items == 0.0


@case(0, 1, 2, 4)
def parts_are_written_at_the_same_time(comm):
    size = 1 if comm is None else comm.size
    region = mpisync.Region(comm, (2 * size, 3), int)
    mine = 2 * region.rank
    for turn in range(1, 20):
        with region.write_part(mine, mine + 2, timeout=20) as rows:
            assert rows.shape == (2, 3) and (rows == turn - 1).all()
            if comm is not None:
                # All ranks have their parts now.
                comm.Barrier()
            rows[...] += 1
            if comm is not None:
                comm.Barrier()
        if comm is not None:
            comm.Barrier()
    with region.read() as items:
        assert (items == 19).all()
    if comm is not None:
        comm.Barrier()
    # Parts that overlap exclude each other.
    for _ in range(50):
        with region.write_part(0, 1 + region.rank) as rows:
            count = int(rows[0, 0])
            rows[0, 0] = count + 1
    if comm is not None:
        comm.Barrier()
    with region.read() as items:
        assert items[0, 0] == 19 + 50 * size
    del rows, items
    region.close()


@case(0, 1, 2)
def parts_have_limits(comm):
    region = mpisync.Region(comm, (4, 2), int)
    for start, stop in ((0, 5), (3, 2), (-1, 2), (5, 5)):
        with raises(mpisync.InvalidArgument):
            with region.write_part(start, stop):
                pass
    with raises(mpisync.InvalidArgument):
        with mpisync.Region(comm, ()).write_part(0, 1):
            pass
    with region.write_part(4, 4) as rows:
        assert rows.shape == (0, 2)
    if region.rank == 0:
        with region.write_part(1, 3) as rows:
            rows[0] = (1, 2)
            with raises(mpisync.Misuse):
                with region.write_part(0, 1):
                    pass
            if comm is not None:
                comm.Barrier()
                comm.Barrier()
        with raises(mpisync.Misuse):
            rows[0, 0]
    else:
        comm.Barrier()
        with raises(mpisync.TimedOut):
            with region.write_part(2, 4, timeout=0.05):
                pass
        with region.write_part(3, 4, timeout=20) as rows:
            rows[...] = 5
        comm.Barrier()
    if comm is not None:
        comm.Barrier()
    with region.read() as items:
        assert items[1].tolist() == [1, 2]
    del rows, items
    # The exceptions had the arrays, too.
    gc.collect()
    region.close()


@case(0, 1, 2, 4)
def updates_and_sets(comm):
    region = mpisync.Region(comm, (3, 3), int)
    last = region.size - 1
    assert region.update(lambda items: (items.fill(2), int(items.sum()))[1], rank=last) == 18
    data = np.array([[5, 6]]) if region.rank == last else None
    region.set(data, root=last, offset=(1, 1))
    with region.read() as items:
        assert items.tolist() == [[2, 2, 2], [2, 5, 6], [2, 2, 2]]
    # The error is the same on all ranks.
    if region.rank == 0:
        with raises(mpisync.InvalidArgument):
            region.set(np.zeros((4, 4)))
    else:
        with raises(mpisync.RankFailed, rank=0):
            region.set(None)

    def fail(items):
        raise KeyError("key")

    with raises(KeyError if region.rank == 0 else mpisync.RankFailed):
        region.update(fail)
    with region.write() as items:
        pass


@case(0, 1, 2, 4)
def sets_of_any_block_and_array(comm):
    region = mpisync.Region(comm, (3, 4, 5), "i4")
    expected = np.zeros((3, 4, 5), "i4")
    root = region.size - 1
    numbers = np.arange(60)
    one = numbers[:1].reshape(1, 1, 1)
    arrays = [
        # Columns, rows, one item, none, and all.
        (numbers[:12].reshape(2, 3, 2), (1, 0, 3)),
        (numbers[:20].reshape(1, 4, 5), (2, 0, 0)),
        (numbers[7:8].reshape(1, 1, 1), (0, 3, 4)),
        (numbers[:0].reshape(1, 0, 5), (0, 1, 0)),
        (numbers.reshape(3, 4, 5), 0),
        # Other orders, types and classes.
        (numbers.reshape(5, 4, 3).T, 0),
        (numbers[::-5].reshape(1, 3, 4)[..., ::2], (0, 0, 1)),
        (numbers[:4].reshape(1, 2, 2).astype("f8") + 0.5, (0, 0, 0)),
        (numbers[:4].reshape(2, 1, 2).astype(">i8"), (1, 1, 1)),
        ([[[1, 2], [3, 4]]], (2, 2, 3)),
    ]
    for array, offset in arrays:
        region.set(array if region.rank == root else None, root=root, offset=offset)
        first = (0, 0, 0) if offset == 0 else offset
        window = tuple(slice(begin, begin + length) for begin, length in zip(first, np.shape(array)))
        expected[window] = array
        with region.read() as items:
            assert (items == expected).all(), (array, items)
        if comm is not None:
            comm.Barrier()
    for array, offset in [(numbers[:8].reshape(1, 1, 8), 0), (one, (0, 0, -1)), (one, (0, 4, 0)), (one, (0, 0))]:
        with raises(mpisync.InvalidArgument if region.rank == root else mpisync.RankFailed):
            region.set(array, root=root, offset=offset)
    with raises(ValueError if region.rank == root else mpisync.RankFailed):
        region.set("no numbers", root=root)
    del items
    region.close()
    point = mpisync.Region(comm, (), "f8")
    point.set(2.5)
    with point.read() as item:
        assert item == 2.5


@case(0, 1)
def arrays_end_with_the_lock(comm):
    region = mpisync.Region(comm, (4, 4))
    with region.read() as items:
        row, column = items[0], items[:, 0]
        kept = items.copy()
        doubled = items * 2
        total = np.add(items, 1, out=np.zeros((4, 4)))
        joined = np.concatenate([items, items])
        with raises(ValueError):
            items[0, 0] = 1
    uses = (
        lambda: items[0],
        lambda: items.sum(),
        lambda: items + 1,
        lambda: 1 + items,
        lambda: np.sum(items),
        lambda: np.concatenate([kept, items]),
        lambda: np.add(kept, 1, out=items),
        lambda: row[0],
        lambda: float(row[0]),
        lambda: column.max(),
        lambda: items.shape,
        lambda: len(items),
        lambda: list(items),
        lambda: repr(items),
        lambda: items.tolist(),
        lambda: np.copyto(items, 0),
    )
    for number, use in enumerate(uses):
        try:
            use()
        except mpisync.Misuse:
            continue
        raise AssertionError(f"use {number} is possible")
    # What was made of them is there.
    for array in kept, doubled, total, joined:
        assert array.sum() in (0, 16), array
        array += 1
    with region.write() as items:
        items[...] = 3
    with raises(mpisync.Misuse):
        items[0, 0] = 4
    with region.read() as items:
        assert (items == 3).all()


@case(0, 1)
def locks_of_a_region(comm):
    region = mpisync.Region(comm, 4)
    with region.read():
        for other in region.read, region.write:
            with raises(mpisync.Misuse):
                with other():
                    pass
    with raises(KeyError):
        with region.write():
            raise KeyError("key")
    with region.write(timeout=1):
        pass
    # An array keeps the memory.
    with region.read() as items:
        pass
    with raises(mpisync.Misuse):
        region.close()
    del items
    region.close()
    with raises(mpisync.Misuse):
        with region.read():
            pass


@case(0, 1)
def memory_outlives_its_region(comm):
    kept = []

    # Large enough that the system takes the memory back when it is freed.
    size = 2_000_000

    def work():
        region = mpisync.Region(None, size)
        with region.write() as items:
            items[...] = 7
            kept.append(np.asarray(items))

    work()
    gc.collect()
    others = [mpisync.Region(None, size) for _ in range(5)]
    assert (kept[0] == 7).all()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    gc.collect()
    others += [mpisync.Region(None, size) for _ in range(5)]
    assert (kept[1] == 7).all()


@case(0, 1)
def arrays_that_outlive_their_region_free_its_memory(comm):
    def address_space():
        """Of this process, in KiB."""
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmSize:"))

    def lend():
        region = mpisync.Region(comm, 1_000_000)
        with region.write() as items:
            items[...] = 7
            kept = np.asarray(items)
        del region, items
        gc.collect()
        assert kept[-1] == 7

    lend()
    before = address_space()
    for _ in range(20):
        lend()
    # Each region has 7,812 KiB.
    assert address_space() - before < 5 * 7812


@case(2)
def ranks_that_differ(comm):
    with raises(mpisync.Mismatch if comm.rank == 1 else mpisync.CreationError):
        mpisync.Region(comm, 4, np.int64 if comm.rank == 0 else np.float64)


@case(2, dies=(1,))
def a_writer_of_a_region_dies(comm):
    region = mpisync.Region(comm, 4)
    if comm.rank == 1:
        with region.write() as items:
            items[0] = 1
            comm.Barrier()
            os.kill(os.getpid(), signal.SIGKILL)
    comm.Barrier()
    with raises(mpisync.Poisoned, rank=1):
        with region.read():
            pass
    with region.take_over() as items:
        items[...] = 0
    with region.take_over() as items:
        assert items is None
    with region.read() as items:
        assert (items == 0).all()


@case(2)
def signals_in_a_region(comm):
    from test_signals import SOON, interrupted

    region = mpisync.Region(comm, 4)
    if comm.rank == 0:
        with region.write():
            comm.Barrier()
            comm.Barrier()
    else:
        comm.Barrier()
        assert interrupted(region.read().__enter__) < SOON
        comm.Barrier()
    comm.Barrier()
    with region.read():
        pass


@case(0, 1)
def no_reference_is_lost(comm):
    from test_memory import check_flat

    region = mpisync.Region(comm, (4, 4))

    def work(count):
        for _ in range(count):
            with region.write() as items:
                items[0] = 1
            with region.read() as items:
                items.sum()

    check_flat(work, 30_000)
