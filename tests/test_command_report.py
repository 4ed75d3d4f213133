"""The figures of a report, and its text."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sklearn import metrics

from fastbp import Trainer
from fastbp._cli import report
from fastbp._cli.text import aligned, described, figure, shortened, width_of
from fastbp._files.training_report import TrainingReport
from fastbp._records import ModelFileError

RNG = np.random.default_rng(0)


def probabilities(n: int, k: int) -> np.ndarray:
    output = RNG.uniform(0.05, 1, size=(n, k))
    return (output / output.sum(axis=1, keepdims=True)).astype(np.float32)


def test_figures_of_several_classes_are_scikit_learns():
    names, truth, output = list("abcd"), RNG.integers(0, 4, 200), probabilities(200, 4)
    found = report.of_classes(names, truth, output, ("accuracy", "log_loss", "auc", "balanced_accuracy"))
    predicted, exact = output.argmax(axis=1), output.astype(float) / output.sum(axis=1, keepdims=True, dtype=float)
    measured = found["measured"]
    assert measured["accuracy"] == metrics.accuracy_score(truth, predicted)
    assert measured["log_loss"] == pytest.approx(metrics.log_loss(truth, exact))
    assert measured["auc"] == pytest.approx(metrics.roc_auc_score(truth, exact, multi_class="ovr"), abs=1e-6)
    assert measured["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, predicted))
    shares = np.bincount(truth) / 200
    assert found["baseline"]["log_loss"] == pytest.approx(metrics.log_loss(truth, np.tile(shares, (200, 1))))
    assert found["baseline"]["accuracy"] == shares.max()
    assert found["confusion"] == metrics.confusion_matrix(truth, predicted).tolist()
    recall = metrics.recall_score(truth, predicted, average=None)
    assert [row["recall"] for row in found["classes"]] == pytest.approx(list(recall))
    assert [row["rows"] for row in found["classes"]] == np.bincount(truth).tolist()


def test_figures_of_two_classes_in_one_output():
    truth, output = RNG.integers(0, 2, 100), RNG.uniform(0.01, 0.99, size=(100, 1)).astype(np.float32)
    found = report.of_classes(["no", "yes"], truth, output)
    assert found["measured"]["auc"] == metrics.roc_auc_score(truth, output[:, 0])
    assert found["measured"]["log_loss"] == pytest.approx(metrics.log_loss(truth, output[:, 0].astype(float)))
    assert found["confusion"] == metrics.confusion_matrix(truth, output[:, 0] > 0.5).tolist()


def test_a_class_that_the_model_does_not_know_is_predicted_wrong():
    """It counts in the accuracy and in no other figure."""
    truth, output = RNG.integers(0, 3, 90), probabilities(90, 3)
    without = report.of_classes(list("abc"), truth, output)
    with_ten = report.of_classes(list("abc"), np.r_[truth, [-1] * 10], np.r_[output, probabilities(10, 3)])
    assert with_ten["rows"] == 100
    assert with_ten["measured"]["accuracy"] == pytest.approx(without["measured"]["accuracy"] * 0.9)
    assert with_ten["measured"]["log_loss"] == without["measured"]["log_loss"]
    assert with_ten["classes"] == without["classes"]


def test_only_unknown_classes_are_all_wrong():
    found = report.of_classes(list("abc"), np.full(4, -1), probabilities(4, 3))
    assert found["measured"] == {"accuracy": 0}
    assert "accuracy" in report.text({"this table": found}, of_numbers=False)


def test_a_class_that_does_not_occur_leaves_the_others_area():
    truth, output = np.array([0, 1, 1, 0, 1]), probabilities(5, 3)
    expected = np.mean([metrics.roc_auc_score(truth == j, output[:, j]) for j in (0, 1)])
    assert report.of_classes(list("abc"), truth, output)["measured"]["auc"] == pytest.approx(expected, abs=1e-6)
    one = report.of_classes(list("abc"), np.zeros(5, int), output)
    assert math.isnan(one["measured"]["auc"])
    assert "AUC" in report.text({"this table": one}, of_numbers=False)


def test_figures_of_numbers_are_scikit_learns():
    truth, predicted = RNG.normal(100, 30, 50), RNG.normal(100, 30, 50)
    found = report.of_numbers(truth, predicted)
    assert found["measured"]["r2"] == pytest.approx(metrics.r2_score(truth, predicted))
    assert found["measured"]["mae"] == pytest.approx(metrics.mean_absolute_error(truth, predicted))
    assert found["measured"]["rmse"] == pytest.approx(metrics.root_mean_squared_error(truth, predicted))
    assert found["baseline"]["rmse"] == pytest.approx(truth.std())
    text = report.text({"validation": found, "training": found}, of_numbers=True)
    assert text.splitlines()[0].split("  ")[-1] == "predicting the mean"


def test_a_matrix_of_few_classes_is_shown_and_of_many_the_confused_pairs():
    truth = RNG.integers(0, 12, 500)
    few = report.text(
        {"x": report.of_classes([f"c{i}" for i in range(12)], truth, probabilities(500, 12))}, of_numbers=False
    )
    assert "true class / predicted" in few
    names = [f"c{i}" for i in range(150)]
    many = report.of_classes(names, RNG.integers(0, 150, 3000), probabilities(3000, 150))
    assert len(many["confusion"]) == report.PAIRS
    assert many["confusion"][0]["rows"] >= many["confusion"][-1]["rows"] > 0
    text = report.text({"x": many}, of_numbers=False)
    assert "The most confused classes:" in text
    assert "the 30 classes of 150 with the lowest f1" in text
    assert max(map(len, text.splitlines())) < 100
    json.dumps(many)


def test_perfect_predictions_of_many_classes_confuse_none():
    output = np.eye(40)[np.arange(80) % 40] * 0.99 + 0.00025
    found = report.of_classes([f"c{i}" for i in range(40)], np.arange(80) % 40, output)
    assert "No class is confused with another." in report.text({"x": found}, of_numbers=False)


def test_lines_are_aligned_also_with_wide_letters():
    lines = aligned([["class", "n"], ["赤", "1"], ["é", "10"], ["e\u0301", "100"]]).splitlines()
    assert len({width_of(line) for line in lines}) == 1
    assert shortened("x" * 50, 10) == "x" * 9 + "…"
    assert shortened("a\nb\x1b[31m", 20) == "a b\\x1b[31m"


def test_prose_in_a_table_is_wrapped(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    text = described([("name", "number", "word " * 40), ("n" * 50, "category", "few")], ("column", "kind", "becomes"))
    assert max(map(len, text.splitlines())) <= 60
    assert text.count("word") == 40
    assert "n" * 19 + "…" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.12345, "0.1235"), (math.nan, "-"), (53921.44, "53921.4"), (1e12, "1e+12"), (-3, "-3.0000")],
)
def test_figures(value, text):
    assert figure(value) == text


GOOD = TrainingReport(
    rows=10,
    validation_rows=2,
    without_target=1,
    epochs=200,
    patience=15,
    trained=30,
    best_epoch=15,
    ending="patience",
    measured={"training": {"accuracy": 0.5}},
).record()


def test_a_report_is_stored_in_the_model_file(tmp_path):
    trainer = Trainer([2, 1])
    trainer._state.report = GOOD
    trainer.save(tmp_path / "model.npz")
    loaded = Trainer.load(tmp_path / "model.npz")
    assert loaded._state.report == GOOD
    assert TrainingReport.from_record(loaded._state.report).record() == GOOD


@pytest.mark.parametrize(
    "change",
    [
        {"rows": -1},
        {"rows": True},
        {"rows": 1 << 63},
        {"best_epoch": 1.5},
        {"best_epochs": [1, -1]},
        {"best_epochs": ["1"]},
        {"ending": "never"},
        {"class_weight": "other"},
        {"measured": []},
        {"measured": {"training": 1}},
        {"measured": {"training": {"accuracy": "1"}}},
        {"measured": {"training": {"accuracy": 1}}},
        {"more": 1},
    ],
)
def test_a_forged_report_is_refused(change, tmp_path):
    with pytest.raises(ModelFileError):
        TrainingReport.from_record(GOOD | change)
    trainer = Trainer([2, 1])
    trainer._state.report = GOOD | change
    trainer.save(tmp_path / "model.npz")
    with pytest.raises(ModelFileError):
        Trainer.load(tmp_path / "model.npz")
