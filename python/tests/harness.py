"""Tests on ranks: `python tests/harness.py [--ranks 1,2,4] [NAME...]`.

A test is a function with the decorator `case`, in a file `test_*.py` beside this one. Cases with the same number of
ranks share a job, in which they run one after the other; those that kill a rank have a job of their own. A rank writes
how each case has ended into a file of its own, because what it prints may be lost with the job.

`TEST_MPIEXEC` has the launcher, a word a line; `TEST_SURVIVAL` the options with which it lets a job go on when a rank
dies, and `TEST_SURVIVAL_WRAPPER` the words before the program that do. With `MPISYNC_NODE=rank` each rank is a node of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import importlib
import os
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Type

import jobs

HERE = Path(__file__).resolve().parent
#: How long a case may take, in seconds, and a job beside its cases.
CASE_LIMIT = 60
JOB_LIMIT = 60


@dataclass
class Case:
    """A test."""

    function: Callable[..., None]
    #: The numbers of ranks; 0 is without MPI.
    ranks: Tuple[int, ...]
    #: Whether it has a job of its own.
    alone: bool
    #: The ranks that are killed, and do not report how it ends.
    dies: Tuple[int, ...]
    #: The ranks that end without a report.
    ends: Tuple[int, ...]
    #: More variables of the environment.
    env: Dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.function.__module__[5:]}.{self.function.__name__}"


CASES: List[Case] = []


def case(
    *ranks: int, dies: Tuple[int, ...] = (), ends: Tuple[int, ...] = (), alone: bool = False, **env: str
) -> Callable[..., Any]:
    """Registers a test for these numbers of ranks. `dies` are ranks that are killed, and `ends` those that end early."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        has_own_job = alone or bool(dies) or bool(ends) or bool(env)
        CASES.append(Case(function, ranks or (1, 2, 4), has_own_job, dies, ends, env))
        return function

    return register


@contextlib.contextmanager
def raises(error: Type[BaseException], **attributes: Any) -> Iterator[List[BaseException]]:
    """Checks that the body raises this exception, of exactly this class, with these attributes."""
    caught: List[BaseException] = []
    try:
        yield caught
    except BaseException as exception:
        if type(exception) is not error:
            raise
        for name, value in attributes.items():
            found = getattr(exception, name)
            assert found == value, f"{name} of {exception!r} is {found!r}, not {value!r}"
        caught.append(exception)
        return
    raise AssertionError(f"no {error.__name__} was raised")


#: Whether each rank is a node of its own.
ON_NODES = os.environ.get("MPISYNC_NODE") == "rank"


def raises_at_death(dead: int, error: Type[BaseException], **attributes: Any) -> Any:
    """`raises`, for what follows the death of a rank. If that was alone on its node, none is left there to tell, and the others
    find a host that does not answer."""
    if not ON_NODES:
        return raises(error, **attributes)
    from mpisync import HostSilent

    return raises(HostSilent, rank=dead)


def load() -> None:
    """Loads all files of tests, with this module under its name."""
    sys.modules.setdefault("harness", sys.modules[__name__])
    sys.path.insert(0, str(HERE))
    for file in sorted(HERE.glob("test_*.py")):
        importlib.import_module(file.stem)


def run_cases(names: List[str], records: Path) -> None:
    """Runs cases on this rank."""
    comm, rank = None, 0
    if "0" != os.environ["TEST_RANKS"]:
        from mpi4py import MPI

        comm = MPI.COMM_WORLD
        rank = comm.rank
    load()
    by_name = {one.name: one for one in CASES}
    with open(records / str(rank), "a") as record:

        def note(line: str) -> None:
            record.write(line + "\n")
            record.flush()

        for name in names:
            one = by_name[name]
            note(f"begins {name}")
            faulthandler.dump_traceback_later(CASE_LIMIT, exit=True)
            try:
                one.function(comm)
            except BaseException as error:
                if isinstance(error, SystemExit) and rank in one.ends:
                    raise
                traceback.print_exc()
                sys.stderr.flush()
                note(f"failed {name}")
                # The launcher ends the others.
                os._exit(1)
            faulthandler.cancel_dump_traceback_later()
            note(f"passed {name}")
            if comm is not None and not one.alone:
                comm.Barrier()
    if any(by_name[name].dies for name in names):
        # MPI cannot be finalized without the dead rank.
        sys.stdout.flush()
        os._exit(0)


def start_job(cases: List[Case], ranks: int) -> Tuple[List[str], str]:
    """Runs cases in a job. Returns what has gone wrong, and the job's output."""
    names = [one.name for one in cases]
    dies = cases[0].dies if cases[0].alone else ()
    command = [sys.executable, "-B", str(HERE / "harness.py"), "--job"]
    if ranks > 0:
        survival = jobs.words("TEST_SURVIVAL") if dies else []
        wrapper = jobs.words("TEST_SURVIVAL_WRAPPER") if dies else []
        command = [*jobs.launcher(), *survival, "-n", str(ranks), *wrapper, *command]
    with tempfile.TemporaryDirectory(prefix="mpisync-") as records:
        env = {**os.environ, "TEST_RANKS": str(ranks)}
        for one in cases:
            env.update(one.env)
        job = jobs.run([*command, records, *names], JOB_LIMIT + CASE_LIMIT * len(cases), env=env)
        wrong = ["the job took too long"] if job.status is None else []
        for rank in range(max(ranks, 1)):
            file = Path(records, str(rank))
            lines = file.read_text().splitlines() if file.exists() else []
            absent = rank in dies or rank in cases[0].ends
            left = [name for name in names if not absent and f"passed {name}" not in lines]
            for name in left:
                if f"failed {name}" in lines:
                    wrong.append(f"{name} failed on rank {rank}")
                elif f"begins {name}" in lines:
                    wrong.append(f"{name} has not ended on rank {rank}")
            if left and not wrong:
                wrong.append(f"rank {rank} has not begun {left[0]}")
        if job.status != 0 and not dies and not wrong:
            wrong.append(f"the job ended with {job.status}")
        return wrong, job.output


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ranks", default="0,1,2,4", help="the numbers of ranks; 0 is without MPI")
    parser.add_argument("--list", action="store_true", help="only list the tests")
    parser.add_argument("names", nargs="*", help="only tests whose names contain one of these")
    arguments = parser.parse_args()
    load()
    chosen = [one for one in CASES if not arguments.names or any(name in one.name for name in arguments.names)]
    passed, failed = 0, []
    start = time.monotonic()
    for ranks in map(int, arguments.ranks.split(",")):
        cases = [one for one in chosen if ranks in one.ranks]
        shared = [one for one in cases if not one.alone]
        planned = [shared] if shared else []
        planned += [[one] for one in cases if one.alone]
        for job in planned:
            title = job[0].name if job[0].alone else f"{len(job)} tests"
            if arguments.list:
                print(ranks, *(one.name for one in job))
                continue
            wrong, output = start_job(job, ranks)
            if wrong:
                failed += wrong
                print(output)
                print(f"on {ranks} ranks: {title}: " + "; ".join(wrong), flush=True)
            else:
                passed += len(job)
                print(f"on {ranks} ranks: {title} passed", flush=True)
    print(f"{passed} tests passed, {len(failed)} failed, {time.monotonic() - start:.1f} s")
    return 1 if failed or not passed and not arguments.list else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        run_cases(sys.argv[3:], Path(sys.argv[2]))
    else:
        sys.exit(main())
