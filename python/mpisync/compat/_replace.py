"""Replaces packages by the drop-in modules."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Dict, Optional, Sequence

#: The packages that can be replaced, and their modules here.
PACKAGES: Dict[str, str] = {
    "mpi4py.util.sync": "mpisync.compat.mpi4py_sync",
    "pshmem": "mpisync.compat.pshmem",
    "mpilock": "mpisync.compat.mpilock",
    "mpi_channels": "mpisync.compat.mpi_channels",
}

#: Modules of the originals that are theirs also when the package is replaced.
_KEPT = ("pshmem.test",)


class _Replacement(Loader):
    """Loads a module of this package under the name of another."""

    def __init__(self, module: str) -> None:
        self._module = module

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._module)
        self._own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has put its own there.
        module.__spec__ = self._own_spec


class _Finder(MetaPathFinder):
    """Finds the modules of the packages that are replaced."""

    def __init__(self) -> None:
        self.replaced: Dict[str, str] = {}

    def find_spec(
        self, fullname: str, path: Optional[Sequence[str]] = None, target: Any = None
    ) -> Optional[ModuleSpec]:
        for package, module in self.replaced.items():
            if fullname == package:
                return ModuleSpec(fullname, _Replacement(module), is_package=_is_package(module))
            if not fullname.startswith(package + "."):
                continue
            if fullname in _KEPT:
                return _original(package, fullname)
            own = module + fullname[len(package) :]
            if importlib.util.find_spec(own) is None:
                raise ModuleNotFoundError(f"{fullname} has no replacement in {module}", name=fullname)
            return ModuleSpec(fullname, _Replacement(own), is_package=_is_package(own))
        return None


_finder = _Finder()


def _is_package(module: str) -> bool:
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.submodule_search_locations is not None


def _original(package: str, fullname: str) -> Optional[ModuleSpec]:
    """Where a module of the original package is, if that is installed."""
    spec = PathFinder.find_spec(package)
    return None if spec is None else PathFinder.find_spec(fullname, spec.submodule_search_locations)


def replace(*packages: str) -> None:
    """Lets later imports of these packages get the drop-in modules. Local.

    Raises `ValueError` for a package that has none, and `RuntimeError` if the original is loaded already.
    """
    for package in packages:
        if package not in PACKAGES:
            raise ValueError(f"there is no replacement for {package!r}; there are those for {', '.join(PACKAGES)}")
        if package in _finder.replaced:
            continue
        if package in sys.modules:
            raise RuntimeError(f"{package} is loaded already; replace it before it is imported")
        _finder.replaced[package] = PACKAGES[package]
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
