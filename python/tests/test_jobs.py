"""What runs tests finds those that fail, and ends jobs that hang."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import jobs
from harness import HERE, case


def _originals() -> Any:
    sys.path.insert(0, str(HERE / "compat"))
    try:
        import originals
    finally:
        sys.path.pop(0)
    return originals


def _runs(pid: int) -> bool:
    """Whether there is such a process, and not only its exit code, for which nobody has waited."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@case(0)
def job_that_hangs_is_killed_with_what_it_has_started(comm: Any) -> None:
    # A launcher that does not end its ranks, which have a session of their own.
    script = "trap '' TERM; setsid sleep 1000 & echo $!; sleep 1000"
    before = time.monotonic()
    ended = jobs.run(["sh", "-c", script], 0.5)
    assert ended.status is None and time.monotonic() - before < 0.5 + 2 * jobs.GRACE
    # It dies at once, unless there are many other programs.
    while _runs(int(ended.output)):
        assert time.monotonic() - before < 50, ended
        time.sleep(0.01)
    assert jobs.run(["sh", "-c", "echo done; exit 3"], 50) == (3, "done\n")


@case(0)
def suite_with_too_few_passes_has_failed(comm: Any) -> None:
    judge = _originals().judge
    whole = "Ran 13 tests in 1.0s\nOK\nRan 13 tests in 2.0s\nOK\n"
    assert judge(jobs.Ended(0, whole), 2, 13) == (13, "", False)
    assert judge(jobs.Ended(0, whole), 2, 14).fault == "13 tests passed, and 14 have to"
    assert judge(jobs.Ended(0, whole.replace("OK", "OK (skipped=2)")), 2, 13).passed == 11
    failed = whole.replace("OK", "FAILED (failures=1, errors=2)", 1)
    assert judge(jobs.Ended(1, failed), 2, 13).fault == "10 tests passed, and 13 have to"
    assert judge(jobs.Ended(0, whole), 3, 13).fault == "only 2 of the ranks have run all tests"
    assert judge(jobs.Ended(7, whole), 2, 13).fault == "the job ended with 7"
    assert judge(jobs.Ended(None, whole), 2, 13).was_killed


@case(0)
def tests_that_cannot_be_fetched_are_an_error(comm: Any) -> None:
    # No such index: as without a network.
    variables = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_CONFIG_FILE": os.devnull}
    program = [sys.executable, "-B", str(HERE / "compat" / "originals.py"), "--ranks", "1", "mpilock"]
    ended = jobs.run(program, 50, env={**os.environ, **variables})
    assert ended.status == 1 and "which takes a network" in ended.output, ended
