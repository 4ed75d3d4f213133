"""The time of the shortest calls, in which Python's share is large.

    python -m bench.small_calls [--seconds 2]

The class is asv's. The command prints the median and the shortest time of each call, and the median without kernels.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

from .workloads import median_seconds, new_trainer, uniform

BATCH = 50  # calls that are timed together, because reading the clock takes as long as some calls


def predicting(*sizes: int) -> tuple[Any, Callable[[], Any]]:
    """Return a trainer, and the prediction of one row."""
    trainer, X = new_trainer(sizes), uniform(1, sizes[0], "float32")
    return trainer, lambda: trainer.predict(X)


def fitting() -> tuple[Any, Callable[[], Any]]:
    """Return a trainer, and an epoch of four rows."""
    trainer, X, y = new_trainer((4, 8, 3)), uniform(4, 4, "float32"), uniform(4, 3, "float32")
    return trainer, lambda: trainer.fit(X, y, epochs=1, verbose=0)


def updating() -> tuple[Any, Callable[[], Any]]:
    """Return a trainer, and an update of a network for a regression."""
    trainer = new_trainer((13, 64, 64, 1), optimizer="adam")
    X, y = uniform(64, 13, "float32"), uniform(64, 1, "float32")
    return trainer, lambda: trainer.train_on_batch(X, y)


CALLS: dict[str, Callable[[], tuple[Any, Callable[[], Any]]]] = {
    "predict, one row of 4-8-3": lambda: predicting(4, 8, 3),
    "predict, one row of 64-32-10": lambda: predicting(64, 32, 10),
    "fit, 4 rows of 4-8-3, one epoch": fitting,
    "train_on_batch, 64 rows of 13-64-64-1, Adam": updating,
}


class SmallCalls:
    params = ([*CALLS],)
    param_names = ("call",)
    timeout = 120

    def setup(self, name: str) -> None:
        _, self.call = CALLS[name]()
        self.call()  # loads the kernels

    def track_microseconds(self, *_) -> float:
        return median_seconds(lambda: [self.call() for _ in range(BATCH)], 0.5) / BATCH * 1e6

    track_microseconds.unit = "µs/call"  # type: ignore[attr-defined]


def microseconds(call: Callable[[], Any], seconds: float) -> list[float]:
    """Return the times of a call, each a mean over a few calls."""
    call()
    times: list[float] = []
    end = perf_counter() + seconds
    while (started := perf_counter()) < end:
        for _ in range(BATCH):
            call()
        times.append((perf_counter() - started) / BATCH * 1e6)
    return times


def without_kernels(trainer: Any, call: Callable[[], Any]) -> Callable[[], Any]:
    """Return the call with an engine that computes nothing."""
    call()
    engine, last = trainer._state.engine, trainer.layer_sizes[-1]
    output = uniform(1, last, "float32")

    def train(_data: Any, _memory: Any, _step: Any, progress: Any, _budget: int, _threads: Any) -> int:
        progress.position[0] = len(progress.losses)
        return 1

    engine.train, engine.predict = train, lambda *_: output
    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each time")
    seconds = parser.parse_args().seconds
    sys.stdout.write("| µs | median | shortest | without the kernels |\n| --- | ---: | ---: | ---: |\n")
    for name, made in CALLS.items():
        trainer, call = made()
        times = microseconds(call, seconds)
        python = statistics.median(microseconds(without_kernels(trainer, call), seconds))
        sys.stdout.write(f"| {name} | {statistics.median(times):.2f} | {min(times):.2f} | {python:.2f} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
