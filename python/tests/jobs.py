"""Jobs: programs that a launcher of MPI starts, and that end at a time limit with all their processes.

`TEST_MPIEXEC` has the launcher, a word a line.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

#: How long a launcher may take to end its ranks, in seconds.
GRACE = 10


class Ended(NamedTuple):
    """How a job has ended."""

    #: The exit code; None if the job was killed at its limit.
    status: Optional[int]
    #: What it has printed.
    output: str


def words(variable: str) -> List[str]:
    """The lines of a variable of the environment."""
    return [word for word in os.environ.get(variable, "").split("\n") if word]


def launcher() -> List[str]:
    """The launcher and its options."""
    return words("TEST_MPIEXEC") or ["mpiexec"]


def run(command: List[str], limit: float, **options: Any) -> Ended:
    """Runs a job, which is killed after `limit` seconds."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        **options,
    )
    try:
        output, _ = process.communicate(timeout=limit)
        return Ended(process.returncode, output)
    except subprocess.TimeoutExpired:
        return Ended(None, _end(process))
    except BaseException:
        _end(process)
        raise


def _end(process: subprocess.Popen[str]) -> str:
    """Ends a job, and returns what it has printed. The launcher gets the time to end the ranks, which have sessions of their own."""
    below = _descendants(process.pid)
    process.terminate()
    try:
        output, _ = process.communicate(timeout=GRACE)
    except subprocess.TimeoutExpired:
        output = None
    for identity in [_identity(process.pid), *below]:
        if identity is not None and _identity(identity[0]) == identity:
            with contextlib.suppress(ProcessLookupError):
                os.kill(identity[0], signal.SIGKILL)
    if output is None:
        output, _ = process.communicate()
    return output


#: The number of a process, and when it has begun: numbers are used again.
_Identity = Tuple[int, str]


def _stat(pid: int) -> List[str]:
    """What the kernel says of a process after its name; nothing if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _identity(pid: int) -> Optional[_Identity]:
    stat = _stat(pid)
    return (pid, stat[19]) if stat else None


def _descendants(pid: int) -> List[_Identity]:
    """The processes that a process has started, and those that these have started."""
    children: Dict[int, List[_Identity]] = {}
    for directory in Path("/proc").glob("[0-9]*"):
        one = int(directory.name)
        stat = _stat(one)
        if stat:
            children.setdefault(int(stat[1]), []).append((one, stat[19]))
    found, left = [], [pid]
    while left:
        more = children.get(left.pop(), [])
        found += more
        left += [one for one, _ in more]
    return found
