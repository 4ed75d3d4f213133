"""The member that predicts the same for every row. It is the answer if no other member is trained in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..tables import RawColumns
from ._objectives import Objective, class_priors
from ._problem import Problem

Array = npt.NDArray[Any]


@dataclass(eq=False)
class Constant:
    """The same prediction for every row.

    Attributes
    ----------
    value : (k,) probabilities, or a number without dimensions
    oof : (n, k) or (n,) the prediction for the training rows
    loss : that of oof
    n_folds : f
    seconds : 0
    """

    value: Array
    oof: Array
    loss: float
    n_folds: int
    seconds: float = 0.0
    name: str = "constant"
    family: str = "constant"

    @classmethod
    def of(cls, problem: Problem) -> Constant:
        """Return the constant with the lowest loss."""
        y, weights, k = problem.y, problem.weights, problem.n_classes
        value = class_priors(y, k, weights) if k else np.array(best_number(y, weights, problem.objective))
        oof = np.broadcast_to(value, (len(y), *value.shape))
        return cls(value, oof, problem.objective.loss(y, oof, weights), problem.n_folds)

    def predict(self, raw: RawColumns) -> Array:
        """Return the prediction for rows, (m, k) or (m,)."""
        return np.broadcast_to(self.value, (len(raw), *self.value.shape))

    def spread(self, raw: RawColumns) -> Array:
        """Return the prediction in each fold, (f, m, k) or (f, m)."""
        return np.broadcast_to(self.value, (self.n_folds, len(raw), *self.value.shape))


def best_number(y: Array, weights: Array | None, objective: Objective) -> float:
    """Return the mean; for absolute errors and quantiles, the weighted quantile."""
    if objective.name not in ("mae", "quantile"):
        return float(np.average(y, weights=weights))
    order = np.argsort(y, kind="stable")
    shares = np.cumsum(np.ones(len(y)) if weights is None else weights[order])
    place = np.searchsorted(shares, objective.level * shares[-1])
    return float(y[order[min(int(place), len(y) - 1)]])
