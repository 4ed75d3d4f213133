"""A fitted ensemble: its members, their weights, and what it predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import tables
from .._files.columns import Column
from ..tables import RawColumns
from ._blend import (
    UNCHANGED,
    Line,
    blended,
    calibration,
    greedy_weights,
    nested_predictions,
    shrunk_weights,
    temperature,
    tempered,
    usable,
)
from ._members import Member
from ._objectives import Objective

if TYPE_CHECKING:
    from pandas import DataFrame

    from ._problem import Problem

Array = npt.NDArray[Any]

LINEAR = 0.3  # the weight of the best linear model, as one would choose it without rows
LEAST, MOST = 3, 8  # other members that have a weight then
NESTED = 30  # the best candidates, of which weights are chosen anew in each fold, for an honest estimate of the loss


@dataclass(frozen=True)
class Row:
    """A line of the leaderboard.

    Attributes
    ----------
    name, family : of the candidate
    loss : of its out-of-fold predictions; of the first fold's if it ended after it
    seconds : processor time of its training
    epochs : that all its networks took together; 0 for other families
    complete : whether it was trained in every fold
    weight : in the ensemble
    """

    name: str
    family: str
    loss: float
    seconds: float
    epochs: int = 0
    complete: bool = True
    weight: float = 0.0


@dataclass(frozen=True)
class Fitted:
    """An ensemble.

    Attributes
    ----------
    columns : what each column of a frame is
    objective : what was minimized
    n_classes : k, or None for numbers
    members : those with a weight
    weights : (m,) of the members, > 0, with the sum 1
    temperature : of the probabilities; 1 for numbers
    oof : (n, k) or (n,), out-of-fold predictions of the ensemble, with weights that other folds chose
    loss : of these
    log : the candidates
    interrupted : whether Ctrl-C ended the search
    line : that calibrates predictions of numbers
    """

    columns: tuple[Column, ...]
    objective: Objective
    n_classes: int | None
    members: tuple[Member, ...]
    weights: Array
    temperature: float
    oof: Array
    loss: float
    log: tuple[Row, ...]
    interrupted: bool = False
    line: Line = UNCHANGED

    def columns_of(self, frame: DataFrame, unknown: str = "other") -> RawColumns:
        """Return the values of a frame's columns."""
        return tables.raw_columns(self.columns, frame, unknown)

    def predict(self, rows: RawColumns) -> Array:
        """Return the ensemble's predictions, (m, k) or (m,)."""
        return self.calibrated(blended([member.predict(rows) for member in self.members], self.weights))

    def fold_predictions(self, rows: RawColumns) -> Array:
        """Return the predictions of the ensemble of each fold's models, (f, m, k) or (f, m)."""
        return self.calibrated(blended([member.spread(rows) for member in self.members], self.weights))

    def calibrated(self, predictions: Array) -> Array:
        """Return the ensemble's predictions, given the weighted means of its members: calibrated."""
        if self.n_classes is None:
            return self.line.of(predictions)
        return _probabilities(predictions, self.temperature)


def prior_weights(members: Sequence[Member]) -> Array:
    """Return the weights that one would choose without rows, (m,): a part for the best linear model, and the rest for
    the better half of the others, equally. Zeros if there is nothing but a constant.
    """
    linear = [i for i, member in enumerate(members) if member.family == "linear"]
    others = [i for i, member in enumerate(members) if member.family in ("network", "estimator")]
    best = sorted(others, key=lambda i: members[i].loss)[: min(MOST, max(LEAST, len(others) // 2))]
    prior = np.zeros(len(members))
    prior[best] = (1 - LINEAR) / max(1, len(best))
    if linear:
        prior[min(linear, key=lambda i: members[i].loss)] = LINEAR
    return prior / prior.sum() if prior.any() else prior


def chosen_weights(problem: Problem, members: Sequence[Member], rows: Array | slice = slice(None)) -> Array:
    """Return the weights of members that rows choose, (m,)."""
    predictions, y = [member.oof[rows] for member in members], problem.y[rows]
    weights = None if problem.weights is None else problem.weights[rows]
    greedy = greedy_weights(predictions, y, problem.objective, weights)
    return shrunk_weights(greedy, prior_weights(members), predictions, y, problem.objective, weights)


def weighted(problem: Problem, members: Sequence[Member], first: int, log: Sequence[Row], interrupted: bool) -> Fitted:
    """Return the ensemble of the members with the lowest out-of-fold loss.

    The first members alone are an ensemble, too. The others join them only if that lowers the loss.
    """
    y, objective, weights = problem.y, problem.objective, problem.weights
    members = [member for member in members if usable(member.oof)]
    shares, best = np.zeros(len(members)), np.inf
    for count in sorted({min(first, len(members)), len(members)}):
        found = chosen_weights(problem, members[:count])
        loss = objective.loss(y, blended([member.oof for member in members[:count]], found), weights)
        if loss < best or not shares.any():
            best, shares = loss, np.append(found, np.zeros(len(members) - count))
    used = np.flatnonzero(shares).tolist()
    chosen = [members[i] for i in used]
    mean, degrees, line = blended([member.oof for member in chosen], shares[used]), 1.0, UNCHANGED
    if problem.n_classes is not None:
        degrees = temperature(mean, y, weights)
    else:
        line = calibration(mean, y, objective, weights)
    names = {member.name: shares[i] for i, member in enumerate(members)}
    candidates = sorted(members, key=lambda member: member.loss)[:NESTED]
    nested = nested_predictions(
        [member.oof for member in candidates], problem.folds, partial(chosen_weights, problem, candidates)
    )
    oof = line.of(nested) if problem.n_classes is None else _probabilities(nested, degrees)
    return Fitted(
        columns=problem.columns,
        objective=objective,
        n_classes=problem.n_classes,
        members=tuple(chosen),
        weights=shares[used],
        temperature=degrees,
        oof=oof,
        loss=objective.loss(y, oof, weights),
        log=tuple(_with_weight(row, names.get(row.name, 0.0)) for row in log),
        interrupted=interrupted,
        line=line,
    )


def _with_weight(row: Row, weight: float) -> Row:
    return Row(row.name, row.family, row.loss, row.seconds, row.epochs, row.complete, float(weight))


def _probabilities(P: Array, temperature: float) -> Array:
    """Return tempered probabilities whose sums are 1 in float64; networks compute them in float32."""
    P = tempered(P, temperature)
    return P / P.sum(axis=-1, keepdims=True)
