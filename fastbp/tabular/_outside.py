"""Estimators of scikit-learn as members of the ensemble, fitted on the folds of the networks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from .._files.columns import Categories, Column, Dates
from ..tables import RawColumns
from ._blend import usable
from ._problem import PLAIN, Problem
from ._views import View

if TYPE_CHECKING:
    from pandas import DataFrame

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Frames:
    """The columns as a frame, for pipelines, whose first step prepares them.

    Attributes
    ----------
    columns : what each column is
    """

    columns: tuple[Column, ...]

    def matrix(self, raw: RawColumns) -> DataFrame:
        """Return numbers as float64, and categories as those of pandas; a missing or a new one is NaN."""
        import pandas

        found: dict[str, Any] = {}
        i = j = 0
        for column in self.columns:
            if isinstance(column, Categories):
                texts = pandas.Index(list(column.places), dtype=object)
                codes = np.where(raw.places[j] < len(texts), raw.places[j], -1).tolist()
                found[column.name] = pandas.Categorical.from_codes(codes, texts)
                j += 1
                continue
            for name in column.input_names[: len(column.means)] if isinstance(column, Dates) else [column.name]:
                found[name] = raw.numbers[i]
                i += 1
        return pandas.DataFrame(found)


@dataclass(eq=False)
class Outside:
    """An estimator, fitted once for each fold on the rows of the other folds.

    Attributes
    ----------
    name : its name
    seconds : processor time of the fits, without that of threads that they start
    oof : (n, k) or (n,) the prediction for each training row by the model that didn't see it
    loss : that of oof
    models : the fitted estimators, one for each fold
    inputs : what they see of rows
    n_classes : k; None for numbers
    """

    name: str
    seconds: float
    oof: Array
    loss: float
    models: tuple[Any, ...]
    inputs: Frames | View
    n_classes: int | None
    family: str = "estimator"

    def predict(self, raw: RawColumns) -> Array:
        """Return the mean prediction of the folds' models for rows, (m, k) or (m,)."""
        return self.spread(raw).mean(axis=0)

    def spread(self, raw: RawColumns) -> Array:
        """Return the predictions of each fold's model, (f, m, k) or (f, m)."""
        X = self.inputs.matrix(raw)
        return np.stack([answer(model, X, self.n_classes) for model in self.models])


def fit_estimator(
    name: str, estimator: Any, problem: Problem, go_on: Callable[[], bool] = lambda: True
) -> Outside | None:
    """Fit an estimator in each fold.

    Parameters
    ----------
    name, estimator : what the user gave; the estimator itself stays as it is
    problem : the rows and their folds
    go_on : asked before each fold

    Returns
    -------
    The member; None if it had to stop.
    """
    worked = time.thread_time()
    inputs, X = _inputs(estimator, problem)
    n, n_classes, y = len(problem), problem.n_classes, problem.y
    oof = np.zeros((n, n_classes)) if n_classes else np.zeros(n)
    models = []
    for fold in range(problem.n_folds):
        if not go_on():
            return None
        trains, validates = problem.rows(fold)
        model = clone(estimator)
        try:
            model.fit(_rows(X, trains), y[trains], **_weighting(model, problem.weights, trains))
            oof[validates] = answer(model, _rows(X, validates), n_classes)
        except Exception as error:
            sees = "a frame of the columns" if isinstance(inputs, Frames) else "numbers"
            raise ValueError(f"estimators: {name!r} failed on {sees}: {type(error).__name__}: {error}") from error
        models.append(model)
    loss = problem.objective.loss(y, oof, problem.weights) if usable(oof) else math.inf
    return Outside(name, time.thread_time() - worked, oof, loss, tuple(models), inputs, n_classes)


def _rows(X: Any, rows: Array) -> Any:
    """Return some rows of an array or a frame."""
    return X[rows] if isinstance(X, np.ndarray) else X.iloc[rows]


def _inputs(estimator: Any, problem: Problem) -> tuple[Frames | View, Any]:
    """Return what an estimator sees, and that of the training rows."""
    if isinstance(estimator, Pipeline):
        frames = Frames(problem.columns)
        return frames, frames.matrix(problem.raw)
    return problem.view(PLAIN)


def _weighting(model: Any, weights: Array | None, rows: Array) -> dict[str, Array]:
    """Return the argument of fit for the weights of some rows."""
    if weights is None:
        return {}
    prefix = f"{model.steps[-1][0]}__" if isinstance(model, Pipeline) else ""
    return {f"{prefix}sample_weight": weights[rows]}


def check_weighting(estimators: Sequence[tuple[str, Any]]) -> None:
    """Refuse estimators that take no weights of rows."""
    for name, estimator in estimators:
        last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
        if not has_fit_parameter(last, "sample_weight"):
            raise ValueError(f"estimators: {name!r} takes no sample_weight; leave it out, or fit without weights")


def answer(model: Any, X: Any, n_classes: int | None) -> Array:
    """Return the probabilities of all classes, (m, k), 0 for those that the model didn't see, or the numbers, (m,)."""
    if n_classes is None:
        return np.asarray(model.predict(X), np.float64).reshape(-1)
    found = np.zeros((len(X), n_classes))
    found[:, np.asarray(model.classes_, np.int64)] = model.predict_proba(X)
    return found
