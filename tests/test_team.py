from __future__ import annotations

import _thread
import contextvars
import os
import signal
import threading
import time

import numpy as np
import pytest

from fastbp import Trainer, fit_many
from fastbp._engine import engine as engines, team as teams
from fastbp._engine.engine import Engine
from fastbp._engine.team import TeamSize, rows_team_size, run_together


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_all_calls_run_at_once(n_threads):
    barrier = threading.Barrier(n_threads)
    seen = []

    def call(thread: int) -> int:
        barrier.wait(10)
        seen.append(thread)
        return thread + 40

    assert run_together(call, n_threads, lambda: None) == 40
    assert sorted(seen) == list(range(n_threads))


def test_an_exception_here_abandons_the_others_and_waits_for_them():
    abandoned = threading.Event()
    ended = []

    def call(thread: int) -> None:
        if thread == 0:
            raise KeyboardInterrupt
        assert abandoned.wait(10)
        ended.append(thread)

    with pytest.raises(KeyboardInterrupt):
        run_together(call, 3, abandoned.set)
    assert sorted(ended) == [1, 2]


@pytest.mark.parametrize("error", [MemoryError("no room"), SystemExit(3)])
def test_an_exception_in_a_thread_abandons_all_and_is_raised_here(error):
    abandoned = threading.Event()

    def call(thread: int) -> None:
        if thread == 1:
            raise error
        assert abandoned.wait(10)

    with pytest.raises(type(error)) as raised:
        run_together(call, 3, abandoned.set)
    assert raised.value is error


def test_threads_have_the_context_of_their_caller():
    variable = contextvars.ContextVar("variable", default=0)
    token, seen = variable.set(7), []
    run_together(lambda thread: seen.append(variable.get()), 3, lambda: None)
    variable.reset(token)
    assert seen == [7, 7, 7]


def test_rows_that_a_thread_could_not_predict_are_an_error(monkeypatch):
    """Whoever called would have taken what was in the memory for predictions."""
    monkeypatch.setattr(engines, "rows_team_size", lambda *_: 2)
    trainer, here = Trainer([4, 3, 2]), threading.get_ident()

    def borrow(*arguments, **options):
        if threading.get_ident() != here:
            raise MemoryError("no room for a workspace")
        return Engine._borrow(trainer._state.engine, *arguments, **options)

    monkeypatch.setattr(trainer._state.engine, "_borrow", borrow)
    with pytest.raises(MemoryError, match="no room for a workspace"):
        trainer.predict(np.zeros((5000, 4), np.float32))


def test_a_thread_that_cannot_start_abandons_those_that_did(monkeypatch):
    abandoned = threading.Event()

    started = []

    def start(*arguments) -> int:
        started.append(arguments)
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        return _thread.start_new_thread(*arguments)

    monkeypatch.setattr(teams, "start_new_thread", start)
    with pytest.raises(RuntimeError, match="can't start"):
        run_together(lambda thread: abandoned.wait(10), 3, abandoned.set)
    assert abandoned.is_set()


