"""The kernels as functions of Python: found in the package or the cache, or else built."""

from __future__ import annotations

import ctypes
import os
import sys
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from .._kernels.levels import LEVEL
from . import announce, memory, store
from .kernel_file import Image
from .slots import address_of

ENTRY = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)  # releases Python's lock

_loaded: dict[tuple[str, str], Library] = {}
_is_finite: dict[str, Any] = {}  # by dtype.char; NumPy takes microseconds to make dtype.name
_loads = Lock()


def _renew() -> None:
    """Replace the lock in a child process, where the thread that holds it may not exist."""
    global _loads  # noqa: PLW0603
    _loads = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


class Library:
    """The entries for networks of a dtype: functions of the address of a record and a thread's number.

    `_kernels.entries` has them, and `_kernels.calls` their records.
    """

    def __init__(self, image: Image) -> None:
        start = memory.executable(image.code)
        for name, offset in image.entries.items():
            setattr(self, name, ENTRY(start + offset))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the library of kernels has no entry {name}")


def library(dtype: str, kernels: str = store.NETWORK) -> Library:
    """Return the kernels of a dtype for this process. They are built if no file has them.

    kernels: "network" for plain networks, "graph" for networks of layers.

    Raises
    ------
    BuildError
        If they can't be built.
    """
    with _loads:
        found = _loaded.get((dtype, kernels))
        if found is None:
            found = _loaded[dtype, kernels] = Library(_image(store.Kind(dtype, LEVEL.name, sys.platform, kernels)))
            _is_finite.update({"f": found.is_finite_float32, "d": found.is_finite_float64})
        return found


def any_library() -> Library:
    """Return some library that is loaded. All have the same entries for threads that stay between calls."""
    first, *_ = tuple(_loaded.values())  # a copy, because another thread may load one now
    return first


def address_of_entry(entry: Any) -> int:
    """Return the address of an entry's machine code."""
    return ctypes.c_int64.from_buffer(entry).value  # a tenth of the time of ctypes.cast


def _image(kind: store.Kind) -> Image:
    found = store.find(kind)
    if found is not None:
        return found
    announce.building()
    from . import build

    with store.building(kind):
        found = store.find(kind)
        if found is None:
            found = build.build(*kind)
            store.save(found, kind)
    return found


def is_finite(values: npt.NDArray[Any]) -> bool:
    """Return whether all values, (n,) float32 or float64, are finite, at the speed of memory."""
    entry = _is_finite.get(values.dtype.char)
    if entry is None:  # not worth building kernels
        return bool(np.isfinite(values).all())
    return values.size == 0 or bool(entry(address_of(values), values.size))
