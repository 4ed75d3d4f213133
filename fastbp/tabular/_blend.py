"""Weights of the members of an ensemble, and the temperature of its probabilities, from out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._objectives import Objective, mean

Array = npt.NDArray[Any]

LEAST_CHANCE = 1e-12  # smaller probabilities have no more influence on the temperature
COLDEST, HOTTEST = 0.2, 5.0  # limits of the temperature


def greedy_weights(
    predictions: Sequence[Array], y: Array, objective: Objective, weights: Array | None = None, *, steps: int = 40
) -> Array:
    """Return the weights of members whose weighted mean has a low loss.

    The selection is that of Caruana et al. (2004): start with the best member; in each step, add the member, with
    replacement, with which the mean is best. The weights are the counts after the best step, so that their loss is
    never above that of the best member. Of equal members, the first one is added.

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
    candidates, losses_of = _evaluation(predictions, y, objective, weights)
    losses = losses_of(candidates)
    first = _least(losses)
    counts = np.zeros(len(candidates))
    counts[first] = 1
    total, best, chosen = candidates[first].copy(), losses[first], counts.copy()
    for step in range(1, steps):
        losses = losses_of((total + candidates) / (step + 1))
        added = _least(losses)
        counts[added] += 1
        total += candidates[added]
        if losses[added] < best:
            best, chosen = losses[added], counts.copy()
    return chosen / chosen.sum()


def _least(losses: Array) -> int:
    """Return the number of the smallest loss that is not NaN; 0 if all are."""
    return int(np.where(np.isnan(losses), np.inf, losses).argmin())


def _evaluation(
    predictions: Sequence[Array], y: Array, objective: Objective, weights: Array | None
) -> tuple[Array, Callable[[Array], Array]]:
    """Return what is averaged of each member, (m, …), and a function that returns the loss of each of such arrays."""
    if objective.name == "log_loss":  # depends only on the probabilities of the true classes
        rows, least = np.arange(len(y)), np.finfo(np.float64).eps
        chances = np.stack([np.asarray(P[rows, y], np.float64) for P in predictions])
        return chances, lambda C: mean(-np.log(np.maximum(C, least)), weights)
    stacked = np.stack([np.asarray(P, np.float64) for P in predictions])
    return stacked, lambda P: objective.losses(y, P, weights)


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
    steps: int = 40,
) -> Array:
    """Return the predictions of the ensemble for rows that did not choose its weights, (n, k) or (n,).

    The loss of an ensemble looks too good on the rows that chose its weights, and their residuals are too small. Here,
    the rows of each fold get the weights that the rows of the other folds chose.

    Parameters
    ----------
    predictions, y, objective, weights, steps : as in `greedy_weights`
    folds : (n,)
        The number of the fold that holds each row out.
    """
    mixed = np.empty_like(predictions[0], dtype=np.float64)
    for fold in np.unique(folds):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        others = None if weights is None else weights[outside]
        shares = greedy_weights([P[outside] for P in predictions], y[outside], objective, others, steps=steps)
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

    One number that is fitted to n rows lowers their mean loss by about 1 / 2n if there is nothing to gain. The
    temperature must gain twice as much.

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
    return 1 / inverse if (before - after) * _effective_rows(len(y), weights) > 1 else 1.0


def softmax(Z: Array) -> Array:
    """Return the softmax of each row."""
    Z = np.exp(Z - Z.max(axis=1, keepdims=True))
    return Z / Z.sum(axis=1, keepdims=True)


def _effective_rows(n: int, weights: Array | None) -> float:
    """Return how many rows of equal weight tell as much as these (Kish)."""
    return n if weights is None else float(weights.sum() ** 2 / (weights**2).sum())
