"""Linear members of an ensemble: generalized linear models with an L2 penalty, fitted in all folds at once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ._blend import softmax
from ._descent import minimized
from ._objectives import Objective, mean

Array = npt.NDArray[Any]
Family = Callable[[Array, Array], tuple[Array, Array]]  # of z and y, (…, c): the losses (…), and their derivatives by z

PENALTIES = tuple(10 ** (half / 2) for half in range(-3, 9))
FIRST = 5  # the penalty to start with, λ = 10: over the tables that we looked at, the best ones lie around it
WIDTH = 0.1  # over which the corner of the quantile loss is smoothed, in standard deviations of the target
ROTATED = 600  # up to so many columns, the eigenvectors of their covariance are worth their time
COVARIANCE_ROWS = 20_000  # are enough to know the covariance of the columns
BLOCK = 1 << 18  # numbers that are computed at once
LEAST_STEPS = 3  # bring the models close to their best
LEFT = 1e-6  # of the mean loss that may be left to gain


class LinearFit(NamedTuple):
    """A linear model of each fold. c is 1 for numbers and for two classes, otherwise the number of classes.

    Attributes
    ----------
    oof : (n, k) probabilities or (n,) numbers, float64
        Predictions for each row by the model of the fold that holds it out.
    fold_coefficients, fold_intercepts : (f, p, c) and (f, c)
        Of each fold's model.
    penalty : float
        λ: a model minimizes the sum of its losses plus ½ λ Σ w². Before that, numbers are standardized and counts
        are divided by their mean.
    """

    oof: Array
    fold_coefficients: Array
    fold_intercepts: Array
    penalty: float


def fit_linear(
    X: Array,
    y: Array,
    folds: npt.NDArray[np.int64],
    objective: Objective,
    weights: Array | None = None,
    *,
    n_classes: int | None = None,
    deadline: float = math.inf,
) -> LinearFit:
    """Fit a linear model in each fold, with the penalty that has the best out-of-fold loss.

    Classes get a logistic or multinomial regression, Poisson a log-linear model, numbers a ridge regression. Absolute
    error and quantiles get their own losses, whose corner is smoothed.

    Parameters
    ----------
    X : (n, p) float32
        Finite columns of about unit scale. X is not copied.
    y : (n,)
        Class numbers, or numbers.
    folds : (n,)
        The number 0 … f − 1 of the fold that holds each row out.
    objective : Objective
        Decides the kind of model.
    weights : (n,), optional
        Sample weights.
    n_classes : int, optional
        Number of classes; None for numbers.
    deadline : float
        Time of `time.perf_counter` after which training ends. Before that, it takes a few steps with one penalty.
    """
    family, targets, scale, shift = _model(y, objective, weights, n_classes)
    problem = _Folds(X, targets, folds, family, weights)
    best = _fit_of(problem, FIRST, *problem.start(), deadline, LEAST_STEPS)
    for step in (1, -1):  # stronger penalties as long as they improve; if none does, weaker ones
        if best.number != FIRST:
            break
        while 0 <= (number := best.number + step) < len(PENALTIES) and time.perf_counter() < deadline:
            tried = _fit_of(problem, number, best.coefficients, best.intercepts, deadline)
            if not tried.loss < best.loss:
                break
            best = tried
    coefficients, intercepts = best.coefficients * scale, best.intercepts * scale + shift
    oof = _answer(best.sums * scale + shift, objective)
    return LinearFit(oof, coefficients, intercepts, PENALTIES[best.number])


class _Tried(NamedTuple):
    """The models with one of the penalties: their out-of-fold loss and sums (n, c), and their coefficients."""

    loss: float
    number: int
    sums: Array
    coefficients: Array
    intercepts: Array


def _fit_of(
    problem: _Folds, number: int, coefficients: Array, intercepts: Array, deadline: float, least: int = 0
) -> _Tried:
    """Fit the models with a penalty, given models to start from, and how many steps to take after the deadline."""
    coefficients, intercepts = problem.fitted(PENALTIES[number], coefficients, intercepts, deadline, least)
    sums = problem.held_out(coefficients, intercepts)
    losses = problem.family(sums, problem.targets)[0].astype(np.float64)
    return _Tried(float(mean(losses, problem.weights)), number, sums, coefficients, intercepts)


def predict_linear_folds(fit: LinearFit, X: Array, objective: Objective) -> Array:
    """Return the predictions of each fold's model, (f, n, k) or (f, n)."""
    X = X.astype(np.float64)  # sums in float32 depend on a row's place in X
    each = zip(fit.fold_coefficients, fit.fold_intercepts, strict=True)
    return np.stack([_answer(X @ coefficients + b, objective) for coefficients, b in each])


def _answer(z: Array, objective: Objective) -> Array:
    """Return predictions, given the linear sums (n, c)."""
    z = z.astype(np.float64)
    if not objective.classes:
        return np.exp(z[:, 0]) if objective.name == "poisson" else z[:, 0]
    if z.shape[1] == 1:
        z = np.hstack([np.zeros_like(z), z])
    return softmax(z)


