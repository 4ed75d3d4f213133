"""The process of one peer at one number of threads: builds a workload, then times a round whenever it is asked to.

Questions come as lines of JSON and so go the answers: a workload, as `turns.Turns` writes it, is built, run once, and
answered by null; null is a round, and answered by its ns a sample. An error is answered by what it says.
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
    """A call, and how many samples it trains on or predicts."""
    kind, sizes, rows, seconds = workload
    if kind == "training":
        X, y = problem(sizes, rows, dtype, seconds)
        return TRAINING[peer](sizes, rows, X, y, threads).run, EPOCHS * len(X)
    predict, X = PREDICTION[peer](sizes, threads, dtype), uniform(rows, sizes[0], dtype)
    return lambda: predict(X), rows


def seconds_of(call: Callable[[], Any], times: int) -> float:
    """So many calls, one after the other."""
    started = perf_counter()
    for _ in range(times):
        call()
    return perf_counter() - started


def a_round(peer: str, threads: int, workload: Workload, dtype: str, seconds: float) -> Callable[[], float]:
    """A function that computes for about so many seconds and returns ns a sample; all is compiled and warm."""
    call, samples = work(peer, threads, workload, dtype)
    call()
    times, taken = 1, seconds_of(call, 1)
    while taken < seconds / 4:
        times *= 2
        taken = seconds_of(call, times)
    times = max(1, round(times * seconds / taken))
    return lambda: seconds_of(call, times) / (times * samples) * 1e9


def main() -> None:
    """Say the peer's version, then answer line by line until there is nobody to ask."""
    peer, threads = sys.argv[1], int(sys.argv[2])
    out, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
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
                run = float  # lets go of the one before, whose memory the next may need
                run, answer = a_round(peer, threads, Workload(kind, tuple(sizes), *more), *how), None
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
