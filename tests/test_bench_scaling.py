"""The arithmetic of bench/scaling.py with made-up numbers, and a job of two ranks if MPI is installed."""

from __future__ import annotations

import math

import pytest

from bench import scaling
from bench.scaling import Link, Pace
from tests.stress._mpi import MISSING

LINK = Link(1e-5, 1e9, 1)
PACE = Pace(1e-10, 2e-10)


def test_an_all_reduce_by_the_model():
    assert scaling.reduce_seconds(1, 1e6, LINK) == 0
    assert scaling.reduce_seconds(2, 1e6, LINK) == pytest.approx(2e-5 + 1e-3)
    assert scaling.reduce_seconds(5, 1e6, LINK) == pytest.approx(6e-5 + 1.6e-3)


@pytest.mark.parametrize("ranks", [2, 4, 7])
def test_a_fit_finds_what_the_times_were_made_of(ranks):
    times = {size: scaling.reduce_seconds(ranks, size, LINK) for size in scaling.SIZES}
    assert scaling.fitted(ranks, times)[:2] == pytest.approx(LINK[:2])
    steps = {rows: 1000 * (rows * PACE.sample + PACE.update) for rows in (32, 64, 128)}
    assert scaling.pace_of(1000, steps) == pytest.approx(PACE)


@pytest.mark.parametrize("ranks", [2, 8])
@pytest.mark.parametrize("threads", [1, 4])
def test_where_it_begins_to_pay(ranks, threads):
    link = LINK._replace(threads=threads)

    def gain(weights, batch):
        """Return the seconds that are saved."""
        one = weights * batch * PACE.sample / threads
        return one * (1 - 1 / ranks) - scaling.reduce_seconds(ranks, 4 * weights, link)

    least = scaling.least_batch(PACE, link)
    assert least == pytest.approx(80 * threads)
    assert math.isinf(scaling.least_weights(int(least), ranks, PACE, link))
    batch = int(2 * least)
    weights = scaling.least_weights(batch, ranks, PACE, link)
    assert gain(weights, batch) == pytest.approx(0, abs=1e-12)
    assert gain(1.1 * weights, batch) > 0 > gain(0.9 * weights, batch)


def test_the_best_number_of_ranks():
    assert scaling.best_ranks(10**6, 40, PACE, LINK) == (1, 1.0)
    ranks, gain = scaling.best_ranks(10**6, 4096, PACE, LINK)
    every = [
        (1e6 * 4096e-10 + 2e-4) / (1e6 * 4096e-10 / n + 2e-4 + scaling.reduce_seconds(n, 4e6, LINK))
        for n in (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
    ]
    assert gain == pytest.approx(max(every))
    assert ranks == 2 << every.index(max(every))
    assert scaling.best_ranks(10**6, 4096, PACE, LINK, most=4)[0] == 4


def test_a_step_is_split():
    """The second of two ranks reaches each all-reduce, of 2 s, 1 s later. There is a pause between the epochs."""
    first, second = [], []
    for start in (0.0, 10.0, 20.0, None, 100.0, 110.0):
        first.append(None if start is None else (start, start + 3))
        second.append(None if start is None else (start + 1, start + 3))
    assert scaling.split([first, second]) == {"step": 10, "computing": 7.5, "reduce": 2, "waiting": 0.5}


def test_tables():
    name = "64-32-10, 32"

    def each(step):
        return {
            "step": step,
            "computing": step / 2,
            "reduce": step / 4,
            "waiting": step / 4,
            "bytes": 10_000,
            "weights": 9,
        }

    found = {
        1: {"steps": {name: {32: each(1e-4), 16: each(6e-5), 8: each(4e-5)}}},
        2: {"steps": {name: {32: each(8e-5), 64: each(2e-4)}}},
        4: {"steps": {name: {32: each(5e-5), 128: each(2e-4)}}},
    }
    lines = scaling.table(found, LINK, cores=2)
    assert len(lines) == 2 + 5
    assert "| 64-32-10, 32 | 1 | 100 | 50 | 25 | 25 | 100 | 1.00 |" in lines
    assert "| 64-32-10, 32 | 2 | 80 | 40 | 20 | 20 | 90 | 1.25 |" in lines  # 60 + 2 · 10 + 10
    assert "| 64-32-10, 32 | 4 | 50 | 25 | 12 | 12 | 135 | 2.00 |" in lines  # 2 · 40 + 4 · 10 + 15
    assert "| 64-32-10, 64 | 2 | 200 | 100 | 50 | 50 | 130 | 1.00 |" in lines
    assert "| 64-32-10, 128 | 4 | 200 | 100 | 50 | 50 | 255 | 2.00 |" in lines
    lines = scaling.pays(PACE, LINK, 2)
    assert len(lines) == 2 + 1 + len(scaling.ASSUMED)
    assert lines[2].startswith("| threads of this machine | 10.0 | 1.0 | 80 | ")
    assert any("| none |" in line for line in lines)


@pytest.mark.skipif(bool(MISSING), reason=f"no {' and no '.join(MISSING)} on this machine")
def test_a_job_measures():
    name = "64-32-10, 32"
    found = scaling.job(2, [name], 0.01)
    assert set(found["reduces"]) == set(scaling.SIZES)
    assert set(found["steps"][name]) == {32, 64}
    for each in found["steps"][name].values():
        assert each["step"] >= each["computing"] > 0
        assert each["reduce"] > 0
        assert each["bytes"] >= 4 * each["weights"] == 4 * (64 * 32 + 32 + 32 * 10 + 10)
