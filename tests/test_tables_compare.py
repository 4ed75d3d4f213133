"""The comparison of tabular models: its tables, splits, scores, ranks and page. No model takes long here."""

import argparse
import json

import numpy as np
import pandas as pd
import pytest

from bench import ranks, table_cell, table_folder, tables_compare, tables_large
from bench.table_folder import PUBLIC, Task, tables_of
from bench.table_models import MODELS
from bench.tables_compare import Cell, Name

SHOP = [
    {"name": "shop", "file": "shop.csv", "header": True, "target": "sold", "classes": True, "left_out": ["id"]},
    {"name": "prices", "file": "prices.csv", "header": False, "target": 2, "classes": False},
]


@pytest.fixture
def folder(tmp_path):
    rows = pd.DataFrame(
        {
            "id": np.arange(50),
            "colour": ["red", "blue", None, "green", "red"] * 10,
            "price": np.arange(50) % 7 + 0.5,
            "sold": ["yes" if i % 3 else "no" for i in range(49)] + [None],
        }
    )
    rows.to_csv(tmp_path / "shop.csv", index=False)
    rows.drop(columns="sold").to_csv(tmp_path / "prices.csv", index=False, header=False)
    (tmp_path / "tables.json").write_text(json.dumps(SHOP))
    return tmp_path


def test_the_public_tables_can_be_read():
    for table in tables_of(PUBLIC):
        if not (PUBLIC / table.file).exists():
            pytest.skip("a source distribution has no public tables")
        X, y = table_folder.columns(PUBLIC, table)
        assert len(X) == len(y) > 500
        assert not set(table.left_out) & set(X)
        assert np.unique(y).size == 2 if table.classes else np.isfinite(y).all()


def test_rows_are_divided(folder):
    shop, prices = tables_of(folder)
    given = table_folder.task(folder, shop, 0, rows=5000)
    assert (len(given.y), len(given.test_y), given.n_classes) == (39, 10, 2)
    assert list(given.X) == ["colour", "price"]
    assert given.categories == ["colour"]
    assert len(table_folder.task(folder, shop, 0, rows=20).y) == 16
    given = table_folder.task(folder, prices, 1, rows=5000)
    assert sorted([*given.X["0"], *given.test_X["0"]]) == list(range(50))
    other = table_folder.task(folder, prices, 2, rows=5000)
    assert given.X["0"].tolist() != other.X["0"].tolist()


def test_scores():
    given = Task(pd.DataFrame(), np.zeros(0), pd.DataFrame(), np.array([0, 1, 1]), 2)
    found = table_folder.scores(given, np.array([[0.5, 0.5], [0.2, 0.8], [1, 0]]))
    assert found["log_loss"] == pytest.approx(-(np.log(0.5) + np.log(0.8) + np.log(1e-7)) / 3)
    assert found["accuracy"] == pytest.approx(2 / 3)
    given = Task(pd.DataFrame(), np.zeros(0), pd.DataFrame(), np.array([1.0, 2, 3]), 0)
    assert table_folder.scores(given, np.array([1.0, 2, 4])) == {
        "rmse": pytest.approx(np.sqrt(1 / 3) / np.std([1, 2, 3]))
    }


@pytest.mark.parametrize("name", ["fastbp", "linear", "boosting", "mlp"])
def test_models_predict_the_other_rows(folder, name):
    for table in tables_of(folder):
        options = argparse.Namespace(
            folder=folder, table=table.name, model=name, split=0, rows=5000, seconds=0.5, threads=1
        )
        found = table_cell.measure(options)
        assert all(0 <= value < 3 for value in found["scores"].values())
        assert found["processor"] > 0
        assert list(found["versions"]) == ["fastbp" if name == "fastbp" else "scikit-learn"]
        assert ("covered" in found) == (name == "fastbp" and not table.classes)


def test_a_class_that_no_row_trains_has_probability_0():
    from sklearn.linear_model import LogisticRegression

    from bench.table_models import probabilities

    X = np.arange(8.0).reshape(4, 2)
    given = Task(pd.DataFrame(X), np.array([0, 2, 2, 0]), pd.DataFrame(X), np.array([1, 1, 1, 1]), 3)
    P = probabilities(LogisticRegression().fit(X, given.y), X, given)
    assert P.shape == (4, 3)
    assert (P[:, 1] == 0).all()
    assert P.sum(1) == pytest.approx(np.ones(4))


def test_ranks_and_their_critical_difference():
    losses = np.array([[1.0, 2, 3], [2, 1, 3], [1, 1, 2]])
    assert ranks.ranks(losses) == pytest.approx([4.5 / 3, 4.5 / 3, 3])
    assert ranks.critical_difference(4, 14) == pytest.approx(1.25, abs=0.01)  # Demšar's example
    assert ranks.critical_difference(5, 30) == pytest.approx(1.11, abs=0.01)
    assert ranks.chance(np.repeat([[1.0, 2, 3]], 10, axis=0)) < 1e-4
    assert ranks.chance(losses) > 0.05


