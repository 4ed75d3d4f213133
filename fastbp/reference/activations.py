"""Activations: f(z), and the way of a gradient back through them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SLOPE = 0.01  # slope of leaky_relu where z < 0
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al., 2017
GELU_LINEAR, GELU_CUBIC = math.sqrt(2 / math.pi), 0.044715  # Hendrycks and Gimpel, 2016


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + e⁻ᶻ), without overflow."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + e), e / (1 + e))


def softplus(z: Array) -> Array:
    """Return log(1 + e^z), without overflow."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def softmax(z: Array) -> Array:
    """Return e^z / Σ e^z, summed over the units of each sample."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def normal_cdf(z: Array) -> Array:
    """Return Φ(z), the cumulative distribution function of the standard normal distribution."""
    return np.vectorize(math.erfc, otypes=[float])(-z / math.sqrt(2)) / 2


def normal_pdf(z: Array) -> Array:
    """Return Φ′(z), the density of the standard normal distribution."""
    return np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def gelu_tanh(z: Array) -> tuple[Array, Array]:
    """Return tanh u, with which gelu_tanh approximates 2Φ(z) − 1, and u′; u = √(2/π) (z + 0.044715 z³)."""
    u = GELU_LINEAR * (z + GELU_CUBIC * z**3)
    return np.tanh(u), GELU_LINEAR * (1 + 3 * GELU_CUBIC * z**2)


def gelu_tanh_derivative(z: Array) -> Array:
    """Return f′(z) of gelu_tanh."""
    t, u_prime = gelu_tanh(z)
    return (1 + t) / 2 + z / 2 * (1 - t**2) * u_prime


def mish_derivative(z: Array) -> Array:
    """Return f′(z) of mish (Misra, 2019)."""
    t = np.tanh(softplus(z))
    return t + z * (1 - t**2) * sigmoid(z)


FORMULAS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {  # f and f′, elementwise
    "identity": (np.copy, np.ones_like),
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * sigmoid(-z)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "leaky_relu": (lambda z: np.where(z > 0, z, SLOPE * z), lambda z: np.where(z > 0, 1.0, SLOPE)),
    "elu": (lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))), lambda z: np.exp(np.minimum(z, 0))),
    "selu": (
        lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0))),
        lambda z: SELU_SCALE * np.where(z > 0, 1, SELU_ALPHA * np.exp(np.minimum(z, 0))),
    ),
    "gelu": (lambda z: z * normal_cdf(z), lambda z: normal_cdf(z) + z * normal_pdf(z)),
    "gelu_tanh": (lambda z: z / 2 * (1 + gelu_tanh(z)[0]), gelu_tanh_derivative),
    "silu": (lambda z: z * sigmoid(z), lambda z: sigmoid(z) * (1 + z * sigmoid(-z))),
    "mish": (lambda z: z * np.tanh(softplus(z)), mish_derivative),
    "softplus": (softplus, sigmoid),
    "softsign": (lambda z: z / (1 + np.abs(z)), lambda z: 1 / (1 + np.abs(z)) ** 2),
    "hard_sigmoid": (lambda z: np.clip(z + 3, 0, 6) / 6, lambda z: np.where(np.abs(z) < 3, 1 / 6, 0.0)),
    "hard_tanh": (lambda z: np.clip(z, -1, 1), lambda z: np.where(np.abs(z) < 1, 1.0, 0.0)),
    "exponential": (np.exp, np.exp),
}


def activation(z: Array, name: str) -> Array:
    """Return f(z) for z of shape (m, n)."""
    if name == "softmax":
        return softmax(z)
    if name not in FORMULAS:
        raise ValueError(f"activation: no formula for {name!r}")
    return FORMULAS[name][0](z)


def through_activation(gradient: Array, z: Array, name: str) -> Array:
    """Return ∂J/∂z, given ∂J/∂a, both (m, n): elementwise times f′(z), or times the Jacobian of softmax."""
    if name == "softmax":
        a = softmax(z)
        return a * (gradient - (gradient * a).sum(axis=1, keepdims=True))
    return gradient * FORMULAS[name][1](z)
