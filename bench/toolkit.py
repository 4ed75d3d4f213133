"""Measure the cost of each optimizer, activation, loss and penalty relative to plain SGD with sigmoid.

The networks are 784-128-10 in batches of 128, in one thread and two, and the tiny 4-8-3 in batches of 16.

asv tracks them from commit to commit. `python -m bench.toolkit [--rounds 7]` prints the table of docs/toolkit.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from time import perf_counter
from typing import Any

import numpy as np

SIZES, BATCH, SAMPLES = (784, 128, 10), 128, 5120
TINY, TINY_BATCH, TINY_EPOCHS = (4, 8, 3), 16, 30  # so that a fit takes longer than its start
BASE = {"activation": "sigmoid", "output_activation": "sigmoid"}
OPTIMIZERS = ("momentum", "nesterov", "rmsprop", "adagrad", "adam", "adamw")
ACTIVATIONS = (
    *("identity", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "mish"),
    *("softplus", "softsign", "hard_sigmoid", "hard_tanh", "exponential"),
)
LOSSES = ("absolute_error", "huber", "quantile", "hinge", "poisson", "cross_entropy", "binary_cross_entropy")
OTHERS: dict[str, dict[str, Any]] = {
    "l2": {"l2": 1e-6},
    "l1": {"l1": 1e-6},
    "clip_norm": {"clip_norm": 1.0},
    "max_norm": {"max_norm": 10.0},
    "dropout 0.5": {"dropout": 0.5},
    "schedule cosine": {"schedule": "cosine"},
}


def options(kind: str, name: str) -> dict[str, Any]:
    """Return the options of the trainer for a row of the table."""
    if kind == "loss":
        return {"activation": "sigmoid", "loss": name}
    return BASE | (OTHERS[name] if kind == "other" else {kind: name})


def rows() -> list[tuple[str, str]]:
    kinds = {"optimizer": OPTIMIZERS, "activation": ACTIVATIONS, "loss": LOSSES, "other": tuple(OTHERS)}
    return [(kind, name) for kind, names in kinds.items() for name in names]


def data(loss: str, sizes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X, classes = rng.uniform(size=(SAMPLES, sizes[0])), rng.integers(0, sizes[-1], SAMPLES)
    y = np.eye(sizes[-1])[classes]
    return X.astype(np.float32), (2 * y - 1 if loss == "hinge" else y).astype(np.float32)


def trained(
    arguments: dict[str, Any], threads: int, sizes: tuple[int, ...] = SIZES, batch: int = BATCH
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return a trainer with loaded kernels, and its data. The learning rate hardly changes the weights."""
    try:
        from fastbp import Trainer

        trainer = Trainer(sizes, batch_size=batch, learning_rate=1e-6, seed=0, n_threads=threads, **arguments)
    except (ImportError, TypeError, ValueError) as error:
        raise NotImplementedError(f"not in this commit: {error}") from error
    X, y = data(arguments.get("loss", ""), sizes)
    trainer.fit(X[:batch], y[:batch], verbose=0)
    return trainer, X, y


class Toolkit:
    """Training of 784-128-10, batch 128, float32, one thread."""

    params = ([f"{kind}: {name}" for kind, name in [("optimizer", "sgd"), *rows()]],)
    param_names = ("option",)
    timeout = 120

    def setup(self, name: str) -> None:
        self.trainer, self.X, self.y = trained(options(*name.split(": ")), 1)

    def time_epoch(self, name: str) -> None:
        self.trainer.fit(self.X, self.y, verbose=0)


def seconds(trainer: Any, X: np.ndarray, y: np.ndarray) -> float:
    """Time a fit: of one epoch, or of more for a tiny network."""
    epochs = TINY_EPOCHS if X.shape[1] == TINY[0] else 1
    started = perf_counter()
    trainer.fit(X, y, epochs=epochs, verbose=0)
    return perf_counter() - started


def main() -> None:
    """Print the table of median ratios. Each row is timed in turn with plain SGD."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    columns = (1, SIZES, BATCH), (2, SIZES, BATCH), (1, TINY, TINY_BATCH)
    base = [trained(BASE, *column) for column in columns]
    sys.stdout.write("| | one thread | two | 4-8-3 |\n| --- | ---: | ---: | ---: |\n")
    for kind, name in rows():
        ratios = []
        for plain, column in zip(base, columns, strict=True):
            other = trained(options(kind, name), *column)
            pairs = [(seconds(*other), seconds(*plain)) for _ in range(rounds)]
            ratios.append(statistics.median(a / b for a, b in pairs))
        sys.stdout.write(f"| {kind}: {name} | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
