"""THE table: which networks, activations, losses, dtypes and batches the tests go over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from fastbp import Trainer, reference

HIDDEN = ("identity", "sigmoid", "tanh", "relu")
OUTPUTS = {
    "squared_error": (*HIDDEN, "softmax"),
    "cross_entropy": ("softmax",),
    "binary_cross_entropy": ("sigmoid",),
}
DTYPES = ("float32", "float64")
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}  # relative, of gradients

# Depth 2 to 8; odd sizes, and sizes about a vector of 4, 8 and 16 lanes and twice that.
ARCHITECTURES = (
    (1, 1),
    (3, 2),
    (2, 2, 1),
    (1, 1, 1),
    (4, 8, 3),
    (7, 9, 5),
    (15, 16, 17),
    (16, 15, 2),
    (33, 31, 32, 1),
    (30, 16, 2),
    (64, 32, 10),
    (20, 67, 10),
    (70, 69, 70),
    (5, 4, 3, 4, 5),
    (9, 8, 7, 6, 5, 4, 3, 2),
)


@dataclass(frozen=True)
class Case:
    """One row: a network and a batch for it."""

    sizes: tuple[int, ...]
    hidden: str = "sigmoid"
    output: str = "sigmoid"
    loss: str = "squared_error"
    dtype: str = "float64"
    n: int = 11
    use_bias: bool = True
    seed: int = 0

    def trainer(self, **options) -> Trainer:
        options = {"epsilon": 0.8, "seed": self.seed, "shuffle": False, "learning_rate": 0.3} | options
        return Trainer(
            self.sizes,
            activation=self.hidden,
            output_activation=self.output,
            loss=self.loss,
            dtype=self.dtype,
            use_bias=self.use_bias,
            **options,
        )

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """X (n, n_1) and y (n, n_L), of the case's dtype; y is one-hot or 0 and 1 where the loss wants that."""
        rng = np.random.default_rng(self.seed + 1)
        n_out = self.sizes[-1]
        X = rng.uniform(-1, 1, (self.n, self.sizes[0]))
        if self.loss == "cross_entropy":
            y = np.eye(n_out)[rng.integers(0, n_out, self.n)]
        elif self.loss == "binary_cross_entropy":
            y = rng.integers(0, 2, (self.n, n_out))
        else:
            y = rng.uniform(0, 1, (self.n, n_out))
        return X.astype(self.dtype), y.astype(self.dtype)

    def __str__(self) -> str:
        bias = "" if self.use_bias else "-nobias"
        sizes = "-".join(map(str, self.sizes))
        return f"{sizes}-{self.hidden}-{self.output}-{self.loss}-{self.dtype}-n{self.n}{bias}"


def _rows() -> list[Case]:
    formulas = [
        Case((7, 9, 5), hidden, output, loss)
        for hidden in HIDDEN
        for loss, outputs in OUTPUTS.items()
        for output in outputs
    ]
    shapes = [
        Case(sizes, hidden, "sigmoid", n=n, use_bias=use_bias)
        for (sizes, n), (hidden, use_bias) in product(
            zip(ARCHITECTURES, (1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100), strict=True),
            (("sigmoid", True), ("tanh", False)),
        )
    ]
    digits = [Case((64, 32, 10), "relu", "softmax", "cross_entropy", n=300)]  # more than one block
    rows = [*formulas, *shapes, *digits]
    return [replace(row, dtype=dtype) for row in rows for dtype in DTYPES]


CASES = _rows()


def as_reference(trainer: Trainer) -> tuple[list[np.ndarray], list[np.ndarray], tuple[str, ...]]:
    """The trainer's weights and biases as float64 copies, and its activations, as `reference` takes them."""
    weights = [theta.astype(np.float64) for theta in trainer.weights]
    biases = [b.astype(np.float64) for b in trainer.biases]
    return weights, biases, trainer.network.activations


def reference_gradients(trainer: Trainer, X, y) -> tuple[float, list[np.ndarray], list[np.ndarray]]:
    weights, biases, activations = as_reference(trainer)
    X, y = np.asarray(X, np.float64), np.asarray(y, np.float64)
    J, dW, db = reference.gradients(weights, biases, activations, X, y, trainer.loss)
    return J, dW, db if trainer.use_bias else [np.zeros_like(b) for b in db]


def assert_close(actual, expected, tolerance: float, what: str) -> None:
    """Relative to the largest number of the array, so that sums which cancel don't count as wrong."""
    scale = max(float(np.abs(expected).max(initial=0)), 1e-30)
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * scale, err_msg=what)
