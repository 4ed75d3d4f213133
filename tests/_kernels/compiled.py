"""Kernels as functions that tests can call, with arrays where a kernel has pointers.

Numba stores their machine code in a folder of its own for each state of fastbp's kernels, because it looks at the
files of the tests only. They are compiled for the level of this process, as a library is.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numba

from fastbp._kernels.jit import OPTIONS
from fastbp._kernels.levels import LEVEL
from fastbp._library.sources import sources

FOLDER = Path(__file__).parents[2] / ".test_cache"


def _folder() -> Path:
    """Return the folder for the kernels as they are now, and remove those of other states."""
    now = FOLDER / sources("graph").digest[:16]
    now.mkdir(parents=True, exist_ok=True)
    for folder in FOLDER.iterdir():
        if folder != now:
            shutil.rmtree(folder, ignore_errors=True)
    return now


numba.config.CACHE_DIR = str(_folder())
numba.config.CPU_NAME, numba.config.CPU_FEATURES = LEVEL.cpu, LEVEL.features


def kernel(function: Any) -> Any:
    """Compile a test's function, or a kernel, for calls from Python."""
    function = getattr(function, "py_func", function)
    return numba.njit(cache=Path(function.__code__.co_filename).is_file(), **OPTIONS)(function)
