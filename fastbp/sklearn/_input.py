"""Checks of the estimators' arguments: first those of scikit-learn, then those of Trainer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.utils import compute_sample_weight
from sklearn.utils._param_validation import Interval, InvalidParameterError
from sklearn.utils.validation import _check_sample_weight

from .. import _checks
from .._checks import wrong
from .._training import weighting

Array = npt.NDArray[Any]


class Names(NamedTuple):
    """Names of X, y and the sample weights in messages."""

    X: str = "X"
    y: str = "y"
    sample_weight: str = "sample_weight"


FIT = Names()
VALIDATION = Names("validation_data[0]", "validation_data[1]", "validation_data[2]")


class Whole(Interval):  # type: ignore[misc]
    """scikit-learn's constraint for an integer in a range, which also refuses True and False."""

    def __init__(self, left: int | None, right: int | None = None) -> None:
        super().__init__(Integral, left, right, closed="left" if right is None else "both")

    def is_satisfied_by(self, val: Any) -> bool:
        return not isinstance(val, bool) and super().is_satisfied_by(val)


@contextmanager
def named(argument: str) -> Iterator[None]:
    """Add the argument's name to scikit-learn's errors."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if argument in str(error):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{argument}: {error}") from error


def refuse(argument: str, value: Any, *, dates: bool = False) -> None:
    """Refuse what scikit-learn silently converts to numbers: masked numbers, and dates unless they are allowed."""
    _checks.no_stream(argument, value)
    if np.ma.is_masked(value):
        raise ValueError(wrong(argument, "no missing values", "a masked array; fill it first"))
    if dates:
        return
    dtypes = getattr(value, "dtypes", None)  # a frame's
    dtypes = list(dtypes) if np.iterable(dtypes) else [getattr(value, "dtype", None)]
    for dtype in dtypes:
        if getattr(dtype, "kind", "") in ("m", "M"):
            raise TypeError(wrong(argument, "numbers", f"dtype {dtype}"))
    if any(getattr(dtype, "kind", "O") == "O" for dtype in dtypes):
        refuse_inner_dates(argument, value)


def refuse_inner_dates(argument: str, value: Any) -> None:
    """Refuse dates in lists, in arrays of objects, and in frames with extension dtypes."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # scikit-learn has its own errors for these
        return
    if array.dtype.kind in "mM":
        raise TypeError(wrong(argument, "numbers", f"dtype {array.dtype}"))
    _checks.refuse_objects(argument, array, _checks.DATES)


def validation_parts(value: Any) -> tuple[Any, Any, Any]:
    """Return X, y, and sample_weight or None."""
    try:
        parts = _checks.parts("validation_data", value)
    except TypeError as error:
        raise ValueError(str(error)) from None
    return parts[0], parts[1], parts[2] if len(parts) > 2 else None


def sample_weights(argument: str, value: Any, X: Any, dtype: np.dtype[Any]) -> Array | None:
    """Return (n,) weights ≥ 0, not all 0, from an array, a list, a series or one number for all; None for None.

    Raises
    ------
    ValueError
        If they are not numbers, it is an InvalidParameterError, which is a TypeError, too.
    """
    if value is None:
        return None
    try:
        _checks.numbers(argument, value)
        with named(argument):
            value = _check_sample_weight(value, X)
        return weighting.sample_weights(argument, value, X.shape[0], dtype)
    except TypeError as error:
        raise InvalidParameterError(str(error)) from None


def class_weights(value: Any, y: Any, classes: Array, dtype: np.dtype[Any]) -> Array:
    """Return (n,) weights of the samples by their classes, or by all their labels.

    Parameters
    ----------
    value : {class: weight ≥ 0} or "balanced"; for labels a list of them, one for each label
        A class without a weight has the weight 1.
    y : (n,) classes, or (n, n_L) labels
    classes : all classes
    """
    if y.ndim == 1:
        if isinstance(value, str):
            return np.asarray(compute_sample_weight(value, y))
        return _by_class(value, y, list(classes), dtype)
    if isinstance(value, str):
        return np.asarray(compute_sample_weight(value, y))
    if not isinstance(value, list) or len(value) != y.shape[1]:
        expected = f"'balanced', or a list of {y.shape[1]} dicts, one for each label"
        came = f"a list of {len(value)}" if isinstance(value, list) else _checks.shown(value)
        raise ValueError(wrong("class_weight", expected, came))
    largest = y.max()
    labels = [0, largest or y.min() or 1]
    weights = np.ones(y.shape[0])
    for k, weight in enumerate(value):
        column = y[:, k] if isinstance(y, np.ndarray) else y[:, [k]].toarray().ravel()
        weights *= _by_class(weight, column, labels, dtype)
    return weights


def _by_class(value: Any, y: Array, classes: list[Any], dtype: np.dtype[Any]) -> Array:
    """Return (n,) weights from a dict or, for a single label, "balanced" or None."""
    if value is None:
        return np.ones(len(y))
    if isinstance(value, str) and value == "balanced":
        return np.asarray(compute_sample_weight(value, y))
    if not isinstance(value, Mapping):
        raise InvalidParameterError(wrong("class_weight", "'balanced' or a dict of weights", _checks.shown(value)))
    table = {label: _checks.real("class_weight", weight, minimum=0, dtype=dtype) for label, weight in value.items()}
    unknown = [label for label in table if label not in classes]
    if unknown and any(label not in table for label in classes):
        raise ValueError(
            wrong("class_weight", f"weights of the classes {np.array(classes).tolist()}", f"a weight of {unknown[0]!r}")
        )
    found, places = np.unique(y, return_inverse=True)
    return np.array([table.get(label, 1.0) for label in found], np.float64)[places]
