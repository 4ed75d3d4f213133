"""Objectives: the metrics that an ensemble can be optimized for, and the classes that are chosen from probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .._checks import one_of, real, shown, typed, wrong
from ..losses import Loss, Quantile

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Objective:
    """What the search minimizes, and how people report it.

    Attributes
    ----------
    name : "log_loss", "roc_auc", "accuracy", "balanced_accuracy", "rmse", "mae", "r2", "quantile" or "poisson"
    classes : whether predictions are probabilities, (n, k); otherwise numbers in the units of y, (n,)
    network_loss : the loss that networks are trained with
    greater_is_better : the direction of `score`; `loss` is always better if it is lower
    level : of the quantile; 0.5 for other objectives
    """

    name: str
    classes: bool
    network_loss: str | Loss
    greater_is_better: bool
    level: float = 0.5

    @property
    def metric(self) -> str:
        """The text from which `objective_of` makes this objective again."""
        return f"quantile:{self.level!r}" if self.name == "quantile" else self.name

    def losses(self, y: Array, predictions: Array, weights: Array | None = None) -> Array:
        """Return the loss of each of several predictions.

        Parameters
        ----------
        y : (n,) class numbers 0 … k − 1, or numbers
        predictions : (m, n, k) probabilities, or (m, n) numbers
        weights : (n,) sample weights, ≥ 0 and not all 0, or None for equal ones

        Returns
        -------
        (m,) float64
        """
        predictions = np.asarray(predictions, np.float64)
        if self.name == "quantile":
            return pinball(y, predictions, weights, self.level)
        return LOSSES[self.name](y, predictions, weights)

    def loss(self, y: Array, prediction: Array, weights: Array | None = None) -> float:
        """Return the loss of one prediction, (n, k) or (n,); lower is better."""
        return float(self.losses(y, np.asarray(prediction)[None], weights)[0])

    def score(self, y: Array, prediction: Array, weights: Array | None = None) -> float:
        """Return the metric as people report it: AUC, accuracy and R² are 1 − loss; the others are the loss."""
        loss = self.loss(y, prediction, weights)
        return 1 - loss if self.greater_is_better else loss


def mean(values: Array, weights: Array | None) -> Array:
    """Return the weighted means over the last axis."""
    return values.mean(axis=-1) if weights is None else values @ weights / weights.sum()


def class_priors(y: Array, n_classes: int, weights: Array | None = None) -> Array:
    """Return the weighted frequency of each class, (k,)."""
    counts = np.bincount(y, weights=weights, minlength=n_classes).astype(np.float64)
    return counts / counts.sum()


def decide(P: Array, objective: Objective, priors: Array) -> npt.NDArray[np.int64]:
    """Return the class numbers to predict, (n,), given probabilities.

    The most probable class has the best expected accuracy. For balanced accuracy, an error in a rare class costs more:
    the best expected one has the class with the largest p_k / prior_k.

    Parameters
    ----------
    P : (…, n, k) probabilities
    objective : that of the ensemble
    priors : (k,) frequency of each class in training
    """
    if objective.name == "balanced_accuracy":
        return _relative(P, priors).argmax(axis=-1)
    return P.argmax(axis=-1)


def _relative(P: Array, priors: Array) -> Array:
    """Return p_k / prior_k; 0 for a class that doesn't occur."""
    return P * np.divide(1, priors, out=np.zeros_like(priors), where=priors > 0)


def log_loss(y: Array, P: Array, weights: Array | None) -> Array:
    """−log of the probability of the true class; 0 is replaced by the machine epsilon, as in scikit-learn."""
    chances = P[..., np.arange(len(y)), y]
    return mean(-np.log(np.maximum(chances, np.finfo(np.float64).eps)), weights)


def one_minus_accuracy(y: Array, P: Array, weights: Array | None) -> Array:
    """1 − the fraction of rows whose class has the largest probability."""
    return mean((P.argmax(axis=-1) != y).astype(np.float64), weights)


def one_minus_balanced_accuracy(y: Array, P: Array, weights: Array | None) -> Array:
    """1 − the recall averaged over the classes in y. The classes are those of `decide`, with the priors of y."""
    priors = class_priors(y, P.shape[-1], weights)
    missed = (_relative(P, priors).argmax(axis=-1) != y).astype(np.float64)
    each = 1 / priors[y] if weights is None else np.where(weights > 0, weights, 0) / np.maximum(priors[y], 1e-300)
    return mean(missed, each)


def one_minus_auc(y: Array, P: Array, weights: Array | None) -> Array:
    """1 − the area under the ROC curve; NaN if y has one class only.

    With more than two classes: the mean over each class of y against the rest.
    """
    n_classes = P.shape[-1]
    numbers = range(n_classes) if n_classes > 2 else [1]
    weights = np.ones(len(y)) if weights is None else weights
    areas = []
    for j in numbers:
        positive = np.where(y == j, weights, 0)
        negative = weights - positive
        if positive.any() and negative.any():
            areas.append([_area(positive, negative, scores) for scores in P[..., j]])
    return 1 - np.mean(areas, axis=0) if areas else np.full(len(P), np.nan)


def _area(positive: Array, negative: Array, scores: Array) -> float:
    """Return the area under the ROC curve of scores, given the rows' weights as positives and as negatives, (n,)."""
    order = np.argsort(scores)
    ordered = scores[order]
    last = np.append(ordered[1:] != ordered[:-1], True)  # of rows with equal scores, which get a straight line
    above = np.append(0, np.cumsum(positive[order])[last])
    below = np.append(0, np.cumsum(negative[order])[last])
    return float(np.diff(above) @ (below[1:] + below[:-1]) / (2 * above[-1] * below[-1]))


