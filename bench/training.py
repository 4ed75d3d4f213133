"""asv: nanoseconds that training spends on a sample, through the public API."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from fastbp import Trainer

from .workloads import AWKWARD, GRID, problem

EPOCHS = 5


class Training:
    """Sigmoid everywhere, squared error, plain SGD; the median over fits of five epochs."""

    params = ([*GRID, *AWKWARD], ["float32", "float64"])
    param_names = ("sizes, batch", "dtype")
    unit = "ns/sample"
    timeout = 120

    def setup(self, name: str, dtype: str) -> None:
        sizes, batch = (GRID | AWKWARD)[name]
        self.X, self.y = problem(sizes, batch, dtype)
        self.trainer = Trainer(sizes, output_activation="sigmoid", batch_size=batch, dtype=dtype, seed=0)
        self.trainer.fit(self.X[:batch], self.y[:batch], verbose=0)  # compiled from here on

    def track_ns_per_sample(self, name: str, dtype: str) -> float:
        seconds = []
        for _ in range(5):
            started = perf_counter()
            self.trainer.fit(self.X, self.y, epochs=EPOCHS, verbose=0)
            seconds.append(perf_counter() - started)
        return float(np.median(seconds)) / (EPOCHS * len(self.X)) * 1e9

    track_ns_per_sample.unit = unit  # type: ignore[attr-defined]
