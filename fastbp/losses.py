"""Losses: their names and codes, their default output activations, and the targets that they accept."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from . import _messages
from ._checks import (
    cast,
    fraction,
    kind_shown,
    level_outside,
    numbers,
    one_of,
    real,
    sequence,
    shown,
    wrong,
)
from ._kernels import codes
from .activations import ACTIVATIONS

Array = npt.NDArray[Any]
NO_LABELS = np.empty(0, np.int64)
FEW = 32  # numbers that Python compares faster than NumPy


@dataclass(frozen=True)
class Loss:
    """Base class of losses. A loss has a name, a formula for one sample, and a default output activation.

    J is the mean over the samples of a batch, weighted if there are sample weights. Losses of outputs are summed.
    """

    name: ClassVar[str]
    code: ClassVar[int]
    formula: ClassVar[str]
    output: ClassVar[str] = "identity"  # the output activation that "auto" selects
    any_output: ClassVar[bool] = True  # whether other output activations are allowed
    threshold: ClassVar[float | None] = None  # a single output above it is class 1; None: as the activation
    low: ClassVar[float] = -math.inf  # the smallest valid target
    high: ClassVar[float] = math.inf  # the largest valid target

    def objective(self, n_outputs: int, dtype: np.dtype[Any]) -> codes.Objective:
        """Return the loss in the form that the kernels take."""
        return codes.Objective(self.code)


@dataclass(frozen=True)
class SquaredError(Loss):
    """Squared error: ½ Σ (y − aᴸ)² over the outputs."""

    name, code, formula = "squared_error", codes.SQUARED_ERROR, "½ Σ (y − aᴸ)²"


@dataclass(frozen=True)
class AbsoluteError(Loss):
    """Absolute error: Σ |y − aᴸ| over the outputs."""

    name, code, formula = "absolute_error", codes.ABSOLUTE_ERROR, "Σ |y − aᴸ|"


@dataclass(frozen=True)
class Huber(Loss):
    """Huber loss (Huber, 1964): ½ e² where |e| ≤ delta, otherwise delta (|e| − ½ delta), with e = aᴸ − y.

    The formula is that of PyTorch's HuberLoss.

    Parameters
    ----------
    delta : float
        Size of the error above which the loss is linear instead of quadratic.
    """

    name, code, formula = "huber", codes.HUBER, "Σ ½ e², delta (|e| − ½ delta) beyond delta"

    delta: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", real("delta", self.delta, above=0, dtype=np.dtype("float64")))

    def objective(self, n_outputs: int, dtype: np.dtype[Any]) -> codes.Objective:
        return codes.Objective(self.code, (real("delta", self.delta, above=0, dtype=dtype),))


@dataclass(frozen=True)
class Quantile(Loss):
    """Quantile loss (Koenker and Bassett, 1978): q (y − aᴸ) where y > aᴸ, otherwise (1 − q) (aᴸ − y).

    The mean loss is smallest where aᴸ is the q-quantile of y. The loss is also known as pinball loss.

    Parameters
    ----------
    quantiles : float or sequence of float, each in (0, 1)
        One quantile for all outputs, or one for each output. One network can thus predict several quantiles of one
        target; y may then have the shape (n,).
    """

    name, code, formula = "quantile", codes.QUANTILE, "Σ max(q (y − aᴸ), (1 − q) (aᴸ − y))"

    quantiles: tuple[float, ...] = (0.5,)

    def __post_init__(self) -> None:
        value: Any = self.quantiles
        values = [value] if np.ndim(value) == 0 else value
        values = sequence("quantiles", values, "numbers in (0, 1)")
        checked = tuple(real("quantiles", q, above=0, dtype=np.dtype("float64")) for q in values)
        if not checked or max(checked) >= 1:
            raise ValueError(wrong("quantiles", "numbers in (0, 1)", shown(value)))
        object.__setattr__(self, "quantiles", checked)

    def objective(self, n_outputs: int, dtype: np.dtype[Any]) -> codes.Objective:
        if len(self.quantiles) not in (1, n_outputs):
            expected = f"{len(self.quantiles)} outputs, one for each quantile"
            raise ValueError(wrong("layer_sizes", expected, n_outputs))
        if any(not 0 < dtype.type(q) < 1 for q in self.quantiles):
            expected = f"numbers that are in (0, 1) after conversion to {dtype}"
            raise ValueError(wrong("quantiles", expected, shown(self.quantiles)))
        return codes.Objective(self.code, self.quantiles)


@dataclass(frozen=True)
class Hinge(Loss):
    """Hinge loss: Σ max(0, 1 − y aᴸ) with y = ±1. Class numbers are encoded as one class against the rest."""

    name, code, formula, threshold = "hinge", codes.HINGE, "Σ max(0, 1 − y aᴸ), y = ±1", 0.0
    low, high = -1, 1


@dataclass(frozen=True)
class Poisson(Loss):
    """Poisson loss for counts: Σ (aᴸ − y log aᴸ) with aᴸ = e^zᴸ, computed from zᴸ, as in PyTorch's PoissonNLLLoss."""

    name, code, formula = "poisson", codes.POISSON, "Σ (aᴸ − y log aᴸ)"
    output, any_output, low = "exponential", False, 0


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross entropy: −Σ y log aᴸ with aᴸ = softmax(zᴸ), computed from the logits zᴸ.

    Parameters
    ----------
    label_smoothing : float, in [0, 1)
        Smoothing s (Szegedy et al., 2016): y is replaced by (1 − s) y + s / n_L.

    Notes
    -----
    Class weights multiply the whole loss of a sample, including the smoothing, as in Keras. Without smoothing they are
    the same as PyTorch's ``weight``. With smoothing, PyTorch weights each term of s / n_L Σ (−log aᴸ) by its own class.
    """

    name, code, formula = "cross_entropy", codes.CROSS_ENTROPY, "−Σ y log aᴸ"
    output, any_output, low, high = "softmax", False, 0, 1

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "label_smoothing", fraction("label_smoothing", self.label_smoothing))

    def objective(self, n_outputs: int, dtype: np.dtype[Any]) -> codes.Objective:
        off = self.label_smoothing / n_outputs
        return codes.Objective(self.code, label_off=off, label_on=1 - self.label_smoothing + off)


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Binary cross entropy: −Σ (y log aᴸ + (1 − y) log(1 − aᴸ)) with aᴸ = sigmoid(zᴸ), computed from the logits zᴸ.

    Each output is a separate label.
    """

    name, code = "binary_cross_entropy", codes.BINARY_CROSS_ENTROPY
    formula = "−Σ (y log aᴸ + (1 − y) log(1 − aᴸ))"
    output, any_output, low, high = "sigmoid", False, 0, 1


