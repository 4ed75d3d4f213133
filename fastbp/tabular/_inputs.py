"""Checks of the arguments of fit: the target, the groups, the number of threads, other estimators."""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.base import is_classifier, is_regressor
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from .._checks import kind_shown, numbers, shown, typed, wrong
from .._engine import processors

if TYPE_CHECKING:
    from pandas import DataFrame

Array = npt.NDArray[Any]

SHOWN = 3  # rows that an error names
LARGEST, SMALLEST = 1e37, 1e-37  # targets, and half of their range, that networks can compute with in float32


def target_of(name: str, y: Any, n_rows: int) -> Array:
    """Return the target as an array, (n,), without missing values.

    Parameters
    ----------
    name : the estimator's class
    y : array, list, or a series of pandas, polars or pyarrow
    n_rows : the number of rows of X
    """
    import pandas

    if y is None:
        raise ValueError(f"{name} requires y to be passed, but the target y is None")
    given = _as_array(y)
    if getattr(given, "dtype", None) is not None and given.dtype.kind == "c":
        raise ValueError(wrong("y", "numbers or classes", "complex numbers. Complex data not supported"))
    target = np.asarray(column_or_1d(given, warn=True))
    if len(target) != n_rows:
        raise ValueError(wrong("y", f"{n_rows} values, one for each row of X", str(len(target))))
    gone = np.flatnonzero(pandas.isna(target))
    if len(gone):
        rows = ", ".join(map(str, gone[:SHOWN])) + (" …" if len(gone) > SHOWN else "")
        several = len(gone) > 1
        came = f"{len(gone)} target{'s are' if several else ' is'} missing (row{'s' * several} {rows})"
        raise ValueError(
            f"Input y contains NaN: {came}. Leave such rows out: rows = pandas.notna(y); fit(X[rows], y[rows])"
        )
    return target


def _as_array(y: Any) -> Any:
    """Return a series, or a frame with one column, as an array."""
    if hasattr(y, "to_numpy"):
        return y.to_numpy()
    if hasattr(y, "toarray"):
        raise TypeError(wrong("y", "a dense array", f"{type(y).__name__}; convert it with .toarray()"))
    return y


def as_classes(target: Array) -> tuple[Array, npt.NDArray[np.int64]]:
    """Return the different classes, sorted, and the number of each row's class."""
    if target.dtype == object:
        kinds = {type(value) for value in target}
        texts = [kind for kind in kinds if issubclass(kind, str)]
        if texts and len(texts) < len(kinds):
            came = " and ".join(sorted(kind.__name__ for kind in kinds))
            raise TypeError(wrong("y", "classes of one kind", f"{came}; convert them with y.astype(str)"))
        if not texts:
            target = np.array(target.tolist())
        if target.ndim > 1:
            came = " and ".join(sorted(kind.__name__ for kind in kinds))
            raise TypeError(wrong("y", "one class for each row", f"values of type {came}; convert them to text"))
    check_classification_targets(target)
    classes, codes = np.unique(target, return_inverse=True)
    return classes, codes.reshape(-1).astype(np.int64)


def class_numbers(argument: str, target: Array, classes: Array) -> npt.NDArray[np.int64]:
    """Return the number of each row's class among those that fit knows."""
    numbers_of = {name: number for number, name in enumerate(classes.tolist())}
    codes = np.array([numbers_of.get(name, -1) for name in target.tolist()], np.int64)
    if (codes < 0).any():
        came = f"{shown(target[codes < 0].tolist()[0])}, which fit did not see"
        raise ValueError(wrong(argument, f"classes among {shown(classes.tolist())}", came))
    return codes


def as_numbers(target: Array) -> Array:
    """Return finite numbers as float64."""
    if target.dtype.kind in "mM":
        raise TypeError(wrong("y", "numbers", "dates or durations; predict a number, such as days"))
    values = numbers("y", target).astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        came = f"{values[bad[0]]} in row {bad[0]}"
        raise ValueError(f"Input y contains infinity: {came}; leave such rows out")
    low, high = float(values.min()), float(values.max())
    if (largest := max(abs(low), abs(high))) > LARGEST:
        raise ValueError(wrong("y", f"numbers up to {LARGEST:g}", f"{largest:g}; divide them by a constant"))
    if low < high and high / 2 - low / 2 < SMALLEST:
        raise ValueError(wrong("y", f"a range above {SMALLEST:g}", f"{high - low:g}; multiply y by a constant"))
    return values


def group_numbers(groups: Any, n_rows: int) -> npt.NDArray[np.int64]:
    """Return the number of each row's group, (n,)."""
    import pandas

    names = np.asarray(column_or_1d(_as_array(groups), warn=True))
    if len(names) != n_rows:
        raise ValueError(wrong("groups", f"{n_rows} values, one for each row of X", str(len(names))))
    numbers, found = pandas.factorize(names)
    if (numbers < 0).any():
        raise ValueError(wrong("groups", "a group for each row", "missing ones"))
    if len(found) < 2:
        raise ValueError(wrong("groups", "two or more groups", f"only the group {shown(found.tolist()[0])}"))
    return numbers


