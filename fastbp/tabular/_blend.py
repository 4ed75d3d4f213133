"""Weights of the members of an ensemble, and the calibration of its predictions, from out-of-fold predictions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .._checks import wrong
from ._objectives import Objective, mean

Array = npt.NDArray[Any]

ROUNDING = 1e-12  # losses that differ by a smaller share are equal
FAR = 1e100  # predictions beyond it have no finite squared errors
PRIOR_ROWS = 300  # rows that count as much as what is known without them
TOLERANCE = 0.02  # by which the loss may rise for it, as a share
BLOCK = 4096  # rows at once, so that the copies are in the cache
PATIENCE = 10  # steps without a better mean after which none is expected
LEAST_CHANCE = 1e-12  # smaller probabilities have no more influence on the temperature
EVIDENCE = 3.32  # half of the 99 % point of χ² with one degree of freedom
COLDEST, HOTTEST = 0.2, 5.0  # limits of the temperature


def greedy_weights(
    predictions: Sequence[Array],
    y: Array,
    objective: Objective,
    weights: Array | None = None,
    *,
    steps: int = 40,
) -> Array:
    """Return the weights of members whose weighted mean has a low loss.

    The selection is that of Caruana et al. (2004): start with the best member; in each step, add the member, with
    replacement, with which the mean is best. The weights are the counts after one of the steps, that with the lowest
    loss. Of equal members, the first one is added.

    AUC and accuracies change in small jumps, so choosing members by them fits noise. For these, log loss chooses the
    members, and the objective only the step.

    The loss of the answer is never above that of the best member.

    Parameters
    ----------
    predictions : m arrays, (n, k) probabilities or (n,) numbers
        Out-of-fold predictions of each member.
    y : (n,)
        The targets.
    objective : Objective
        Its loss is minimized.
    weights : (n,), optional
        Sample weights.
    steps : int
        How many members to add, at most.

    Returns
    -------
    (m,) float64, ≥ 0, with the sum 1
    """
    usable_ones = np.flatnonzero([usable(P) for P in predictions]).tolist()
    if not usable_ones:
        raise ValueError(wrong("predictions", f"finite ones of at least one member, up to {FAR:g}", "others"))
    chosen = np.zeros(len(predictions))
    chosen[usable_ones] = _greedy([predictions[j] for j in usable_ones], y, objective, weights, steps)
    return chosen


def usable(P: Array) -> bool:
    """Return whether a member can have a weight: no prediction is NaN, or so large that its square overflows."""
    return float(np.abs(P).max()) <= FAR


def _greedy(predictions: Sequence[Array], y: Array, objective: Objective, weights: Array | None, steps: int) -> Array:
    """Return the weights of members whose predictions are usable."""
    jumps = objective.classes and objective.name != "log_loss"
    losses_after = _chosen_by(predictions, y, "log_loss" if jumps else objective.name, objective, weights)
    counts = np.zeros(len(predictions))
    path: list[tuple[float, Array]] = []
    best = 0
    while len(path) < min(steps, best + 1 + PATIENCE):
        losses = losses_after(counts)
        least = losses.min()
        added = int((losses <= least + ROUNDING * abs(least)).argmax())
        counts[added] += 1
        path.append((losses[added], counts / counts.sum()))
        if losses[added] < path[best][0]:
            best = len(path) - 1
    if not jumps:
        return path[best][1]
    singles = np.array([objective.loss(y, P, weights) for P in predictions])
    means = [shares for _, shares in path[::-2]] + [np.eye(len(predictions))[int(singles.argmin())]]
    return min(means, key=lambda shares: objective.loss(y, blended(predictions, shares), weights))


def shrunk_weights(
    shares: Array,
    prior: Array,
    predictions: Sequence[Array],
    y: Array,
    objective: Objective,
    weights: Array | None = None,
) -> Array:
    """Return weights between those that rows chose and those that one would choose without rows.

    Few rows choose weights that suit them by chance. The prior's part is 300 / (300 + n), or less, if the loss would
    rise by more than two percent.

    Parameters
    ----------
    shares : (m,) the weights that the n rows chose
    prior : (m,) weights with the sum 1, or zeros for none
    predictions, y, objective, weights : as in `greedy_weights`
    """
    part = PRIOR_ROWS / (PRIOR_ROWS + len(y)) if prior.any() else 0.0
    chosen = blended(predictions, shares)
    least = objective.loss(y, chosen, weights)
    expected = blended(predictions, prior) if part else chosen
    for share in (part, part / 2, part / 4):
        if objective.loss(y, (1 - share) * chosen + share * expected, weights) <= least + TOLERANCE * abs(least):
            return (1 - share) * shares + share * prior
    return shares


def _chosen_by(
    predictions: Sequence[Array], y: Array, name: str, objective: Objective, weights: Array | None
) -> Callable[[Array], Array]:
    """Return a function of the counts of members, (m,), that returns the loss, (m,), after one more of each is added.

    Instead of the loss, it may return another number that is smaller for a smaller loss.
    """
    if name == "log_loss":
        return _log_losses(predictions, y, weights)
    if name in ("rmse", "r2"):
        return _squared_losses(predictions, y, weights)
    stacked = np.array(predictions, np.float64)
    return lambda counts: objective.losses(y, (counts @ stacked + stacked) / (counts.sum() + 1), weights)


def _squared_losses(predictions: Sequence[Array], y: Array, weights: Array | None) -> Callable[[Array], Array]:
    """Return the function for the squared error, a quadratic function of the counts."""
    products = np.zeros((len(predictions), len(predictions)))
    for first in range(0, len(y), BLOCK):
        block = slice(first, first + BLOCK)
        errors = np.array([P[block] for P in predictions], np.float64) - y[block]
        products += errors @ (errors if weights is None else errors * weights[block]).T
    squares = products.diagonal()

    def squared_losses(counts: Array) -> Array:
        shares = products @ counts
        return (counts @ shares + 2 * shares + squares) / (counts.sum() + 1) ** 2

    return squared_losses


def _log_losses(predictions: Sequence[Array], y: Array, weights: Array | None) -> Callable[[Array], Array]:
    """Return the function for log loss, which depends only on the probabilities of the true classes."""
    n, rows, least = len(y), np.arange(len(y)), np.finfo(np.float64).eps
    chances = np.array([np.maximum(P[rows, y], least) for P in predictions], np.float32)
    size = n if weights is None else weights.sum()

    def log_losses(counts: Array) -> Array:
        total = counts.astype(np.float32) @ chances
        logs = np.zeros(len(chances))
        for first in range(0, n, BLOCK):
            block = slice(first, first + BLOCK)
            sums = (chances[:, block] + total[block]).astype(np.float64)
            if weights is None:  # the log of a product of eight probabilities costs as much as that of one
                eights = sums.shape[1] // 8
                logs += np.log(sums[:, : 8 * eights].reshape(len(sums), 8, eights).prod(axis=1)).sum(axis=1)
                logs += np.log(sums[:, 8 * eights :]).sum(axis=1)
            else:
                logs += np.log(sums) @ weights[block]
        return np.log(counts.sum() + 1) - logs / size

    return log_losses


def blended(predictions: Sequence[Array], weights: Array) -> Array:
    """Return the weighted mean of predictions as float64. Members of weight 0 are not read."""
    used = np.flatnonzero(weights)
    total = weights[used[0]] * np.asarray(predictions[used[0]], np.float64)
    for j in used[1:]:
        total += weights[j] * predictions[j]
    return total


def nested_predictions(predictions: Sequence[Array], folds: Array, choose: Callable[[Array], Array]) -> Array:
    """Return the predictions of the ensemble for rows that did not choose its weights, (n, k) or (n,).

    The loss of an ensemble looks too good on the rows that chose its weights, and their residuals are too small. Here,
    the rows of each fold get the weights that the rows of the other folds chose.

    Parameters
    ----------
    predictions : m arrays, (n, k) or (n,)
        Out-of-fold predictions of each member.
    folds : (n,)
        The number of the fold that holds each row out.
    choose : function that returns the weights, (m,), that rows choose, given their numbers
    """
    mixed = np.empty_like(predictions[0], dtype=np.float64)
    for fold in np.unique(folds):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        mixed[inside] = blended([P[inside] for P in predictions], choose(outside))
    return mixed


def tempered(P: Array, temperature: float) -> Array:
    """Return P ** (1 / temperature), with rows that sum to 1."""
    if temperature == 1:
        return P
    Z = np.log(np.maximum(P, np.finfo(np.float64).tiny)) / temperature
    Z = np.exp(Z - Z.max(axis=-1, keepdims=True))
    return Z / Z.sum(axis=-1, keepdims=True)


def temperature(P: Array, y: Array, weights: Array | None = None) -> float:
    """Return the temperature with the smallest log loss, between 0.2 and 5; 1.0 if that gains less than chance does.

    A number that is fitted to n rows always lowers their loss. Chance lowers the sum of their losses by more than 3.3
    in one of a hundred cases (a likelihood-ratio test), so the temperature must gain more. Ensembles are close to
    calibrated: over the tables that we looked at, smaller gains on these rows made new rows worse.

    Parameters
    ----------
    P : (n, k) probabilities
    y : (n,) class numbers
    weights : (n,) sample weights, optional
    """
    logits = np.log(np.maximum(P, LEAST_CHANCE))
    rows = np.arange(len(y))
    inverse = 1.0
    for _ in range(50):  # Newton: the log loss is convex in 1 / temperature
        Q = softmax(inverse * logits)
        expected = (Q * logits).sum(axis=1)
        slope = float(mean(expected - logits[rows, y], weights))
        curvature = float(mean((Q * logits**2).sum(axis=1) - expected**2, weights))
        if curvature <= 0:
            return 1.0
        last, inverse = inverse, float(np.clip(inverse - slope / curvature, inverse / 2, inverse * 2))
        inverse = float(np.clip(inverse, 1 / HOTTEST, 1 / COLDEST))
        if abs(inverse - last) < 1e-6:
            break
    before, after = (float(mean(-np.log(softmax(b * logits)[rows, y]), weights)) for b in (1.0, inverse))
    return 1 / inverse if (before - after) * _effective_rows(len(y), weights) > EVIDENCE else 1.0


@dataclass(frozen=True)
class Line:
    """A line that predictions of numbers are put on, and the range in which they stay."""

    shift: float = 0.0
    slope: float = 1.0
    low: float = -math.inf
    high: float = math.inf

    def of(self, prediction: Array) -> Array:
        """Return the predictions on the line."""
        return np.clip(self.shift + self.slope * prediction, self.low, self.high)


UNCHANGED = Line()


def calibration(prediction: Array, y: Array, objective: Objective, weights: Array | None = None) -> Line:
    """Return a line that makes predictions of numbers better; it keeps them in the range of y.

    Networks whose training ends early, and their means, predict too close to the mean of the targets. The line is that
    of the least squared error, with a slope ≥ 1, so only RMSE and R² get one. The slope is nearer 1 if uncertain.

    Parameters
    ----------
    prediction : (n,), out-of-fold predictions
    y : (n,), targets
    objective : that of the ensemble
    weights : (n,) sample weights, optional
    """
    low, high = float(y.min()), float(y.max())
    center, target = float(mean(prediction, weights)), float(mean(y, weights))
    x, error = prediction - center, y - target
    variance = float(mean(x**2, weights))
    if objective.name not in ("rmse", "r2") or variance <= 0:
        return Line(low=low, high=high)
    gain = float(mean(x * error, weights)) / variance - 1
    if gain <= 0:
        return Line(low=low, high=high)
    residual = float(mean((error - (1 + gain) * x) ** 2, weights))
    uncertainty = residual / (variance * _effective_rows(len(y), weights))
    slope = 1 + gain * gain**2 / (gain**2 + uncertainty)
    return Line(target - slope * center, slope, low, high)


def softmax(Z: Array) -> Array:
    """Return the softmax of each row."""
    Z = np.exp(Z - Z.max(axis=1, keepdims=True))
    return Z / Z.sum(axis=1, keepdims=True)


def _effective_rows(n: int, weights: Array | None) -> float:
    """Return how many rows of equal weight tell as much as these (Kish)."""
    return n if weights is None else float(weights.sum() ** 2 / (weights**2).sum())
