"""How every kernel of fastbp is compiled."""

from typing import Any

from numba import cfunc, njit
from numba.extending import is_jitted

from .disk import cache_of
from .drafts import Drafting, DraftingWhole

# nnan and ninf would hide a NaN. reassoc would reorder sums and break the rounding tricks of elementary.py.
HONEST = {"contract", "nsz", "arcp"}
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": HONEST}


def kernel(function: Any) -> Any:
    """Compile on the first call from Python with a dtype, and store the machine code on disk."""
    return _kept(function, quick=False)


def quick(function: Any) -> Any:
    """Compile like `kernel`, but without an announcement, because the compilation is short."""
    return _kept(function, quick=True)


def _kept(function: Any, *, quick: bool) -> Any:
    dispatcher = njit(**OPTIONS)(function)
    dispatcher._cache = cache_of(function, quick)
    return dispatcher


# Wrappers for Python take a tenth of the compile time, and machine code that no one calls takes a third.
INNER = {**OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": Drafting}


def inner(function: Any) -> Any:
    """Compile for other kernels. A call from Python would crash the process."""
    return njit(**INNER)(function)


def apart(function: Any) -> Any:
    """Compile for other kernels, once for all of them. Otherwise LLVM would copy a large function into each caller."""
    return njit(**{**INNER, "forceinline": False, "pipeline_class": DraftingWhole})(function)


def inlined(function: Any) -> Any:
    """Compile into the callers: for a few instructions, or for a part that has a name only for its readers."""
    return njit(forceinline=True, **INNER)(function)


def given(function: Any) -> Any:
    """Compile a user's function like a kernel, unless it is compiled already."""
    return function if is_jitted(function) else njit(**OPTIONS)(function)


def c_function(signature: Any) -> Any:
    """Compile at once to a function that kernels call by its address."""
    return cfunc(signature, error_model=OPTIONS["error_model"], fastmath=HONEST)
