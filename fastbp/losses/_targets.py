"""The targets that a loss accepts, in the form that the kernels take."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _messages
from .._checks import cast, level_outside, numbers, one_of, wrong
from ..activations import ACTIVATIONS
from ._kinds import CrossEntropy, Hinge, Loss, Quantile

Array = npt.NDArray[Any]
NO_LABELS = np.empty(0, np.int64)
FEW = 32  # numbers that Python compares faster than NumPy
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


def padded(targets: Array, n_outputs: int) -> Array:
    """Return targets with as many columns as outputs, the last ones 0, as the kernels take them."""
    if targets.shape[1] == n_outputs:
        return targets
    wide = np.zeros((len(targets), n_outputs), targets.dtype)
    wide[:, : targets.shape[1]] = targets
    return wide


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
