"""The losses: their names and codes, the output activation that each goes with, and the targets that each takes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ._checks import as_writable, cast, numbers, one_of, wrong
from ._kernels import codes
from .activations import ACTIVATIONS

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Loss:
    """One loss J: what a kernel calls it, its formula, and its output activation."""

    code: int
    formula: str
    output: str  # what output_activation="auto" means
    any_output: bool = False  # whether other output activations will do


LOSSES = {
    "squared_error": Loss(codes.SQUARED_ERROR, "1/(2m) Σ_samples Σ_outputs (y − aᴸ)²", "identity", any_output=True),
    "cross_entropy": Loss(codes.CROSS_ENTROPY, "−1/m Σ_samples Σ_outputs y log aᴸ", "softmax"),
    "binary_cross_entropy": Loss(
        codes.BINARY_CROSS_ENTROPY,
        "−1/m Σ_samples Σ_outputs (y log aᴸ + (1 − y) log(1 − aᴸ))",
        "sigmoid",
    ),
}
SUM_TOLERANCE = 1e-3  # of the row sums of probabilities given as targets


def output_activation(value: Any, loss: str) -> str:
    """The output activation's name: the one that the loss goes with for "auto", else the one asked for, checked."""
    name = one_of("output_activation", value, ["auto", *ACTIVATIONS])
    natural = LOSSES[loss].output
    if name == "auto":
        return natural
    if name != natural and not LOSSES[loss].any_output:
        raise ValueError(wrong("output_activation", f"'auto' or {natural!r} with loss={loss!r}", repr(name)))
    return name


def encode(
    argument: str, y: Any, n: int, n_outputs: int, loss: str, output: str, dtype: npt.DTypeLike
) -> tuple[Array, npt.NDArray[np.int64]]:
    """Check y and give it as kernels take it.

    Parameters
    ----------
    argument : what messages call y
    y : (n,) or (n, 1), or (n, n_L); class numbers 0 … n_L − 1 as (n,) or (n, 1) where the loss is cross_entropy
    n, n_outputs : rows of X, and n_L
    loss, output : names of the loss and the output activation
    dtype : the trainer's

    Returns
    -------
    targets, labels : (n, n_L) of the dtype and (0,) int64; or, for class numbers, (0, n_L) and (n,) int64.

    Warns
    -----
    UserWarning
        Where targets lie outside what the output activation can give.
    """
    array = numbers(argument, y, "numbers (encode text classes as 0, 1, 2 …)")
    if array.ndim == 0 or array.ndim > 2:
        raise ValueError(wrong(argument, "a 1-D or 2-D array", f"{array.ndim}-D of shape {array.shape}"))
    if len(array) != n:
        raise ValueError(wrong(argument, f"{n} rows, as many as X has", f"{len(array)} (shape {array.shape})"))
    if loss == "cross_entropy" and (array.ndim == 1 or array.shape[1] == 1):
        return np.empty((0, n_outputs), dtype), _class_numbers(argument, array.reshape(-1), n_outputs)
    columns = 1 if array.ndim == 1 else array.shape[1]
    if columns != n_outputs:
        hint = "; for class numbers use loss='cross_entropy'" if columns == 1 else ""
        raise ValueError(wrong(argument, f"shape ({n}, {n_outputs})", f"{array.shape}{hint}"))
    array = array.reshape(n, n_outputs)
    targets = cast(argument, array, dtype)
    _check_range(argument, targets, loss, output)
    return targets, np.empty(0, np.int64)


def _class_numbers(argument: str, values: Array, n_classes: int) -> npt.NDArray[np.int64]:
    """(n,) int64 in 0 … n_classes − 1; floats will do where they are whole."""
    labels = values
    if values.dtype.kind == "f":
        values = cast(argument, values, np.float64)
        if (values != np.floor(values)).any():
            bad = values[values != np.floor(values)][0]
            raise ValueError(wrong(argument, f"whole class numbers 0 … {n_classes - 1}", bad))
    low, high = labels.min(), labels.max()
    if low < 0 or high >= n_classes:
        raise ValueError(wrong(argument, f"class numbers 0 … {n_classes - 1}", f"numbers from {low} to {high}"))
    return as_writable(np.ascontiguousarray(labels, np.int64))


def _check_range(argument: str, targets: Array, loss: str, output: str) -> None:
    """Refuse targets for which the loss means nothing; warn of those that the output can't reach."""
    low, high = float(targets.min()), float(targets.max())
    came = f"numbers from {low:g} to {high:g}"
    if loss != "squared_error" and (low < 0 or high > 1):
        raise ValueError(wrong(argument, "numbers in [0, 1]", came))
    if loss == "cross_entropy":
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
    if low < activation.low or high > activation.high:
        warnings.warn(
            f"{argument}: {came}, but the output activation {output!r} gives only "
            f"[{activation.low:g}, {activation.high:g}]; scale the targets or choose another output_activation",
            UserWarning,
            stacklevel=5,
        )
