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
DIVERGED = 1e300  # in place of a loss that is NaN
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
    handicaps: Array | None = None,
    steps: int = 40,
) -> Array:
    """Return the weights of members whose weighted mean has a low loss.

    The selection is that of Caruana et al. (2004): start with the best member; in each step, add the member, with
    replacement, with which the mean is best. The weights are the counts after one of the steps, that with the lowest
    loss. Of equal members, the first one is added.

    AUC and accuracies change in small jumps, so choosing members by them fits noise. For these, log loss chooses the
    members, and the objective only the step.

    Without handicaps, the loss of the answer is never above that of the best member.

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
    handicaps : (m,), optional
        How much too low the loss of each member is, as a share of it; for RMSE and R², of the mean squared error. Such
        a share of its loss, times its weight, is added to the loss of a mean.
    steps : int
        How many members to add, at most.

    Returns
    -------
    (m,) float64, ≥ 0, with the sum 1
    """
    usable = np.flatnonzero([np.isfinite(P).all() for P in predictions]).tolist()
    if not usable:
        raise ValueError(wrong("predictions", "finite ones of at least one member", "NaN or infinity in all of them"))
    chosen = np.zeros(len(predictions))
    handicaps = np.zeros(len(usable)) if handicaps is None else handicaps[usable]
    chosen[usable] = _greedy([predictions[j] for j in usable], y, objective, weights, handicaps, steps)
    return chosen


def _greedy(
    predictions: Sequence[Array],
    y: Array,
    objective: Objective,
    weights: Array | None,
    handicaps: Array,
    steps: int,
) -> Array:
    """Return the weights of members whose predictions are finite."""
    jumps = objective.classes and objective.name != "log_loss"
    losses_after = _chosen_by(predictions, y, "log_loss" if jumps else objective.name, objective, weights)
    counts = np.zeros(len(predictions))
    added_losses = handicaps * losses_after(counts) if handicaps.any() else handicaps
    path: list[tuple[float, Array]] = []
    best = 0
    while len(path) < min(steps, best + 1 + PATIENCE):
        losses = losses_after(counts) + (counts @ added_losses + added_losses) / (len(path) + 1)
        least = losses.min()
        added = int((losses <= least + ROUNDING * abs(least)).argmax())
        counts[added] += 1
        path.append((losses[added], counts / counts.sum()))
        if losses[added] < path[best][0]:
            best = len(path) - 1
    if not jumps:
        return path[best][1]
    singles = np.array([objective.loss(y, P, weights) for P in predictions]) * (1 + handicaps)
    means = [shares for _, shares in path[::-2]] + [np.eye(len(predictions))[int(singles.argmin())]]
    return min(means, key=lambda shares: handicapped_loss(predictions, shares, y, objective, weights, handicaps))


def handicapped_loss(
    predictions: Sequence[Array],
    shares: Array,
    y: Array,
    objective: Objective,
    weights: Array | None,
    handicaps: Array,
) -> float:
    """Return the loss of a mean, increased by its members' handicaps."""
    share = float(shares @ handicaps)
    if objective.name == "rmse":  # the handicaps are those of the squared error
        share = float(np.sqrt(1 + share)) - 1
    return objective.loss(y, blended(predictions, shares), weights) * (1 + share)


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


def optimism(curves: Sequence[Array]) -> float:
    """Return how much too low the out-of-fold losses of networks with early stopping are, as a share of them.

    Each network stops at the epoch with the least loss on the rows that it predicts. What it gains by the choice of
    this epoch, it doesn't gain on new rows. So much does each fold lose if the other folds choose its epoch.

    Parameters
    ----------
    curves : f arrays, the validation losses after each epoch
        Of the network of each fold.
    """
    n_epochs = max(map(len, curves), default=0)
    if len(curves) < 2 or min(map(len, curves)) == 0:
        return 0.0
    ended = [np.pad(np.nan_to_num(curve, nan=DIVERGED), (0, n_epochs - len(curve)), mode="edge") for curve in curves]
    losses = np.stack(ended)  # a network that has stopped keeps its last loss
    least = losses.min(axis=1)
    above = losses - least[:, None]
    chosen = (above.sum(axis=0) - above).argmin(axis=1)  # by the other folds
    gained = float(np.take_along_axis(above, chosen[:, None], axis=1).mean())
    return min(gained / float(least.mean()), 1.0) if least.mean() > 0 else 0.0  # Poisson's losses may be negative


def blended(predictions: Sequence[Array], weights: Array) -> Array:
    """Return the weighted mean of predictions as float64. Members of weight 0 are not read."""
    used = np.flatnonzero(weights)
    total = weights[used[0]] * np.asarray(predictions[used[0]], np.float64)
    for j in used[1:]:
        total += weights[j] * predictions[j]
    return total


def nested_predictions(
    predictions: Sequence[Array],
    y: Array,
    folds: Array,
    objective: Objective,
    weights: Array | None = None,
    *,
    handicaps: Array | None = None,
    steps: int = 40,
) -> Array:
    """Return the predictions of the ensemble for rows that did not choose its weights, (n, k) or (n,).

    The loss of an ensemble looks too good on the rows that chose its weights, and their residuals are too small. Here,
    the rows of each fold get the weights that the rows of the other folds chose.

    Parameters
    ----------
    predictions, y, objective, weights, handicaps, steps : as in `greedy_weights`
    folds : (n,)
        The number of the fold that holds each row out.
    """
    mixed = np.empty_like(predictions[0], dtype=np.float64)
    for fold in np.unique(folds):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        others = None if weights is None else weights[outside]
        shares = greedy_weights(
            [P[outside] for P in predictions], y[outside], objective, others, handicaps=handicaps, steps=steps
        )
        mixed[inside] = blended([P[inside] for P in predictions], shares)
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
