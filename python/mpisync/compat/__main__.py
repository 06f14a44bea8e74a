"""`python -m mpisync.compat PACKAGE[,PACKAGE...] -- PROGRAM [ARGUMENTS]`: runs a program with packages replaced."""

from __future__ import annotations

import os
import runpy
import sys
from typing import List

from ._replace import PACKAGES, replace

_USAGE = f"""usage: python -m mpisync.compat PACKAGE[,PACKAGE...] -- PROGRAM [ARGUMENTS]

Runs an unchanged Python program with packages replaced by those of mpisync. PROGRAM is a file, or `-m MODULE`, or `-c CODE`.

packages: {", ".join(PACKAGES)}, or `all`"""


def main(arguments: List[str]) -> None:
    if arguments[:1] in (["-h"], ["--help"]):
        print(_USAGE)
        return
    if len(arguments) < 3 or arguments[1] != "--":
        sys.exit(_USAGE)
    packages = list(PACKAGES) if arguments[0] == "all" else arguments[0].split(",")
    try:
        replace(*packages)
    except ValueError as error:
        sys.exit(f"mpisync.compat: {error}")
    program, rest = arguments[2], arguments[3:]
    if program in ("-m", "-c") and not rest:
        sys.exit(_USAGE)
    # As Python itself does: the directory of the program comes first, or the current one.
    if program == "-m":
        sys.path[0] = os.getcwd()
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif program == "-c":
        sys.path[0] = ""
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})
    else:
        sys.path[0] = os.path.dirname(os.path.abspath(program))
        sys.argv = [program, *rest]
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
