"""Prediction intervals: conformal ones, from out-of-fold residuals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .._checks import real, shown, wrong
from .._records import check_fields, refused
from ._blend import blended
from ._objectives import mean

Array = npt.NDArray[Any]

JUDGED = 0.9  # the coverage at which kinds of intervals are compared
GAIN = 0.02  # by how much another kind must be narrower than the simplest
FEW = 300  # residuals that are too few to learn where errors are large
KNOTS = 6  # of the prediction's influence on the size of errors
FLOOR = 0.1  # the least error and the least disagreement that count, as shares of the means
MOST_AVERAGED = 0.5  # of the squared error that the mean of the folds may not have
OUTSIDE = 20  # rows of training outside of an interval from which the targets' range in training limits it


@dataclass(frozen=True, eq=False)
class Conformal:
    """Intervals around predictions that contain about a given share of new targets, whatever the distribution.

    The score of a row is its out-of-fold residual, divided by the size that is expected of it. An interval reaches from
    the prediction as far as the scores of training do, times the expected size. Scores of both signs count together,
    or, where that is narrower, each side has its own.

    Attributes
    ----------
    low, high : the range of the targets in training
    scores : (n,) increasing
    weights : (n,) of the scores, with the mean 1
    two_sided : whether each side has its own scores
    knots : (q,) increasing predictions; empty if the expected size of errors is the same everywhere
    sizes : (q,) log of the expected size at the knots
    power : of the members' disagreement in the expected size
    floor : added to the disagreement
    """

    low: float
    high: float
    scores: Array
    weights: Array
    two_sided: bool
    knots: Array
    sizes: Array
    power: float
    floor: float

    @classmethod
    def fit(cls, y: Array, prediction: Array, spread: Array | None = None, weights: Array | None = None) -> Conformal:
        """Return the intervals that suit out-of-fold predictions.

        Errors may be larger where members disagree or for some predictions. This is used if intervals with a coverage
        of 0.9 get narrower by it, on average.

        Parameters
        ----------
        y, prediction : (n,)
            Targets, and predictions by models that didn't learn from them.
        spread : (n,), optional
            How much the members of the ensemble disagree, from `disagreement`.
        weights : (n,), optional
            Sample weights.
        """
        weights = np.ones(len(y)) if weights is None else weights * (len(y) / weights.sum())
        ends = float(y.min()), float(y.max())
        simple = cls(*ends, np.empty(0), weights, False, np.empty(0), np.empty(0), 0.0, 1.0)
        kinds = [simple._with_scores(y, prediction, spread, two_sided) for two_sided in (False, True)]
        if len(y) >= FEW and (scaled := simple._with_sizes(y, prediction, spread)) is not None:
            kinds += [scaled._with_scores(y, prediction, spread, two_sided) for two_sided in (False, True)]
        widths = [kind._width(prediction, spread, weights) for kind in kinds]
        narrowest = int(np.argmin(widths))
        return kinds[narrowest if widths[narrowest] < (1 - GAIN) * widths[0] else 0]

    def interval(
        self, prediction: Array, coverage: float, spread: Array | None = None, variance: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the lower and the upper ends of intervals, (m,) each.

        They are infinite if there are too few residuals for the coverage. If many targets of training lie outside of
        such intervals, intervals end where the targets of training do.

        Parameters
        ----------
        prediction : (m,)
            Predictions for new rows.
        coverage : float
            The share of targets that intervals should contain, in (0, 1).
        spread : (m,), optional
            The disagreement, if `fit` got one.
        variance : (m,), optional
            Of the predictions by each fold's models. The residuals are those of one fold, but the prediction is the
            folds' mean, whose squared error is smaller by the variance. Few residuals are not enough to know it.
        """
        coverage = real("coverage", coverage, above=0, dtype=np.dtype(np.float64))
        if coverage >= 1:
            raise ValueError(wrong("coverage", "a number in (0, 1), such as 0.9", shown(coverage)))
        below, above = self._reach(coverage)
        size = self._size(prediction, spread)
        squares = float(mean(self.scores**2, self.weights))
        if variance is not None and squares > 0 and len(self.scores) >= FEW:
            size = size * np.sqrt(1 - np.minimum(variance / (squares * size**2), MOST_AVERAGED))
        low, high = prediction - below * size, prediction + above * size
        if (len(self.scores) + 1) * (1 - coverage) >= OUTSIDE:
            low, high = (np.clip(end, self.low, self.high) for end in (low, high))
        return low, high

    def _reach(self, coverage: float) -> tuple[float, float]:
        """Return how far intervals reach below and above predictions, in expected sizes."""
        if self.two_sided:
            share = (1 + coverage) / 2
            return _upper(-self.scores[::-1], self.weights[::-1], share), _upper(self.scores, self.weights, share)
        order = np.argsort(np.abs(self.scores))
        reach = _upper(np.abs(self.scores)[order], self.weights[order], coverage)
        return reach, reach

    def _size(self, prediction: Array, spread: Array | None) -> Array:
        """Return the expected size of errors, (m,)."""
        if not len(self.knots):
            return np.ones(len(prediction))
        size = np.exp(np.interp(prediction, self.knots, self.sizes))
        return size if spread is None else size * (spread + self.floor) ** self.power

    def _width(self, prediction: Array, spread: Array | None, weights: Array) -> float:
        return sum(self._reach(JUDGED)) * float(mean(self._size(prediction, spread), weights))

    def _with_scores(self, y: Array, prediction: Array, spread: Array | None, two_sided: bool) -> Conformal:
        """Return intervals with the scores of these predictions."""
        scores = (y - prediction) / self._size(prediction, spread)
        order = np.argsort(scores)
        sizes = self.knots, self.sizes, self.power, self.floor
        return Conformal(self.low, self.high, scores[order], self.weights[order], two_sided, *sizes)

    def _with_sizes(self, y: Array, prediction: Array, spread: Array | None) -> Conformal | None:
        """Return intervals with expected sizes: the log of the residuals, regressed on predictions and disagreement."""
        residuals = np.abs(y - prediction)
        least = FLOOR * float(mean(residuals, self.weights))
        knots = np.unique(np.quantile(prediction, np.linspace(0.02, 0.98, KNOTS)))
        if len(knots) < 2 or least == 0:
            return None
        features = np.stack([np.interp(prediction, knots, unit) for unit in np.eye(len(knots))], axis=1)
        floor = 0.0 if spread is None else FLOOR * float(mean(spread, self.weights))
        if spread is not None and floor > 0:
            features = np.column_stack([features, np.log(spread + floor)])
        root = np.sqrt(self.weights)
        found = np.linalg.lstsq(features * root[:, None], np.log(residuals + least) * root, rcond=None)[0]
        sizes = found[: len(knots)]
        power = float(np.clip(found[-1], 0, 1)) if floor > 0 else 0.0
        return Conformal(self.low, self.high, self.scores, self.weights, False, knots, sizes, power, floor or 1.0)

    def record(self) -> dict[str, Any]:
        """Return what `from_record` needs: numbers and arrays."""
        return {name: getattr(self, name) for name in FIELDS}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Conformal:
        """Return the intervals of a record.

        Raises
        ------
        ModelFileError
            If `record` can't have made it.
        """
        check_fields("prediction intervals", record, FIELDS)
        made = cls(**record)
        arrays = (made.scores, made.weights, made.knots, made.sizes)
        fits = (
            all(array.dtype == np.float64 and array.ndim == 1 and np.isfinite(array).all() for array in arrays)
            and len(made.scores) == len(made.weights) > 0
            and len(made.knots) == len(made.sizes)
            and (np.diff(made.scores) >= 0).all()
            and (np.diff(made.knots) > 0).all()
            and (made.weights >= 0).all()
            and np.isfinite([made.low, made.high, made.power, made.floor]).all()
            and made.low <= made.high
            and 0 <= made.power <= 1
            and made.floor > 0
        )
        if not fits:
            raise refused("other values", "prediction intervals")
        return made


