"""What is timed: the sizes and batches of docs/design.md, and awkward neighbours of them."""

from __future__ import annotations

from itertools import pairwise

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
SECONDS = 0.3  # that one timed fit should take, roughly, at a billion multiplications a second


def multiplications(sizes: tuple[int, ...]) -> int:
    """Of one sample's training step: forward, gradient, and δ for all layers but the first."""
    products = [n * n_next for n, n_next in pairwise(sizes)]
    return 2 * products[0] + 3 * sum(products[1:])


def samples(sizes: tuple[int, ...], batch: int) -> int:
    """How many samples a timed epoch has: whole batches, fewer for larger networks, the same on every machine."""
    n = int(min(40_000, SECONDS * 2e9 / (5 * multiplications(sizes))))
    return max(4, n // batch) * batch


def problem(sizes: tuple[int, ...], batch: int, dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    """X (n, n_1) and y (n, n_L), uniform in [0, 1]."""
    rng = np.random.default_rng(0)
    n = samples(sizes, batch)
    return rng.uniform(size=(n, sizes[0])).astype(dtype), rng.uniform(size=(n, sizes[-1])).astype(dtype)
