"""Arrays that the ranks of a node share."""

from __future__ import annotations

import operator
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional, Sequence, Tuple, TypeVar, Union

import numpy as np

from ._errors import InvalidArgument, Misuse
from ._mpisync import RegionMemory

Result = TypeVar("Result")


class _Lease:
    """How long arrays may use memory of a region: while this rank holds the lock."""

    __slots__ = ("begin", "end", "held")

    def __init__(self, begin: int, length: int) -> None:
        self.begin, self.end, self.held = begin, begin + length, True

    def check(self) -> None:
        if not self.held:
            raise Misuse(
                "the lock under which this array was lent is released, so its items may change at any time; use it inside the "
                "`with` block, and copy what you need afterwards"
            )


class RegionView(np.ndarray):
    """The items of a region, without a copy, while its lock is held. Afterwards any use raises `Misuse`.

    What is computed from it, and its copies, are arrays as any other. `np.asarray` of it gives an array that knows nothing
    of the lock: do not keep that.
    """

    def __array_finalize__(self, source: Any) -> None:
        lease = None if source is None else _lease(source)
        if lease is not None:
            address = super().__getattribute__("__array_interface__")["data"][0]
            if not lease.begin <= address < lease.end:
                lease = None
        super().__getattribute__("__dict__")["lease"] = lease

    def __getattribute__(self, name: str) -> Any:
        _check(self)
        return super().__getattribute__(name)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        out = kwargs.get("out")
        if out is not None:
            kwargs["out"] = tuple(_plain(one) for one in out)
        result = getattr(ufunc, method)(*map(_plain, inputs), **kwargs)
        if out is not None:
            return out[0] if len(out) == 1 else out
        return result

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        for one in (*args, *kwargs.values()):
            for array in one if isinstance(one, (list, tuple)) else (one,):
                _plain(array)
        return super().__array_function__(function, types, args, kwargs)


def _checked(name: str) -> Callable[..., Any]:
    method = getattr(np.ndarray, name)

    def checked(self: RegionView, *args: Any) -> Any:
        _check(self)
        return method(self, *args)

    checked.__name__ = name
    return checked


for _name in (
    "__array__ __bool__ __complex__ __contains__ __copy__ __deepcopy__ __float__ __format__ __getitem__ __index__ __int__ "
    "__iter__ __len__ __reduce__ __repr__ __setitem__ __str__"
).split():
    setattr(RegionView, _name, _checked(_name))


def _lease(array: Any) -> Optional[_Lease]:
    if not isinstance(array, RegionView):
        return None
    lease: Optional[_Lease] = object.__getattribute__(array, "__dict__").get("lease")
    return lease


def _check(array: RegionView) -> None:
    lease = _lease(array)
    if lease is not None:
        lease.check()


def _plain(array: Any) -> Any:
    """The same array without the lease, for the time of one operation."""
    if not isinstance(array, RegionView):
        return array
    return array.view(np.ndarray)


