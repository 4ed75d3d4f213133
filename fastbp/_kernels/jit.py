"""How every kernel of fastbp is compiled, and when its cached machine code is too old."""

import hashlib
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from numba import cfunc, njit
from numba.core.extending import is_jitted

# Never nnan or ninf: a NaN must stay visible. No reassoc: it would reorder sums and break rounding tricks.
HONEST = {"contract", "nsz", "arcp"}
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": HONEST}


def _sources() -> str:
    """A hash of all files of this folder."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


SOURCES = _sources()


@cache
def _warn_of_no_cache() -> None:
    """Once a process."""
    warnings.warn(
        "fastbp: no folder to keep compiled kernels in, so every process compiles them anew; "
        "set NUMBA_CACHE_DIR to a folder that can be written to",
        RuntimeWarning,
        stacklevel=3,
    )


def kernel(function: Any) -> Any:
    """Compile for Python to call: on the first call with a dtype, and keep the machine code on disk."""
    try:
        dispatcher = njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # Numba found no folder that it can write to
        _warn_of_no_cache()
        return njit(**OPTIONS)(function)
    # Numba looks at a kernel's own file alone, but its machine code holds that of the kernels it calls: after an
    # upgrade of another file it would run the old ones.
    index = dispatcher._cache._cache_file
    index._source_stamp = (SOURCES, index._source_stamp)
    return dispatcher


INNER = {**OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # wrappers are a tenth of the compile time


def inner(function: Any) -> Any:
    """Compile for other kernels to call; from Python it can't be called, and crashes the process if it is."""
    return njit(**INNER)(function)


def inlined(function: Any) -> Any:
    """A few instructions that LLVM puts into their callers."""
    return njit(forceinline=True, **INNER)(function)


def merged(function: Any) -> Any:
    """A kernel that Numba puts into its callers, which are one or two.

    Numba optimises and emits a kernel's code again within each of its callers: a long chain of calls would compile
    slowly (all plain: half as long again; see docs/design.md).
    """
    return njit(inline="always", **INNER)(function)


def given(function: Any) -> Any:
    """A user's function, compiled as kernels are, unless it already is compiled."""
    return function if is_jitted(function) else njit(**OPTIONS)(function)


def c_function(signature: Any) -> Any:
    """Compile at once, into a function that kernels call by its address."""
    return cfunc(signature, error_model=OPTIONS["error_model"], fastmath=HONEST)
