"""Activations: a = f(z) in place, and the factor f′(z) of the δ recursion."""

import math

from .codes import RELU, SIGMOID, SOFTMAX, TANH
from .jit import kernel


@kernel
def sigmoid(z):
    """1 / (1 + e⁻ᶻ), without overflow in either tail; type of z."""
    one = type(z)(1)
    if z >= 0:
        return one / (one + math.exp(-z))
    e = math.exp(z)
    return e / (one + e)


@kernel
def softmax(z):
    """Turn one sample's z, (n,), into e^z / Σ e^z, in place; shifted by max z, so that nothing overflows."""
    largest = z[0]
    for j in range(1, z.size):
        largest = max(largest, z[j])
    total = type(largest)(0)
    for j in range(z.size):
        z[j] = math.exp(z[j] - largest)
        total += z[j]
    for j in range(z.size):
        z[j] /= total


@kernel
def activate(z, activation):
    """a = f(z), in place, for one sample's layer z, (n,)."""
    if activation == SIGMOID:
        for j in range(z.size):
            z[j] = sigmoid(z[j])
    elif activation == TANH:
        for j in range(z.size):
            z[j] = math.tanh(z[j])
    elif activation == RELU:
        for j in range(z.size):
            z[j] = z[j] if not z[j] < 0 else type(z[j])(0)  # so written, a NaN stays one
    elif activation == SOFTMAX:
        softmax(z)


@kernel
def multiply_by_derivative(delta, a, activation):
    """Finish δ = (…) ⊙ f′(z) for one sample's layer, in place; delta and a are (n,), a = f(z).

    f′ written with a: sigmoid a − a², tanh 1 − a², ReLU 0 for a ≤ 0, else 1. Softmax, whose units depend on
    each other, gives δ_j = a_j (g_j − Σ_k g_k a_k) for the incoming g = ∂J/∂a.
    """
    if activation == SIGMOID:
        for j in range(a.size):
            delta[j] *= a[j] - a[j] * a[j]  # not a · (1 − a): the literal would widen float32
    elif activation == TANH:
        for j in range(a.size):
            delta[j] -= delta[j] * a[j] * a[j]
    elif activation == RELU:
        for j in range(a.size):
            delta[j] *= type(a[j])(0) if a[j] <= 0 else type(a[j])(1)  # a product, so that a NaN stays one
    elif activation == SOFTMAX:
        mean = delta[0] * a[0]
        for j in range(1, a.size):
            mean += delta[j] * a[j]
        for j in range(a.size):
            delta[j] = a[j] * (delta[j] - mean)