@dataclass(frozen=True)
class Custom(Loss):
    """A loss function of your own, summed over outputs. Numba compiles it, and the kernels call it.

    The derivative that the function returns is checked against central differences.

    Parameters
    ----------
    function : function of (output, target), two numbers, that returns (loss, derivative of the loss by the output)
        It is decorated with Numba's @njit, or plain Python that @njit can compile.
    """

    name, code, formula = "custom", codes.CUSTOM, "Σ of your function of aᴸ and y"

    function: Callable[[float, float], tuple[float, float]]

    def __post_init__(self) -> None:
        from ._kernels.jit import given  # imports Numba, which only a loss of your own needs

        compiled = given(self.function)
        object.__setattr__(self, "function", compiled)
        try:
            wrongs = [(a, y) for a in PROBES for y in (-1.0, 0.0, 0.6, 1.0, 3.0) if not _is_derivative(compiled, a, y)]
        except Exception as error:  # whatever the user's function or Numba raises
            raise ValueError(
                f"loss: expected a function of (output, target) that Numba compiles and that returns a pair "
                f"(loss, derivative by the output), got: {error}"
            ) from error
        if wrongs:
            came = "a derivative that is not that of central differences at output {:g}, target {:g}".format(*wrongs[0])
            raise ValueError(wrong("loss", "a function that gives (loss, derivative by the output)", came))

    def objective(self, n_outputs: int, dtype: np.dtype[Any]) -> codes.Objective:
        from ._kernels.foreign import loss_address

        return codes.Objective(self.code, foreign=loss_address(self.function, dtype.name))


