#!/usr/bin/env python3
"""Reads a file of hdf5_results or plain_mpi with h5py, and checks every number in it.

Usage: check_results.py FILE
"""

import sys

import h5py
import numpy


def check(path):
    """The number of datasets under /results; raises if one is missing or wrong."""
    with h5py.File(path, "r") as file:
        ranks, datasets = int(file.attrs["ranks"]), int(file.attrs["datasets"])
        assert file.attrs["complete"] == 1, "the file is not marked as complete"
        numbers = file.attrs["input"]
        for rank in range(ranks):
            group = file[f"results/rank_{rank:04}"]
            assert len(group) == datasets, f"{group.name} has {len(group)} datasets, not {datasets}"
            for dataset in range(datasets):
                found = group[str(dataset)][:]
                expected = numpy.resize(numbers, found.size) * (rank + 1) + dataset
                numpy.testing.assert_array_equal(found, expected, f"{group.name}/{dataset}")
    return ranks * datasets


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(f"h5py: {check(sys.argv[1])} datasets in {sys.argv[1]}")
