"""Compare training with NumPy's matrix product: GFLOP/s of both with the same number of threads, in turn.

    python -m bench.matmul [--rounds 7] [--dtype float32]

The product is that of two 1024 × 1024 matrices in BLAS. Training is `fit` for the larger networks of the grid. Only the
operations of its matrix products count: 4 n₁n₂ + 6 Σ nₗnₗ₊₁ of the other layers per sample.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from fastbp.benchmark.workloads import multiplications

from .workloads import EPOCHS, ETA, GRID, new_trainer, problem, uniform

NETWORKS = ("784-128-10, 128", "784-512-512-10, 128", "256 × 8-10, 64", "1024-1024-1024-10, 256")
SIDE = 1024
SECONDS, REST_SECONDS = 0.25, 0.2  # of a turn, and before it, because threads of BLAS may still spin


def rates(name: str, threads: int, dtype: str, rounds: int) -> tuple[float, float]:
    """Return the median GFLOP/s of training and of the product over the rounds."""
    from threadpoolctl import threadpool_limits

    sizes, batch = GRID[name]
    X, y = problem(sizes, batch, dtype)
    trainer = new_trainer(sizes, dtype=dtype, batch_size=batch, learning_rate=ETA, shuffle=False, n_threads=threads)
    a, b, c = (uniform(SIDE, SIDE, dtype, seed) for seed in range(3))

    def fit() -> float:
        trainer.fit(X, y, epochs=EPOCHS, verbose=0)
        return 2.0 * multiplications(sizes) * EPOCHS * len(X)

    def product() -> float:
        np.matmul(a, b, out=c)
        return 2.0 * SIDE**3

    measured: dict[object, list[float]] = {fit: [], product: []}
    with threadpool_limits(threads):
        for turn in range(rounds + 1):
            for call, found in measured.items():
                time.sleep(REST_SECONDS)
                flop, started = 0.0, time.perf_counter()
                while (passed := time.perf_counter() - started) < SECONDS:
                    flop += call()  # type: ignore[operator]
                if turn > 0:  # the first turn loads kernels and tries numbers of threads
                    found.append(flop / passed * 1e-9)
    return statistics.median(measured[fit]), statistics.median(measured[product])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    arguments = parser.parse_args()
    print(f"| GFLOP/s, {arguments.dtype} | threads | training | matmul | ratio |\n| --- | ---: | ---: | ---: | ---: |")
    for name in NETWORKS:
        for threads in (1, 2):
            training, product = rates(name, threads, arguments.dtype, arguments.rounds)
            print(f"| {name} | {threads} | {training:.0f} | {product:.0f} | {training / product:.2f} |", flush=True)


if __name__ == "__main__":
    main()
