"""Programs that run with packages replaced."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Tuple

from harness import case


def _run(*arguments: str) -> Tuple[int, str]:
    command = [sys.executable, "-B", "-m", "mpisync.compat", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=50, cwd="/")
    return done.returncode, done.stdout


@case(0)
def program_gets_the_replacement_and_its_arguments(comm: Any) -> None:
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory, "program.py")
        program.write_text(
            "import sys, beside\n"
            "import pshmem.locking\n"
            "from pshmem import MPIShared\n"
            "print(__name__, sys.argv[1:], beside.NUMBER, MPIShared.__module__, pshmem.locking.MPILock.__module__)\n"
        )
        Path(directory, "beside.py").write_text("NUMBER = 3\n")
        status, output = _run("pshmem", "--", str(program), "-a", "b")
    expected = "__main__ ['-a', 'b'] 3 mpisync.compat.pshmem.shmem mpisync.compat.pshmem.locking\n"
    assert (status, output) == (0, expected), output


@case(0)
def modules_without_a_replacement_are_not_found(comm: Any) -> None:
    status, output = _run("pshmem", "--", "-c", "import pshmem.registry")
    assert status == 1 and "pshmem.registry has no replacement" in output, output


@case(0)
def wrong_arguments_are_explained(comm: Any) -> None:
    status, output = _run("numpy", "--", "-c", "pass")
    assert status == 1 and "no replacement for 'numpy'" in output and "pshmem" in output, output
    status, output = _run("pshmem", "program.py")
    assert status == 1 and output.startswith("usage: python -m mpisync.compat PACKAGE"), output


@case(0)
def package_that_is_loaded_already_is_not_replaced(comm: Any) -> None:
    code = "import sys, mpisync.compat; sys.modules['mpilock'] = sys; mpisync.compat.replace('mpilock')"
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, timeout=50, cwd="/")
    assert done.returncode == 1 and "mpilock is loaded already" in done.stderr, done.stderr