def test_groups_of_models_that_do_not_differ():
    assert ranks.alike(np.array([1.0, 2.0, 2.9, 5.0]), 1.0) == [(0, 1), (1, 2)]
    assert ranks.alike(np.array([3.0, 1.0, 2.0]), 2.5) == [(0, 2)]
    assert ranks.alike(np.array([1.0, 3.0, 5.0]), 1.0) == []


def test_the_plot_names_each_model_and_has_the_same_bytes_again(tmp_path):
    names, places = ["fastbp, 10 s", "trees", "linear"], np.array([1.2, 2.0, 2.8])
    for name in ("a.svg", "b.svg"):
        ranks.draw(names, places, 1.1, "Mean ranks", tmp_path / name)
    text = (tmp_path / "a.svg").read_text("utf-8")
    assert all(name in text for name in names)
    assert "critical difference 1.10" in text
    assert text == (tmp_path / "b.svg").read_text("utf-8")


@pytest.fixture
def given(folder):
    return argparse.Namespace(
        tables=folder,
        folder=folder / "kept",
        rows=5000,
        models=["fastbp", "linear", "mlp"],
        splits=2,
        seconds=[10.0],
        threads=2,
        known=False,
        write=False,
    )


LOSSES = {"fastbp": [0.5, 0.7], "linear": [0.4, 0.6], "mlp": [0.9, 0.9]}


def pretended(cell: Cell, given: argparse.Namespace) -> dict:
    if cell.model == "mlp" and cell.split == 1:
        return {"failure": "no memory"}
    loss = LOSSES[cell.model][cell.split] - (0.2 if cell == Cell("shop", "fastbp", cell.split, 10.0) else 0)
    measure = "log_loss" if cell.table == "shop" else "rmse"
    found = {"scores": {measure: loss}, "processor": 3.0, "wall": 2.0, "rows": 40, "versions": {"numpy": "2"}}
    return found | ({"covered": 0.88 + 0.03 * cell.split} if cell[:2] == ("prices", "fastbp") else {})


def test_a_run_continues_where_it_was_stopped(given, monkeypatch, capsys):
    asked = []

    def measure(cell, given):
        asked.append(cell)
        return pretended(cell, given)

    monkeypatch.setattr(tables_compare, "measure", measure)
    tables = tables_of(given.tables)
    first = tables_compare.run(tables, given)
    assert len(asked) == 12
    assert len(first) == 10
    assert "prices, scikit-learn's MLP, split 1: no memory" in capsys.readouterr().out
    asked.clear()
    assert tables_compare.run(tables, given) == first
    assert {(cell.model, cell.split) for cell in asked} == {("mlp", 1)}  # what failed is tried again
    asked.clear()
    given.known = True
    assert tables_compare.run(tables, given) == first
    assert asked == []


def test_the_page(given, monkeypatch):
    monkeypatch.setattr(tables_compare, "measure", pretended)
    tables = tables_of(given.tables)
    found = tables_compare.run(tables, given)
    names = [Name("fastbp", 10.0), Name("linear", 0.0), Name("mlp", 0.0)]
    assert tables_compare.ranked(found, tables, names) == names
    less = {cell: record for cell, record in found.items() if cell[:2] != ("shop", "linear")}
    assert tables_compare.ranked(less, tables, names) == [names[0], names[2]]
    lines = tables_compare.page(found, tables, names, given)
    assert "| shop | 40 | **0.400** | 0.500 | 0.900 (1) |" in lines
    assert "| prices | 40 | 0.600 | **0.500** | 0.900 (1) |" in lines
    told = "The 90 % intervals of fastbp, 10 s, contain this share of the test targets: prices 89.5 %."
    assert told in lines
    models = {line.split(" | ")[0]: line.split(" | ")[1:-1] for line in lines}
    assert models["| fastbp, 10 s"] == ["1.00", "2.00", "–", "3.0"]
    assert models["| linear"] == ["2.00", "1.00", "1 of 2", "3.0"]
    assert models["| scikit-learn's MLP"] == ["3.00", "3.00", "2 of 2", "3.0"]


def test_every_model_has_a_title_of_its_own():
    assert len({kind.title for kind in MODELS.values()}) == len(MODELS)


@pytest.mark.parametrize("classes", [0, 3])
def test_the_large_table_has_numbers_and_categories(classes):
    X, y = tables_large.table(300, 10, classes, seed=0)
    assert [X[name].dtype == "category" for name in X] == ([False] * 4 + [True]) * 2
    assert (np.bincount(y) == 100).all() if classes else y.std() > 1
