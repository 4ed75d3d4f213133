"""The work in NumPy. Every result goes into an existing array, and BLAS computes the products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .workloads import (
    ADAM_ETA,
    BETA_1,
    BETA_2,
    DECAY,
    EPOCHS,
    ETA,
    TINY,
    Array,
    Arrays,
    Predict,
    Training,
    Workload,
    parameters,
)


def _sigmoid(z: Array, slope: Array) -> None:
    """Apply the sigmoid in place."""
    np.negative(z, out=z)
    np.exp(z, out=z)
    z += 1
    np.reciprocal(z, out=z)


def _mish(z: Array, slope: Array) -> None:
    """Apply mish in place. With e = eᶻ and n = e (e + 2), tanh(ln(1 + e)) is n / (n + 2)."""
    e = np.exp(np.minimum(z, 20))
    n = e * (e + 2)
    t = n / (n + 2)
    np.multiply(z, e / (1 + e), out=slope)
    slope *= 1 - t * t
    slope += t
    z *= t


ACTIVATIONS: dict[str, Callable[[Array, Array], Any]] = {
    "sigmoid": _sigmoid,
    "tanh": lambda z, slope: np.tanh(z, out=z),
    "relu": lambda z, slope: np.maximum(z, 0, out=z),
    "mish": _mish,
    "identity": lambda z, slope: None,
}


def _multiply_by_derivative(d: Array, a: Array, slope: Array, activation: str) -> None:
    """Multiply d by f′ in place. Only mish has stored it in `slope`."""
    if activation == "sigmoid":
        np.subtract(1, a, out=slope)
        slope *= a
    elif activation == "tanh":
        np.multiply(a, a, out=slope)
        np.subtract(1, slope, out=slope)
    elif activation == "relu":
        np.greater(a, 0, out=slope, casting="unsafe")
    if activation != "identity":
        d *= slope


def _adam(theta: Arrays, gradients: Arrays, decayed: int) -> Callable[[], None]:
    """Return a step of Adam, of AdamW if the first of these arrays are decayed."""
    first, second, scratch = ([np.zeros_like(p) for p in theta] for _ in range(3))
    t = [0]

    def step() -> None:
        t[0] += 1
        eta, correction = ADAM_ETA / (1 - BETA_1 ** t[0]), float(1 / np.sqrt(1 - BETA_2 ** t[0]))
        for i, (p, g, m, v, s) in enumerate(zip(theta, gradients, first, second, scratch, strict=True)):
            if i < decayed:
                np.multiply(p, 1 - ADAM_ETA * DECAY, out=p)
            np.multiply(m, BETA_1, out=m)
            np.add(m, np.multiply(g, 1 - BETA_1, out=s), out=m)
            np.multiply(v, BETA_2, out=v)
            np.multiply(g, g, out=s)
            np.add(v, np.multiply(s, 1 - BETA_2, out=s), out=v)
            np.multiply(np.sqrt(v, out=s), correction, out=s)
            np.divide(m, np.add(s, TINY, out=s), out=s)
            np.subtract(p, np.multiply(s, eta, out=s), out=p)

    return step


def train(work: Workload, X: Array, y: Array, threads: int) -> Training:
    """Train batch by batch."""
    weights, biases = parameters(work.sizes, X.dtype)
    transposed = [np.ascontiguousarray(w.T) for w in weights]  # (n_l, n_{l+1})
    m = work.rows  # the workloads have whole batches
    a, delta, slopes = ([np.zeros((m, n), X.dtype) for n in work.sizes] for _ in range(3))
    gradients, bias_gradients = [np.empty_like(w) for w in transposed], [np.empty_like(b) for b in biases]
    ones, plain = np.ones(m, X.dtype), work.optimizer == "sgd"
    activations = [work.activation] * (len(work.sizes) - 2) + [work.output]
    decayed = len(transposed) if work.optimizer == "adamw" else 0
    step_along = _adam([*transposed, *biases], [*gradients, *bias_gradients], decayed)

    def step(x: Any, t: Any) -> Any:
        a[0] = x
        for l, w in enumerate(transposed):
            z = np.matmul(a[l], w, out=a[l + 1])
            z += biases[l]
            ACTIVATIONS[activations[l]](z, slopes[l + 1])
        d = np.subtract(a[-1], t, out=delta[-1])
        J = np.vdot(d, d) / (2 * m)
        d *= (ETA if plain else 1) / m  # for plain SGD, δ includes η, so the gradients are η ∂J
        for l in reversed(range(len(transposed))):
            _multiply_by_derivative(d, a[l + 1], slopes[l + 1], activations[l])
            np.matmul(a[l].T, d, out=gradients[l])
            np.matmul(ones, d, out=bias_gradients[l])
            if l:
                d = np.matmul(d, transposed[l].T, out=delta[l])
            if plain:
                transposed[l] -= gradients[l]
                biases[l] -= bias_gradients[l]
        if not plain:
            step_along()
        return J

    def run() -> Any:
        for _ in range(EPOCHS):
            for i in range(0, len(X), m):
                J = step(X[i : i + m], y[i : i + m])
        return J

    return Training(run, lambda: ([w.T for w in transposed], biases))


def predict(work: Workload, threads: int, dtype: npt.DTypeLike) -> Predict:
    """Predict layer by layer."""
    weights, biases = parameters(work.sizes, dtype)
    transposed = [np.ascontiguousarray(w.T) for w in weights]

    def answer(X: Array) -> Array:
        for w, b in zip(transposed, biases, strict=True):
            X = X @ w
            X += b
            _sigmoid(X, X)
        return X

    return answer
