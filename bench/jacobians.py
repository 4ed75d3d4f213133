"""Measure derivatives by the inputs: Jacobians beside torch.func.jacrev, input gradients beside a training pass.

asv tracks fastbp's time. `python -m bench.jacobians [--rounds 7] [--threads 1]` needs PyTorch and prints a table.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

SIZES = {
    "13-50-1": (13, 50, 1),
    "8-32-32-4": (8, 32, 32, 4),
    "64-64-64-10": (64, 64, 64, 10),
    "100-256-256-1": (100, 256, 256, 1),
}
ROWS = 1000


def made(sizes: tuple[int, ...], dtype: str = "float64", threads: int | str = 1) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return a trainer with loaded kernels, X and y."""
    try:
        from fastbp import Trainer

        trainer = Trainer(sizes, activation="tanh", dtype=dtype, seed=0, n_threads=threads)
        rng = np.random.default_rng(0)
        X, y = (rng.normal(size=(ROWS, n)).astype(dtype) for n in (sizes[0], sizes[-1]))
        trainer.jacobian(X)
    except (ImportError, TypeError, ValueError, AttributeError) as error:
        raise NotImplementedError(f"not in this commit: {error}") from error
    return trainer, X, y


class Derivatives:
    """The time of 1,000 rows."""

    params = ([*SIZES], ["float32", "float64"])
    param_names = ("sizes", "dtype")
    timeout = 120
    unit = "ms"

    def setup(self, name: str, dtype: str) -> None:
        self.trainer, self.X, self.y = made(SIZES[name], dtype)

    def track_jacobian(self, *_: str) -> float:
        return best([lambda: self.trainer.jacobian(self.X)], 5)[0] * 1e3

    def track_input_gradients(self, *_: str) -> float:
        return best([lambda: self.trainer.input_gradients(self.X, self.y)], 5)[0] * 1e3


def best(calls: list[Callable[[], Any]], rounds: int) -> list[float]:
    """Return the median seconds of each call, which take turns for so many rounds of at least 50 ms."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, found in zip(calls, times, strict=True):
            count, started = 0, perf_counter()
            while (spent := perf_counter() - started) < 0.05:
                call()
                count += 1
            found.append(spent / count)
    return [statistics.median(found) for found in times]


def of_torch(trainer: Any, X: np.ndarray) -> Callable[[], Any]:
    """Return a function that computes the same Jacobians with PyTorch, after a check that they are the same."""
    import torch

    from fastbp.interop import to_torch

    module, rows = to_torch(trainer).requires_grad_(False), torch.from_numpy(X)
    function = torch.func.vmap(torch.func.jacrev(module))
    np.testing.assert_allclose(trainer.jacobian(X), function(rows).numpy(), rtol=1e-3, atol=1e-4)
    return lambda: function(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    import torch

    torch.set_num_threads(asked.threads)
    print("| network | jacobian, ms | jacrev, ms | times faster | input_gradients, ms | gradients, ms | ratio |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for dtype in ("float64", "float32"):
        for name, sizes in SIZES.items():
            trainer, X, y = made(sizes, dtype, asked.threads)
            calls = [lambda t=trainer, X=X: t.jacobian(X), of_torch(trainer, X)]
            calls += [
                lambda t=trainer, X=X, y=y: t.input_gradients(X, y),
                lambda t=trainer, X=X, y=y: t.gradients(X, y),
            ]
            ours, theirs, inputs, both = (seconds * 1e3 for seconds in best(calls, asked.rounds))
            print(
                f"| {name}, {dtype} | {ours:.3f} | {theirs:.3f} | {theirs / ours:.1f} "
                f"| {inputs:.3f} | {both:.3f} | {inputs / both:.2f} |"
            )


if __name__ == "__main__":
    main()
