"""Training in children of a process that trains: every result has the bits of the same trainer in the parent.

    python -m tests.stress.processes --forks 200

A thread of the parent trains without pause while the main thread forks. Then what Python and joblib offer for work in
other processes, in threads and beside an event loop, after the parent has trained.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager

import joblib
import numpy as np

from fastbp import Trainer
from tests.cases import Case
from tests.stress._models import Model, differences, models

HANGS = 30  # seconds after which a child won't end any more
BUSY = Model(Case((64, 128, 10), "relu", "softmax", "cross_entropy", n=300), {"n_threads": 2})
TICKS = 50  # of the event loop, during one fit
SOME = models()[::5]  # every shape, both dtypes, every option

Rounds = list[dict[str, str]]


@contextmanager
def training(trainer: Trainer) -> Iterator[None]:
    """While a thread trains without pause."""
    end = threading.Event()

    def work() -> None:
        while not end.is_set():
            trainer.fit(*BUSY.case.data(), epochs=5, verbose=0)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def forked(work: Callable[[], bool]) -> str:
    """Do it in a fork; "right", "wrong", "hung" or what ended the child."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)  # with several threads: that is what this is
        pid = os.fork()
    if pid == 0:
        code = 2
        try:
            code = 0 if work() else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    deadline = time.monotonic() + HANGS
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return {0: "right", 1: "wrong"}.get(code, f"ended with {code}")
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return "hung"
        time.sleep(0.001)


def forks(count: int) -> dict[str, int]:
    """How children fare that are forked at any moment of a training; every other one goes on with that trainer too."""
    expected = [model.rounds(2) for model in SOME]
    trainer = BUSY.trainer()
    counts: dict[str, int] = {}
    with training(trainer):
        for i in range(count):

            def work(i: int = i) -> bool:
                if i % 2:  # in the middle of an update: there are no right bits, but it must go on
                    trainer.fit(*BUSY.case.data(), verbose=0)
                k = i % len(SOME)
                finite = all(np.isfinite(part).all() for part in trainer.get_weights())
                return finite and SOME[k].rounds(2) == expected[k]

            result = forked(work)
            counts[result] = counts.get(result, 0) + 1
    return counts


def rounds(model: Model) -> Rounds:
    """What a worker does, under a name that it can import."""
    return model.rounds(2)


def by_multiprocessing(method: str) -> Callable[[list[Model]], Iterable[Rounds]]:
    def work(chosen: list[Model]) -> list[Rounds]:
        with multiprocessing.get_context(method).Pool(2) as pool:
            return pool.map_async(rounds, chosen).get(timeout=4 * HANGS)

    return work


def by_joblib(backend: str) -> Callable[[list[Model]], Iterable[Rounds]]:
    def work(chosen: list[Model]) -> Iterable[Rounds]:
        return joblib.Parallel(n_jobs=2, backend=backend, timeout=4 * HANGS)(joblib.delayed(rounds)(m) for m in chosen)

    return work


def by_futures(chosen: list[Model]) -> Iterable[Rounds]:
    with ThreadPoolExecutor(4) as threads, ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as processes:
        in_threads = threads.map(rounds, chosen[::2], timeout=4 * HANGS)
        in_processes = processes.map(rounds, chosen[1::2], timeout=4 * HANGS)
        return [next((in_threads, in_processes)[i % 2]) for i in range(len(chosen))]


def by_asyncio(chosen: list[Model]) -> Iterable[Rounds]:
    """Several fits at once beside a loop that ticks; one more fit lasts until it has ticked TICKS times."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    async def program() -> list[Rounds]:
        ticking = asyncio.create_task(tick())
        until = asyncio.to_thread(
            BUSY.trainer().fit, *BUSY.case.data(), epochs=10**9, callbacks=lambda *_: ticks >= TICKS, verbose=0
        )
        results = await asyncio.wait_for(
            asyncio.gather(until, *(asyncio.to_thread(rounds, model) for model in chosen)), 4 * HANGS
        )
        ticking.cancel()
        return results[1:]

    return asyncio.run(program())


WAYS: dict[str, Callable[[list[Model]], Iterable[Rounds]]] = {
    **{f"multiprocessing {method}": by_multiprocessing(method) for method in ("fork", "forkserver", "spawn")},
    **{f"joblib {backend}": by_joblib(backend) for backend in ("loky", "threading")},
    "concurrent.futures": by_futures,
    "asyncio": by_asyncio,
}


def wrong_by(way: str, chosen: list[Model]) -> list[str]:
    """What differs when these models train in such a way, from what the parent had before."""
    expected = [rounds(model) for model in chosen]
    wrong = []
    for model, got, right in zip(chosen, WAYS[way](chosen), expected, strict=True):
        for number, (a, b) in enumerate(zip(got, right, strict=True), 1):
            wrong += [f"{way}: {model}, round {number}: other {name}" for name in differences(a, b)]
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forks", type=int, default=200)
    options = parser.parse_args()
    counts = forks(options.forks)
    print(f"{options.forks} forks while a thread trains: " + ", ".join(f"{n} {name}" for name, n in counts.items()))
    wrong = []
    for way in WAYS:
        found = wrong_by(way, SOME)
        print(f"{way}: {len(SOME)} trainers, {len(found)} wrong results", flush=True)
        wrong += found
    print(*wrong[:20], sep="\n", end="\n" if wrong else "")
    return set(counts) - {"right"} != set() or wrong != []


if __name__ == "__main__":
    sys.exit(main())
