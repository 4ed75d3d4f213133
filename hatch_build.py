"""Builds the kernels while fastbp is installed or a wheel is made, so that nobody waits for them later.

Two variables decide what is built:

FASTBP_BUILD_LEVELS     processor levels, separated by commas; "all", for a wheel that serves every machine; or "none".
                        The default is the level of this machine.
FASTBP_BUILD_PLATFORM   such as linux-aarch64, for a wheel with all levels of another system

If the kernels can't be built, the installation goes on with a warning, and fastbp builds them at their first use.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from functools import cached_property
from importlib import import_module
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# The code calls no function of the system, so it runs with every C library. NumPy's requirements set the versions.
TAGS = {
    "linux-x86_64": "manylinux_2_17_x86_64.musllinux_1_1_x86_64",
    "linux-aarch64": "manylinux_2_17_aarch64.musllinux_1_1_aarch64",
    "darwin-x86_64": "macosx_10_13_x86_64",
    "darwin-aarch64": "macosx_11_0_arm64",
    "win32-x86_64": "win_amd64",
    "win32-aarch64": "win_arm64",
}


class KernelsHook(BuildHookInterface[Any]):
    """Adds files with kernels to a wheel, or leaves them in the source tree of an editable installation."""

    def dependencies(self) -> list[str]:
        """Return what the build needs in addition: nothing if all kernels are there."""
        if all(map(self._store.in_package, self._kinds)):
            return []
        return list(self.metadata.core.dependencies)

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the kernels that are missing."""
        self._folder = None if version == "editable" else tempfile.mkdtemp()
        paths = self._built()
        if self._folder and paths:
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{TAGS[self._platform]}"
            place = "fastbp/_library/built"
            build_data["force_include"] |= {path: f"{place}/{os.path.basename(path)}" for path in paths}

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what is in the wheel now."""
        if self._folder:
            shutil.rmtree(self._folder)

    def _built(self) -> list[str]:
        """Return the paths of all kernels, which are built if they are missing; [] if that fails."""
        try:
            return [self._path(kind) for kind in self._kinds]
        except (RuntimeError, OSError) as error:
            why = f"fastbp is installed without kernels, and builds them at their first use: {error}"
            self.app.display_warning(why)
            return []

    def _path(self, kind: Any) -> str:
        """Return the path of kernels in the sources, or else in the folder of what was built."""
        with self._store.building(kind):  # another installation may be doing the same
            path = self._store.path_in(self._store.PACKAGE, kind)
            if path is None:
                path = self._store.save(self._image(kind), kind, self._folder or self._store.PACKAGE)
        if path is None:
            raise OSError("their folder cannot be written")
        return str(path)

    def _image(self, kind: Any) -> Any:
        """Return kernels. A wheel has those that are built from these sources; the cache's serve an installation."""
        found = None if self._folder else self._store.in_cache(kind)
        if found is None:
            self.app.display_info(f"fastbp: building its kernels, {kind.kernels}, {kind.dtype} for {kind.level}")
            found = self._module("build").build(*kind)
        return found

    @cached_property
    def _platform(self) -> str:
        given = os.environ.get("FASTBP_BUILD_PLATFORM")
        if given and given not in TAGS:
            raise ValueError(f"FASTBP_BUILD_PLATFORM must be one of {', '.join(TAGS)}, but it is {given!r}")
        return given or f"{sys.platform}-{self._module('levels', '_kernels').this_machine()}"

    @cached_property
    def _kinds(self) -> list[Any]:
        """The kernels to build."""
        levels = self._module("levels", "_kernels")
        system, _, machine = self._platform.partition("-")
        all_levels = [level.name for level in levels.LEVELS.values() if level.machine == machine]
        here = "all" if os.environ.get("FASTBP_BUILD_PLATFORM") else levels.LEVEL.name
        asked = os.environ.get("FASTBP_BUILD_LEVELS") or here
        if asked == "none" or self._platform not in TAGS:
            return []
        # Processors older than x86-64-v2 have no kernels in a wheel; fastbp builds theirs.
        names = [name for name in all_levels if name != "x86-64"] if asked == "all" else asked.split(",")
        wrong = [name for name in names if name not in all_levels]
        if wrong:
            raise ValueError(f"FASTBP_BUILD_LEVELS: expected levels of {', '.join(all_levels)}, got {', '.join(wrong)}")
        return [
            self._store.Kind(dtype, name, system, kernels)
            for name in names
            for kernels in self._store.KERNELS
            for dtype in self._store.DTYPES
        ]

    @cached_property
    def _store(self) -> ModuleType:
        return self._module("store")

    def _module(self, name: str, package: str = "_library") -> ModuleType:
        """Import a module that is plain Python, without fastbp/__init__.py, which needs NumPy."""
        folder = os.path.join(self.root, "fastbp")
        if getattr(sys.modules.get("fastbp"), "__path__", None) != [folder]:
            stub = ModuleType("fastbp")
            stub.__path__, stub.__version__ = [folder], self.metadata.version  # type: ignore[attr-defined]
            sys.modules["fastbp"] = stub
            sys.path.insert(0, self.root)  # for the processes that build
        return import_module(f"fastbp.{package}.{name}")