PROBES = (-40.3, -7.1, -1.7, -0.3, 0.4, 1.9, 6.2, 33.7)  # outputs at which the derivative of a user's loss is checked


def _is_derivative(function: Callable[[float, float], tuple[float, float]], a: float, y: float) -> bool:
    """Return whether the derivative is close to the central difference; True where the loss has no derivative."""
    step = 1e-5 * max(1.0, abs(a))
    try:
        above, below, (value, derivative) = function(a + step, y)[0], function(a - step, y)[0], function(a, y)
    except ZeroDivisionError:
        return True
    numeric = (above - below) / (2 * step)
    if not (math.isfinite(numeric) and math.isfinite(value)):
        return True
    tolerance = 1e-4 * max(abs(numeric), abs(derivative)) + 1e-9 * abs(value) / step + 1e-12
    return abs(derivative - numeric) <= tolerance


LOSSES: dict[str, type[Loss]] = {
    kind.name: kind
    for kind in (
        SquaredError,
        AbsoluteError,
        Huber,
        Quantile,
        Hinge,
        Poisson,
        CrossEntropy,
        BinaryCrossEntropy,
    )
}


def loss_of(value: Any) -> Loss:
    """Return a Loss, given its name, a Loss, or a function of (output, target)."""
    if isinstance(value, Loss):
        return value
    if callable(value) and not isinstance(value, type):
        return Custom(value)
    if isinstance(value, type) and issubclass(value, Loss):
        raise TypeError(wrong("loss", "an object", kind_shown(value, Loss)))
    return LOSSES[one_of("loss", value, LOSSES)]()


SUM_TOLERANCE = 1e-3  # for the row sums of targets that are probabilities


def resolve_output(value: Any, loss: Loss) -> str:
    """Return the name of the output activation: that of the loss for "auto", otherwise the given one, checked."""
    name = one_of("output_activation", value, ["auto", *ACTIVATIONS])
    if name == "auto":
        return loss.output
    if name != loss.output and not loss.any_output:
        raise ValueError(wrong("output_activation", f"'auto' or {loss.output!r} with loss={loss.name!r}", repr(name)))
    return name


def encode(
    argument: str, y: Any, n: int, n_outputs: int, loss: Loss, output: str, dtype: npt.DTypeLike, *, warns: bool = True
) -> tuple[Array, npt.NDArray[np.int64]]:
    """Check y and convert it to the form that the kernels take.

    Parameters
    ----------
    argument : name of y in messages
    y : (n,) or (n, 1), or (n, n_L); class numbers 0 … n_L − 1 as (n,) or (n, 1) if the loss is for classes
    n, n_outputs : number of rows of X, and n_L
    loss, output : the loss, and the name of the output activation
    dtype : dtype of the trainer
    warns : whether to warn of targets that the output can't reach

    Returns
    -------
    targets, labels : (n, n_L) of the dtype and (0,) int64; for class numbers, (0, n_L) and (n,) int64

    Warns
    -----
    UserWarning
        If targets lie outside the range of the output activation.
    """
    array = numbers(argument, y, "numbers (encode text classes as 0, 1, 2 …)")
    if array.ndim == 0 or array.ndim > 2:
        raise ValueError(wrong(argument, "a 1-D or 2-D array", f"{array.ndim}-D of shape {array.shape}"))
    if len(array) != n:
        raise ValueError(wrong(argument, f"{n} rows, as many as X has", f"{len(array)} (shape {array.shape})"))
    columns = 1 if array.ndim == 1 else array.shape[1]
    if isinstance(loss, CrossEntropy) and columns == 1:
        return np.empty((0, n_outputs), dtype), _class_numbers(argument, array.reshape(-1), n_outputs)
    if isinstance(loss, Hinge):
        array = _signs(argument, array, columns, n_outputs)
    elif isinstance(loss, Quantile) and columns == 1:
        array = np.repeat(array.reshape(n, 1), n_outputs, axis=1)
    elif columns != n_outputs:
        hint = "; for class numbers use loss='cross_entropy'" if columns == 1 else ""
        raise ValueError(wrong(argument, f"shape ({n}, {n_outputs})", f"{array.shape}{hint}"))
    targets = cast(argument, array if array.ndim == 2 else array.reshape(n, n_outputs), dtype)
    _check_range(argument, targets, loss, output, warns)
    return targets, NO_LABELS


