from __future__ import annotations

import os
import time

import numpy as np
import pytest

from fastbp import Trainer, fit_many
from fastbp._engine import team as teams
from fastbp._engine.pool import crew_of
from fastbp._engine.team import Rest, TeamSize, rows_of_range, rows_team_size
from fastbp._engine.workspace import Workspace
from fastbp._kernels.tuning import LATE, LONGEST_REST, MULTIPLICATIONS_PER_SECOND, TARDY
from fastbp._library.library import ENTRY, library


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
    assert rows_team_size("auto", 10**5, 50) == 1
    assert rows_team_size(1, 10**9, 50) == 1
    assert rows_team_size(16, 10**9, 50) == 2


@pytest.mark.parametrize(
    ("n", "threads", "unit"), [(4096, 2, 12), (4096, 1, 12), (33, 2, 12), (513, 2, 256), (5, 3, 6)]
)
def test_ranges_are_whole_units_and_go_evenly_into_threads(n, threads, unit):
    count = rows_of_range(n, threads, unit)
    assert count % unit == 0
    assert 0 < count <= 256
    ranges = -(-n // count)
    assert ranges % threads == 0 or n < threads * unit or unit == 256


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
    teams.keep_to_share(0, 1)
    library("float64")  # a crew's workers need some library
    with crew_of(2) as crew:
        assert crew.run(ENTRY(lambda _, thread: thread), 0) == 0
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


def test_late_predictions_rest_for_longer_and_longer():
    rest, in_time, late = Rest(), 1 / MULTIPLICATIONS_PER_SECOND, 2 * TARDY / MULTIPLICATIONS_PER_SECOND
    assert not rest.lasts(0.0)
    rest.record(1.0, late)
    assert rest.lasts(1.0)
    assert not rest.lasts(1.0 + LATE)
    for _ in range(10):
        rest.record(2.0, late)
    assert rest.lasts(2.0 + LONGEST_REST - LATE)
    assert not rest.lasts(2.0 + LONGEST_REST)
    rest.record(10.0, in_time)
    rest.record(11.0, late)
    assert not rest.lasts(11.0 + LATE)


def test_a_late_prediction_of_one_row_is_followed_by_those_of_one_thread(monkeypatch):
    trainer = Trainer([1100, 1000, 1], n_threads=2, seed=0)
    X, counts = np.ones((1, 1100), np.float32), []
    engine = trainer._state.engine
    predict = Workspace.predict

    def counting(self, X, evaluate, threads=1):
        counts.append(threads)
        return predict(self, X, evaluate, threads)

    monkeypatch.setattr(Workspace, "predict", counting)
    monkeypatch.setattr(engine, "_threads", lambda *_: 2)
    first = trainer.predict(X)
    engine._rest.record(time.perf_counter(), 1.0)
    np.testing.assert_array_equal(trainer.predict(X), first)
    assert counts == [2, 1]
