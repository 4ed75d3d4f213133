"""Kernels as tests call them from Python."""

from typing import Any

from numba import njit

from fastbp._kernels.jit import OPTIONS


def kernel(function: Any) -> Any:
    """Compile a test's function as kernels are compiled, on its first call."""
    return njit(**OPTIONS)(function)
