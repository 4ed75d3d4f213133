"""The layer sizes and batch sizes of the benchmarks, others of awkward size, and how asv measures time.

fastbp/benchmark/workloads.py creates the samples and initial weights for them.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from time import perf_counter
from typing import Any


def _from_this_checkout(name: str) -> Any:
    """Load a module of fastbp.benchmark by its path, because asv also benchmarks older versions of fastbp."""
    spec = spec_from_file_location(name, Path(__file__).parent.parent / "fastbp" / "benchmark" / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_what = _from_this_checkout("workloads")
EPOCHS, EPSILON, ETA, samples, uniform, problem, parameters, Workload = (
    getattr(_what, name)
    for name in ("EPOCHS", "EPSILON", "ETA", "samples", "uniform", "problem", "parameters", "Workload")
)

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
    "512 × 4-1, 512": ((512,) * 4 + (1,), 512),
}
# Batches of a few samples, as in online learning
FEW = {
    "3-5-1, 1": ((3, 5, 1), 1),
    "8-16-4, 1": ((8, 16, 4), 1),
    "8-16-4, 2": ((8, 16, 4), 2),
    "1-64-1, 1": ((1, 64, 1), 1),
    "13-50-1, 3": ((13, 50, 1), 3),
}
AWKWARD = {
    "3-5-1, 7": ((3, 5, 1), 7),
    "63-33-10, 31": ((63, 33, 10), 31),
    "65-31-11, 33": ((65, 31, 11), 33),
    "127-67-1, 61": ((127, 67, 1), 61),
}
# Other work than sigmoids and plain SGD in whole epochs: that for which SimpleChains has published a time, a network
# like RealMLP's, and reinforcement learning, where Python calls train_on_batch for each batch
OTHER = {
    "4-32-16-4, 10,000; tanh, Adam": Workload(
        "training", (4, 32, 16, 4), 10_000, activation="tanh", output="identity", optimizer="adam"
    ),
    "80-256-256-256-10, 256; mish, AdamW": Workload(
        "training", (80, 256, 256, 256, 10), 256, activation="mish", output="identity", optimizer="adamw"
    ),
    "4-64-64-2, 32; relu, Adam, a call for each batch": Workload(
        "calls", (4, 64, 64, 2), 32, activation="relu", output="identity", optimizer="adam"
    ),
}
# layer sizes for predictions
NETWORKS = {
    "4-8-3": (4, 8, 3),
    "64-32-10": (64, 32, 10),
    "784-128-10": (784, 128, 10),
    "1024-1024-1024-10": (1024, 1024, 1024, 10),
}
ROWS = {"one row": 1, "many rows": 4096}  # in one call of predict


def median_seconds(call: Callable[[], Any], seconds: float = 0.3, at_least: int = 5) -> float:
    """Return the median time of a call, over as many calls as take that many seconds."""
    times: list[float] = []
    while len(times) < at_least or sum(times) < seconds:
        started = perf_counter()
        call()
        times.append(perf_counter() - started)
    return statistics.median(times)


def new_trainer(sizes: tuple[int, ...], **options: Any) -> Any:
    """Return a Trainer with sigmoid in all layers. asv skips options that a commit lacks."""
    try:
        from fastbp import Trainer

        return Trainer(sizes, activation="sigmoid", output_activation="sigmoid", seed=0, **options)
    except (ImportError, TypeError, ValueError) as error:
        raise NotImplementedError(f"not in this commit: {error}") from error
