"""The process of one peer with one number of threads: it builds a workload and times rounds on request.

Requests and answers are lines of JSON. A workload, as `turns.Turns` writes it, is built and run once; the answer is
null. A number requests a round of about so many seconds, at least one run; the answer is its time in ns per sample. If
an error occurs, the answer is its message.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

from .peers import LOOPS, PACKAGES, PREDICTION, TRAINING
from .workloads import EPOCHS, Workload, problem, uniform

BATCHES = 100  # in an epoch of the peers in LOOPS


def work(peer: str, threads: int, workload: Workload, dtype: str) -> tuple[Callable[[], Any], int]:
    """Return a function that runs the workload once, and the number of samples that it trains on or predicts."""
    if workload.kind == "prediction":
        predict, X = PREDICTION[peer](workload, threads, dtype), uniform(workload.rows, workload.sizes[0], dtype)
        return lambda: predict(X), workload.rows
    X, y = problem(workload.sizes, workload.rows, dtype, workload.seconds)
    if peer in LOOPS:
        X, y = X[: BATCHES * workload.rows].copy(), y[: BATCHES * workload.rows].copy()
    return TRAINING[peer](workload, X, y, threads).run, EPOCHS * len(X)


def seconds_of(call: Callable[[], Any], times: int) -> float:
    """Return the time of so many calls in a row."""
    started = perf_counter()
    for _ in range(times):
        call()
    return perf_counter() - started


class Rounds:
    """A workload that is compiled and warm. Its rounds have as many runs as take the time that the first one has."""

    def __init__(self, peer: str, threads: int, workload: Workload, dtype: str) -> None:
        self._call, self._samples = work(peer, threads, workload, dtype)
        self._call()
        self._run_seconds = 0.0

    def ns(self, seconds: float) -> float:
        """Return ns per sample in a round of about so many seconds."""
        if not self._run_seconds:
            times, taken = 1, seconds_of(self._call, 1)
            while taken < seconds / 4:
                times *= 2
                taken = seconds_of(self._call, times)
            self._run_seconds = taken / times
        times = max(1, round(seconds / self._run_seconds))
        return seconds_of(self._call, times) / (times * self._samples) * 1e9


def main() -> None:
    """Write the peer's version, then answer line by line until the input ends."""
    peer, threads = sys.argv[1], int(sys.argv[2])
    out, sys.stdout = sys.stdout, sys.stderr  # the output of libraries must not be read as an answer
    answer: Any = importlib.import_module(PACKAGES[peer][0]).__version__ if PACKAGES[peer] else "2"  # libfann 2
    rounds: Rounds | None = None
    while True:
        out.write(json.dumps(answer) + "\n")
        out.flush()
        line = sys.stdin.readline()
        if not line:
            return
        try:
            question = json.loads(line)
            if isinstance(question, list):
                (kind, sizes, *more), dtype = question
                rounds = None  # releases the last workload's memory for the next
                rounds, answer = Rounds(peer, threads, Workload(kind, tuple(sizes), *more), dtype), None
            else:
                assert rounds is not None
                answer = rounds.ns(question)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
