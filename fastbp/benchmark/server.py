"""The process of one peer with one number of threads: it builds a workload and times rounds on request.

Requests and answers are lines of JSON. A workload, as `turns.Turns` writes it, is built and run once; the answer is
null. null requests a round; the answer is its time in ns per sample. If an error occurs, the answer is its message.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

from .peers import PACKAGES, PREDICTION, TRAINING
from .workloads import EPOCHS, Workload, problem, uniform


def work(peer: str, threads: int, workload: Workload, dtype: str) -> tuple[Callable[[], Any], int]:
    """Return a function that runs the workload once, and the number of samples that it trains on or predicts."""
    kind, sizes, rows, seconds = workload
    if kind == "training":
        X, y = problem(sizes, rows, dtype, seconds)
        return TRAINING[peer](sizes, rows, X, y, threads).run, EPOCHS * len(X)
    predict, X = PREDICTION[peer](sizes, threads, dtype), uniform(rows, sizes[0], dtype)
    return lambda: predict(X), rows


def seconds_of(call: Callable[[], Any], times: int) -> float:
    """Return the time of so many calls in a row."""
    started = perf_counter()
    for _ in range(times):
        call()
    return perf_counter() - started


def timed_round(peer: str, threads: int, workload: Workload, dtype: str, seconds: float) -> Callable[[], float]:
    """Return a function that computes for about `seconds` and returns ns per sample; all is compiled and warm."""
    call, samples = work(peer, threads, workload, dtype)
    call()
    times, taken = 1, seconds_of(call, 1)
    while taken < seconds / 4:
        times *= 2
        taken = seconds_of(call, times)
    times = max(1, round(times * seconds / taken))
    return lambda: seconds_of(call, times) / (times * samples) * 1e9


def main() -> None:
    """Write the peer's version, then answer line by line until the input ends."""
    peer, threads = sys.argv[1], int(sys.argv[2])
    out, sys.stdout = sys.stdout, sys.stderr  # the output of libraries must not be read as an answer
    answer: Any = importlib.import_module(PACKAGES[peer][0]).__version__
    run: Callable[[], float] = float
    while True:
        out.write(json.dumps(answer) + "\n")
        out.flush()
        line = sys.stdin.readline()
        if not line:
            return
        try:
            question = json.loads(line)
            if question is None:
                answer = run()
            else:
                (kind, sizes, *more), *how = question
                run = float  # releases the last workload's memory for the next
                run, answer = timed_round(peer, threads, Workload(kind, tuple(sizes), *more), *how), None
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
