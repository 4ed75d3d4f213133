"""Threads that stay between calls: who has them, how they sleep and end, forks, exits and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fastbp import Trainer
from fastbp._engine import engine as engines, pool, team as teams
from fastbp._engine.engine import Engine
from fastbp._engine.pool import crew_of
from fastbp._library.library import ENTRY, library

SIZES = [64, 32, 10]


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Begin and end without workers, and with as many threads as a test asks for."""
    library("float32")
    pool.end_idle()
    yield
    pool.end_idle()


@pytest.fixture
def two(monkeypatch):
    """Share rows and columns between two threads, also on one processor."""
    monkeypatch.setattr(engines, "rows_team_size", lambda threads, *_: 1 if threads == 1 else 2)


def idle() -> list[int]:
    """How many threads the idle crews have."""
    return [crew.n_threads for crews in pool._idle.values() for crew in crews]


def in_threads(count: int, call) -> tuple[int, set[int]]:
    """Call a function of the record and the thread in a crew. Return the result, and the threads that called it."""
    seen = set()

    def run(record, thread):
        seen.add(threading.get_ident())
        return call(record, thread)

    entry = ENTRY(run)
    with crew_of(count) as crew:
        return crew.run(entry, *range(10, 10 + crew.n_threads)), seen


@pytest.mark.parametrize("count", [1, 2, 5])
def test_all_threads_run_at_once_and_the_least_result_counts(count):
    barrier, calls = threading.Barrier(count), []

    def call(record, thread):
        barrier.wait(10)
        calls.append((record, thread))
        return 40 - thread

    assert in_threads(count, call)[0] == 41 - count
    assert sorted(calls) == [(10 + thread, thread) for thread in range(count)]


def test_workers_stay_awake_or_asleep():
    barrier = threading.Barrier(3)

    def call(*_):
        barrier.wait(10)
        return 0

    first = in_threads(3, call)[1]
    assert len(first) == 3
    assert in_threads(3, call)[1] == first
    time.sleep(0.05)  # they sleep by now
    assert in_threads(3, call)[1] == first
    assert idle() == [3]


def test_workers_end_when_nobody_needs_them(monkeypatch):
    monkeypatch.setattr(pool, "STAY_SECONDS", 0.02)
    before = in_threads(2, lambda *_: 0)[0]
    deadline = time.monotonic() + 10
    while idle():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert in_threads(2, lambda *_: 0)[0] == before == 0


def test_workers_sleep_and_end_after_a_ring_that_came_late(monkeypatch):
    """A caller rings while a worker wakes on its own, which hears the ring only when it sleeps again."""
    monkeypatch.setattr(pool, "STAY_SECONDS", 0.5)
    in_threads(2, lambda *_: 0)
    (worker,) = pool._idle[2][0]._workers
    deadline = time.monotonic() + 30
    while worker._box[pool.STATE] != pool.SLEEPS:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    worker._ring()
    while idle():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_worker_does_not_end_a_crew_that_is_not_complete(monkeypatch):
    class Slow(pool.Worker):
        def __init__(self, crew):
            super().__init__(crew)
            time.sleep(0.1)

    errors = []
    monkeypatch.setattr(sys, "unraisablehook", errors.append)
    monkeypatch.setattr(pool, "STAY_SECONDS", 0.001)
    monkeypatch.setattr(pool, "Worker", Slow)
    in_threads(2, lambda *_: 0)
    assert not errors


def test_crews_in_several_threads_share_no_worker():
    barrier = threading.Barrier(8)

    def work(_):
        def call(*_):
            barrier.wait(10)
            return 0

        return in_threads(2, call)[1]

    with ThreadPoolExecutor(4) as threads:
        crews = list(threads.map(work, range(4)))
    assert len(set.union(*crews)) == 8


def test_fewer_threads_if_the_system_starts_no_more(monkeypatch, two):
    def start(*_):
        raise RuntimeError("can't start new thread")

    X = np.random.default_rng(0).random((5000, 64), "f4")
    trainer = Trainer(SIZES, seed=0)
    expected = trainer.network.predict(X, n_threads=1)
    monkeypatch.setattr(pool, "start_new_thread", start)
    with crew_of(3) as crew:
        assert crew.n_threads == 1
    assert np.array_equal(trainer.network.predict(X, n_threads=2), expected)


