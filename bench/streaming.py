"""Compare training from a Stream with training on the same samples in two arrays. asv measures this, too.

    python -m bench.streaming [--rounds 5]

It prints a table.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from .workloads import GRID, median_seconds, new_trainer, uniform

BYTES = 1 << 26  # of X, which exceeds the caches
NETWORKS = ("64-32-10, 32", "784-30-10, 10", "784-128-10, 128", "256 × 8-10, 64")
SOURCES = ("arrays", "chunks", "slices", "memmap", "parquet")


def samples(name: str) -> tuple[np.ndarray, np.ndarray]:
    sizes, batch = GRID[name]
    n = BYTES // (4 * sizes[0]) // batch * batch
    return uniform(n, sizes[0]), uniform(n, sizes[-1], seed=1)


def fit(name: str, source: str, threads: int | str, folder: str, *, shuffle: bool = False) -> Callable[[], Any]:
    """Return a function that trains for one epoch."""
    try:
        from fastbp import Stream
    except ImportError as error:
        raise NotImplementedError(f"not in this commit: {error}") from error
    sizes, batch = GRID[name]
    X, y = samples(name)
    trainer = new_trainer(sizes, batch_size=batch, n_threads=threads, shuffle=shuffle)
    if source == "arrays":
        return lambda: trainer.fit(X, y, verbose=0)
    if source == "chunks":
        stream = Stream(lambda: ((X[i : i + 5000], y[i : i + 5000]) for i in range(0, len(X), 5000)), rows=len(X))
    elif source == "slices":
        stream = Stream.from_arrays(X, y)
    elif source == "memmap":
        on_disk = np.memmap(Path(folder) / "X", X.dtype, "w+", shape=X.shape)
        on_disk[:] = X
        stream = Stream.from_arrays(on_disk, y)
    else:
        stream = parquet_stream(X, y, Path(folder) / "Xy.parquet")
    return lambda: trainer.fit(stream, verbose=0)


def parquet_stream(X: np.ndarray, y: np.ndarray, path: Path) -> Any:
    """Return a Stream from a Parquet file that has X as one column of lists, as is usual for so many inputs."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise NotImplementedError(str(error)) from error
    from fastbp import Stream

    columns = {
        name: pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(array.reshape(-1)), array.shape[1])
        for name, array in (("X", X), ("y", y))
    }
    parquet.write_table(pyarrow.table(columns), path, row_group_size=50_000, compression="none")
    return Stream.from_parquet(path, ["y"])


def measured(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each call. The calls run in turn."""
    seconds: dict[str, list[float]] = {key: [] for key in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for key, call in calls.items():
            started = perf_counter()
            call()
            seconds[key].append(perf_counter() - started)
    return {key: statistics.median(values) for key, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    for shuffle in (False, True):
        for threads in (1, "auto"):
            order = "shuffled" if shuffle else "in order"
            print(f"\n{order}, n_threads={threads!r}; arrays: ns a sample, else times as long\n")
            print(f"| sizes, batch | {' | '.join(SOURCES)} |\n| --- |{' ---: |' * len(SOURCES)}")
            for name in NETWORKS:
                with tempfile.TemporaryDirectory() as folder:
                    calls = {source: fit(name, source, threads, folder, shuffle=shuffle) for source in SOURCES}
                    seconds = measured(calls, rounds)
                whole = seconds.pop("arrays")
                ratios = " | ".join(f"{value / whole:.2f}" for value in seconds.values())
                print(f"| {name} | {whole / len(samples(name)[0]) * 1e9:,.0f} | {ratios} |", flush=True)


class Streaming:
    """asv: the time of an epoch from a source, in order or shuffled."""

    params = (["64-32-10, 32", "784-128-10, 128"], list(SOURCES), [False, True])
    param_names = ("sizes, batch", "source", "shuffle")
    timeout = 120

    def setup(self, name: str, source: str, shuffle: bool) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.call = fit(name, source, "auto", self.folder.name, shuffle=shuffle)
        self.call()

    def teardown(self, *_) -> None:
        self.folder.cleanup()

    def track_ns_per_sample(self, name: str, *_) -> float:
        return median_seconds(self.call) / len(samples(name)[0]) * 1e9

    track_ns_per_sample.unit = "ns/sample"  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
