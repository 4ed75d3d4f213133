"""The user's own loss of an output and a target, which Numba compiles."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .._checks import typed, wrong
from .._kernels import codes
from ._kinds import Loss

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Custom(Loss):
    """A loss function of your own, summed over outputs. Numba compiles it, and the kernels call it.

    The derivative that the function returns is checked against central differences.

    Parameters
    ----------
    function : function of (output, target), two numbers, that returns (loss, derivative of the loss by the output)
        It is decorated with Numba's @njit, or plain Python that @njit can compile. In training, subnormal numbers count
        as 0.
    """

    name, code, formula = "custom", codes.CUSTOM, "Σ of your function of aᴸ and y"

    function: Callable[[float, float], tuple[float, float]]

    def __post_init__(self) -> None:
        from .._kernels.jit import given  # imports Numba, which only a loss of your own needs

        if not callable(self.function) or isinstance(self.function, type):
            expected = "a function of (output, target) that returns (loss, derivative by the output)"
            raise TypeError(wrong("function", expected, typed(self.function)))
        compiled = given(self.function)
        object.__setattr__(self, "function", compiled)
        try:
            wrongs = [(a, y) for a in PROBES for y in TARGETS if not _is_derivative(compiled, a, y)]
        except Exception as error:  # whatever the user's function or Numba raises
            raise ValueError(
                f"loss: expected a function of (output, target) that Numba compiles and that returns a pair "
                f"(loss, derivative by the output), got: {error}"
            ) from error
        if wrongs:
            came = "a derivative that is not that of central differences at output {:g}, target {:g}".format(*wrongs[0])
            raise ValueError(wrong("loss", "a function that gives (loss, derivative by the output)", came))

    def objective(self, n_outputs: int, dtype: np.dtype[Any]) -> codes.Objective:
        from .._kernels.foreign import loss_address

        return codes.Objective(self.code, foreign=loss_address(self.function, dtype.name))


PROBES = (-40.3, -7.1, -1.7, -0.3, 0.4, 1.9, 6.2, 33.7)  # outputs at which the derivative of a user's loss is checked
TARGETS = (-1.0, 0.0, 0.6, 1.0, 3.0)


def _is_derivative(function: Callable[[float, float], tuple[float, float]], a: float, y: float) -> bool:
    """Return whether the derivative is close to the central difference; True where the loss has no derivative."""
    step = 1e-5 * max(1.0, abs(a))
    try:
        above, below, (value, derivative) = function(a + step, y)[0], function(a - step, y)[0], function(a, y)
    except ZeroDivisionError:
        return True
    numeric = (above - below) / (2 * step)
    return is_close(derivative, numeric, value, step)


def is_close(derivative: float, numeric: float, value: float, step: float) -> bool:
    """Return whether a derivative is close to the central difference of a loss; True where it isn't finite."""
    if not (math.isfinite(numeric) and math.isfinite(value)):
        return True
    tolerance = 1e-4 * max(abs(numeric), abs(derivative)) + 1e-9 * abs(value) / step + 1e-12
    return abs(derivative - numeric) <= tolerance
