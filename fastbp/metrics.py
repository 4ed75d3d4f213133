"""Metrics: functions of the targets y and the predictions aᴸ, both (n, n_L)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ._checks import one_of, sequence, wrong

Array = npt.NDArray[Any]
Metric = Callable[[Array, Array], float]


def classes(output: Array, threshold: float) -> npt.NDArray[np.int64]:
    """Class numbers, (n,), from aᴸ, (n, n_L): the largest output's; a single one's by the threshold."""
    if output.shape[1] == 1:
        return (output[:, 0] > threshold).astype(np.int64)
    return output.argmax(axis=1)


def subset_accuracy(y: Array, output: Array) -> float:
    """Fraction of samples of which every label is right, for labels that are not exclusive; as scikit-learn has it."""
    return float(((y > 0.5) == (output > 0.5)).all(axis=1).mean())


def accuracy(y: Array, output: Array, threshold: float = 0.5) -> float:
    """Fraction of samples whose class is right."""
    return float((classes(y, threshold) == classes(output, threshold)).mean())


def mse(y: Array, output: Array) -> float:
    """Mean of (y − aᴸ)² over samples and outputs; no ½ in it."""
    return float(np.mean((np.asarray(y, np.float64) - output) ** 2))


def mae(y: Array, output: Array) -> float:
    """Mean of |y − aᴸ| over samples and outputs."""
    return float(np.mean(np.abs(np.asarray(y, np.float64) - output)))


def r2(y: Array, output: Array) -> float:
    """Coefficient of determination, 1 − Σ (y − aᴸ)² / Σ (y − ȳ)², averaged over outputs.

    An output whose y is constant counts as 1 where it is met exactly, else as 0; as scikit-learn has it.
    """
    y = np.asarray(y, np.float64)
    residual = ((y - output) ** 2).sum(axis=0)
    total = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    constant = total == 0
    scores = np.where(constant, residual == 0, 1 - residual / np.where(constant, 1, total))
    return float(scores.mean())


METRICS: dict[str, Metric] = {"accuracy": accuracy, "mse": mse, "mae": mae, "r2": r2}


def metric_names(value: Any) -> tuple[str, ...]:
    """The names asked for: one, or several."""
    names = [value] if isinstance(value, str) else sequence("metrics", value, "names of metrics")
    return tuple(dict.fromkeys(one_of("metrics", name, METRICS) for name in names))


def measure(
    names: tuple[str, ...],
    targets: Array,
    labels: npt.NDArray[np.int64],
    output: Array,
    *,
    threshold: float,
    multi_label: bool,
) -> dict[str, float]:
    """Each metric's value.

    Parameters
    ----------
    names : of `METRICS`
    targets, labels : (n, n_L), or (n,) class numbers; the other one is empty
    output : (n, n_L) aᴸ
    threshold : above which a single output says class 1
    multi_label : whether each output is a label of its own
    """
    if not names:
        return {}
    y = targets if len(targets) else np.eye(output.shape[1])[labels]
    values = {}
    for name in names:
        if name != "accuracy":
            values[name] = METRICS[name](y, output)
            continue
        values[name] = subset_accuracy(y, output) if multi_label else accuracy(y, output, threshold)
    return values


def check_classes(argument: str, targets: Array, threshold: float) -> None:
    """Accuracy wants targets that are classes: 0 and 1, one-hot; or −1 and 1 where the threshold is 0."""
    low = 0 if threshold > 0 else -1
    if not ((targets == low) | (targets == 0) | (targets == 1)).all():
        expected = "classes (0 and 1, or one-hot), since metrics has 'accuracy'"
        raise ValueError(wrong(argument, expected, "other numbers"))