def _extremes(array: Array) -> tuple[Any, Any]:
    """Return the smallest and the largest of some finite numbers, as Python's."""
    if array.size <= FEW:
        few = array.ravel().tolist()
        return min(few), max(few)
    return array.min().item(), array.max().item()


def _signs(argument: str, values: Array, columns: int, n_outputs: int) -> Array:
    """Return targets of −1 and 1, given −1 and 1, 0 and 1, or class numbers 0 … n_outputs − 1."""
    if columns == 1 and n_outputs > 1:
        return 2.0 * np.eye(n_outputs)[_class_numbers(argument, values.reshape(-1), n_outputs)] - 1
    if columns != n_outputs:
        raise ValueError(wrong(argument, f"({len(values)}, {n_outputs}), or class numbers", f"shape {values.shape}"))
    found = np.unique(values)
    if np.isin(found, (-1, 1)).all():
        return values
    if np.isin(found, (0, 1)).all():
        return 2.0 * values - 1
    raise ValueError(wrong(argument, "−1 and 1, or 0 and 1, with loss='hinge'", f"numbers like {found[:3].tolist()}"))


def _class_numbers(argument: str, values: Array, n_classes: int) -> npt.NDArray[np.int64]:
    """Return class numbers 0 … n_classes − 1, (n,) int64. Floats are accepted if they are whole numbers."""
    labels = values
    if values.dtype.kind == "f":
        values = cast(argument, values, np.float64)
        if (values != np.floor(values)).any():
            bad = values[values != np.floor(values)][0]
            raise ValueError(wrong(argument, f"whole class numbers 0 … {n_classes - 1}", bad))
    low, high = _extremes(labels)
    if low < 0 or high >= n_classes:
        raise ValueError(wrong(argument, f"class numbers 0 … {n_classes - 1}", f"numbers from {low} to {high}"))
    return np.ascontiguousarray(labels, np.int64)


def _check_range(argument: str, targets: Array, loss: Loss, output: str, warns: bool) -> None:
    """Refuse targets that the loss isn't defined for. If warns, warn of targets that the output can't reach."""
    activation, is_hinge = ACTIVATIONS[output], isinstance(loss, Hinge)
    if loss.low == activation.low == -math.inf and loss.high == activation.high == math.inf and not is_hinge:
        return
    low, high = _extremes(targets)
    came = f"numbers from {low:g} to {high:g}"
    if low < loss.low or high > loss.high:
        limits = f"numbers in [{loss.low:g}, {loss.high:g}]" if loss.high < math.inf else f"numbers ≥ {loss.low:g}"
        raise ValueError(wrong(argument, limits, came))
    if isinstance(loss, CrossEntropy):
        sums = targets.sum(axis=1, dtype=np.float64)
        worst = int(np.abs(sums - 1).argmax())
        if abs(sums[worst] - 1) > SUM_TOLERANCE:
            raise ValueError(
                wrong(
                    argument,
                    "class numbers, or rows that add up to 1 (one-hot)",
                    f"a sum of {sums[worst]:g} in row {worst}",
                )
            )
    activation = ACTIVATIONS[output]
    if isinstance(loss, Hinge) or not warns:
        return
    if low < activation.low or high > activation.high:
        _messages.warn(
            f"{argument}: {came}, but the output activation {output!r} gives only "
            f"[{activation.low:g}, {activation.high:g}]; scale the targets or choose another output_activation",
            UserWarning,
            stacklevel=level_outside(),
        )
