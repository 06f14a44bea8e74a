"""What the other modules share, and `exception_guard`."""

from __future__ import annotations

import time
import traceback
from contextlib import contextmanager
from typing import Any, Iterator, Optional, Tuple

import numpy as np

from ..._errors import InvalidArgument


class InvalidData(InvalidArgument, RuntimeError):
    """Data or arguments that do not fit. The original raises `RuntimeError` for it."""


@contextmanager
def exception_guard(comm: Any = None, timeout: float = 5) -> Iterator[None]:
    """Ends the whole job if one of its ranks leaves the block by an exception."""
    try:
        yield
    except Exception:
        rank = 0 if comm is None else comm.rank
        for line in traceback.format_exc().splitlines():
            print(f"Proc {rank}: {line}", flush=True)
        if comm is None or comm.size == 1:
            raise
        # The other ranks may meet the same error, and say so.
        time.sleep(timeout)
        comm.Abort(1)


def mpi_data_type(comm: Any, dt: Any) -> Tuple[int, Any]:
    """The size of an item of numpy in bytes, and its type in MPI, which is None without a communicator."""
    dtype = np.dtype(dt)
    if comm is None:
        return dtype.itemsize, None
    from mpi4py.util.dtlib import from_numpy_dtype

    datatype = from_numpy_dtype(dtype)
    return datatype.Get_size(), datatype


class Shared:
    """What all arrays on a communicator have together, for as long as there is one."""

    _key: Optional[int] = None

    def __init__(self, comm: Any) -> None:
        from mpi4py import MPI

        from ..._mpisync import Barrier

        self.barrier = Barrier(comm, name="MPIShared")
        self.node_comm = comm.Split_type(MPI.COMM_TYPE_SHARED, 0)
        node = comm.rank // self.node_comm.size
        self.rank_comm = comm.Split(self.node_comm.rank, node)
        self._users = 0

    @classmethod
    def of(cls, comm: Any) -> Shared:
        """That of a communicator, for one more user. Collective."""
        from mpi4py import MPI

        if cls._key is None:
            cls._key = MPI.Comm.Create_keyval()
        shared: Optional[Shared] = comm.Get_attr(cls._key)
        if shared is None:
            shared = cls(comm)
            comm.Set_attr(cls._key, shared)
        shared._users += 1
        return shared

    def leave(self, comm: Any) -> None:
        """The end of a user. Collective."""
        from mpi4py import MPI

        self._users -= 1
        if self._users > 0 or MPI.Is_finalized():
            return
        # The program may have freed the communicator.
        if comm != MPI.COMM_NULL:
            comm.Delete_attr(self._key)
        self.rank_comm.Free()
        self.node_comm.Free()
