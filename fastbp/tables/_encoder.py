"""The recognition of columns as a transformer of scikit-learn."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted, column_or_1d

from ._cells import Array
from ._frames import as_frame, column_names
from ._read import UNKNOWN, inputs
from ._recognise import MISSING, recognise
from ._target import TASKS
from ._training import training_inputs

if TYPE_CHECKING:
    from pandas import DataFrame


class TableEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turn the columns of a table into the inputs of a network, as `fastbp train` does.

    It recognises numbers as public files write them, dates, categories and missing values. It leaves out text,
    identifiers and constants. `table_.describe()` says what became of each column.

    Parameters
    ----------
    missing : {"indicator", "mean", "refuse"}
        What a missing input becomes, as in `recognise`.
    unknown : {"other", "error"}
        What a category becomes that training did not have, as in `inputs`.
    task : {"auto", "classes", "numbers"}
        What y is, as in `recognise`.
    types : mapping of str, optional
        The kinds of some columns: "number", "category", "date", "boolean" or "text", which becomes no input.
    drop : collection of str
        Columns that become no inputs.

    Attributes
    ----------
    table_ : Table
        What became of each column; the target is called y.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : (n_features_in_,) array of str
        Names of the columns of X, if it is a frame.

    Notes
    -----
    Columns with rare categories get inputs with the mean target of each category. `fit_transform` computes those of
    each row from other rows, so that no input contains the row's own target; `transform` uses all rows of `fit`. A
    `Pipeline` calls them in the right way.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "missing": [StrOptions(set(MISSING))],
        "unknown": [StrOptions(set(UNKNOWN))],
        "task": [StrOptions(set(TASKS))],
        "types": [Mapping, None],
        "drop": ["array-like", tuple, set, frozenset, str],
    }

    def __init__(
        self,
        *,
        missing: str = "indicator",
        unknown: str = "other",
        task: str = "auto",
        types: Mapping[str, str] | None = None,
        drop: Collection[str] = (),
    ) -> None:
        self.missing = missing
        self.unknown = unknown
        self.task = task
        self.types = types
        self.drop = drop

    def fit(self, X: Any, y: Any) -> TableEncoder:
        """Recognise the columns.

        Parameters
        ----------
        X : frame of shape (n_samples, n_features)
            A pandas, polars or pyarrow table, another frame that narwhals reads, or an array.
        y : array of shape (n_samples,)
            Classes or numbers.
        """
        self._fitted(X, y)
        return self

    def fit_transform(self, X: Any, y: Any) -> Array:
        """Recognise the columns, and return their inputs. Mean targets of each row come from other rows.

        Parameters
        ----------
        X : frame of shape (n_samples, n_features)
            As in `fit`.
        y : array of shape (n_samples,)
            Classes or numbers.

        Returns
        -------
        inputs : (n_samples, n_inputs) array of float32
        """
        frame = self._fitted(X, y)
        return training_inputs(self.table_, frame)

    def transform(self, X: Any) -> Array:
        """Return the inputs of rows.

        Parameters
        ----------
        X : frame of shape (n_samples, n_features)
            With the columns that `fit` had.

        Returns
        -------
        inputs : (n_samples, n_inputs) array of float32
        """
        check_is_fitted(self)
        known = [column.name for column in self.table_.columns]
        return inputs(self.table_, as_frame(self, X, reset=False, known=known), self.unknown)

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Return a name for each input, such as `colour = red`.

        Parameters
        ----------
        input_features : array of str, optional
            The names of the columns of X, or None.
        """
        check_is_fitted(self)
        if input_features is not None:
            given, known = list(input_features), [name for name in self.table_.order if name != self.table_.target.name]
            if hasattr(self, "feature_names_in_") and given != known:
                raise ValueError("input_features is not equal to feature_names_in_")
            if len(given) != len(known):
                raise ValueError(f"input_features should have length equal to number of features ({len(known)})")
        return np.array(self.table_.input_names, object)

    def _fitted(self, X: Any, y: Any) -> DataFrame:
        """Recognise the columns, and return the frame of X and y."""
        self._validate_params()
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        frame = as_frame(self, X, reset=True)
        if len(frame) < 2:
            raise ValueError(f"X: expected at least 2 rows, got {len(frame)} (n_samples = {len(frame)})")
        target = column_or_1d(y.to_numpy() if hasattr(y, "to_numpy") else y, warn=True)
        if len(target) != len(frame):
            raise ValueError(f"y: expected {len(frame)} values, one for each row of X, got {len(target)}")
        name = "y"
        while name in frame.columns:
            name += "_"
        frame = frame.assign(**{name: target})
        drop, types = column_names("drop", self.drop), {str(key): kind for key, kind in (self.types or {}).items()}
        self.table_ = recognise(frame, name, self.task, drop=drop, types=types, missing=self.missing)
        return frame

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.string = tags.input_tags.categorical = tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
