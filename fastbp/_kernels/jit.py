"""How every kernel of fastbp is compiled."""

from typing import Any

from numba import cfunc, njit
from numba.extending import is_jitted

from .disk import cache_of
from .drafts import Drafting, DraftingWhole

# Never nnan or ninf: a NaN must stay visible. No reassoc: it would reorder sums and break rounding tricks.
HONEST = {"contract", "nsz", "arcp"}
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": HONEST}


def kernel(function: Any) -> Any:
    """Compile for calls from Python, on the first call with a dtype, and store the machine code on disk."""
    return _kept(function, quick=False)


def quick(function: Any) -> Any:
    """Compile like `kernel`, but without an announcement, because the compilation is short."""
    return _kept(function, quick=True)


def _kept(function: Any, *, quick: bool) -> Any:
    dispatcher = njit(**OPTIONS)(function)
    dispatcher._cache = cache_of(function, quick)
    return dispatcher


# Wrappers for Python are a tenth of the compile time, machine code of what isn't run alone a third.
INNER = {**OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": Drafting}


def inner(function: Any) -> Any:
    """Compile for other kernels to call; from Python it can't be called, and crashes the process if it is."""
    return njit(**INNER)(function)


def apart(function: Any) -> Any:
    """Compile for other kernels to call, and once for all of them: LLVM would put a large one into each caller anew."""
    return njit(**{**INNER, "forceinline": False, "pipeline_class": DraftingWhole})(function)


def inlined(function: Any) -> Any:
    """A few instructions, or a part that has a name for the reader's sake, which LLVM puts into their callers."""
    return njit(forceinline=True, **INNER)(function)


def given(function: Any) -> Any:
    """A user's function, compiled as kernels are, unless it already is compiled."""
    return function if is_jitted(function) else njit(**OPTIONS)(function)


def c_function(signature: Any) -> Any:
    """Compile at once, into a function that kernels call by its address."""
    return cfunc(signature, error_model=OPTIONS["error_model"], fastmath=HONEST)
