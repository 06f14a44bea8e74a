"""Runs the programs in the READMEs of originals, as they stand: `python -m mpisync.compat PACKAGE -- readme.py PACKAGE DIRECTORY`.

What the programs leave to the reader to define is defined here.
"""

from __future__ import annotations

import re
import sys
import types
import unittest
from pathlib import Path
from typing import Any, Dict, List

from mpi4py import MPI

COMM = MPI.COMM_WORLD


def programs(directory: Path, package: str) -> List[str]:
    """The blocks of Python in a README, which is part of what pip installs."""
    (metadata,) = directory.glob(f"{package}-*.dist-info/METADATA")
    return re.findall(r"```python\n(.*?)```", metadata.read_text(), re.DOTALL)


class File:
    """An HDF5 file, as far as the program uses it."""

    def __init__(self, name: str, mode: str) -> None:
        self.sets: Dict[Any, Any] = {"/my_data": {(): 42}}
        self.is_open = True

    def __getitem__(self, name: str) -> Any:
        return self.sets[name]

    def create_dataset(self, name: Any, data: Any) -> None:
        self.sets[name] = data

    def close(self) -> None:
        self.is_open = False


class Readme(unittest.TestCase):
    """The program of the package that is named on the command line."""

    package = ""
    directory = Path()

    def test_program(self) -> None:
        getattr(self, self.package)(programs(self.directory, self.package))

    def mpilock(self, blocks: List[str]) -> None:
        (program,) = blocks
        # The program imports `File` and uses `h5py`, and it uses `lock` for its controller. Files of h5py cannot be pickled, so
        # it would not run with one in any case.
        h5py = types.ModuleType("h5py")
        h5py.File = File  # type: ignore[attr-defined]
        sys.modules["h5py"] = h5py
        names = {"h5py": h5py, "lock": COMM}
        exec(program, names)
        self.assertEqual(names["ctrl"].__class__.__module__, "mpisync.compat.mpilock")  # type: ignore[attr-defined]
        self.assertTrue(names["ctrl"].closed)  # type: ignore[attr-defined]
        resource = names["resource"]
        # Each rank has a copy, into which it has written.
        self.assertEqual(resource.sets[COMM.rank], 42)  # type: ignore[attr-defined]
        self.assertEqual(resource.is_open, COMM.rank != 0)  # type: ignore[attr-defined]

    def mpi_channels(self, blocks: List[str]) -> None:
        data = [(float(i), float(i * i)) for i in range(23)]
        work = "        taken.append(p.tolist())\n"
        names: Dict[str, Any] = {
            "buff_size": 4,
            "message_size": 2,
            "data_size": len(data),
            "data": data,
            "rank": COMM.rank,
            "taken": [],
        }
        for number, block in enumerate(blocks):
            exec(block + (work if number == 2 else ""), names)
            # Claims come before the others take.
            COMM.Barrier() if number == 0 else None
        self.assertEqual(names["inputs"].__class__.__module__, "mpisync.compat.mpi_channels")
        taken = sum(COMM.allgather(names["taken"]), [])
        self.assertEqual(sorted(taken), [list(one) for one in data] if COMM.size > 1 else [])


if __name__ == "__main__":
    Readme.package, Readme.directory = sys.argv[1], Path(sys.argv[2])
    unittest.main(argv=sys.argv[:1])