def rmse(y: Array, prediction: Array, weights: Array | None) -> Array:
    """√ of the mean squared error."""
    return np.sqrt(mean((prediction - y) ** 2, weights))


def one_minus_r2(y: Array, prediction: Array, weights: Array | None) -> Array:
    """1 − R²: the mean squared error divided by the variance of y. A constant y is divided by 1 instead."""
    variance = float(mean((y - mean(y, weights)) ** 2, weights))
    return mean((prediction - y) ** 2, weights) / (variance if np.ptp(y) and variance > 0 else 1)


def mae(y: Array, prediction: Array, weights: Array | None) -> Array:
    """Mean absolute error."""
    return mean(np.abs(prediction - y), weights)


def pinball(y: Array, prediction: Array, weights: Array | None, level: float) -> Array:
    """Quantile loss: level (y − ŷ) where y > ŷ, otherwise (1 − level) (ŷ − y)."""
    error = y - prediction
    return mean(np.maximum(level * error, (level - 1) * error), weights)


def poisson(y: Array, prediction: Array, weights: Array | None) -> Array:
    """Mean Poisson deviance, 2 (y log(y / ŷ) − y + ŷ). A prediction ≤ 0 counts as the smallest positive number."""
    prediction = np.maximum(prediction, np.finfo(np.float64).tiny)
    return 2 * mean(np.where(y > 0, y, 0) * np.log(np.where(y > 0, y, 1) / prediction) - y + prediction, weights)


Losses = Callable[[Array, Array, Array | None], Array]
LOSSES: dict[str, Losses] = {
    "log_loss": log_loss,
    "roc_auc": one_minus_auc,
    "accuracy": one_minus_accuracy,
    "balanced_accuracy": one_minus_balanced_accuracy,
    "rmse": rmse,
    "r2": one_minus_r2,
    "mae": mae,
    "poisson": poisson,
}
SCORES = ("roc_auc", "accuracy", "balanced_accuracy", "r2")  # the larger, the better
OF_CLASSES = ("log_loss", "roc_auc", "accuracy", "balanced_accuracy")
OF_NUMBERS = {"rmse": "squared_error", "mae": "absolute_error", "r2": "squared_error", "poisson": "poisson"}
ALSO = {  # the names of scikit-learn's scorers, and other usual ones
    "neg_log_loss": "log_loss",
    "cross_entropy": "log_loss",
    "auc": "roc_auc",
    "roc_auc_ovr": "roc_auc",
    "root_mean_squared_error": "rmse",
    "neg_root_mean_squared_error": "rmse",
    "mean_absolute_error": "mae",
    "neg_mean_absolute_error": "mae",
    "mean_poisson_deviance": "poisson",
    "neg_mean_poisson_deviance": "poisson",
}


def objective_of(metric: Any, *, classes: bool) -> Objective:
    """Return the objective of a metric.

    Parameters
    ----------
    metric : str or ("quantile", level)
        "auto" is log loss for classes and RMSE for numbers. A quantile is "quantile:0.9" or ("quantile", 0.9). The
        names of scikit-learn's scorers are accepted, too.
    classes : bool
        Whether the targets are classes.

    Raises
    ------
    TypeError, ValueError
        If there is no such metric, or it is not for such targets.
    """
    if isinstance(metric, tuple | list) and len(metric) == 2 and metric[0] == "quantile":
        return _quantile(metric[1], classes)
    if not isinstance(metric, str):
        raise TypeError(wrong("metric", "the name of a metric or ('quantile', 0.9)", typed(metric)))
    if metric == "auto":
        metric = "log_loss" if classes else "rmse"
    if metric.startswith("quantile:"):
        return _quantile(metric.removeprefix("quantile:"), classes)
    if metric == "quantile":
        raise ValueError(wrong("metric", "a level with 'quantile', such as 'quantile:0.9'", repr(metric)))
    name = ALSO.get(metric, metric)
    ours: tuple[str, ...] = OF_CLASSES if classes else tuple(OF_NUMBERS)
    if name in LOSSES and name not in ours:
        raise ValueError(_other_kind(metric, classes))
    name = one_of("metric", name, ["auto", *ours, *([] if classes else ["quantile:0.9"])])
    return Objective(name, classes, "cross_entropy" if classes else OF_NUMBERS[name], name in SCORES)


def _quantile(level: Any, classes: bool) -> Objective:
    """Return the objective of a quantile, given its level as a number or as text."""
    if classes:
        raise ValueError(_other_kind("quantile", classes))
    expected = "a level in (0, 1) for the quantile"
    if isinstance(level, str):
        try:
            level = float(level)
        except ValueError:
            raise ValueError(wrong("metric", expected, repr(level))) from None
    level = real("metric", level, above=0, dtype=np.dtype(np.float64))
    if level >= 1:
        raise ValueError(wrong("metric", expected, shown(level)))
    return Objective("quantile", False, Quantile(level), False, level)


def _other_kind(metric: str, classes: bool) -> str:
    """Return the message for a metric of the other kind of targets."""
    ours = ", ".join(map(repr, OF_CLASSES if classes else (*OF_NUMBERS, "quantile:0.9")))
    other = "numbers" if classes else "classes"
    return wrong("metric", f"one of {ours}", f"{metric!r}, which is for {other}")
