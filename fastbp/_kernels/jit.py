"""How every kernel of fastbp is compiled."""

from typing import Any

from numba import cfunc, njit
from numba.extending import is_jitted

# nnan and ninf would hide a NaN. reassoc would reorder sums and break the rounding tricks of elementary.py.
HONEST = {"contract", "nsz", "arcp"}
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": HONEST}

# Wrappers for Python take a tenth of the compile time.
INNER = {**OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
# Begins the names of functions that LLVM always inlines. Numba's own option would inline each function into each caller
# before LLVM has simplified either of them.
INLINED = "inlined_"


def inner(function: Any) -> Any:
    """Compile for other kernels. A call from Python would crash the process."""
    return njit(**INNER)(function)


def inlined(function: Any) -> Any:
    """Compile into the callers: for a few instructions, or for a part that has a name only for its readers."""
    function.__qualname__ = INLINED + function.__qualname__
    return njit(**INNER)(function)


def given(function: Any) -> Any:
    """Compile a user's function like a kernel, unless it is compiled already."""
    return function if is_jitted(function) else njit(**OPTIONS)(function)


def c_function(signature: Any) -> Any:
    """Compile at once to a function of C."""
    return cfunc(signature, error_model=OPTIONS["error_model"], fastmath=HONEST)
