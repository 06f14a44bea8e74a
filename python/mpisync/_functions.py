"""Functions and decorators on top of the classes."""

from __future__ import annotations

import functools
from typing import Any, Callable, Optional, TypeVar

from ._errors import Misuse
from ._mpisync import Controller

Function = TypeVar("Function", bound=Callable[..., Any])


def sync(comm: Any, *, master: int = 0, name: Optional[str] = None) -> Controller:
    """Makes a controller: a reader-writer lock that all ranks of a communicator share. Collective.

    `comm` is a communicator of mpi4py, or None for this process alone. `master` is the rank that writes in a
    `single_write`. `name` is for messages.
    """
    return Controller(comm, master=master, name=name)


def single_write(ctrl: Any = None, *, rank: Optional[int] = None) -> Any:
    """Makes a function run on one rank, under the write lock, while all ranks return its value. Collective.

    `ctrl` is the controller; without it, the first controller among the function's arguments. `rank` is the rank that runs it, by
    default the controller's master. What the function returns has to be something that can be pickled. If it raises an
    exception, that goes on in its rank, and the others get `RankFailed`.
    """
    return _decorator(ctrl, functools.partial(_run_single, rank))


def collective(ctrl: Any = None) -> Any:
    """Makes a function collective: all ranks run it, and agree on whether it has succeeded.

    `ctrl` is the controller; without it, the first controller among the function's arguments. If it raises an exception on one rank, that
    goes on there, and all others get `RankFailed`. Ranks that are in different functions get `Mismatch`.
    """
    return _decorator(ctrl, _run_all)


def _decorator(ctrl: Any, run: Callable[..., Any]) -> Any:
    if ctrl is None or isinstance(ctrl, Controller):
        return lambda function: _wrap(function, ctrl, run)
    # `@single_write` without parentheses.
    return _wrap(ctrl, None, run)


def _wrap(function: Function, ctrl: Optional[Controller], run: Callable[..., Any]) -> Function:
    name = f"{function.__module__}.{function.__qualname__}"

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        controller = ctrl
        if controller is None:
            everything = (*args, *kwargs.values())
            controller = next((one for one in everything if isinstance(one, Controller)), None)
        if controller is None:
            raise Misuse(f"no argument of {name} is a controller; pass one, or name it in the decorator")
        return run(controller, name, function, args, kwargs)

    return wrapped  # type: ignore[return-value]


def _run_single(rank: Optional[int], ctrl: Controller, name: str, function: Any, args: Any, kwargs: Any) -> Any:
    with ctrl.single_write(rank, name=name) as call:
        if call.writes:
            call.share(function(*args, **kwargs))
    return call.value


def _run_all(ctrl: Controller, name: str, function: Any, args: Any, kwargs: Any) -> Any:
    with ctrl.collective(name):
        return function(*args, **kwargs)
