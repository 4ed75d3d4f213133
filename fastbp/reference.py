"""The method in plain NumPy, step by step and slow: the truth that every kernel must match.

It refuses to be fast, and imports nothing that it judges. Symbols (docs/method.md): X = a¹ is (m, n_1), zˡ and aˡ are
(m, n_l), Θˡ is (n_{l+1}, n_l), bˡ is (n_{l+1},), y is (m, n_L), δˡ = ∂J/∂zˡ is (m, n_l). Lists start at the first layer
that has the thing: ``weights[0]`` is Θ¹, ``activations[0]`` names the f of layer 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def activation(z: Array, name: str) -> Array:
    """f(z), for z of shape (m, n)."""
    if name == "identity":
        return z.copy()
    if name == "sigmoid":
        e = np.exp(-np.abs(z))
        return np.where(z >= 0, 1 / (1 + e), e / (1 + e))
    if name == "tanh":
        return np.tanh(z)
    if name == "relu":
        return np.maximum(z, 0)
    if name == "softmax":
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)
    raise ValueError(f"activation: no formula for {name!r}")


def through_activation(gradient: Array, z: Array, name: str) -> Array:
    """∂J/∂z from ∂J/∂a, both (m, n): times f′(z) unit by unit, or softmax's Jacobian."""
    a = activation(z, name)
    if name == "identity":
        return gradient.copy()
    if name == "sigmoid":
        return gradient * a * (1 - a)
    if name == "tanh":
        return gradient * (1 - a**2)
    if name == "relu":
        return gradient * (z > 0)
    return a * (gradient - (gradient * a).sum(axis=1, keepdims=True))


def forward(
    weights: Sequence[Array], biases: Sequence[Array], activations: Sequence[str], X: Array
) -> tuple[list[Array], list[Array]]:
    """Step 1: zˡ⁺¹ = aˡ Θˡᵀ + bˡ and aˡ⁺¹ = f(zˡ⁺¹). Returns [z², …, zᴸ] and [a¹, …, aᴸ]."""
    z, a = [], [X]
    for theta, b, name in zip(weights, biases, activations, strict=True):
        z.append(a[-1] @ theta.T + b)
        a.append(activation(z[-1], name))
    return z, a


def cost(z: Array, y: Array, activation_name: str, loss: str) -> float:
    """J, from zᴸ and y, both (m, n_L)."""
    m = len(y)
    if loss == "squared_error":
        return float(((activation(z, activation_name) - y) ** 2).sum() / (2 * m))
    if loss == "cross_entropy":
        shifted = z - z.max(axis=1, keepdims=True)
        return float((y * (np.log(np.exp(shifted).sum(axis=1, keepdims=True)) - shifted)).sum() / m)
    if loss == "binary_cross_entropy":
        return float((np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))).sum() / m)
    raise ValueError(f"loss: no formula for {loss!r}")


def output_delta(z: Array, y: Array, activation_name: str, loss: str) -> Array:
    """Step 2: δᴸ = ∂J/∂zᴸ. The article writes y − aᴸ for the squared error; (aᴸ − y) is what descends."""
    m = len(y)
    error = (activation(z, activation_name) - y) / m
    if loss == "squared_error":
        return through_activation(error, z, activation_name)
    return error


def hidden_delta(delta_next: Array, theta: Array, z: Array, activation_name: str) -> Array:
    """Step 3: δˡ = (δˡ⁺¹ Θˡ) ⊙ f′(zˡ)."""
    return through_activation(delta_next @ theta, z, activation_name)


def gradients(
    weights: Sequence[Array],
    biases: Sequence[Array],
    activations: Sequence[str],
    X: Array,
    y: Array,
    loss: str = "squared_error",
) -> tuple[float, list[Array], list[Array]]:
    """Steps 1 to 3 for one mini-batch: J, [∂J/∂Θ¹, …] and [∂J/∂b¹, …]."""
    z, a = forward(weights, biases, activations, X)
    delta = output_delta(z[-1], y, activations[-1], loss)
    weight_gradients: list[Array] = []
    bias_gradients: list[Array] = []
    for l in reversed(range(len(weights))):
        weight_gradients.insert(0, delta.T @ a[l])
        bias_gradients.insert(0, delta.sum(axis=0))
        if l > 0:
            delta = hidden_delta(delta, weights[l], z[l - 1], activations[l - 1])
    return cost(z[-1], y, activations[-1], loss), weight_gradients, bias_gradients


def update(parameters: Sequence[Array], gradients: Sequence[Array], learning_rate: float) -> None:
    """Step 4, in place: Θˡ ← Θˡ − η ∂J/∂Θˡ, once all gradients are known."""
    for theta, gradient in zip(parameters, gradients, strict=True):
        np.subtract(theta, learning_rate * gradient, out=theta)


def train_epoch(
    weights: Sequence[Array],
    biases: Sequence[Array],
    activations: Sequence[str],
    X: Array,
    y: Array,
    *,
    loss: str = "squared_error",
    learning_rate: float = 0.1,
    batch_size: int = 32,
    use_bias: bool = True,
) -> float:
    """One pass over the samples in the order given, in place; returns the mean over the samples of their batches' J."""
    total = 0.0
    for start in range(0, len(X), batch_size):
        X_batch, y_batch = X[start : start + batch_size], y[start : start + batch_size]
        J, weight_gradients, bias_gradients = gradients(weights, biases, activations, X_batch, y_batch, loss)
        update(weights, weight_gradients, learning_rate)
        if use_bias:
            update(biases, bias_gradients, learning_rate)
        total += J * len(X_batch)
    return total / len(X)
