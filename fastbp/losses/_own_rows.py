"""The user's own row loss, which Numba compiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .._checks import typed, whole, wrong
from .._kernels import codes
from ._custom import TARGETS, is_close
from ._kinds import Loss

Array = npt.NDArray[Any]


class _Numbers(Loss):
    """Stands for targets that may be any numbers."""

    name = "numbers"


@dataclass(frozen=True)
class Rows(Loss):
    """Your own loss function of all outputs and all targets of a sample. Numba compiles it.

    The gradient that the function returns is compared with central differences. `Trainer.predict` returns the
    outputs aᴸ.

    Parameters
    ----------
    function : function of (outputs, targets), two arrays of numbers, that returns (loss, gradient of the loss)
        The gradient with respect to the outputs is an array or a tuple of n_outputs numbers. You can decorate the
        function with Numba's @njit, or pass plain Python that @njit can compile. It must not write to its arguments. In
        training, subnormal numbers count as 0.
    n_outputs : int
        Number of outputs, n_L.
    n_targets : int, optional
        Number of columns of y, at most n_outputs. By default, n_outputs.

    Examples
    --------
    >>> def weibull(outputs, targets):  # log scale and log shape of a time
    ...     log_scale, shape = outputs[0], math.exp(outputs[1])
    ...     z = math.log(targets[0]) - log_scale
    ...     hazard = math.exp(shape * z)
    ...     return hazard - shape * z - outputs[1], (shape * (1 - hazard), shape * z * (hazard - 1) - 1)
    >>> trainer = Trainer([5, 16, 2], loss=losses.Rows(weibull, n_outputs=2, n_targets=1))
    """

    name, code, formula = "rows", codes.CUSTOM, "your function of the rows aᴸ and y"

    function: Callable[[Array, Array], tuple[float, Any]]
    n_outputs: int
    n_targets: int | None = None

    def __post_init__(self) -> None:
        from .._kernels.jit import given

        n_outputs = whole("n_outputs", self.n_outputs, minimum=1)
        n_targets = n_outputs if self.n_targets is None else whole("n_targets", self.n_targets, minimum=1)
        if n_targets > n_outputs:
            raise ValueError(wrong("n_targets", f"at most n_outputs, {n_outputs}", n_targets))
        if not callable(self.function) or isinstance(self.function, type):
            expected = "a function of (outputs, targets) that returns (loss, gradient by the outputs)"
            raise TypeError(wrong("function", expected, typed(self.function)))
        compiled = given(self.function)
        for name, value in (("function", compiled), ("n_outputs", n_outputs), ("n_targets", n_targets)):
            object.__setattr__(self, name, value)
        _check_gradient(compiled, n_outputs, n_targets)

    @property
    def of_targets(self) -> Loss:
        return _Numbers()

    def target_columns(self, n_outputs: int) -> int:
        assert self.n_targets is not None  # it has been set
        return self.n_targets

    @property
    def predicts_targets(self) -> bool:
        return self.n_targets == self.n_outputs

    def objective(self, n_outputs: int, dtype: np.dtype[Any]) -> codes.Objective:
        from .._kernels.graph.row_functions import row_loss_address

        if n_outputs != self.n_outputs:
            expected = f"{self.n_outputs} outputs, the n_outputs of the loss Rows"
            raise ValueError(wrong("layer_sizes", expected, n_outputs))
        address = row_loss_address(self.function, dtype.name, self.target_columns(n_outputs))
        return codes.Objective(self.code, foreign=address)


def _check_gradient(function: Callable[[Array, Array], tuple[float, Any]], n_outputs: int, n_targets: int) -> None:
    """Refuse a function whose gradient is not that of central differences."""
    rng = np.random.default_rng(0)
    probes = [(rng.normal(0, scale, n_outputs), np.full(n_targets, y)) for scale in (0.3, 1, 3) for y in TARGETS]
    probes += [(a, rng.uniform(0.1, 3, n_targets)) for a, _ in probes]
    try:
        wrongs = [(a, y, i) for a, y in probes for i in _wrong_derivatives(function, a, y)]
    except Exception as error:  # whatever the user's function or Numba raises
        raise ValueError(
            "loss: expected a function of (outputs, targets) that Numba compiles and that returns a pair "
            f"(loss, gradient by the {n_outputs} outputs), got: {error}"
        ) from error
    if wrongs:
        a, y, i = wrongs[0]
        came = f"a derivative by output {i} that is not that of central differences at outputs {a}, targets {y}"
        raise ValueError(wrong("loss", "a function that gives (loss, gradient by the outputs)", came))


def _wrong_derivatives(function: Callable[[Array, Array], tuple[float, Any]], a: Array, y: Array) -> list[int]:
    """Return the outputs by which the derivative isn't close to the central difference."""
    try:
        value, gradient = function(a.copy(), y)
        if len(gradient) != len(a):
            raise ValueError(f"a gradient of {len(gradient)} numbers")
        found = []
        for i, derivative in enumerate(gradient):
            step = 1e-5 * max(1.0, abs(a[i]))
            shift = np.where(np.arange(len(a)) == i, step, 0.0)
            numeric = (function(a + shift, y)[0] - function(a - shift, y)[0]) / (2 * step)
            if not is_close(derivative, numeric, value, step):
                found.append(i)
    except ZeroDivisionError:
        return []
    return found
