"""Steps 1 to 3 of the method, for a network of plain layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .activations import activation, through_activation
from .costs import Loss, cost, output_delta

Array = npt.NDArray[Any]


def forward(
    weights: Sequence[Array],
    biases: Sequence[Array],
    activations: Sequence[str],
    X: Array,
    masks: Sequence[Array | None] | None = None,
) -> tuple[list[Array], list[Array]]:
    """Step 1: zˡ⁺¹ = aˡ Θˡᵀ + bˡ and aˡ⁺¹ = f(zˡ⁺¹) ⊙ mask. Return [z², …, zᴸ] and [a¹, …, aᴸ]."""
    z, a = [], [X]
    for theta, b, name, mask in zip(weights, biases, activations, _all_masks(masks, len(weights)), strict=True):
        z.append(a[-1] @ theta.T + b)
        a.append(activation(z[-1], name) if mask is None else activation(z[-1], name) * mask)
    return z, a


def _all_masks(masks: Sequence[Array | None] | None, n: int) -> list[Array | None]:
    """Return one mask or None for each of the n layers 2 … L. The last layer has no mask."""
    return [None] * n if masks is None else [*masks, None]


def hidden_delta(delta_next: Array, theta: Array, z: Array, activation_name: str, mask: Array | None = None) -> Array:
    """Step 3: δˡ = (δˡ⁺¹ Θˡ) ⊙ mask ⊙ f′(zˡ)."""
    gradient = delta_next @ theta
    return through_activation(gradient if mask is None else gradient * mask, z, activation_name)


def gradients(
    weights: Sequence[Array],
    biases: Sequence[Array],
    activations: Sequence[str],
    X: Array,
    y: Array,
    loss: Loss = "squared_error",
    *,
    parameter: Any = None,
    sample_weight: Array | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    masks: Sequence[Array | None] | None = None,
) -> tuple[float, list[Array], list[Array]]:
    """Steps 1 to 3 for one mini-batch: J, [∂J/∂Θ¹, …] and [∂J/∂b¹, …].

    J includes the penalty ½ l2 Σ θ² + l1 Σ |θ| over the weights, not over the biases. The loss and its parameter are as
    in `output_losses`. sample_weight is (m,). masks has the dropout mask, (m, n_l), or None for each hidden layer.
    """
    z, a = forward(weights, biases, activations, X, masks)
    delta = output_delta(z[-1], y, activations[-1], loss, parameter, sample_weight)
    masks = _all_masks(masks, len(weights))
    weight_gradients: list[Array] = []
    bias_gradients: list[Array] = []
    for l in reversed(range(len(weights))):
        weight_gradients.insert(0, delta.T @ a[l] + l2 * weights[l] + l1 * np.sign(weights[l]))
        bias_gradients.insert(0, delta.sum(axis=0))
        if l > 0:
            delta = hidden_delta(delta, weights[l], z[l - 1], activations[l - 1], masks[l - 1])
    J = cost(z[-1], y, activations[-1], loss, parameter, sample_weight)
    J += sum(float(l2 / 2 * (theta**2).sum() + l1 * np.abs(theta).sum()) for theta in weights)
    return J, weight_gradients, bias_gradients


def input_gradients(
    weights: Sequence[Array],
    biases: Sequence[Array],
    activations: Sequence[str],
    X: Array,
    y: Array,
    loss: Loss = "squared_error",
    *,
    parameter: Any = None,
    sample_weight: Array | None = None,
) -> Array:
    """Return ∂J/∂X = δ² Θ¹, (m, n_1): step 3 taken one layer further. The arguments are as in `gradients`."""
    z, _ = forward(weights, biases, activations, X)
    delta = output_delta(z[-1], y, activations[-1], loss, parameter, sample_weight)
    return _to_the_inputs(delta, weights, z, activations)


def vjp(weights: Sequence[Array], biases: Sequence[Array], activations: Sequence[str], X: Array, V: Array) -> Array:
    """Return Σ_j V_ij ∂aᴸ_ij/∂X_ik for each sample i, (m, n_1). V is (m, n_L)."""
    z, _ = forward(weights, biases, activations, X)
    return _to_the_inputs(through_activation(V, z[-1], activations[-1]), weights, z, activations)


def jacobian(weights: Sequence[Array], biases: Sequence[Array], activations: Sequence[str], X: Array) -> Array:
    """Return ∂aᴸ_ij/∂X_ik of each sample i, (m, n_L, n_1)."""
    ones = np.eye(len(biases[-1]))
    rows = [vjp(weights, biases, activations, X, np.tile(one, (len(X), 1))) for one in ones]
    return np.stack(rows, axis=1)


def _to_the_inputs(delta: Array, weights: Sequence[Array], z: Sequence[Array], activations: Sequence[str]) -> Array:
    """Return δ² Θ¹, given δᴸ or any other gradient with respect to zᴸ."""
    for l in reversed(range(1, len(weights))):
        delta = hidden_delta(delta, weights[l], z[l - 1], activations[l - 1])
    return delta @ weights[0]
