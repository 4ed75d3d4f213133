"""The operations of networks of layers, each with its way back.

Every function returns y, and a function that takes ∂J/∂y and returns ∂J/∂x with the gradients of the parameters, in the
order of the arguments. x is (m, n), with a row for each sample; y has m rows too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .activations import activation, through_activation

Array = npt.NDArray[Any]
Back = Callable[[Array], tuple[Array, list[Array]]]


def affine(x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, Back]:
    """Return y = x Θᵀ + b (torch.nn.Linear). The weight Θ is (n_out, n), the bias b (n_out,)."""

    def back(g: Array) -> tuple[Array, list[Array]]:
        return g @ weight, [g.T @ x] + ([] if bias is None else [g.sum(axis=0)])

    y = x @ weight.T
    return y if bias is None else y + bias, back


def activate(x: Array, name: str, alpha: Array | None = None) -> tuple[Array, Back]:
    """Return y = f(x), or x + α ⊙ (f(x) − x) with a parameter α for each unit, (n,).

    The parametric form is that of RealMLP (Holzmüller, Grinsztajn and Steinwart, 2024, arXiv 2407.04491).
    """
    if alpha is None:
        return activation(x, name), lambda g: (through_activation(g, x, name), [])
    change = activation(x, name) - x

    def back(g: Array) -> tuple[Array, list[Array]]:
        return (1 - alpha) * g + through_activation(alpha * g, x, name), [(g * change).sum(axis=0)]

    return x + alpha * change, back


def scale(x: Array, s: Array) -> tuple[Array, Back]:
    """Return y = s ⊙ x, with a learned factor s for each column, (n,) (RealMLP)."""
    return s * x, lambda g: (s * g, [(g * x).sum(axis=0)])


def layer_norm(x: Array, gamma: Array, beta: Array, epsilon: float = 1e-5) -> tuple[Array, Back]:
    """Return y = γ ⊙ x̂ + β, x̂ = (x − mean) / √(variance + ε), over the units of each sample.

    Ba, Kiros and Hinton, 2016 (arXiv 1607.06450), as torch.nn.LayerNorm: the variance is that with 1/n. γ, β
    are (n,).
    """
    return _norm(x, gamma, beta, x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True), epsilon, axis=1)


def batch_norm(x: Array, gamma: Array, beta: Array, epsilon: float = 1e-5) -> tuple[Array, Back]:
    """Return y = γ ⊙ x̂ + β, x̂ = (x − mean) / √(variance + ε), over the samples of the batch for each unit.

    Ioffe and Szegedy, 2015 (arXiv 1502.03167), as torch.nn.BatchNorm1d: the variance is that with 1/m.
    """
    return _norm(x, gamma, beta, x.mean(axis=0), x.var(axis=0), epsilon, axis=0)


def _norm(
    x: Array, gamma: Array, beta: Array, mean: Array, variance: Array, epsilon: float, axis: int
) -> tuple[Array, Back]:
    """Return the norm over an axis. ∂J/∂x = (g − mean(g) − x̂ mean(g ⊙ x̂)) / √(variance + ε), where g = γ ⊙ ∂J/∂y."""
    root = np.sqrt(variance + epsilon)
    normal = (x - mean) / root

    def back(g: Array) -> tuple[Array, list[Array]]:
        inner = g * gamma
        means = inner.mean(axis=axis, keepdims=True), (inner * normal).mean(axis=axis, keepdims=True)
        return (inner - means[0] - normal * means[1]) / root, [(g * normal).sum(axis=0), g.sum(axis=0)]

    return gamma * normal + beta, back


def running_norm(
    x: Array, gamma: Array, beta: Array, mean: Array, variance: Array, epsilon: float = 1e-5
) -> tuple[Array, Back]:
    """Return the batch norm of prediction: x̂ = (x − mean) / √(variance + ε), with the running statistics, (n,)."""
    root = np.sqrt(variance + epsilon)
    normal = (x - mean) / root
    return gamma * normal + beta, lambda g: (g * gamma / root, [(g * normal).sum(axis=0), g.sum(axis=0)])


def move_statistics(mean: Array, variance: Array, x: Array, momentum: float = 0.1) -> None:
    """Update the running statistics in place by a batch: running ← (1 − momentum) · running + momentum · batch.

    As torch.nn.BatchNorm1d: the batch's variance is here that with 1/(m − 1).
    """
    mean[...] = (1 - momentum) * mean + momentum * x.mean(axis=0)
    variance[...] = (1 - momentum) * variance + momentum * x.var(axis=0, ddof=1)


def embedding(x: Array, table: Array) -> tuple[Array, Back]:
    """Return y = the rows of the table, (categories, dimension), whose numbers are x, (m,) (torch.nn.Embedding)."""
    rows = x.astype(np.int64)

    def back(g: Array) -> tuple[Array, list[Array]]:
        gradient = np.zeros_like(table)
        np.add.at(gradient, rows, g)
        return np.zeros(x.shape), [gradient]

    return table[rows], back


def pbld(x: Array, frequency: Array, phase: Array, weight: Array, bias: Array) -> tuple[Array, Back]:
    """Return for each number x the columns (x, W₂ cos(2π x w₁ + b₁) + b₂): PBLD of RealMLP (arXiv 2407.04491).

    With n numbers: the frequency w₁ and the phase b₁ are (n, q), the weight W₂ (n, k, q), the bias b₂ (n, k), and y has
    n (1 + k) columns.
    """
    angle = 2 * math.pi * x[:, :, None] * frequency + phase  # (m, n, q)
    cosine = np.cos(angle)
    y = np.concatenate([x[:, :, None], np.einsum("mnq,nkq->mnk", cosine, weight) + bias], axis=2)

    def back(g: Array) -> tuple[Array, list[Array]]:
        g = g.reshape(y.shape)
        through = g[:, :, 1:]
        slope = -np.sin(angle) * np.einsum("mnk,nkq->mnq", through, weight)  # ∂J/∂angle
        gradients = [
            2 * math.pi * (slope * x[:, :, None]).sum(axis=0),
            slope.sum(axis=0),
            np.einsum("mnk,mnq->nkq", through, cosine),
            through.sum(axis=0),
        ]
        return g[:, :, 0] + 2 * math.pi * (slope * frequency).sum(axis=2), gradients

    return y.reshape(len(x), -1), back


def periodic(x: Array, frequency: Array) -> tuple[Array, Back]:
    """Return for each number x the columns (sin 2πwx, cos 2πwx): Gorishniy, Rubachev and Babenko, 2022.

    (arXiv 2203.05556, section 3.3.) With n numbers, the frequency w is (n, q), and y has 2nq columns: for each number
    its q sines, then its q cosines.
    """
    angle = 2 * math.pi * x[:, :, None] * frequency  # (m, n, q)
    y = np.concatenate([np.sin(angle), np.cos(angle)], axis=2)

    def back(g: Array) -> tuple[Array, list[Array]]:
        of_sine, of_cosine = np.split(g.reshape(y.shape), 2, axis=2)
        slope = 2 * math.pi * (of_sine * np.cos(angle) - of_cosine * np.sin(angle))
        return (slope * frequency).sum(axis=2), [(slope * x[:, :, None]).sum(axis=0)]

    return y.reshape(len(x), -1), back


def piecewise(x: Array, edges: Array) -> tuple[Array, Back]:
    """Return the piecewise-linear encoding of each number x: Gorishniy, Rubachev and Babenko, 2022, section 3.2.

    Column t is (x − e_t) / (e_{t+1} − e_t), clipped to [0, 1]. The first is not clipped to 0, the last not to 1. With
    n numbers, the edges are (n, bins + 1), in ascending order. In an empty bin the column is 0 where x < e_t, else 1.
    The edges are not trained.
    """
    low, width = edges[:, :-1], np.diff(edges, axis=1)
    full = width > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        inside = np.where(full, (x[:, :, None] - low) / width, np.where(x[:, :, None] < low, 0.0, 1.0))
        slope = np.broadcast_to(np.where(full, 1 / width, 0.0), inside.shape).copy()
    closed_below, closed_above = np.ones(width.shape[1], bool), np.ones(width.shape[1], bool)
    closed_below[0] = closed_above[-1] = False
    outside = (inside <= 0) & closed_below | (inside >= 1) & closed_above
    slope[outside] = 0
    y = np.where(outside, np.clip(inside, 0, 1), inside)

    def back(g: Array) -> tuple[Array, list[Array]]:
        return (g.reshape(y.shape) * slope).sum(axis=2), []

    return y.reshape(len(x), -1), back
