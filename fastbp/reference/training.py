"""Step 4 of the method, and an epoch of mini-batches."""

from __future__ import annotations

import math
from collections.abc import MutableMapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .costs import Loss
from .plain import gradients

Array = npt.NDArray[Any]


def clip(gradients: Sequence[Array], by_value: float | None = None, by_norm: float | None = None) -> None:
    """Clip the gradient of a batch in place: each component to ±by_value, then the norm of all to by_norm."""
    if by_value is not None:
        for gradient in gradients:
            np.clip(gradient, -by_value, by_value, out=gradient)
    norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients))
    if by_norm is not None and norm > by_norm:
        for gradient in gradients:
            np.multiply(gradient, by_norm / norm, out=gradient)


def limit_norms(weights: Sequence[Array], max_norm: float) -> None:
    """Scale the incoming weights of a unit, a row of Θˡ, in place to the norm max_norm if their norm is larger."""
    for theta in weights:
        norms = np.sqrt((theta**2).sum(axis=1, keepdims=True))
        np.multiply(theta, np.where(norms > max_norm, max_norm / np.maximum(norms, max_norm), 1), out=theta)


def dropout_mask(rate: float, seed: int, batch: int, layer: int, m: int, n: int) -> Array:
    """Return the dropout mask of a layer, (m, n): 0 for dropped units, 1/(1 − rate) for the others.

    A hash of the number of each unit and sample decides which units are dropped. Its key depends on the seed, the batch
    (from 0, over all epochs) and the layer (numbered as in the method). The key is computed with the last steps of
    SplitMix64 (Steele, Lea, Flood, 2014), the hash is the 32-bit "lowbias32" (Wellons, 2018,
    https://nullprogram.com/blog/2018/07/31/).
    """
    key = (seed + batch * 0x9E3779B97F4A7C15 + layer * 0xD1B54A32D192ED03) % 2**64
    key = (key ^ key >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    key = (key ^ key >> 27) * 0x94D049BB133111EB % 2**64
    key ^= key >> 31
    x = np.arange(m * n, dtype=np.uint64).reshape(m, n).astype(np.uint32)
    x = x * np.uint32(0x9E3779B9) ^ np.uint32(key % 2**32)
    x = (x ^ x >> np.uint32(16)) * np.uint32(0x7FEB352D)
    x = (x ^ x >> np.uint32(15)) * np.uint32(0x846CA68B)
    x = x ^ x >> np.uint32(16) ^ np.uint32(key >> 32)
    dropped = x >> np.uint32(8) < round(rate * 2**24)
    return np.where(dropped, 0.0, 1 / (1 - rate))


def _dropout_masks(
    rates: Sequence[float] | None, seed: int, batch: int, m: int, weights: Sequence[Array]
) -> list[Array | None] | None:
    """Return the dropout mask of each hidden layer for a batch of m samples, None for a layer without dropout."""
    if not rates:
        return None
    sizes = [len(theta) for theta in weights[:-1]]  # n_2 … n_{L−1}
    pairs = zip(rates, sizes, strict=True)
    return [dropout_mask(rate, seed, batch, l, m, n) if rate else None for l, (rate, n) in enumerate(pairs, start=2)]


def update(
    parameters: Sequence[Array],
    gradients: Sequence[Array],
    learning_rate: float,
    optimizer: str = "sgd",
    state: MutableMapping[str, Any] | None = None,
    *,
    momentum: float = 0.9,
    rho: float = 0.9,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
) -> None:
    """Step 4, in place, after all gradients are computed: Θˡ ← Θˡ − η ∂J/∂Θˡ, or the rule of another optimizer.

    The rules are those of torch.optim: ε is outside the square root, and the momentum has no dampening. The state is a
    dict that is empty at first. It keeps the moments m and v, with the shapes of the parameters, and the number t of
    updates.
    """
    state = {} if state is None else state
    t = state["t"] = state.get("t", 0) + 1
    moments_1 = state.setdefault("m", [np.zeros_like(theta) for theta in parameters])
    moments_2 = state.setdefault("v", [np.zeros_like(theta) for theta in parameters])
    for theta, g, m, v in zip(parameters, gradients, moments_1, moments_2, strict=True):
        if optimizer == "sgd":
            step = g
        elif optimizer == "momentum":
            m[...] = momentum * m + g
            step = m
        elif optimizer == "nesterov":
            m[...] = momentum * m + g
            step = g + momentum * m
        elif optimizer == "rmsprop":
            v[...] = rho * v + (1 - rho) * g**2
            step = g / (np.sqrt(v) + epsilon)
        elif optimizer == "adagrad":
            v[...] = v + g**2
            step = g / (np.sqrt(v) + epsilon)
        elif optimizer == "adam":
            m[...] = beta_1 * m + (1 - beta_1) * g
            v[...] = beta_2 * v + (1 - beta_2) * g**2
            step = m / (1 - beta_1**t) / (np.sqrt(v) / math.sqrt(1 - beta_2**t) + epsilon)
        else:
            raise ValueError(f"optimizer: no formula for {optimizer!r}")
        np.subtract(theta, learning_rate * step, out=theta)


def train_epoch(
    weights: Sequence[Array],
    biases: Sequence[Array],
    activations: Sequence[str],
    X: Array,
    y: Array,
    *,
    loss: Loss = "squared_error",
    learning_rate: float | Sequence[float] = 0.1,
    batch_size: int = 32,
    use_bias: bool = True,
    parameter: Any = None,
    sample_weight: Array | None = None,
    optimizer: str = "sgd",
    state: MutableMapping[str, Any] | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    clip_value: float | None = None,
    clip_norm: float | None = None,
    max_norm: float | None = None,
    weight_decay: float = 0.0,
    dropout: Sequence[float] | None = None,
    seed: int = 0,
    **hyperparameters: float,
) -> float:
    """Train one epoch in place, in the given order. Return the mean over the samples of the J of their batches.

    Parameters
    ----------
    weights, biases, activations, X, y, loss : as in `gradients`
    learning_rate : η, or the η of each batch
    batch_size : m; the last batch may be shorter
    use_bias : whether the biases are trained
    parameter : as in `gradients`
    sample_weight : (n,); also weights the returned mean
    optimizer : as in `update`
    state : as in `update`, to be passed from epoch to epoch; its t also counts the batches for the dropout
    l1, l2 : as in `gradients`
    clip_value, clip_norm : as in `clip`
    max_norm : as in `limit_norms`
    weight_decay : decoupled, before the optimizer's update: Θ ← Θ − η · weight_decay · Θ, not for biases
    dropout, seed : the rate of each hidden layer, and the seed as in `dropout_mask`
    hyperparameters : as in `update`
    """
    state = {} if state is None else state
    w = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    starts = range(0, len(X), batch_size)
    total = 0.0
    for start, eta in zip(starts, np.broadcast_to(learning_rate, len(starts)), strict=True):
        batch = slice(start, start + batch_size)
        x, t, v = X[batch], y[batch], w[batch]
        masks = _dropout_masks(dropout, seed, state.get("t", 0), len(x), weights)
        J, dW, db = gradients(
            weights, biases, activations, x, t, loss, parameter=parameter, sample_weight=v, l1=l1, l2=l2, masks=masks
        )
        trained, gradient = ([*weights, *biases], [*dW, *db]) if use_bias else (list(weights), dW)
        clip(gradient, clip_value, clip_norm)
        for theta in weights:
            np.subtract(theta, eta * weight_decay * theta, out=theta)
        update(trained, gradient, eta, optimizer, state, **hyperparameters)
        if max_norm is not None:
            limit_norms(weights, max_norm)
        total += J * v.sum()
    return float(total / w.sum())