def _model(
    y: Array, objective: Objective, weights: Array | None, n_classes: int | None
) -> tuple[Family, Array, float, float]:
    """Return the family, its targets (n, c) float32, and the scale and shift from its sums to those of y."""
    if n_classes is not None:
        if n_classes == 2:
            return logistic, y[:, None].astype(np.float32), 1.0, 0.0
        return multinomial, np.eye(n_classes, dtype=np.float32)[y], 1.0, 0.0
    center = float(mean(np.asarray(y, np.float64), weights))
    if objective.name == "poisson":
        size = center if center > 0 else 1.0
        return counts, (y[:, None] / size).astype(np.float32), 1.0, math.log(size)
    deviation = math.sqrt(float(mean((y - center) ** 2, weights))) or 1.0
    family = partial(quantile, level=objective.level) if objective.name in ("mae", "quantile") else squared
    return family, ((y[:, None] - center) / deviation).astype(np.float32), deviation, center


def squared(z: Array, y: Array) -> tuple[Array, Array]:
    """½ (z − y)², and its derivative."""
    error = z - y
    return 0.5 * error[..., 0] ** 2, error


def logistic(z: Array, y: Array) -> tuple[Array, Array]:
    """log(1 + eᶻ) − y z, the log loss of sigmoid(z), and its derivative."""
    e = np.exp(-np.abs(z))
    chance = np.where(z >= 0, 1, e) / (1 + e)
    return (np.maximum(z, 0) + np.log1p(e) - y * z)[..., 0], chance - y


def multinomial(z: Array, y: Array) -> tuple[Array, Array]:
    """−log of the true class's softmax(z), given one-hot y, and its derivatives."""
    z = np.ascontiguousarray(np.moveaxis(z, -1, 0))  # sums over the first axis are several times as fast
    y = np.moveaxis(y, -1, 0)
    top = z.max(axis=0)
    e = np.exp(z - top)
    total = e.sum(axis=0)
    return np.log(total) + top - (z * y).sum(axis=0), np.moveaxis(e / total - y, 0, -1)


def counts(z: Array, y: Array) -> tuple[Array, Array]:
    """eᶻ − y z, half the Poisson deviance apart from a constant, and its derivative."""
    rate = np.exp(z)
    return (rate - y * z)[..., 0], rate - y


def quantile(z: Array, y: Array, level: float) -> tuple[Array, Array]:
    """Quantile loss, smoothed at its corner by a logistic kernel (Fernandes et al., 2021), and its derivative."""
    u = (y - z) / WIDTH
    e = np.exp(-np.abs(u))
    below = np.where(u >= 0, e, 1) / (1 + e)  # sigmoid(−u): how much the target counts as below the prediction
    return WIDTH * (level * u + np.maximum(-u, 0) + np.log1p(e))[..., 0], below - level