FIELDS: dict[str, tuple[type, ...]] = {
    "low": (float,),
    "high": (float,),
    "scores": (np.ndarray,),
    "weights": (np.ndarray,),
    "two_sided": (bool,),
    "knots": (np.ndarray,),
    "sizes": (np.ndarray,),
    "power": (float,),
    "floor": (float,),
}


def disagreement(predictions: Sequence[Array], weights: Array) -> Array:
    """Return the weighted standard deviation of members' predictions, averaged over folds.

    A row of training has one prediction of each member, by a model of one fold. A new row has one by the model of each
    fold. To compare like with like, the deviations are computed inside of each fold.

    Parameters
    ----------
    predictions : m arrays (f, n), of each fold's model; (1, n) of out-of-fold predictions
    weights : (m,) of the members, with the sum 1

    Returns
    -------
    (n,)
    """
    center = blended(predictions, weights)
    used = np.flatnonzero(weights).tolist()
    variance = blended([(predictions[j] - center) ** 2 for j in used], weights[used])
    return np.sqrt(variance).mean(axis=0)


def _upper(scores: Array, weights: Array, share: float) -> float:
    """Return the score that a new one exceeds with the probability 1 − share at most; infinity if none is so large.

    With n equal weights, this is the ⌈(n + 1) share⌉-th smallest score.

    Parameters
    ----------
    scores : (n,) increasing
    weights : (n,) with the mean 1; a new score has this weight
    """
    place = int(np.searchsorted(np.cumsum(weights), (len(scores) + 1) * share - 1e-9))
    return float(scores[place]) if place < len(scores) else np.inf
