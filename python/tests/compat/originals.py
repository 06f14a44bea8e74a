"""The tests of the original packages, unchanged, with the packages replaced: `python tests/compat/originals.py`.

They are fetched from PyPI. `TEST_MPIEXEC` has the launcher, a word a line.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Dict, List, NamedTuple

HERE = Path(__file__).resolve().parent
#: How long a suite may take on a number of ranks, in seconds.
LIMIT = 300


class Suite(NamedTuple):
    """The tests of an original."""

    package: str
    #: What of it pip fetches: a source archive, or what it would install.
    source: str
    is_archive: bool
    #: What runs, where `{dir}` is what pip has fetched.
    program: List[str]
    #: The tests that are left out on some numbers of ranks, because the original fails there itself.
    left_out: Dict[int, str] = {}
    #: The least number of ranks.
    least: int = 1


#: The group of the last rank has one rank, which divides by a number of columns that is 0.
_NO_GRID = {ranks: "ShmemTest.test_split" for ranks in (5, 7)}

SUITES = [
    Suite("mpi4py.util.sync", "mpi4py==4.1.2", True, ["{dir}/mpi4py-4.1.2/test/test_util_sync.py"]),
    Suite(
        "pshmem",
        "pshmem==1.3.5",
        False,
        ["-c", "import pshmem.test as test; [exec(f'del test.{name}') for name in '{left_out}'.split()]; test.run()"],
        _NO_GRID,
    ),
    Suite("mpilock", "mpilock==2.2.1", False, [str(HERE / "readme.py"), "mpilock", "{dir}"]),
    # One rank alone would put messages that nobody takes.
    Suite("mpi_channels", "mpi-channels==0.1.4", False, [str(HERE / "readme.py"), "mpi_channels", "{dir}"], least=2),
]


def fetch(suite: Suite, directory: Path) -> None:
    if directory.exists():
        return
    begun = directory.with_suffix(".begun")
    name = suite.source.split("=")[0]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    if suite.is_archive:
        subprocess.run([*pip, "download", "--no-deps", "--no-binary", name, "--dest", begun, suite.source], check=True)
        for archive in begun.glob("*.tar.gz"):
            with tarfile.open(archive) as files:
                files.extractall(begun)
    else:
        subprocess.run([*pip, "install", "--no-deps", "--target", begun, suite.source], check=True)
    begun.rename(directory)


def run(suite: Suite, ranks: int, directory: Path) -> str:
    """Runs the tests. Returns what has gone wrong, or the number of tests that have passed on each rank."""
    launcher = [word for word in os.environ.get("TEST_MPIEXEC", "").split("\n") if word] or ["mpiexec"]
    left_out = suite.left_out.get(ranks, "")
    words = {"{dir}": str(directory), "{left_out}": left_out}
    program = suite.program
    for name, word in words.items():
        program = [one.replace(name, word) for one in program]
    command = [*launcher, "-n", str(ranks), sys.executable, "-B", "-m", "mpisync.compat", suite.package, "--", *program]
    path = os.pathsep.join(filter(None, [str(directory), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "PYTHONPATH": path}
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=env,
        start_new_session=True,
        cwd=directory,
    )
    try:
        output, _ = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        print(output)
        raise SystemExit(f"{suite.package} on {ranks} ranks took longer than {LIMIT} s") from None
    counts = [int(count) for count in re.findall(r"Ran (\d+) tests? in", output)]
    skipped = [int(count) for count in re.findall(r"skipped=(\d+)", output)]
    if process.returncode != 0 or len(counts) != ranks or len(set(counts)) != 1 or "FAILED" in output:
        print(output)
        raise SystemExit(f"{suite.package} has failed on {ranks} ranks")
    remarks = [f"{max(skipped)} of them skipped"] if skipped else []
    remarks += [f"{left_out} left out"] if left_out else []
    return ", ".join([f"{counts[0]} tests passed", *remarks])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", default="1,2,3,4,5,7", help="the numbers of ranks")
    parser.add_argument("--dir", type=Path, help="keeps what is fetched in this directory")
    parser.add_argument("packages", nargs="*", help="only these packages")
    arguments = parser.parse_args()
    known: Dict[str, Suite] = {suite.package: suite for suite in SUITES}
    for package in arguments.packages:
        if package not in known:
            parser.error(f"{package} is none of {', '.join(known)}")
    with tempfile.TemporaryDirectory(prefix="mpisync-") as temporary:
        for suite in SUITES:
            if arguments.packages and suite.package not in arguments.packages:
                continue
            directory = (arguments.dir or Path(temporary)).resolve() / suite.source
            fetch(suite, directory)
            for ranks in map(int, arguments.ranks.split(",")):
                if ranks < suite.least:
                    continue
                start = time.monotonic()
                passed = run(suite, ranks, directory)
                print(f"{suite.package} on {ranks} ranks: {passed}, {time.monotonic() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
