"""`MPIShared`: an array, one copy a node, that all ranks read and that they set together."""

from __future__ import annotations

from typing import Any, Callable, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from ..._errors import InvalidArgument
from .utils import InvalidData, Shared


class NoData(InvalidArgument, IndexError):
    """No rank has data to assign."""


class MPIShared:
    """An array of numpy in memory that the ranks of a node share, one copy on each node. Collective.

    All ranks may read it at any time, and get views without a copy. They set items together, by `set` or an assignment, to
    data of one rank. Without a communicator it is an array of this process.
    """

    def __init__(
        self, shape: Any, dtype: Any, comm: Any, comm_node: Any = None, comm_node_rank: Any = None
    ) -> None:
        self._dtype: np.dtype[Any] = np.dtype(dtype)
        self._n = 1
        for length in shape:
            if not isinstance(length, (int, np.integer)):
                raise InvalidArgument(f"input shape '{shape}' contains non-integer values")
            if length < 0:
                raise InvalidArgument(f"input shape '{shape}' contains negative values")
            self._n *= int(length)
        self._shape = tuple(shape)
        self._comm = comm
        self._rank: int = 0 if comm is None else comm.rank
        self._procs: int = 1 if comm is None else comm.size
        self._nodecomm: Any = None
        self._rankcomm: Any = None
        self._nodeprocs = self._nodes = 1
        self._shared: Optional[Shared] = None
        self._memory: Any = None
        #: The items of an array of this process alone, for writing.
        self._own: Any = None
        self._flat: Any = None
        self.data: Any = None
        if comm is not None:
            self._join(comm_node, comm_node_rank)
        if self._n == 0:
            return
        if self._procs == 1:
            self._own = np.zeros(self._n, self._dtype)
            flat = self._own.view()
            flat.flags.writeable = False
        else:
            flat = self._allocate()
        self._flat = flat
        self.data = flat.reshape(self._shape)

    def _join(self, comm_node: Any, comm_node_rank: Any) -> None:
        """Checks the communicators, or makes them."""
        if comm_node is not None and self._procs % comm_node.size != 0:
            raise InvalidArgument(
                f"Node communicator size ({comm_node.size}) does not divide evenly into the total number of processes "
                f"({self._procs})"
            )
        self._shared = Shared.of(self._comm)
        self._nodecomm = self._shared.node_comm if comm_node is None else comm_node
        self._nodeprocs = self._nodecomm.size
        self._nodes = -(-self._procs // self._nodeprocs)
        if comm_node_rank is not None and comm_node_rank.size != self._nodes:
            raise InvalidArgument(
                f"Node rank communicator size ({comm_node_rank.size}) does not match the number of nodes ({self._nodes})"
            )
        self._rankcomm = self._shared.rank_comm if comm_node_rank is None else comm_node_rank

    def _allocate(self) -> Any:
        """The items, in memory of a region, for reading."""
        from ..._mpisync import RegionMemory

        if self._dtype.hasobject:
            raise InvalidArgument(f"items are numbers or records of numbers, and {self._dtype} is not")
        kind = f"MPIShared {str(self._dtype).replace(' ', '')[:80]} {'x'.join(map(str, self._shape))}"
        self._memory = RegionMemory(self._comm, self._shape, self._dtype.itemsize, master=0, name=kind)
        # Between two calls of `set` nobody writes.
        lent = self._memory.lock_read()
        self._memory.unlock()
        return np.asarray(lent).view(self._dtype)

    def __del__(self) -> None:
        # Without the communicators of the node, which all ranks free together.
        self._drop()

    def __enter__(self) -> MPIShared:
        return self

    def __exit__(self, type: Any, value: Any, tb: Any) -> None:
        if value is None:
            self.close()
        else:
            # The other ranks may have left the block, or have not.
            self._drop()

    def __len__(self) -> int:
        return 0 if self.data is None else len(self.data)

    def __getitem__(self, key: Any) -> Any:
        return None if self.data is None else self.data[key]

    def __iter__(self) -> Iterator[Any]:
        return iter([] if self.data is None else self.data)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return self.data.__array__(*args, **kwargs)

    def __repr__(self) -> str:
        lines = [
            "<MPIShared",
            f"  replicated on {self._nodes} nodes, each with {self._nodeprocs} processes ({self._procs} total)",
            f"  shape = {self._shape}, dtype = {self._dtype}",
        ]
        if self.data is None:
            lines.append(" No Data")
        elif len(self.data) <= 4:
            lines.append(f"  [ {' '.join(map(str, self.data))} ]")
        else:
            first, second, *_ = self.data[:2]
            lines.append(f"  [ {first} {second} ... {self.data[-2]} {self.data[-1]} ]")
        return "\n".join([*lines, ">"])

    def _drop(self) -> None:
        """Gives the memory up, which stays while an array of it is left. Local."""
        # The arrays before the memory: with them, it would stay.
        self._flat = self.data = self._own = None
        self._memory = None

    def close(self) -> None:
        """Gives the memory up, which stays while an array of it is left. Collective."""
        self._drop()
        shared, self._shared = self._shared, None
        if shared is not None:
            self._nodecomm = self._rankcomm = None
            shared.leave(self._comm)

    @property
    def shape(self) -> Tuple[int, ...]:
        """The lengths of the array."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the items."""
        return self._dtype

    @property
    def comm(self) -> Any:
        """The communicator."""
        return self._comm

    @property
    def nodecomm(self) -> Any:
        """The communicator of the ranks on this node."""
        return self._nodecomm

    def __setitem__(self, key: Any, value: Any) -> None:
        """Sets items to the data of the one rank whose `value` is not None. Collective."""
        if self.data is None:
            raise InvalidData("Data size is zero- cannot assign elements")
        if self._shared is None:
            self._writable()[key] = value
            return
        # It finds a rank that has died or ended.
        self._shared.barrier.wait()
        ranks = [rank for rank, has_data in enumerate(self._comm.allgather(value is not None)) if has_data]
        if len(ranks) > 1:
            raise InvalidData(
                f"When setting data with [] notation, there were {len(ranks)} processes with a non-None value for the data "
                "instead of one process."
            )
        if not ranks:
            raise NoData("no process has a value for the data")
        self._set(value, lambda: _offset(key), ranks[0])

    def set(self, data: Any, offset: Any = None, fromrank: int = 0) -> None:
        """Copies the array `data` of rank `fromrank` to the items from `offset` on. Collective."""
        if self._shared is not None:
            # Other ranks may still read what they have set before.
            self._shared.barrier.wait()
        if self.data is None:
            raise InvalidData("Data size is zero- cannot assign elements")
        self._set(data, lambda: offset, fromrank)

    def _writable(self) -> Any:
        """The items of an array of this process alone."""
        return self._own.reshape(self._shape)

    def _set(self, data: Any, offset: Callable[[], Any], rank: int) -> None:
        """Copies the array `data` of one rank. Collective."""
        if self._memory is None:
            items, first = self._checked(data, offset())
            window = tuple(slice(begin, begin + length) for begin, length in zip(first, items.shape))
            self._writable()[window] = items
            return
        self._memory.set(lambda: self._checked(data, offset()), rank)
        # Another node has the items once it may read.
        self._memory.lock_read()
        self._memory.unlock()

    def _checked(self, data: Any, offset: Any) -> Tuple[Any, Sequence[int]]:
        """The array in row-major order, and where it goes."""
        dimensions = len(self._shape)
        if not isinstance(data, (np.ndarray, np.generic)) or data.ndim != dimensions:
            found = data.ndim if isinstance(data, (np.ndarray, np.generic)) else type(data).__name__
            raise InvalidData(f"input data dimensions {found} incompatible with buffer ({dimensions})")
        if offset is None:
            offset = (0,) * dimensions
        if len(offset) != dimensions:
            raise InvalidData(f"input offset dimensions {len(offset)} incompatible with buffer ({dimensions})")
        if data.dtype != self._dtype:
            raise InvalidData(f"input data type ({data.dtype}) incompatible with buffer ({self._dtype})")
        # As in a slice, an offset below 0 counts from the end.
        window = [
            slice(begin, begin + length).indices(axis)
            for begin, length, axis in zip(offset, data.shape, self._shape)
        ]
        if any(end - begin != length for (begin, end, _), length in zip(window, data.shape)):
            raise InvalidArgument(f"data of the shape {data.shape} at {tuple(offset)} do not fit into {self._shape}")
        return np.asarray(data, order="C"), [begin for begin, _, _ in window]


def _offset(key: Any) -> List[Any]:
    """Where the items of a key begin."""
    keys = key if isinstance(key, (tuple, list, np.ndarray)) else (key,)
    offset = []
    for one in keys:
        if isinstance(one, slice):
            offset.append(0 if one.start is None else one.start)
        elif isinstance(one, (int, np.integer)):
            offset.append(one)
        else:
            raise InvalidArgument("[] key must be an integer or a slice, or a tuple of them")
    return offset
