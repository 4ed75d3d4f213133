"""What is timed: networks of any sizes, their samples and first weights, the same for every peer.

It needs numpy alone: bench/workloads.py takes this file by its path, where asv runs an older fastbp that lacks it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Sizes = tuple[int, ...]  # n_1 … n_L
Kind = Literal["training", "prediction"]

EPOCHS = 5  # of one call of a peer's training
ETA = 0.1
SECONDS = 0.3  # that one timed fit should take, roughly, at a billion multiplications a second
MOST = 40_000  # samples for so many seconds
EPSILON = 0.12  # first weights lie in [−ε, ε]


class Workload(NamedTuple):
    """A network that is trained in batches of so many rows, or that predicts so many in a call."""

    kind: Kind
    sizes: Sizes
    rows: int
    seconds: float = SECONDS  # as in `samples`

    @property
    def flop(self) -> int:
        """Of one sample."""
        if self.kind == "training":
            return 2 * multiplications(self.sizes)
        return 2 * sum(n * n_next for n, n_next in pairwise(self.sizes))


def multiplications(sizes: Sizes) -> int:
    """Of one sample's training step: forward, gradient, and δ for all layers but the first."""
    products = [n * n_next for n, n_next in pairwise(sizes)]
    return 2 * products[0] + 3 * sum(products[1:])


def samples(sizes: Sizes, batch: int, seconds: float = SECONDS) -> int:
    """How many samples a timed epoch has: whole batches, fewer for larger networks, the same on every machine."""
    n = int(min(MOST * seconds / SECONDS, seconds * 2e9 / (EPOCHS * multiplications(sizes))))
    return max(4, n // batch) * batch


def uniform(rows: int, columns: int, dtype: npt.DTypeLike = "float32", seed: int = 0) -> Array:
    """Numbers in [0, 1), (rows, columns)."""
    return np.random.default_rng(seed).random((rows, columns), dtype)  # type: ignore[arg-type]


def problem(
    sizes: Sizes, batch: int, dtype: npt.DTypeLike = "float32", seconds: float = SECONDS
) -> tuple[Array, Array]:
    """X (n, n_1) and y (n, n_L)."""
    n = samples(sizes, batch, seconds)
    return uniform(n, sizes[0], dtype), uniform(n, sizes[-1], dtype, seed=1)


def parameters(sizes: Sizes, dtype: npt.DTypeLike) -> tuple[list[Array], list[Array]]:
    """First weights (n_{l+1}, n_l) and biases (n_{l+1},), the same for whoever takes them."""
    rng = np.random.default_rng(0)
    weights = [rng.uniform(-EPSILON, EPSILON, (n_next, n)).astype(dtype) for n, n_next in pairwise(sizes)]
    biases = [rng.uniform(-EPSILON, EPSILON, n).astype(dtype) for n in sizes[1:]]
    return weights, biases
