"""What is timed: networks of any size, with the same samples and initial weights for every peer.

It needs only numpy: bench/workloads.py loads this file by its path when asv runs an older fastbp that lacks it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
DType = npt.DTypeLike
Sizes = tuple[int, ...]  # n_1 … n_L
Arrays = list[Array]
Predict = Callable[[Array], Array]
Kind = Literal["training", "calls", "prediction"]

EPOCHS = 5  # in one call of a peer's training
ETA = 0.1  # of plain SGD
ADAM_ETA, BETA_1, BETA_2, TINY = 1e-3, 0.9, 0.999, 1e-8  # of Adam and AdamW; ε is added to the corrected root
DECAY = 0.01  # of AdamW: Θ ← Θ − η · DECAY · Θ before the step, not for biases
SECONDS = 0.3  # approximate time of a timed fit, at a billion multiplications per second
MOST = 40_000  # the most samples for so many seconds
FULL = 4096  # from this batch size on, an epoch has one batch
EPSILON = 0.12  # initial weights lie in [−ε, ε]


class Workload(NamedTuple):
    """A network that is trained with a batch size of `rows`, or that predicts `rows` rows in a call.

    kind: "training" for whole epochs, "calls" for one call from Python for each batch, or "prediction".
    """

    kind: Kind
    sizes: Sizes
    rows: int
    seconds: float = SECONDS  # as in `samples`
    activation: str = "sigmoid"  # of hidden layers: sigmoid, tanh, relu or mish
    output: str = "sigmoid"  # of the last layer: sigmoid or identity
    optimizer: str = "sgd"  # sgd, adam or adamw

    @property
    def flop(self) -> int:
        """Floating-point operations for one sample."""
        if self.kind == "prediction":
            return 2 * sum(n * n_next for n, n_next in pairwise(self.sizes))
        return 2 * multiplications(self.sizes)


class Training(NamedTuple):
    """The work of a peer for one workload."""

    run: Callable[[], Any]  # trains for five more epochs and waits for the result
    parameters: Callable[[], tuple[Arrays, Arrays]]  # [Θ¹, …], each (n_{l+1}, n_l), and [b¹, …]


def multiplications(sizes: Sizes) -> int:
    """Return the multiplications to train on one sample: forward, gradient, and δ for all layers but the first."""
    products = [n * n_next for n, n_next in pairwise(sizes)]
    return 2 * products[0] + 3 * sum(products[1:])


def samples(sizes: Sizes, batch: int, seconds: float = SECONDS) -> int:
    """Return the number of samples in a timed epoch: whole batches, fewer for larger networks, the same everywhere."""
    if batch >= FULL:
        return batch
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
