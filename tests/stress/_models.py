"""Trainers of every path through the kernels, and the rounds of work whose bits are compared."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastbp import Trainer
from tests.cases import Case


@dataclass(frozen=True)
class Model:
    """A case of the table with options; `trainer` gives equal ones, as often as they are wanted."""

    case: Case
    options: dict[str, Any] = field(default_factory=dict)

    def trainer(self) -> Trainer:
        return self.case.trainer(**{"batch_size": 8, "shuffle": True} | self.options)

    def round(self, trainer: Trainer) -> dict[str, str]:
        """Train some epochs, predict, evaluate, derive; the digest of each result's bits."""
        X, y = self.case.data()
        losses = trainer.fit(X, y, epochs=3, verbose=0)["loss"]
        gradients = trainer.gradients(X, y)
        results = {
            "losses": [np.array(losses)],
            "weights": trainer.get_weights(),
            "predictions": [trainer.predict(X)],
            "J": [np.array(trainer.evaluate(X, y)["loss"])],
            "gradients": [*gradients.weights, *gradients.biases],
        }
        return {name: digest(arrays) for name, arrays in results.items()}

    def rounds(self, count: int) -> list[dict[str, str]]:
        """What so many rounds give to a new trainer."""
        trainer = self.trainer()
        return [self.round(trainer) for _ in range(count)]

    def __str__(self) -> str:
        return f"{self.case} {self.options}"


def digest(arrays: list[np.ndarray]) -> str:
    """Of all bits."""
    summary = hashlib.sha256()
    for array in arrays:
        summary.update(np.ascontiguousarray(array).tobytes())
    return summary.hexdigest()[:16]


def differences(got: dict[str, str], expected: dict[str, str]) -> list[str]:
    """The names of the results that differ."""
    return [name for name in expected if got[name] != expected[name]]


SHAPES = (  # the first two train in small.py where the options allow it
    Case((2, 2, 1), "tanh", n=9),
    Case((4, 8, 3), "tanh", "softmax", "cross_entropy", n=30),
    Case((9, 33, 21, 4), "silu", "identity", "huber", n=50, parameter=0.3),
    Case((20, 40, 5), "tanh", n=77),
    Case((70, 33, 1), n=65, use_bias=False),
    Case((64, 32, 10), "relu", "softmax", "cross_entropy", n=300),  # gradients of two blocks
    Case((5, 70, 40), "sigmoid", "sigmoid", "binary_cross_entropy", n=40),
    Case((60, 300, 3), "tanh", n=40),
)
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"optimizer": "adam", "learning_rate": 1e-3},
    {"dropout": 0.3, "n_threads": 1},
    {"n_threads": 2, "shuffle": False, "batch_size": 16},
)
SMALLEST = Model(SHAPES[0])


def models() -> list[Model]:
    """64: each shape in both dtypes with each of the options."""
    return [
        Model(Case(**{**shape.__dict__, "dtype": dtype, "seed": i}), options)
        for i, shape in enumerate(SHAPES)
        for dtype in ("float32", "float64")
        for options in OPTIONS
    ]
