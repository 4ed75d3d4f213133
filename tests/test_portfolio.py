"""The choice of the portfolio: from predictions that are invented, and from trainings on a small table."""

import argparse
import json

import numpy as np
import pandas as pd
import pytest

from bench import portfolio
from bench.portfolio_choice import Measured, chosen, orders_compared
from bench.table_folder import tables_of
from fastbp.tabular._configurations import Configuration


def invented(seed: int, errors: list[float], seconds: list[float], classes: bool = False) -> Measured:
    """Candidates whose predictions are independent, with these errors; the first one is the linear model."""
    rng = np.random.default_rng(seed)
    y, test_y = rng.normal(size=400), rng.normal(size=300)
    parts = [np.stack([part + error * rng.normal(size=len(part)) for error in errors]) for part in (y, test_y)]
    if classes:  # a small error is a large probability of the row's class
        parts = [1 / (1 + np.exp(np.abs(part - truth) - 2)) for part, truth in zip(parts, (y, test_y), strict=True)]
        y, test_y = np.zeros(400, int), np.zeros(300, int)
    return Measured(f"t{seed}", classes, parts[0], parts[1], np.array(seconds), y, test_y)


@pytest.mark.parametrize("classes", [False, True])
def test_the_better_one_is_tried_first(classes):
    results = [invented(seed, [2, 1.5, 0.3, 1.5], [0.1, 1, 1, 1], classes) for seed in range(3)]
    order, losses = chosen(results, 3, 0.5)
    assert order[0] == 1
    assert sorted(order) == [0, 1, 2]
    assert losses[0] < -0.3
    assert losses == sorted(losses, reverse=True)


def test_of_equals_the_quicker_one_is_tried_first():
    results = [invented(seed, [2, 0.5, 0.5], [0.1, 50, 1]) for seed in range(3)]
    assert chosen(results, 2, 0.5)[0] == [1, 0]
    slow = [invented(seed, [2, 0.4, 0.5], [0.1, 50, 1]) for seed in range(3)]
    assert chosen(slow, 1, 0.0)[0] == [0]


def test_orders_are_compared_on_rows_that_chose_nothing():
    results = [invented(seed, [2, 1.5, 1.5, 1.5, 0.3], [0.1, 1, 1, 1, 1]) for seed in range(3)]
    found = orders_compared(results, [1, 4], 0.5, seed=0)
    assert found["its tables"][0] == pytest.approx(found["other tables"][0])
    assert found["its tables"][0] < found["random"][0] - 0.1
    assert found["its tables"][1] == pytest.approx(found["random"][1])  # of all four, the order says nothing


def test_candidates_have_readable_numbers_and_are_unique():
    everyone = portfolio.candidates(False, 5, 0)
    names = [portfolio.name_of(one.record()) for one in everyone]
    assert len(set(names)) == len(names) >= 5
    assert portfolio.rounded({"a": 0.123456, "b": {"c": 1234567.0}, "d": 3}) == {
        "a": 0.123,
        "b": {"c": 1230000.0},
        "d": 3,
    }
    assert portfolio.candidates(False, 5, 0) == everyone


@pytest.fixture
def given(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        X = rng.normal(size=(60, 2))
        frame = pd.DataFrame({"x": X[:, 0], "colour": np.where(X[:, 1] > 0, "red", "blue"), "y": X.sum(1)})
        frame.assign(y=frame["y"] > 0).to_csv(tmp_path / f"{name}-classes.csv", index=False)
        frame.to_csv(tmp_path / f"{name}-numbers.csv", index=False)
    records = [
        {
            "name": f"{name}-{kind}",
            "file": f"{name}-{kind}.csv",
            "header": True,
            "target": "y",
            "classes": kind == "classes",
        }
        for name in ("a", "b")
        for kind in ("classes", "numbers")
    ]
    (tmp_path / "tables.json").write_text(json.dumps(records))
    few = {
        classes: [Configuration(hidden=(4,), epochs=3), Configuration(hidden=(5,), epochs=3)]
        for classes in (True, False)
    }
    monkeypatch.setattr(portfolio, "candidates", lambda classes, samples, seed: few[classes])
    return tmp_path


def test_trainings_are_kept_and_the_portfolio_is_written(given, monkeypatch, capsys):
    trained = []
    real = portfolio.train
    monkeypatch.setattr(portfolio, "train", lambda *arguments: trained.append(arguments[2]) or real(*arguments))
    path = given / "portfolio.json"
    monkeypatch.setattr(portfolio, "ROOT", given)
    monkeypatch.setattr(portfolio, "FILE", path)
    command = ["portfolio", "--tables", str(given), "--folder", str(given / "kept"), "--length", "2", "--jobs", "1"]
    monkeypatch.setattr("sys.argv", [*command, "--write"])
    portfolio.main()
    assert len(trained) == 4 * 3
    written = json.loads(path.read_text())
    assert {kind: sorted(one["hidden"] for one in records) for kind, records in written.items()} == {
        "classes": [[4], [5]],
        "numbers": [[4], [5]],
    }
    assert "other tables" in capsys.readouterr().out
    path.unlink()
    portfolio.main()
    assert len(trained) == 4 * 3  # nothing is trained twice
    assert json.loads(path.read_text()) == written


def test_a_table_without_all_its_trainings_chooses_nothing(given):
    table = tables_of(given)[1]
    options = argparse.Namespace(tables=given, folder=given / "kept", rows=50, seconds=10.0, jobs=1)
    everyone = portfolio.candidates(False, 0, 0)
    portfolio.measure(table, everyone[:1], options)
    assert portfolio.measured(table, everyone, options) is None
    found = portfolio.measured(table, everyone[:1], options)
    assert (found.oof.shape, found.test.shape, found.seconds.shape) == ((2, 40), (2, 10), (2,))
