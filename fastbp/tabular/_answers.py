"""What a fitted ensemble gives: predictions, a leaderboard, importances and contributions."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .. import _checks
from .._checks import wrong
from .._files.columns import Column
from ..explanation import Contributions
from ..explanation._of_table import cell_texts
from ..explanation._told import Told
from ..sklearn._input import sample_weights
from ..tables import RawColumns
from ..tables._frames import as_frame
from ..tables._problems import numbered_from_zero
from . import _importance
from ._explanation import BACKGROUND, shapley
from ._fitted import Fitted
from ._inputs import target_of, thread_count
from ._leaderboard import leaderboard
from ._members import Member
from ._networks import NetworkMember
from ._sample import Sample

if TYPE_CHECKING:
    from pandas import DataFrame

Array = npt.NDArray[Any]

ROWS = 4096  # to predict at once, so that memory does not grow with the rows


class Answers(BaseEstimator):  # type: ignore[misc]
    """The methods and attributes of a fitted estimator that do not depend on the kind of target."""

    n_jobs: int | None
    metric_: str
    columns_: tuple[Column, ...]
    _fitted: Fitted
    _sample: Sample
    _seed: int

    @property
    def members_(self) -> list[Member]:
        """The members of the ensemble. A candidate without weight is none."""
        return list(self._of_fitted("members"))

    @property
    def weights_(self) -> Array:
        """The weight of each member, > 0, with the sum 1."""
        return self._of_fitted("weights")

    @property
    def loss_(self) -> float:
        """The ensemble's loss on rows that did not choose its weights; 1 − AUC, 1 − accuracy or 1 − R² for these."""
        return float(self._of_fitted("loss"))

    @property
    def n_networks_(self) -> int:
        """The number of networks in the ensemble."""
        return sum(len(member.parameters) for member in self.members_ if isinstance(member, NetworkMember))

    def _of_fitted(self, name: str) -> Any:
        if "_fitted" not in vars(self):
            raise AttributeError(f"{type(self).__name__} has no {name}_ before it is fitted")
        return getattr(self._fitted, name)

    # Predictions

    def _raw(self, X: Any) -> RawColumns:
        """Return the values of rows, checked."""
        return self._values(self._frame(X))

    def _values(self, frame: DataFrame) -> RawColumns:
        """Return the values of a frame's columns. Warnings count its rows from 0, as pandas does."""
        with numbered_from_zero(len(frame)):
            return self._fitted.columns_of(frame)

    def _frame(self, X: Any) -> DataFrame:
        """Return rows as a frame with the columns that fit saw."""
        check_is_fitted(self)
        return as_frame(self, X, reset=False, known=[column.name for column in self.columns_])

    def _predicted(self, X: Any) -> Array:
        """Return the probabilities of rows, (m, k), or numbers, (m,)."""
        return self._in_pieces(self._raw(X), self._fitted.predict)

    def _in_pieces(self, raw: RawColumns, function: Callable[[RawColumns], Array]) -> Array:
        """Return a function of rows for all rows, ROWS at a time, in n_jobs threads."""
        parts = [raw.take(slice(start, start + ROWS)) for start in range(0, max(1, len(raw)), ROWS)]
        n_threads = min(len(parts), thread_count(self.n_jobs))
        if n_threads == 1:
            return np.concatenate(list(map(function, parts)))
        with ThreadPoolExecutor(n_threads) as threads:
            return np.concatenate(list(threads.map(function, parts)))

    def predict_std(self, X: Any) -> Array:
        """Return how much the models of the ensemble disagree: the weighted standard deviation of their predictions.

        It is larger where the ensemble has seen few such rows. It does not contain the noise of the target.

        Parameters
        ----------
        X : frame or array of shape (n_samples, n_features)

        Returns
        -------
        deviations : (n_samples, n_classes) of probabilities, or (n_samples,) of numbers
        """
        return self._in_pieces(self._raw(X), self._deviations)

    def _deviations(self, raw: RawColumns) -> Array:
        """Return the deviations over all members and folds."""
        weighted = [(member.spread(raw), w) for member, w in zip(self.members_, self.weights_, strict=True)]
        mean = sum(w * each.mean(axis=0) for each, w in weighted)
        variance = sum(w * ((each - mean) ** 2).mean(axis=0) for each, w in weighted)
        return abs(self._fitted.line.slope) * np.sqrt(variance)

    # What else an ensemble gives

    def leaderboard(self) -> DataFrame:
        """Return a row for each candidate and one for the ensemble, the best first.

        Returns
        -------
        DataFrame
            The name, the family, the out-of-fold metric, the weight in the ensemble, the processor seconds of training,
            added up over the folds, and whether all folds were trained: candidates that are clearly worse end after
            their first fold. The metric of the ensemble comes from weights that were chosen on other rows, so it can be
            worse than that of a candidate.
        """
        check_is_fitted(self)
        return leaderboard(self._fitted)

    def feature_importance(
        self, X: Any = None, y: Any = None, *, sample_weight: Any = None, repeats: int = 5
    ) -> DataFrame:
        """Return how much the loss rises when the values of a column are shuffled (permutation importance).

        Columns that carry the same information share their importance.

        Parameters
        ----------
        X, y : rows that the estimator was not fitted on, optional
            By default, up to 500 training rows, each predicted by models that were not trained on it.
        sample_weight : (n_samples,) weights, optional
        repeats : int
            Number of shuffles of each column.

        Returns
        -------
        DataFrame
            The mean and the standard deviation over the shuffles, for each column that is an input. The most important
            column comes first.
        """
        check_is_fitted(self)
        repeats = _checks.whole("repeats", repeats, minimum=1)
        if (X is None) != (y is None):
            raise ValueError(wrong("X, y", "both or neither", f"only {'y' if X is None else 'X'}"))
        if X is None and sample_weight is not None:
            raise ValueError(wrong("sample_weight", "X and y with it", "only weights"))
        if X is None:
            raw, target, weights = self._sample.raw, self._sample.y, self._sample.weights
            predict = self._out_of_fold
        else:
            raw = self._raw(X)
            target = self._known(target_of(type(self).__name__, y, len(raw)))
            weights = sample_weights("sample_weight", sample_weight, target, np.dtype(np.float64))
            weights = None if weights is None else weights / weights.max()  # the sum of which is finite
            predict = functools.partial(self._in_pieces, function=self._fitted.predict)
        if len(raw) < 2:
            raise ValueError(wrong("X", "two or more rows, because there is nothing to shuffle in one", str(len(raw))))

        def losses(rows: RawColumns) -> list[float]:
            parts = np.split(predict(rows), len(rows) // len(raw))
            return [self._fitted.objective.loss(target, part, weights) for part in parts]

        if math.isnan(losses(raw)[0]):
            raise ValueError(wrong("y", f"targets of more than one class for {self.metric_}", "only one class"))
        values = _importance.shuffled(losses, raw, repeats, np.random.default_rng(self._seed))
        return _importance.as_frame(raw.names, values)

    def _out_of_fold(self, rows: RawColumns) -> Array:
        """Return the predictions for the sample's rows, once or several times, by networks that did not see them."""
        predicted, count = self._fitted.fold_predictions(rows), len(self._sample.y)
        return predicted[np.tile(self._sample.folds, len(rows) // count), np.arange(len(rows))]

    def _known(self, target: Array, argument: str = "y") -> Array:
        """Return the class numbers or numbers of targets that fit didn't see."""
        raise NotImplementedError

    def _contributions(self, X: Any) -> tuple[DataFrame, Array, Array, Array]:
        """Return the rows as a frame, and the results of `shapley` for them."""
        frame = self._frame(X)
        if not len(frame):
            raise ValueError(wrong("X", "at least one row", "none"))
        raw, random = self._values(frame), np.random.default_rng(self._seed)
        background = self._sample.raw.take(random.permutation(len(self._sample.y))[:BACKGROUND])
        values, outputs, baseline = shapley(self._explained, raw, background, random)
        return frame, values, outputs, baseline

    def _explained(self, raw: RawColumns) -> Array:
        """Return the predictions of rows, (n, k) or (n, 1)."""
        found: Array = self._fitted.predict(raw)
        return found.reshape(len(raw), -1)

    def _shown(
        self, frame: DataFrame, values: Array, outputs: Array, baselines: Array, chosen: Array, told: Sequence[Told]
    ) -> Contributions:
        """Return contributions, (m, p), with the text of each cell."""
        texts = [cell_texts(column, frame[column.name]) for column in self.columns_]
        full = tuple(replace(one, cells=tuple(column[i] for column in texts)) for i, one in enumerate(told))
        names = tuple(column.name for column in self.columns_)
        baseline = f"the mean of {min(BACKGROUND, len(self._sample.y))} training rows"
        return Contributions(names, values, outputs, baselines, chosen, full, "column", baseline)
