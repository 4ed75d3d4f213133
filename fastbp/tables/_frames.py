"""The X of an estimator as a pandas frame."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from sklearn.utils.validation import validate_data

from .._checks import shown, wrong
from .._extras import not_installed
from .._files.columns import duplicates

if TYPE_CHECKING:
    from pandas import DataFrame


def as_frame(estimator: Any, X: Any, *, reset: bool, known: Collection[str] = ()) -> DataFrame:
    """Return X as a pandas frame whose columns have texts as names, after scikit-learn's checks.

    Parameters
    ----------
    estimator : an estimator of scikit-learn
        It gets `n_features_in_` and `feature_names_in_`, or is compared with them.
    X : frame or array
        A pandas, polars or pyarrow table, another frame that narwhals reads, or an array.
    reset : bool
        Whether the estimator is being fitted.
    known : collection of str
        Names of columns that a fitted estimator needs. A frame may lack the others, or have more. Where X or the X of
        fit is an array, columns count by position.
    """
    name = type(estimator).__name__
    try:
        import pandas
    except ImportError:
        raise not_installed(f"{name} needs pandas", "pandas") from None
    if type(X).__name__ == "LazyFrame":
        raise TypeError(wrong("X", "a frame with rows", "LazyFrame; use X.collect()"))
    if isinstance(X, list | tuple) or not hasattr(X, "columns"):
        least = 2 if reset else 1
        kinds = {"dtype": None, "ensure_all_finite": "allow-nan"}
        X = validate_data(estimator, X, reset=reset, ensure_min_samples=least, **kinds)
        names = [f"x{j}" for j in range(X.shape[1])]
        return _renamed(pandas.DataFrame(X, columns=names, copy=False), estimator, known)
    names = [str(name) for name in getattr(X, "column_names", X.columns)]  # pyarrow's columns are no names
    if repeated := duplicates(names):
        raise ValueError(wrong("X", "columns of different names", f"two called {shown(repeated[0])}; rename one"))
    if not isinstance(X, pandas.DataFrame):
        X = _as_pandas(name, X)
    if reset or not _has_columns(names, estimator, known):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
    sparse = {name: kind.subtype for name, kind in X.dtypes.items() if isinstance(kind, pandas.SparseDtype)}
    if sparse:
        X = X.astype(sparse)
    return _renamed(X.set_axis(X.columns.map(str), axis=1).reset_index(drop=True), estimator, known)


def column_names(argument: str, names: Any) -> tuple[str, ...]:
    """Return the names of columns as a frame of `as_frame` has them."""
    if isinstance(names, str):
        raise TypeError(wrong(argument, "a list of column names", f"{names!r}; write {argument}=[{names!r}]"))
    return tuple(str(name) for name in names)


def _has_columns(names: list[str], estimator: Any, known: Collection[str]) -> bool:
    """Return whether a frame has the columns that are inputs, and those that fit saw in the same order.

    Others may be missing or be there, too, as the target often is.
    """
    seen = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
    ordered = [name for name in seen if name in names]
    return bool(known) and set(known) <= set(ordered) and ordered == [name for name in names if name in seen]


def _renamed(frame: DataFrame, estimator: Any, known: Collection[str]) -> DataFrame:
    """Return the frame with the names that fit saw, if there are such names for all known columns."""
    if set(known) <= set(frame.columns):
        return frame
    places = range(frame.shape[1])
    found = (getattr(estimator, "feature_names_in_", ()), [f"x{j}" for j in places], list(map(str, places)))
    names = next((names for names in found if set(known) <= set(names)), frame.columns)
    return frame.set_axis(list(names), axis=1)


def _as_pandas(name: str, X: Any) -> DataFrame:
    """Return another frame as one of pandas."""
    try:
        import narwhals
    except ImportError:
        came = f"{type(X).__module__.partition('.')[0]} frames"
        raise not_installed(f"{name} needs narwhals for {came}", "tables") from None
    try:
        return narwhals.from_native(X, eager_only=True).to_pandas()
    except TypeError:
        raise TypeError(f"X: expected a frame that narwhals reads, or an array, got {type(X).__name__}") from None
