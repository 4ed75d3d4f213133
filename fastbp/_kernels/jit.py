"""How every kernel of fastbp is compiled."""

from typing import Any

from numba import cfunc, njit
from numba.core.extending import is_jitted

from .disk import Disk, warn_of_no_cache

# Never nnan or ninf: a NaN must stay visible. No reassoc: it would reorder sums and break rounding tricks.
HONEST = {"contract", "nsz", "arcp"}
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": HONEST}


def kernel(function: Any) -> Any:
    """Compile for Python to call: on the first call with a dtype, and keep the machine code on disk."""
    dispatcher = njit(**OPTIONS)(function)
    try:
        dispatcher._cache = Disk(function)
    except RuntimeError:  # Numba found no folder that it can write to
        warn_of_no_cache()
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