def test_an_error_before_the_kernel_gives_the_workers_back(monkeypatch, two):
    trainer, X = Trainer(SIZES, seed=0), np.zeros((5000, 64), np.float32)
    expected, calls = trainer.predict(X), []

    def borrow(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:
            raise MemoryError("no room for a workspace")
        return Engine._borrow(trainer._state.engine, *arguments, **options)

    monkeypatch.setattr(trainer._state.engine, "_borrow", borrow)
    with pytest.raises(MemoryError, match="no room for a workspace"):
        trainer.predict(X)
    assert idle() == [2]
    assert np.array_equal(trainer.predict(X), expected)


@pytest.mark.parametrize("n", [1, 3, 32, 33, 255, 300, 4096])
@pytest.mark.parametrize("sizes", [[64, 32, 10], [300, 700, 300, 3], [20, 700, 600]])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_have_the_same_bits_with_two_threads(two, sizes, n, dtype):
    X = np.random.default_rng(0).normal(size=(n, sizes[0])).astype(dtype)
    trainer = Trainer(sizes, seed=0, dtype=dtype, output_activation="softmax" if sizes[-1] > 3 else "identity")
    expected = trainer.network.predict(X, n_threads=1)
    for _ in range(3):
        assert np.array_equal(trainer.network.predict(X, n_threads=2), expected)
    X[-1, -1] = np.nan
    with pytest.raises(ValueError, match="nan"):
        trainer.network.predict(X, n_threads=2)
    if n > 1:
        assert np.array_equal(trainer.network.predict(X[: n - 1], n_threads=2), expected[: n - 1])


def test_one_thread_has_no_workers():
    X = np.zeros((5000, 64), np.float32)
    Trainer(SIZES, n_threads=1).predict(X)
    assert not idle()


def test_ctrl_c_gives_the_workers_back(two):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    trainer, X = Trainer([400, 1000, 1000, 3], seed=0), np.zeros((20_000, 400), np.float32)
    expected = trainer.predict(X[:100])

    def predict_for_long():
        for _ in range(100):
            trainer.predict(X)

    try:
        threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            predict_for_long()
        assert idle() == [2]
        assert np.array_equal(trainer.predict(X[:100]), expected)
    finally:
        signal.signal(signal.SIGINT, before)


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    start = "import os, numpy as np\nfrom fastbp import Trainer\nfrom fastbp._engine import engine, pool\n"
    start += "engine.rows_team_size = lambda *_: 2\n"
    start += "trainer, X = Trainer([64, 32, 10], seed=0), np.ones((5000, 64), 'f4')\nexpected = trainer.predict(X)\n"
    arguments = [sys.executable, "-X", "faulthandler", "-W", "error", "-c", start + code]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    "code",
    [
        "assert len(pool._idle[2]) == 1",
        "import time; time.sleep(0.05)",
        "import threading; threading.Thread(target=trainer.predict, args=[X]).start()",
        "import threading\n"
        "def predict():\n    while True: trainer.predict(X)\n"
        "threading.Thread(target=predict, daemon=True).start()",
        "import atexit; atexit.register(lambda: trainer.predict(X))",
        "raise SystemExit(0)",
    ],
)
def test_a_process_ends_with_its_workers(code):
    started = time.monotonic()
    done = run_python(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - started < 60


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are POSIX's")
@pytest.mark.parametrize("rest", ["0", "0.05"])
def test_a_child_process_starts_its_own_workers(rest):
    code = f"""
import time, warnings
warnings.simplefilter("ignore")
time.sleep({rest})
child = os.fork()
assert not pool._idle.get(2)
assert np.array_equal(trainer.predict(X), expected)
assert len(pool._idle[2]) == 1
if child:
    assert os.waitpid(child, 0)[1] == 0
"""
    done = run_python(code)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux has it")
def test_workers_go_to_the_only_processor_that_their_caller_may_use():
    """The caller may use the others before, and no longer in the second call."""

    def look(_, thread):
        seen[thread] = os.sched_getaffinity(0)
        barrier.wait(10)
        return 0

    seen, barrier, before = {}, threading.Barrier(2), os.sched_getaffinity(0)
    in_threads(2, look)
    only = min(before - seen[1] or before)
    try:
        os.sched_setaffinity(0, {only})
        time.sleep(0.1)  # they sleep by now
        in_threads(2, look)
    finally:
        os.sched_setaffinity(0, before)
    assert seen[1] == {only}


def test_workers_keep_off_the_core_of_their_caller():
    seen = {}

    def look(_, thread):
        seen[thread] = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
        barrier.wait(10)
        return 0

    barrier = threading.Barrier(3)
    in_threads(3, look)
    known = teams.this_core() >= 0 and len(seen[0]) > 1
    for thread in (1, 2):
        assert len(seen[thread]) == len(seen[0]) - known
        assert seen[thread] <= seen[0]
    if hasattr(os, "sched_getaffinity"):
        assert os.sched_getaffinity(0) == seen[0]