class _Folds:
    """The models of all f folds, whose sums and gradients are computed by the same matrix products.

    They are minimized in coordinates in which their curvature is about 1: along the eigenvectors of the columns'
    covariance, each divided by the root of the curvature of loss and penalty.

    Parameters
    ----------
    X : (n, p) float32
    targets : (n, c) float32, as the family takes them
    folds : (n,), the fold that holds each row out
    family : the loss and its derivative
    weights : (n,) or None
    """

    def __init__(
        self, X: Array, targets: Array, folds: npt.NDArray[np.int64], family: Family, weights: Array | None
    ) -> None:
        self.X, self.targets, self.folds, self.family = X, targets, folds, family
        self.weights = np.ones(len(X)) if weights is None else weights * (len(X) / weights.sum())
        held_out = np.bincount(folds, self.weights)
        self.sizes = np.maximum(len(X) - held_out, np.finfo(np.float64).tiny)  # the weight of each fold's training rows
        self.rows = max(64, BLOCK // (len(held_out) * targets.shape[1]))
        self.center, self.axes, self.spread = _covariance(X, self.weights)
        self.constant, self.curvature = _null_model(family, targets, self.weights)

    def start(self) -> tuple[Array, Array]:
        """Return models whose coefficients are 0, (f, p, c) and (f, c)."""
        f, p, c = len(self.sizes), self.X.shape[1], len(self.constant)
        return np.zeros((f, p, c)), np.tile(self.constant, (f, 1))

    def fitted(
        self, penalty: float, coefficients: Array, intercepts: Array, deadline: float, least: int
    ) -> tuple[Array, Array]:
        """Return the models with the smallest penalized losses, given models to start from."""
        f, p, c = coefficients.shape
        scale = 1 / np.sqrt(self.curvature * self.spread[:, None] + penalty / self.sizes.mean())
        base = 1 / np.sqrt(self.curvature)

        def models(point: Array) -> tuple[Array, Array]:
            point = point.reshape(f, p + 1, c)
            W = self._along(scale * point[:, :p])
            return W, self.constant + base * point[:, p] - self.center @ W

        def evaluate(point: Array) -> tuple[Array, Array]:
            W, b = models(point)
            losses, slopes, sums = self._gradients(W, b)
            strength = (penalty / self.sizes)[:, None, None]
            slopes += strength * W - self.center[:, None] * sums[:, None]
            gradient = np.concatenate([scale * self._across(slopes), (base * sums)[:, None]], axis=1)
            return losses + 0.5 * (strength * W**2).sum(axis=(1, 2)), gradient.reshape(f, -1)

        centered = (intercepts + self.center @ coefficients - self.constant) / base
        point = np.concatenate([self._across(coefficients) / scale, centered[:, None]], axis=1).reshape(f, -1)
        with np.errstate(over="ignore", invalid="ignore"):  # the rates of a step that is too long, which is not taken
            found = minimized(evaluate, point, tolerance=LEFT, iterations=100, deadline=deadline, least=least)
        return models(found)

    def held_out(self, coefficients: Array, intercepts: Array) -> Array:
        """Return the sums of each row by the model of the fold that holds it out, (n, c) float64."""
        z = np.empty(self.targets.shape)
        for block, sums in self._sums(coefficients, intercepts):
            z[block] = np.take_along_axis(sums, self.folds[block, None, None], axis=1)[:, 0]
        return z

    def _sums(self, W: Array, b: Array) -> Iterator[tuple[slice, Array]]:
        """Yield blocks of rows and their sums for all models, (rows, f, c) float32."""
        f, p, c = W.shape
        columns = np.ascontiguousarray(W.transpose(1, 0, 2).reshape(p, f * c), np.float32)
        for first in range(0, len(self.X), self.rows):
            block = slice(first, first + self.rows)
            yield block, (self.X[block] @ columns).reshape(-1, f, c) + b.astype(np.float32)

    def _gradients(self, W: Array, b: Array) -> tuple[Array, Array, Array]:
        """Return the mean loss (f,) over the training rows of each fold, its derivatives by W and those by b."""
        f, p, c = W.shape
        losses, slopes, sums = np.zeros(f), np.zeros((p, f * c)), np.zeros((f, c))
        for block, z in self._sums(W, b):
            loss, derivative = self.family(z, self.targets[block, None])
            trains = self.folds[block, None] != np.arange(f)
            shares = (trains * self.weights[block, None] / self.sizes).astype(np.float32)
            losses += (loss * shares).sum(axis=0, dtype=np.float64)
            derivative = derivative * shares[..., None]
            slopes += self.X[block].T @ derivative.reshape(-1, f * c)
            sums += derivative.sum(axis=0, dtype=np.float64)
        return losses, slopes.reshape(p, f, c).transpose(1, 0, 2), sums

    def _along(self, rotated: Array) -> Array:
        """Return coefficients of columns, given those of eigenvectors."""
        return rotated if self.axes is None else self.axes @ rotated

    def _across(self, coefficients: Array) -> Array:
        """Return coefficients of eigenvectors, given those of columns."""
        return coefficients if self.axes is None else self.axes.T @ coefficients


def _covariance(X: Array, weights: Array) -> tuple[Array, Array | None, Array]:
    """Return the columns' means (p,), the eigenvectors of their covariance (p, p), and its eigenvalues (p,).

    Many columns get their variances in place of the eigenvalues, and no eigenvectors.
    """
    rows = slice(None, None, max(1, len(X) // COVARIANCE_ROWS))
    kept, shares = X[rows], weights[rows] / max(weights[rows].sum(), 1e-300)
    center = shares.astype(np.float32) @ kept
    if X.shape[1] > ROTATED:
        return center.astype(np.float64), None, (shares @ (kept - center) ** 2).astype(np.float64)
    centered = (kept - center) * np.sqrt(shares)[:, None].astype(np.float32)
    eigenvalues, axes = np.linalg.eigh((centered.T @ centered).astype(np.float64))
    return center.astype(np.float64), axes, np.maximum(eigenvalues, 0)


def _null_model(family: Family, targets: Array, weights: Array) -> tuple[Array, Array]:
    """Return the constant sums that suit the targets, (c,), and the curvature of the mean loss there, (c,)."""
    shares = weights / weights.sum()
    constant = np.zeros(targets.shape[1])
    step = 1e-3
    for _ in range(50):  # damped Newton on each of the c numbers
        ahead, behind = (
            shares @ family(np.broadcast_to(constant + s, targets.shape), targets)[1] for s in (step, -step)
        )
        curvature = np.maximum((ahead - behind) / (2 * step), 1e-3)
        change = np.clip((ahead + behind) / (2 * curvature), -1, 1)
        constant -= change
        if np.abs(change).max() < 1e-6:
            break
    return constant, curvature
