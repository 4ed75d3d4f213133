"""Losses: ℓ of each output, J of a mini-batch and δᴸ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .activations import activation, sigmoid, softmax, softplus, through_activation
from .row_losses import OfRows

Array = npt.NDArray[Any]
# A name, a function (a, y) → (ℓ, ∂ℓ/∂a) of one output, or one of rows
Loss = str | Callable[[float, float], tuple[float, float]] | OfRows


def output_losses(a: Array, y: Array, loss: Loss, parameter: Any = None) -> tuple[Array, Array]:
    """Return ℓ and ∂ℓ/∂a of every output, both (m, n_L).

    The parameter is delta of huber (default 1), or the quantiles q of the outputs, (n_L,) (default 0.5).
    """
    e = a - y
    if callable(loss):
        pairs = [loss(float(a_i), float(y_i)) for a_i, y_i in zip(a.flat, y.flat, strict=True)]
        values, slopes = np.array(pairs).T
        return values.reshape(a.shape), slopes.reshape(a.shape)
    if loss == "squared_error":
        return e**2 / 2, e
    if loss == "absolute_error":
        return np.abs(e), np.sign(e)
    if loss == "huber":
        delta = 1.0 if parameter is None else parameter
        return np.where(np.abs(e) <= delta, e**2 / 2, delta * (np.abs(e) - delta / 2)), np.clip(e, -delta, delta)
    if loss == "quantile":
        q = 0.5 if parameter is None else np.asarray(parameter)
        return np.where(e < 0, -q * e, (1 - q) * e), np.where(e < 0, -q, np.where(e > 0, 1 - q, 0.0))
    if loss == "hinge":
        return np.maximum(0, 1 - y * a), np.where(y * a < 1, -y, 0.0)
    raise ValueError(f"loss: no formula for {loss!r}")


def losses(z: Array, y: Array, activation_name: str, loss: Loss, parameter: Any = None) -> tuple[Array, Array]:
    """Return ℓ and ∂ℓ/∂z of every output, both (m, n_L), given zᴸ and y. ℓ of rows is (m, 1).

    Some losses are computed from zᴸ, because aᴸ could overflow, or the logarithm of 0 could be needed.
    """
    if loss == "cross_entropy":
        shifted = z - z.max(axis=1, keepdims=True)
        return y * (np.log(np.exp(shifted).sum(axis=1, keepdims=True)) - shifted), softmax(z) - y
    if loss == "binary_cross_entropy":
        return softplus(z) - z * y, sigmoid(z) - y
    if loss == "poisson":
        return np.exp(z) - y * z, np.exp(z) - y
    if isinstance(loss, OfRows):
        of_rows, slopes = loss.function(activation(z, activation_name), y)
        return of_rows[:, None], through_activation(slopes, z, activation_name)
    values, slopes = output_losses(activation(z, activation_name), y, loss, parameter)
    return values, through_activation(slopes, z, activation_name)


def shares(m: int, sample_weight: Array | None = None) -> Array:
    """Return w / Σ w of each sample, (m, 1): 1/m without weights, 0 if all weights are 0."""
    w = np.ones(m) if sample_weight is None else np.asarray(sample_weight, np.float64)
    return (w / (w.sum() or 1))[:, None]


def cost(
    z: Array, y: Array, activation_name: str, loss: Loss, parameter: Any = None, sample_weight: Array | None = None
) -> float:
    """Return J = Σ_samples w Σ_outputs ℓ / Σ_samples w, given zᴸ and y, both (m, n_L)."""
    values, _ = losses(z, y, activation_name, loss, parameter)
    return float((shares(len(y), sample_weight) * values).sum())


def output_delta(
    z: Array, y: Array, activation_name: str, loss: Loss, parameter: Any = None, sample_weight: Array | None = None
) -> Array:
    """Step 2: δᴸ = ∂J/∂zᴸ. For the squared error the article writes y − aᴸ; the descent needs aᴸ − y."""
    _, slopes = losses(z, y, activation_name, loss, parameter)
    return shares(len(y), sample_weight) * slopes
