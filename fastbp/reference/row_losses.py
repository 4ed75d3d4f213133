"""Row losses in NumPy: likelihoods with two outputs for each target, and the mean over members.

Every function takes the outputs a, (m, n_L), and the targets y of one row each, and returns the losses of the rows,
(m,), and their derivatives by a, (m, n_L). J is the mean of the losses over the rows. The functions for networks take
such a function as OfRows(function).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
RowLoss = Callable[[Array, Array], tuple[Array, Array]]


class OfRows(NamedTuple):
    """A row loss, as the ``loss`` of `cost`, `gradients`, `train_epoch` and others."""

    function: RowLoss


def gaussian_nll(a: Array, y: Array, beta: float = 0.0) -> tuple[Array, Array]:
    """Σ ½ (s + (y − μ)² e⁻ˢ) with a = (μ, s), s = log σ²: PyTorch's GaussianNLLLoss with var = eˢ, without ½ log 2π.

    The derivatives are multiplied by σ^2β (Seitzer et al., 2022, eq. 3); the loss is not.

    Parameters
    ----------
    a : (m, 2 t), the means of t targets, and then their log variances
    y : (m, t)
    beta : β
    """
    mean, s = np.split(np.asarray(a, np.float64), 2, axis=1)
    square = (y - mean) ** 2 * np.exp(-s)
    weight = np.exp(beta * s)
    slopes = np.concatenate([(mean - y) * np.exp(-s) * weight, 0.5 * (1 - square) * weight], axis=1)
    return (0.5 * (s + square)).sum(axis=1), slopes


def digamma(x: Array) -> Array:
    """ψ(x) for x > 0: ψ(x) = ψ(x + 1) − 1/x up to 30, then the asymptotic series (Abramowitz and Stegun 6.3.18)."""
    x = np.array(x, np.float64)
    value = np.zeros_like(x)
    for _ in range(30):
        value -= np.where(x < 30, 1 / x, 0)
        x = np.where(x < 30, x + 1, x)
    t = 1 / x**2
    return value + np.log(x) - 0.5 / x - t * (1 / 12 - t * (1 / 120 - t * (1 / 252 - t * (1 / 240 - t / 132))))


def negative_binomial(a: Array, y: Array) -> tuple[Array, Array]:
    """−Σ log P(y) of negative binomial distributions with a = (log μ, log α): mean μ, variance μ + α μ².

    P(y) = Γ(y + r) / (Γ(y + 1) Γ(r)) (1 − p)ʸ pʳ with r = 1/α and p = 1/(1 + α μ) (Cameron and Trivedi, 2013).

    Parameters
    ----------
    a : (m, 2 t), the log means of t targets, and then their log dispersions
    y : (m, t), numbers ≥ 0
    """
    m, s = np.split(np.asarray(a, np.float64), 2, axis=1)
    y = np.asarray(y, np.float64)
    r, mean = np.exp(-s), np.exp(m)
    log_gamma = np.vectorize(math.lgamma, otypes=[np.float64])
    log_p = -np.log1p(mean / r)
    log_q = m + s + log_p  # of 1 − p = α μ / (1 + α μ)
    value = -(log_gamma(y + r) - log_gamma(y + 1) - log_gamma(r) + y * log_q + r * log_p)
    p = np.exp(log_p)
    by_s = r * (digamma(y + r) - digamma(r) + log_p) + (mean - y) * p
    return value.sum(axis=1), np.concatenate([(mean - y) * p, by_s], axis=1)


def members(a: Array, y: Array, n_members: int, loss: RowLoss) -> tuple[Array, Array]:
    """Return the mean of the members' losses: the loss of each n_L / n_members outputs, one after the other."""
    found = [loss(part, y) for part in np.split(a, n_members, axis=1)]
    values, slopes = zip(*found, strict=True)
    return np.mean(values, axis=0), np.concatenate(slopes, axis=1) / n_members
