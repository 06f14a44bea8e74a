"""pshmem 1.3.5, over the objects of mpisync: `MPIShared`, `MPILock` and `MPIBatch`.

Names, arguments and results are those of the original, and so are the exceptions for wrong calls, which are exceptions of
mpisync too. A wait for a rank that has died or ended raises an exception of mpisync. Importing it sets no signal handlers.
"""

from ._version import __version__
from .batch import MPIBatch
from .locking import MPILock
from .shmem import MPIShared

__all__ = ["MPIBatch", "MPILock", "MPIShared", "__version__"]
