"""What is timed: the sizes and batches of docs/design.md, and awkward neighbours of them; and how."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from itertools import pairwise
from time import perf_counter
from typing import Any

import numpy as np

# name → (layer sizes, batch size)
GRID = {
    "2-2-1, 4": ((2, 2, 1), 4),
    "4-8-3, 16": ((4, 8, 3), 16),
    "30-16-2, 32": ((30, 16, 2), 32),
    "64-32-10, 32": ((64, 32, 10), 32),
    "64-64-64-10, 32": ((64, 64, 64, 10), 32),
    "784-30-10, 10": ((784, 30, 10), 10),
    "784-128-10, 32": ((784, 128, 10), 32),
    "784-128-10, 128": ((784, 128, 10), 128),
    "784-512-512-10, 128": ((784, 512, 512, 10), 128),
    "256 × 8-10, 64": ((256,) * 8 + (10,), 64),
    "1024-1024-1024-10, 256": ((1024, 1024, 1024, 10), 256),
}
AWKWARD = {
    "3-5-1, 7": ((3, 5, 1), 7),
    "63-33-10, 31": ((63, 33, 10), 31),
    "65-31-11, 33": ((65, 31, 11), 33),
    "127-67-1, 61": ((127, 67, 1), 61),
}
# Networks that predict
NETWORKS = {
    "4-8-3": (4, 8, 3),
    "64-32-10": (64, 32, 10),
    "784-128-10": (784, 128, 10),
    "1024-1024-1024-10": (1024, 1024, 1024, 10),
}
ROWS = {"one row": 1, "many rows": 4096}  # of one call of predict
SECONDS = 0.3  # that one timed fit should take, roughly, at a billion multiplications a second
EPSILON = 0.12  # first weights lie in [−ε, ε]


def multiplications(sizes: tuple[int, ...]) -> int:
    """Of one sample's training step: forward, gradient, and δ for all layers but the first."""
    products = [n * n_next for n, n_next in pairwise(sizes)]
    return 2 * products[0] + 3 * sum(products[1:])


def samples(sizes: tuple[int, ...], batch: int) -> int:
    """How many samples a timed epoch has: whole batches, fewer for larger networks, the same on every machine."""
    n = int(min(40_000, SECONDS * 2e9 / (5 * multiplications(sizes))))
    return max(4, n // batch) * batch


def uniform(rows: int, columns: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    """Numbers in [0, 1), (rows, columns)."""
    return np.random.default_rng(seed).random((rows, columns), dtype)  # type: ignore[arg-type]


def problem(sizes: tuple[int, ...], batch: int, dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    """X (n, n_1) and y (n, n_L)."""
    n = samples(sizes, batch)
    return uniform(n, sizes[0], dtype), uniform(n, sizes[-1], dtype, seed=1)


def parameters(sizes: tuple[int, ...], dtype: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """First weights (n_{l+1}, n_l) and biases (n_{l+1},), the same for whoever takes them."""
    rng = np.random.default_rng(0)
    weights = [rng.uniform(-EPSILON, EPSILON, (n_next, n)).astype(dtype) for n, n_next in pairwise(sizes)]
    biases = [rng.uniform(-EPSILON, EPSILON, n).astype(dtype) for n in sizes[1:]]
    return weights, biases


def median_seconds(call: Callable[[], Any], seconds: float = 0.3, at_least: int = 5) -> float:
    """The median time of a call, over as many as take so many seconds."""
    times: list[float] = []
    while len(times) < at_least or sum(times) < seconds:
        started = perf_counter()
        call()
        times.append(perf_counter() - started)
    return statistics.median(times)


def new_trainer(sizes: tuple[int, ...], **options: Any) -> Any:
    """A Trainer with sigmoid everywhere; asv skips what a commit can't do yet."""
    try:
        from fastbp import Trainer

        return Trainer(sizes, output_activation="sigmoid", seed=0, **options)
    except (ImportError, TypeError, ValueError) as error:
        raise NotImplementedError(f"not in this commit: {error}") from error
