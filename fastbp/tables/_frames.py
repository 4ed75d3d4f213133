"""The X of an estimator as a pandas frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.utils.validation import validate_data

from .._checks import shown, wrong
from .._extras import not_installed
from .._files.columns import duplicates

if TYPE_CHECKING:
    from pandas import DataFrame


def as_frame(estimator: Any, X: Any, *, reset: bool) -> DataFrame:
    """Return X as a pandas frame whose columns have texts as names, after scikit-learn's checks.

    Parameters
    ----------
    estimator : an estimator of scikit-learn
        It gets `n_features_in_` and `feature_names_in_`, or is compared with them.
    X : frame or array
        A pandas, polars or pyarrow table, another frame that narwhals reads, or an array.
    reset : bool
        Whether the estimator is being fitted.
    """
    name = type(estimator).__name__
    try:
        import pandas
    except ImportError:
        raise not_installed(f"{name} needs pandas", "pandas") from None
    if isinstance(X, list | tuple) or not hasattr(X, "columns"):
        least = 2 if reset else 1
        kinds = {"dtype": None, "ensure_all_finite": "allow-nan"}
        X = validate_data(estimator, X, reset=reset, ensure_min_samples=least, **kinds)
        return pandas.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])])
    names = [str(name) for name in getattr(X, "column_names", X.columns)]  # pyarrow's columns are no names
    if repeated := duplicates(names):
        raise ValueError(wrong("X", "columns of different names", f"two called {shown(repeated[0])}; rename one"))
    if not isinstance(X, pandas.DataFrame):
        X = _as_pandas(name, X)
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    sparse = {name: kind.subtype for name, kind in X.dtypes.items() if isinstance(kind, pandas.SparseDtype)}
    if sparse:
        X = X.astype(sparse)
    return X.set_axis(X.columns.map(str), axis=1).reset_index(drop=True)


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