def folds_of_groups(groups: Array, y: Array, n_folds: int, seed: int, *, classes: bool) -> npt.NDArray[np.int8]:
    """Return the fold of each row, (n,). The rows of a group are in the same fold.

    Parameters
    ----------
    groups : (n,) from `group_numbers`
    y : (n,) class numbers or numbers
    n_folds : at most so many
    seed : of the folds
    classes : whether the folds should have similar shares of each class
    """
    n_folds = min(n_folds, len(np.unique(groups)))
    is_stratified = classes and n_folds <= np.bincount(y).max()
    kind = StratifiedGroupKFold if is_stratified else GroupKFold
    folds = np.empty(len(y), np.int8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer rows than folds is allowed
        for fold, (_, rows) in enumerate(kind(n_folds, shuffle=True, random_state=seed).split(groups, y, groups)):
            folds[rows] = fold
    return np.unique(folds, return_inverse=True)[1].astype(np.int8)  # a fold may be empty


def weighted_rows(n_rows: int, weights: Array | None) -> tuple[npt.NDArray[np.intp], Array | None]:
    """Return the rows with a weight above 0, and their weights, divided by their mean."""
    if weights is None:
        return np.arange(n_rows), None
    rows = np.flatnonzero(weights)
    weights = weights[rows] / weights.max()  # the sum of which is finite
    return rows, weights / weights.mean()


def types_of(chosen: Mapping[str, str] | None, X: Any, frame: DataFrame) -> dict[str, str]:
    """Return the kinds of columns that the user chose. Numbers in an array without names stay numbers."""
    kinds = {str(name): kind for name, kind in (chosen or {}).items()}
    if hasattr(X, "columns"):
        return kinds
    numeric = frame.dtypes.map(lambda kind: kind.kind in "iuf") & frame.notna().any()
    return dict.fromkeys(frame.columns[numeric], "number") | kinds


def thread_count(n_jobs: int | None) -> int:
    """Return the number of threads for n_jobs as scikit-learn counts: None is 1, -1 all processors, -2 all but one.

    In joblib's workers, where others compute at the same time, a negative n_jobs is 1.
    """
    if n_jobs is None:
        return 1
    if n_jobs > 0:
        return int(n_jobs)
    if n_jobs == 0:
        raise ValueError(wrong("n_jobs", "a number of threads, or -1 for all processors", "0"))
    from joblib.parallel import get_active_backend  # which scikit-learn needs

    backend, _ = get_active_backend()
    if backend.nesting_level or multiprocessing.parent_process() is not None:
        return 1
    cores = int(min(processors.of_process(), processors.quota()))
    return max(1, cores + 1 + int(n_jobs))


def named_estimators(given: Any, *, classes: bool) -> list[tuple[str, Any]]:
    """Return estimators with names.

    Parameters
    ----------
    given : sequence of estimators, or of pairs of a name and an estimator
    classes : whether they must be classifiers

    Raises
    ------
    TypeError, ValueError
        If one is no estimator of scikit-learn, or not of the right kind, or has the name of another candidate.
    """
    expected = "a list of scikit-learn's estimators, or of pairs (name, estimator)"
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise TypeError(wrong("estimators", expected, typed(given)))
    pairs: list[tuple[str, Any]] = []
    for item in given:
        is_pair = isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)
        name, estimator = item if is_pair else (type(item).__name__.lower(), item)
        if isinstance(estimator, type) or not (hasattr(estimator, "fit") and hasattr(estimator, "predict")):
            raise TypeError(wrong("estimators", expected, kind_shown(estimator, object)))
        if name in ("constant", "ensemble") or name.startswith(("linear: ", "network ")):
            raise ValueError(wrong("estimators", "names that no other candidate has", repr(name)))
        _check_kind(name, estimator, classes)
        pairs.append((name, estimator))
    return _distinct(pairs)


def _check_kind(name: str, estimator: Any, classes: bool) -> None:
    """Refuse regressors for classes, classifiers for numbers, and classifiers without probabilities."""
    if is_regressor(estimator) if classes else is_classifier(estimator):
        kinds = ("classifiers", "a regressor") if classes else ("regressors", "a classifier")
        raise ValueError(wrong("estimators", kinds[0], f"{kinds[1]}, {name!r}"))
    if classes and not hasattr(estimator, "predict_proba"):
        advice = "wrap it in sklearn.calibration.CalibratedClassifierCV"
        raise ValueError(wrong("estimators", "classifiers with predict_proba", f"{name!r}, which has none; {advice}"))


def _distinct(pairs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return the pairs with a number behind names that occur twice, as scikit-learn's make_pipeline does."""
    names = [name for name, _ in pairs]
    found: list[tuple[str, Any]] = []
    for name, estimator in pairs:
        taken = {*names, *(other for other, _ in found)}
        numbered = (f"{name}-{i}" for i in count(1))
        free = name if names.count(name) == 1 else next(other for other in numbered if other not in taken)
        found.append((free, estimator))
    return found
