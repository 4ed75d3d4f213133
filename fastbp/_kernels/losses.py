"""J and δᴸ, the only place where the 1/m of the method appears.

Each function takes one sample: z, its zᴸ on entry and aᴸ on return; t, its targets; delta, where δᴸ goes; and m, the
samples of the whole batch. It returns the sample's part of m · J, so that callers may sum over any number of samples.
"""

import math

import numpy as np

from .activations import activate, multiply_by_derivative, sigmoid, softmax
from .codes import BINARY_CROSS_ENTROPY, CROSS_ENTROPY
from .jit import kernel


@kernel
def squared_error(z, t, delta, activation, m):
    """½ Σ (aᴸ − y)², δᴸ = (1/m) (aᴸ − y) ⊙ f′(zᴸ)."""
    activate(z, activation)
    value = 0.0
    for j in range(z.size):
        difference = z[j] - t[j]
        value += 0.5 * np.float64(difference) * np.float64(difference)
        delta[j] = difference / type(difference)(m)
    multiply_by_derivative(delta, z, activation)
    return value


@kernel
def cross_entropy(z, t, delta, m):
    """−Σ y log aᴸ with aᴸ = softmax(zᴸ), from the logits: Σ y (log Σ e^z − z); δᴸ = (1/m) (aᴸ − y)."""
    largest = z[0]
    for j in range(1, z.size):
        largest = max(largest, z[j])
    total = 0.0
    linear = 0.0
    for j in range(z.size):
        shifted = np.float64(z[j] - largest)
        total += math.exp(shifted)
        if t[j] != 0:  # 0 · ∞ is 0 here: a class that is not meant can't cost anything
            linear += np.float64(t[j]) * shifted
    softmax(z)
    for j in range(z.size):
        difference = z[j] - t[j]
        delta[j] = difference / type(difference)(m)
    return math.log(total) - linear


@kernel
def binary_cross_entropy(z, t, delta, m):
    """−Σ (y log aᴸ + (1 − y) log(1 − aᴸ)) with aᴸ = sigmoid(zᴸ), from the logits.

    One output's part is max(z, 0) − z y + log(1 + e^−|z|); δᴸ = (1/m) (aᴸ − y).
    """
    value = 0.0
    for j in range(z.size):
        logit = np.float64(z[j])
        value += max(logit, 0.0) - logit * t[j] + math.log1p(math.exp(-abs(logit)))
        z[j] = sigmoid(z[j])
        difference = z[j] - t[j]
        delta[j] = difference / type(difference)(m)
    return value


@kernel
def output_error(z, t, delta, activation, loss, m):
    """One sample's part of m · J, with δᴸ in delta and aᴸ in z; all of them (n_L,). method.md, step 2."""
    if loss == CROSS_ENTROPY:
        return cross_entropy(z, t, delta, m)
    if loss == BINARY_CROSS_ENTROPY:
        return binary_cross_entropy(z, t, delta, m)
    return squared_error(z, t, delta, activation, m)
