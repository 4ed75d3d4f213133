"""asv: the speed of training through the public API."""

from __future__ import annotations

import statistics
from time import perf_counter

import numpy as np

from .workloads import AWKWARD, GRID, median_seconds, new_trainer, problem

EPOCHS = 5


class Training:
    """Sigmoid in all layers, squared error and plain SGD. The figure is the median over fits of five epochs."""

    params = ([*GRID, *AWKWARD], ["float32", "float64"], [1, 2, "auto"])
    param_names = ("sizes, batch", "dtype", "threads")
    timeout = 120

    def setup(self, name: str, dtype: str, threads: int | str) -> None:
        sizes, batch = (GRID | AWKWARD)[name]
        self.X, self.y = problem(sizes, batch, dtype)
        self.trainer = new_trainer(sizes, batch_size=batch, dtype=dtype, n_threads=threads)
        self.trainer.fit(self.X[:batch], self.y[:batch], verbose=0)  # loads the kernels

    def track_ns_per_sample(self, *_) -> float:
        seconds = median_seconds(lambda: self.trainer.fit(self.X, self.y, epochs=EPOCHS, verbose=0))
        return seconds / (EPOCHS * len(self.X)) * 1e9

    track_ns_per_sample.unit = "ns/sample"  # type: ignore[attr-defined]


class Digits:
    """Training until 97 % of the held-out handwritten digits are correct. The figure is the median over the seeds."""

    timeout = 120
    target = 0.97
    seeds = range(5)

    def setup(self) -> None:
        try:
            from sklearn.datasets import load_digits

            from fastbp import Trainer
        except ImportError as error:
            raise NotImplementedError(str(error)) from error
        self.Trainer = Trainer
        X, y = load_digits(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(X))
        self.X, self.y = (X[order] / 16).astype(np.float32), y[order]
        self.train(0)  # loads the kernels

    def train(self, seed: int) -> tuple[float, int]:
        """Return the seconds and the number of epochs until then."""
        trainer = self.Trainer(
            [64, 64, 10], activation="relu", loss="cross_entropy", learning_rate=0.2, seed=seed, batch_size=32
        )
        n = 1438
        started = perf_counter()
        history = trainer.fit(
            self.X[:n],
            self.y[:n],
            epochs=300,
            validation_data=(self.X[n:], self.y[n:]),
            metrics=["accuracy"],
            callbacks=[lambda trainer, epoch, measured: measured["val_accuracy"] >= self.target],
            verbose=0,
        )
        seconds = perf_counter() - started
        if history["val_accuracy"][-1] < self.target:
            raise RuntimeError(f"seed {seed} reached {history['val_accuracy'][-1]:.1%} only")
        return seconds, len(history["loss"])

    def track_seconds_to_97_percent(self) -> float:
        return statistics.median(self.train(seed)[0] for seed in self.seeds)

    def track_epochs_to_97_percent(self) -> float:
        return statistics.median(self.train(seed)[1] for seed in self.seeds)

    track_seconds_to_97_percent.unit = "s"  # type: ignore[attr-defined]
    track_epochs_to_97_percent.unit = "epochs"  # type: ignore[attr-defined]
