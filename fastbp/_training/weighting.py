"""Weights of samples and classes, and the choice of the samples that validate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from ..metrics import classes

Array = npt.NDArray[Any]


def class_numbers(targets: Array, labels: npt.NDArray[np.int64], threshold: float) -> npt.NDArray[np.int64]:
    """Return class numbers, (n,), from `losses.encode`: labels, one-hot rows, or one output's 0 and 1 (−1 and 1)."""
    return labels if labels.size else classes(targets, threshold)


def sample_weights(
    argument: str, value: Any, n: int, dtype: np.dtype[Any], *, may_be_zero: bool = False
) -> Array | None:
    """Return sample weights ≥ 0, (n,), or None for None. They may be all 0 only if may_be_zero."""
    if value is None:
        return None
    weights = _checks.numbers(argument, value)
    if weights.shape not in ((n,), (n, 1)):
        raise ValueError(_checks.wrong(argument, f"shape ({n},), a weight for each sample", f"{weights.shape}"))
    weights = _checks.cast(argument, weights.reshape(n), dtype)
    if weights.min() < 0:
        raise ValueError(_checks.wrong(argument, "numbers ≥ 0", weights.min()))
    if not may_be_zero and weights.max() == 0:
        raise ValueError(_checks.wrong(argument, "a number > 0 among the weights", "only 0"))
    least = np.finfo(dtype).tiny
    if not may_be_zero and weights.max() < least:  # kernels take subnormal numbers as 0
        came = f"only weights up to {weights.max():g}; multiply them by a constant"
        raise ValueError(_checks.wrong(argument, f"a number ≥ {least:g} among the weights", came))
    with np.errstate(over="ignore"):
        if not np.isfinite(weights.sum(dtype=np.float64)):
            came = f"an infinite sum of weights up to {weights.max():g}; divide them by a constant"
            raise ValueError(_checks.wrong(argument, "weights with a finite sum", came))
    return weights


def class_weights(value: Any, classes: npt.NDArray[np.int64], n_classes: int, dtype: np.dtype[Any]) -> Array:
    """Return the weights of the samples, (n,), given their classes.

    Parameters
    ----------
    value : {class number: weight ≥ 0}, or "balanced": n / (n_classes · samples of the class), as in scikit-learn
        Other classes have the weight 1.
    classes : (n,) class numbers
    """
    table = np.ones(n_classes)
    expected = "'balanced' or a dict of class numbers and weights"
    if isinstance(value, str):
        if value != "balanced":
            raise ValueError(_checks.wrong("class_weight", expected, repr(value)))
        counts = np.bincount(classes, minlength=n_classes)
        table = len(classes) / ((counts > 0).sum() * np.maximum(counts, 1))
    elif isinstance(value, Mapping):
        for number, weight in value.items():
            k = _checks.whole("class_weight", number, minimum=0)
            if k >= n_classes:
                raise ValueError(_checks.wrong("class_weight", f"class numbers 0 … {n_classes - 1}", k))
            table[k] = _checks.real("class_weight", weight, minimum=0, dtype=dtype)
    else:
        raise TypeError(_checks.wrong("class_weight", expected, _checks.shown(value)))
    return table[classes].astype(dtype)


def divide(
    fraction: float, n: int, classes: npt.NDArray[np.int64] | None, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Choose at random which samples train and which validate. If classes are given, the split is stratified."""
    groups = [np.arange(n, dtype=np.int64)]
    if classes is not None:
        groups = [np.flatnonzero(classes == k) for k in np.unique(classes)]
    sizes = [len(group) for group in groups]
    queue = np.concatenate([rng.permutation(group) for group in groups])
    del groups
    # Every class is spread evenly over the queue, so any part of it is stratified. The first part validates.
    places = np.concatenate([(np.arange(size) + rng.random()) / size for size in sizes])
    queue = queue[np.argsort(places, kind="stable")]
    count = round(fraction * n)
    if not 0 < count < n:
        raise ValueError(
            _checks.wrong("validation_split", "samples for both training and validation", f"{count} of {n}")
        )
    return np.sort(queue[count:]), np.sort(queue[:count])
