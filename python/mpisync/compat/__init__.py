"""Drop-in modules: the names and the behaviour of other packages, over the objects of mpisync.

| package | module |
| --- | --- |
| `mpi4py.util.sync` of mpi4py 4.1.2 | `mpisync.compat.mpi4py_sync` |
| pshmem 1.3.5 | `mpisync.compat.pshmem` |
| mpilock 2.2.1 | `mpisync.compat.mpilock` |
| mpi-channels 0.1.4 | `mpisync.compat.mpi_channels` |

A program imports one of them in place of the package, or runs unchanged: `python -m mpisync.compat PACKAGE -- PROGRAM`, or
`mpisync.compat.replace(PACKAGE)` before the program imports the package.
"""

from __future__ import annotations

from ._replace import PACKAGES, replace

__all__ = ["PACKAGES", "replace"]
