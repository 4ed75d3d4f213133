"""What is timed: networks of any size, with the same samples and initial weights for every peer.

It needs only numpy: bench/workloads.py loads this file by its path when asv runs an older fastbp that lacks it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Sizes = tuple[int, ...]  # n_1 … n_L
Kind = Literal["training", "prediction"]

EPOCHS = 5  # in one call of a peer's training
ETA = 0.1
SECONDS = 0.3  # approximate time of a timed fit, at a billion multiplications per second
MOST = 40_000  # the most samples for so many seconds
EPSILON = 0.12  # initial weights lie in [−ε, ε]


class Workload(NamedTuple):
    """A network that is trained with a batch size of `rows`, or that predicts `rows` rows in a call."""

    kind: Kind
    sizes: Sizes
    rows: int
    seconds: float = SECONDS  # as in `samples`

    @property
    def flop(self) -> int:
        """Floating-point operations for one sample."""
        if self.kind == "training":
            return 2 * multiplications(self.sizes)
        return 2 * sum(n * n_next for n, n_next in pairwise(self.sizes))


def multiplications(sizes: Sizes) -> int:
    """Return the multiplications to train on one sample: forward, gradient, and δ for all layers but the first."""
    products = [n * n_next for n, n_next in pairwise(sizes)]
    return 2 * products[0] + 3 * sum(products[1:])


def samples(sizes: Sizes, batch: int, seconds: float = SECONDS) -> int:
    """Return the number of samples in a timed epoch: whole batches, fewer for larger networks, the same everywhere."""
    n = int(min(MOST * seconds / SECONDS, seconds * 2e9 / (EPOCHS * multiplications(sizes))))
    return max(4, n // batch) * batch


def uniform(rows: int, columns: int, dtype: npt.DTypeLike = "float32", seed: int = 0) -> Array:
    """Return numbers in [0, 1), (rows, columns)."""
    return np.random.default_rng(seed).random((rows, columns), dtype)  # type: ignore[arg-type]


def problem(
    sizes: Sizes, batch: int, dtype: npt.DTypeLike = "float32", seconds: float = SECONDS
) -> tuple[Array, Array]:
    """Return X (n, n_1) and y (n, n_L)."""
    n = samples(sizes, batch, seconds)
    return uniform(n, sizes[0], dtype), uniform(n, sizes[-1], dtype, seed=1)


def parameters(sizes: Sizes, dtype: npt.DTypeLike) -> tuple[list[Array], list[Array]]:
    """Return the initial weights (n_{l+1}, n_l) and biases (n_{l+1},), the same for every peer."""
    rng = np.random.default_rng(0)
    weights = [rng.uniform(-EPSILON, EPSILON, (n_next, n)).astype(dtype) for n, n_next in pairwise(sizes)]
    biases = [rng.uniform(-EPSILON, EPSILON, n).astype(dtype) for n in sizes[1:]]
    return weights, biases
