"""The work in JAX: all epochs in one compiled call, or a compiled call for each batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from .workloads import ADAM_ETA, BETA_1, BETA_2, DECAY, EPOCHS, ETA, TINY, Array, Training, Workload, parameters


def _activated(jax: Any, name: str, z: Any) -> Any:
    functions = {"sigmoid": jax.nn.sigmoid, "tanh": jax.numpy.tanh, "relu": jax.nn.relu, "mish": jax.nn.mish}
    return z if name == "identity" else functions[name](z)


def _descended(jax: Any, theta: Any, gradients: Any, memory: Any, optimizer: str) -> tuple[Any, Any]:
    """Return the parameters and the optimizer's memory after a step. theta: [(Θ¹, b¹), …]."""
    if optimizer == "sgd":
        return jax.tree.map(lambda p, g: p - ETA * g, theta, gradients), memory
    m, v, t = memory
    t = t + 1
    m = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, m, gradients)
    v = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, v, gradients)
    eta, correction = ADAM_ETA / (1 - BETA_1**t), 1 / jax.numpy.sqrt(1 - BETA_2**t)
    kept = 1 - ADAM_ETA * DECAY if optimizer == "adamw" else 1.0
    theta = [(w * kept, b) for w, b in theta]

    def step(p: Any, m: Any, v: Any) -> Any:
        return p - eta * m / (jax.numpy.sqrt(v) * correction + TINY)

    return jax.tree.map(step, theta, m, v), (m, v, t)


def train(work: Workload, X: Array, y: Array, threads: int) -> Training:
    """Train all five epochs in one compiled call: a scan over the batches in a scan over the epochs."""
    import jax

    if X.dtype == np.float64:
        jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    theta = [(jnp.asarray(w), jnp.asarray(b)) for w, b in zip(*parameters(work.sizes, X.dtype), strict=True)]
    activations = [work.activation] * (len(work.sizes) - 2) + [work.output]

    def cost(theta: Any, x: Any, t: Any) -> Any:
        a = x
        for (w, b), activation in zip(theta, activations, strict=True):
            # A transposed w is no faster, nor is a scan with unroll=2, 4 or 8.
            a = _activated(jax, activation, a @ w.T + b)
        return ((a - t) ** 2).sum() * (0.5 / work.rows)

    def step(state: Any, pair: Any) -> Any:
        J, gradients = jax.value_and_grad(cost)(state[0], *pair)
        return _descended(jax, state[0], gradients, state[1], work.optimizer), J

    def epochs(state: Any, batches: Any) -> Any:
        def epoch(state: Any, _: Any) -> Any:
            state, losses = jax.lax.scan(step, state, batches)
            return state, losses.mean()

        return jax.lax.scan(epoch, state, None, length=EPOCHS)

    zeros = None if work.optimizer == "sgd" else [jax.tree.map(jnp.zeros_like, theta) for _ in range(2)]
    now = [(theta, zeros and (*zeros, jnp.zeros((), X.dtype)))]
    if work.kind == "calls":
        compiled = jax.jit(step, donate_argnums=0)
        batches: Any = [(X[i : i + work.rows], y[i : i + work.rows]) for i in range(0, len(X), work.rows)]
    else:
        compiled = jax.jit(epochs, donate_argnums=0)
        batches = tuple(jnp.asarray(data.reshape(-1, work.rows, data.shape[1])) for data in (X, y))

    def run() -> Any:
        now[0], losses = compiled(now[0], batches)
        return jax.block_until_ready(losses)

    def calls() -> Any:
        for _ in range(EPOCHS):
            for pair in batches:
                now[0], J = compiled(now[0], pair)
        return jax.block_until_ready(J)

    return Training(
        calls if work.kind == "calls" else run,
        lambda: ([np.asarray(w) for w, _ in now[0][0]], [np.asarray(b) for _, b in now[0][0]]),
    )
