"""scipy's L-BFGS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._extras import not_installed

Array = npt.NDArray[Any]


def minimize(
    cost: Callable[[Array], tuple[float, Array]], start: Array, options: dict[str, Any], after: Callable[[Any], bool]
) -> Any:
    """Minimize a function of all parameters.

    Parameters
    ----------
    cost : returns J and its gradient, (n,), for the parameters, (n,) float64
    start : (n,) float64
    options : of scipy's L-BFGS-B; ``maxcor`` is the number of past steps that it stores
    after : called with scipy's result after each iteration; returns whether to stop

    Returns
    -------
    The result of scipy.

    Raises
    ------
    ImportError
        If scipy is not installed.
    MemoryError
        If scipy's workspace doesn't fit into memory. Nothing is allocated.
    """
    try:
        from scipy.optimize import minimize as scipy_minimize
    except ImportError:
        raise not_installed("optimizer='lbfgs' needs scipy", "lbfgs") from None
    m, n = options["maxcor"], start.size
    _checks.fits("memory", f"one of {m:,} past steps", start.itemsize * (2 * m * n + 5 * n + 11 * m * m + 8 * m))

    def iteration(intermediate_result: Any) -> None:  # scipy chooses the argument by this name
        if after(intermediate_result):
            raise StopIteration

    return scipy_minimize(cost, start, jac=True, method="L-BFGS-B", callback=iteration, options=options)


def flat(parts: list[Array]) -> Array:
    """Return all numbers of some arrays in one float64 array, which `minimize` takes."""
    return np.concatenate([part.ravel() for part in parts]).astype(np.float64, copy=False)
