"""The tests of the original packages, unchanged, with the packages replaced: `python tests/compat/originals.py [PACKAGE...]`.

They are fetched from PyPI, unless `--dir` has them from an earlier run. `TEST_MPIEXEC` has the launcher, a word a line. A job that
reaches its time limit prints where its ranks are, and is killed; the rest of its suite is left out.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import jobs  # noqa: E402

#: The numbers of ranks.
RANKS = "1,2,3,4,5,7"
#: How long a suite may take on a number of ranks, in seconds, if the launcher has no limit.
LIMIT = 300
#: How long before the limit the ranks print where they are, in seconds.
DUMP = 10

#: What a rank runs: a program with packages replaced, after a number of seconds at which it prints where its threads are.
_RANK = (
    "import faulthandler, runpy, sys; faulthandler.dump_traceback_later(float(sys.argv.pop(1))); "
    "runpy.run_module('mpisync.compat', run_name='__main__', alter_sys=True)"
)


class Suite(NamedTuple):
    """The tests of an original."""

    package: str
    #: What of it pip fetches: a source archive, or what it would install.
    source: str
    is_archive: bool
    #: What runs, where `{dir}` is what pip has fetched.
    program: List[str]
    #: How many tests pass, but for those that are left out.
    passes: int
    #: The tests that are left out on some numbers of ranks, because the original fails there itself.
    left_out: Dict[int, List[str]] = {}
    #: The least number of ranks.
    least: int = 1

    def expected(self, ranks: int) -> int:
        """How many tests pass on this number of ranks."""
        return self.passes - len(self.left_out.get(ranks, []))


#: The group of the last rank has one rank, which divides by a number of columns that is 0.
_NO_GRID = {ranks: ["ShmemTest.test_split"] for ranks in (5, 7)}

SUITES = [
    Suite("mpi4py.util.sync", "mpi4py==4.1.2", True, ["{dir}/mpi4py-4.1.2/test/test_util_sync.py"], 78),
    Suite(
        "pshmem",
        "pshmem==1.3.5",
        False,
        ["-c", "import pshmem.test as test; [exec(f'del test.{name}') for name in '{left_out}'.split()]; test.run()"],
        13,
        _NO_GRID,
    ),
    Suite("mpilock", "mpilock==2.2.1", False, [str(HERE / "readme.py"), "mpilock", "{dir}"], 1),
    # One rank alone would put messages that nobody takes.
    Suite("mpi_channels", "mpi-channels==0.1.4", False, [str(HERE / "readme.py"), "mpi_channels", "{dir}"], 1, least=2),
]


def fetch(suite: Suite, directory: Path) -> Path:
    """Where the tests of a suite are, fetched if they are not there yet."""
    fetched = directory / suite.source
    if fetched.exists():
        return fetched
    begun = directory / f"{suite.source}.begun"
    name = suite.source.split("=")[0]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--retries", "2"]
    print(f"fetching {suite.source} from PyPI into {directory}", flush=True)
    shutil.rmtree(begun, ignore_errors=True)
    if suite.is_archive:
        subprocess.run([*pip, "download", "--no-deps", "--no-binary", name, "--dest", begun, suite.source], check=True)
        for archive in begun.glob("*.tar.gz"):
            with tarfile.open(archive) as files:
                files.extractall(begun)
    else:
        subprocess.run([*pip, "install", "--no-deps", "--target", begun, suite.source], check=True)
    begun.rename(fetched)
    return fetched


class Outcome(NamedTuple):
    """How a suite has ended on a number of ranks."""

    passed: int
    #: What has gone wrong; empty if nothing has.
    fault: str
    was_killed: bool = False


def judge(job: jobs.Ended, ranks: int, expected: int) -> Outcome:
    """The tests that have passed on each rank, from what unittest prints."""
    counts = [int(count) for count in re.findall(r"Ran (\d+) tests? in", job.output)]
    passed = min(counts, default=0) - _most(r"skipped=(\d+)", job.output)
    passed = max(0, passed - _most(r"failures=(\d+)", job.output) - _most(r"errors=(\d+)", job.output))
    if len(counts) < ranks:
        # Those that have ended may have passed tests that need all ranks.
        passed = 0
    if job.status is None:
        return Outcome(passed, "killed at its time limit", was_killed=True)
    if len(counts) != ranks:
        return Outcome(passed, f"only {len(counts)} of the ranks have run all tests")
    if passed < expected:
        return Outcome(passed, f"{passed} tests passed, and {expected} have to")
    if job.status != 0 or "FAILED" in job.output:
        return Outcome(passed, f"the job ended with {job.status}")
    return Outcome(passed, "")


def _most(pattern: str, output: str) -> int:
    return max(map(int, re.findall(pattern, output)), default=0)


def run(suite: Suite, ranks: int, directory: Path, limit: float) -> Tuple[Outcome, str]:
    """Runs the tests of a suite on a number of ranks. Returns how they have ended, and what they have printed."""
    program = [
        word.replace("{dir}", str(directory)).replace("{left_out}", " ".join(suite.left_out.get(ranks, [])))
        for word in suite.program
    ]
    rank = [sys.executable, "-B", "-c", _RANK, str(max(limit - DUMP, limit / 2)), suite.package, "--", *program]
    path = os.pathsep.join(filter(None, [str(directory), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "PYTHONPATH": path}
    # The launcher would end the job without a word of where its ranks are.
    env.pop("MPIEXEC_TIMEOUT", None)
    job = jobs.run([*jobs.launcher(), "-n", str(ranks), *rank], limit, env=env, cwd=directory)
    return judge(job, ranks, suite.expected(ranks)), job.output


def summary(suites: List[Suite], numbers: List[int], outcomes: Dict[Tuple[str, int], Outcome]) -> str:
    """A table of the tests that have passed, a row for each suite and a column for each number of ranks."""

    def cell(suite: Suite, ranks: int) -> str:
        outcome: Optional[Outcome] = outcomes.get((suite.package, ranks))
        if outcome is None:
            return "-"
        return f"{outcome.passed}{'!' if outcome.fault else ''}"

    lines = [f"{'tests that passed on':20}" + "".join(f"{ranks:>5}" for ranks in numbers) + " ranks"]
    for suite in suites:
        lines.append(f"{suite.package:20}" + "".join(f"{cell(suite, ranks):>5}" for ranks in numbers))
    for (package, ranks), outcome in outcomes.items():
        if outcome.fault:
            lines.append(f"{package} on {ranks} ranks: {outcome.fault}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--ranks", default=RANKS, help=f"the numbers of ranks, by default {RANKS}")
    parser.add_argument("--dir", type=Path, help="keeps what is fetched in this directory")
    limit = float(os.environ.get("MPIEXEC_TIMEOUT") or LIMIT)
    parser.add_argument("--limit", type=float, default=limit, help="how long a job may take, in seconds")
    parser.add_argument("packages", nargs="*", help=f"only these: {', '.join(suite.package for suite in SUITES)}")
    arguments = parser.parse_args()
    known = [suite.package for suite in SUITES]
    for package in arguments.packages:
        if package not in known:
            parser.error(f"{package} is none of {', '.join(known)}")
    numbers = [int(ranks) for ranks in arguments.ranks.split(",")]
    if min(numbers) < 1:
        parser.error("the originals need MPI: they run on 1 rank or more")
    suites = [suite for suite in SUITES if not arguments.packages or suite.package in arguments.packages]
    outcomes: Dict[Tuple[str, int], Outcome] = {}
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mpisync-") as temporary:
        directory = (arguments.dir or Path(temporary)).resolve()
        directory.mkdir(parents=True, exist_ok=True)
        for suite in suites:
            try:
                fetched = fetch(suite, directory)
            except subprocess.CalledProcessError as error:
                print(
                    f"pip cannot fetch {suite.source} (exit code {error.returncode}): the originals come from PyPI, which takes a "
                    "network; with --dir they are fetched once"
                )
                return 1
            for ranks in numbers:
                if ranks < suite.least:
                    continue
                begun = time.monotonic()
                outcome, output = run(suite, ranks, fetched, arguments.limit)
                outcomes[suite.package, ranks] = outcome
                seconds = f"{time.monotonic() - begun:.1f} s"
                if outcome.fault:
                    print(output)
                    print(f"on {ranks} ranks: {suite.package}: {outcome.fault}, {seconds}", flush=True)
                else:
                    print(f"on {ranks} ranks: {suite.package}: all {outcome.passed} passed, {seconds}", flush=True)
                if outcome.was_killed:
                    break
    print(summary(suites, numbers, outcomes))
    failed = sum(bool(outcome.fault) for outcome in outcomes.values())
    passed = sum(outcome.passed for outcome in outcomes.values())
    print(f"{passed} tests passed, {failed} jobs failed, {time.monotonic() - start:.1f} s")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