class Region:
    """An array in memory that the ranks of a node share, one copy on each node, with a reader-writer lock.

    `shape` and `dtype` are those of numpy; all items are zero at first. `master` is the rank that writes in an `update`.
    Collective.
    """

    def __init__(
        self,
        comm: Any,
        shape: Union[int, Sequence[int]],
        dtype: Any = float,
        *,
        master: int = 0,
        name: Optional[str] = None,
    ) -> None:
        self._dtype: np.dtype[Any] = np.dtype(dtype)
        lengths = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        self._shape: Tuple[int, ...] = tuple(int(length) for length in lengths)
        if any(length < 0 for length in self._shape):
            raise InvalidArgument(f"the shape {self._shape} has a negative length")
        if self._dtype.hasobject or self._dtype.itemsize == 0:
            raise InvalidArgument(
                f"the items of a region are numbers or records of numbers, and {self._dtype} is not; objects of Python cannot "
                "be shared"
            )
        # The ranks compare the name, and with it the shape and the type.
        kind = str(self._dtype).replace(" ", "")
        full = f"{name or 'region'} {kind[:80]} {'x'.join(map(str, self._shape))}"
        self._memory = RegionMemory(comm, self._shape, self._dtype.itemsize, master=master, name=full)

    @property
    def shape(self) -> Tuple[int, ...]:
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._dtype

    @property
    def rank(self) -> int:
        return self._memory.rank

    @property
    def size(self) -> int:
        """The number of ranks."""
        return self._memory.size

    @property
    def master(self) -> int:
        return self._memory.master

    @property
    def name(self) -> str:
        return self._memory.name

    @contextmanager
    def _view(self, lent: Any, shape: Optional[Tuple[int, ...]] = None) -> Iterator[RegionView]:
        """The items in lent memory, as an array that may be used inside the block."""
        data = np.asarray(lent)
        lease = _Lease(data.__array_interface__["data"][0], data.nbytes)
        array = data.view(self._dtype).reshape(self._shape if shape is None else shape).view(RegionView)
        object.__getattribute__(array, "__dict__")["lease"] = lease
        try:
            yield array
        finally:
            lease.held = False

    @contextmanager
    def _locked(self, lent: Any, shape: Optional[Tuple[int, ...]] = None) -> Iterator[RegionView]:
        """The same, and the lock is released after the block."""
        try:
            with self._view(lent, shape) as array:
                yield array
        finally:
            self._memory.unlock()

    @contextmanager
    def read(self, *, timeout: Optional[float] = None) -> Iterator[RegionView]:
        """Lends the items for reading. Many ranks may read at the same time."""
        with self._locked(self._memory.lock_read(timeout)) as array:
            yield array

    @contextmanager
    def write(self, *, timeout: Optional[float] = None) -> Iterator[RegionView]:
        """Lends the items for writing, while no other rank reads or writes. An exception does not undo changes."""
        with self._locked(self._memory.lock_write(timeout)) as array:
            yield array

    @contextmanager
    def write_part(self, start: int, stop: int, *, timeout: Optional[float] = None) -> Iterator[RegionView]:
        """Lends the rows from `start` to before `stop` for writing, while other ranks write other rows.

        Rows are along the first axis. The array has only these rows, and its indices count from `start`. Waits while another
        rank has a part that overlaps, or reads or writes the whole region. An empty part takes no lock.
        """
        if not self._shape:
            raise InvalidArgument("a region without axes has no rows to take a part of; use `write`")
        start, stop, rows = operator.index(start), operator.index(stop), self._shape[0]
        if not 0 <= start <= stop <= rows:
            raise InvalidArgument(
                f"the rows {start} to {stop} are no part of the region, which has {rows}; pass 0 <= start <= stop <= {rows}"
            )
        row = 1
        for length in self._shape[1:]:
            row *= length
        lent = self._memory.lock_part(start * row, stop * row, timeout)
        with self._locked(lent, (stop - start, *self._shape[1:])) as array:
            yield array

    @contextmanager
    def take_over(self) -> Iterator[Optional[RegionView]]:
        """Lends the items for repair after the death of a rank that wrote; None if no rank has died so."""
        lent = self._memory.take_over()
        if lent is None:
            yield None
            return
        with self._locked(lent) as array:
            yield array

    def clear_poison(self) -> bool:
        """Makes the region usable again after the death of a rank that wrote, with the items as they are."""
        return self._memory.clear_poison()

    def update(
        self, function: Callable[[RegionView], Result], *, rank: Optional[int] = None, name: Optional[str] = None
    ) -> Result:
        """Calls `function` with the items on one rank, by default the master, and returns its result on all. Collective.

        The result has to be something that can be pickled. `name` names the call where the ranks make it at different places.
        """

        def run(lent: Any) -> Result:
            with self._view(lent) as array:
                return function(array)

        name = name or f"{function.__module__}.{function.__qualname__}"
        return self._memory.update(run, self.master if rank is None else rank, name)

    def set(self, items: Any, *, root: int = 0, offset: Union[int, Sequence[int]] = 0) -> None:
        """Copies the array of `root` into the region, its first item to `offset`. Collective; the others may pass None."""

        def prepare() -> Tuple[Any, Tuple[int, ...]]:
            data = np.asarray(items, self._dtype, order="C")
            ndim = len(self._shape)
            first = (offset,) * ndim if isinstance(offset, (int, np.integer)) else tuple(offset)
            if items is None or data.ndim != ndim or len(first) != ndim:
                raise InvalidArgument(
                    f"`items` has {0 if items is None else data.ndim} dimensions and `offset` {len(first)}, and the region has "
                    f"{ndim}; pass an array with as many on the root"
                )
            return data, first

        self._memory.set(prepare, root)

    def close(self) -> None:
        """Frees the memory on all ranks. Collective. Raises `Misuse` while an array of it is left."""
        self._memory.close()

    def __repr__(self) -> str:
        return f"<mpisync.Region {self.name!r}>"