def test_an_interrupt_while_waiting_is_raised_when_the_others_have_ended():
    """Two of them: the second comes while the first is held back."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    ended = []

    def call(thread: int) -> None:
        if thread == 1:
            for _ in range(2):
                time.sleep(0.1)
                os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)
            ended.append(thread)

    try:
        with pytest.raises(KeyboardInterrupt):
            run_together(call, 3, lambda: None)
        assert ended == [1]
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_others_keep_off_this_core_which_may_go_where_it_could():
    seen = {}

    def look(thread: int) -> None:
        seen[thread] = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}

    run_together(look, 3, lambda: None)
    for thread in (1, 2):
        assert len(seen[thread]) == len(seen[0]) - (teams.other_cores() is not None)
        assert seen[thread] <= seen[0]
    if hasattr(os, "sched_getaffinity"):
        assert os.sched_getaffinity(0) == seen[0]


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(teams, "usable_cores", lambda: 2)


@pytest.mark.parametrize(
    ("sizes", "m", "team"),
    [((4, 8, 3), 16, 1), ((64, 32, 10), 32, 1), ((784, 30, 10), 10, 2), ((784, 128, 10), 128, 2)],
)
def test_the_first_guess(two_cores, sizes, m, team):
    assert TeamSize(sizes, m, 4, "auto").choose(10**6)[0] == team


def test_short_calls_are_not_worth_threads(two_cores):
    assert TeamSize((784, 128, 10), 32, 4, "auto").choose(1) == (1, 1)


@pytest.mark.parametrize(("asked", "team"), [(1, 1), (2, 2), (7, 2)])
def test_a_number_asked_for_is_tried_first_and_is_the_most(two_cores, asked, team):
    assert TeamSize((64, 32, 10), 32, 4, asked).choose(10**6)[0] == team


def play(size: TeamSize, pace: dict[int, float], calls: int) -> list[int]:
    """The choices of so many calls on a machine with such seconds a block."""
    chosen = []
    for _ in range(calls):
        threads, blocks = size.choose(100)
        size.record(threads, blocks, blocks * pace[threads])
        chosen.append(threads)
    return chosen


def test_the_clock_decides(two_cores):
    """Two threads until they become slow, one until they are fast again; and few trials of the slower."""
    size = TeamSize((784, 128, 10), 128, 4, "auto")
    quiet, busy = {1: 4e-4, 2: 2e-4}, {1: 6e-4, 2: 5e-3}
    assert play(size, quiet, 100).count(2) > 90
    assert play(size, busy, 100)[20:].count(1) > 60
    assert play(size, quiet, 1200)[-100:].count(2) > 90


def test_what_is_not_measured_yet_is_next(two_cores):
    """Also where the first call was too short for a team."""
    size = TeamSize((784, 128, 10), 128, 4, "auto")
    size.record(size.choose(1)[0], 1, 1e-3)
    assert play(size, {1: 4e-4, 2: 2e-4}, 20).count(2) > 13


def test_a_call_that_was_disturbed_changes_nothing(two_cores):
    size = TeamSize((784, 128, 10), 128, 4, "auto")
    play(size, {1: 4e-4, 2: 2e-4}, 4)
    play(size, {1: 4e-4, 2: 1e-3}, 1)
    assert play(size, {1: 4e-4, 2: 2e-4}, 20).count(2) > 15


def test_trials_take_little_time(two_cores):
    """Where the team is very slow, the time that goes into trials of it is bounded."""
    size, pace = TeamSize((784, 128, 10), 128, 4, "auto"), {1: 4e-4, 2: 2e-2}
    seconds = {1: 0.0, 2: 0.0}
    play(size, pace, 3)
    for _ in range(300):
        threads, blocks = size.choose(100)
        size.record(threads, blocks, blocks * pace[threads])
        seconds[threads] += blocks * pace[threads]
    assert 0 < seconds[2] < 0.06 * seconds[1]


def test_rows_are_shared_out_where_it_pays(two_cores):
    assert rows_team_size("auto", 10**9, 50) == 2
    assert rows_team_size("auto", 10**9, 1) == 1
    assert rows_team_size("auto", 10**6, 50) == 1
    assert rows_team_size(1, 10**9, 50) == 1
    assert rows_team_size(16, 10**9, 50) == 2


def test_usable_cores_is_what_the_scheduler_allows():
    assert teams.usable_cores() >= 1


def refused(*_):
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("names", [["setaffinity"], ["getaffinity"], ["setaffinity", "getaffinity"]])
@pytest.mark.parametrize("how", ["refused", "absent"])
def test_where_the_system_keeps_its_processors_to_itself_everything_goes_on(monkeypatch, names, how):
    """A sandbox's filter of system calls refuses; macOS and Windows have no such calls."""
    for name in names:
        if how == "refused":
            monkeypatch.setattr(os, f"sched_{name}", refused, raising=False)
        else:
            monkeypatch.delattr(os, f"sched_{name}", raising=False)
    assert teams.usable_cores() >= 1
    assert (teams.other_cores() is None) >= ("getaffinity" in names)
    teams.keep_to_share(0, 1)
    assert run_together(lambda thread: thread, 2, lambda: None) == 0
    X = y = np.eye(3)
    trainers = [Trainer([3, 4, 3], optimizer="adam", seed=seed) for seed in range(3)]
    outcomes = fit_many(trainers, X, y, epochs=4, n_threads=2, verbose=0)
    assert [(outcome.epochs, outcome.error) for outcome in outcomes] == [(4, None)] * 3


def test_trainers_in_several_threads_share_what_is_measured(two_cores):
    """A list that one thread reads while another one appends would be an error without the GIL."""
    size = TeamSize((784, 128, 10), 128, 4, "auto")
    size.record(1, 1, 1e-3)
    reading = iter(size.paces[1])
    size.record(1, 1, 2e-3)
    assert list(reading) == [1e-3]
    assert list(size.paces[1]) == [1e-3, 2e-3]
