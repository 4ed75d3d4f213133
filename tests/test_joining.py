"""Networks that train on different rows and become one: the same output, honest figures, the better kind of network."""

import json

import numpy as np
import pandas
import pytest

from fastbp import Trainer, tables
from fastbp._cli import joining
from fastbp._cli.fitting import Samples
from fastbp._cli.joining import Tried, chosen, join, least_squares, parts_of
from fastbp._cli.plan import Plan
from tests.commands import run


def table(name: str, n: int, answer, classes: bool, seed=0) -> pandas.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pandas.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n), "c": rng.choice(["x", "y", "z"], n)})
    y = answer(frame)
    frame["y"] = np.where(y > np.median(y), "high", "low") if classes else y
    frame.to_csv(f"{name}.csv", index=False)
    return frame


def curved(frame):
    return np.sin(2 * frame["a"]) * frame["b"] + (frame["c"] == "x")


def straight(frame):
    return 3 * frame["a"] - frame["b"] + 2 * (frame["c"] == "x") + 100


@pytest.mark.parametrize(
    ("hidden", "output", "loss"),
    [
        ((), 1, "squared_error"),
        ((5,), 1, "binary_cross_entropy"),
        ((4, 3), 3, "cross_entropy"),
        ((3, 4, 2), 2, "squared_error"),
    ],
)
def test_a_joined_network_answers_the_mean_of_its_parts(hidden, output, loss):
    parts = [Trainer([6, *hidden, output], loss=loss, seed=i, epsilon=0.5, dtype="float64") for i in range(3)]
    whole = Trainer([6, *(3 * size for size in hidden), output], loss=loss, dtype="float64")
    join(parts, whole)
    X = np.random.default_rng(0).normal(size=(20, 6))

    def before_activation(trainer):
        answer = trainer.predict(X)
        if loss == "cross_entropy":
            answer = np.log(answer)
            return answer - answer.mean(axis=1, keepdims=True)
        return np.log(answer / (1 - answer)) if loss == "binary_cross_entropy" else answer

    expected = np.mean([before_activation(part) for part in parts], axis=0)
    np.testing.assert_allclose(before_activation(whole), expected, rtol=1e-9, atol=1e-12)
    assert not np.allclose(before_activation(parts[0]), expected)


def test_least_squares_is_ridge_regression():
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50, 4)), rng.normal(size=50)
    weights, bias = least_squares(Samples(X, y), l2=3 / 50)
    ridge = linear_model.Ridge(alpha=3).fit(X, y)
    np.testing.assert_allclose(weights[0], ridge.coef_)
    np.testing.assert_allclose(bias[0], ridge.intercept_)


def test_each_row_validates_one_network():
    groups = np.repeat([0, 1, 2], [70, 25, 5])
    parts = parts_of(groups, 0.2, 5, seed=0)
    assert sorted(np.concatenate([validating for _, validating in parts])) == list(range(100))
    for training, validating in parts:
        assert len(set(training) & set(validating)) == 0
        assert len(training) + len(validating) == 100
        assert np.bincount(groups[validating]).tolist() == [14, 5, 1]


def tried(hidden, losses):
    losses = np.array(losses, float)
    return Tried(Plan(hidden, 1, 1, {}), [], np.arange(len(losses)), losses[:, None], losses, False)


def test_a_linear_model_is_kept_unless_another_is_clearly_better():
    rng = np.random.default_rng(0)
    linear = rng.exponential(size=100)
    slightly, clearly = linear - 0.01 + rng.normal(size=100), linear - 0.5 + rng.normal(size=100)
    for better, expected in ((slightly - slightly.mean() + linear.mean() - 0.01, ()), (clearly, (3,))):
        for order in (1, -1):
            assert chosen([tried((3,), better), tried((), linear)][::order]).plan.hidden == expected


def test_the_validation_figures_are_measured_of_each_network(folder, capsys, monkeypatch):
    table("curved", 100, curved, classes=False)
    outcomes = []
    given = joining.fit_many
    monkeypatch.setattr(joining, "fit_many", lambda *a, **b: outcomes.extend(given(*a, **b)) or outcomes)
    assert run("train curved.csv --target y --out model.npz --seed 0 --json --hidden 8 --networks 5 --epochs 5") == 0
    found = json.loads(capsys.readouterr().out)
    trainer = Trainer.load("model.npz")
    frame = pandas.read_csv("curved.csv", dtype=str)
    X = tables.training_inputs(trainer._table, frame)
    parts = [outcome.trainer for outcome in outcomes]
    np.testing.assert_allclose(trainer.predict(X), np.mean([part.predict(X) for part in parts], axis=0), atol=1e-5)
    errors = [min(outcome.history["val_loss"]) for outcome in outcomes]  # ½ (y − a)² of scaled numbers
    assert found["network"][1] == 5 * 8
    scale = trainer._table.target.deviation
    assert found["validation"]["measured"]["rmse"] == pytest.approx(scale * np.sqrt(2 * np.mean(errors)), rel=1e-4)
    assert found["best_epochs"] == [1 + int(np.argmin(outcome.history["val_loss"])) for outcome in outcomes]


def test_linear_tables_get_linear_models(folder, capsys):
    frame = table("straight", 200, straight, classes=False)
    assert run("train straight.csv --target y --out model.npz --seed 0") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "no hidden layer" in told
    assert "least squared error" in told
    assert Trainer.load("model.npz").layer_sizes[1:] == (1,)
    assert run("info model.npz") == 0
    assert "least squared error" in " ".join(capsys.readouterr().out.split())
    assert run("predict model.npz straight.csv --out answers.csv") == 0
    error = pandas.read_csv("answers.csv")["y"] - frame["y"]
    assert np.sqrt((error**2).mean()) < 0.01 * frame["y"].std()


def test_curved_tables_get_hidden_layers(folder, capsys):
    frame = table("curved", 400, curved, classes=False)
    assert run("train curved.csv --target y --out model.npz --seed 0 --json") == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["network"]) > 2
    assert found["validation"]["measured"]["r2"] > 0.6
    again = pandas.read_csv("curved.csv")
    assert len(again) == len(frame)


def test_the_same_seed_gives_the_same_model(folder):
    table("curved", 60, curved, classes=True)
    for name, threads in (("one", 1), ("two", 2)):
        assert run(f"train curved.csv --target y --out {name}.npz --seed 3 --quiet --epochs 9 --threads {threads}") == 0
    one, two = (Trainer.load(f"{name}.npz").get_weights() for name in ("one", "two"))
    for array, other in zip(one, two, strict=True):
        np.testing.assert_array_equal(array, other)


def test_class_weights(folder, capsys):
    table("curved", 80, curved, classes=True)
    assert run("train curved.csv --target y --out model.npz --seed 0 --json --epochs 5 --class-weight balanced") == 0
    assert json.loads(capsys.readouterr().out)["validation"]["rows"] == 80


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--networks 3 --resume", "--networks: expected 1 with --resume, got 3"),
        ("--networks 9", "--networks: expected at most 5, because --validation 0.2"),
        ("--networks 2 --validation 0", "--networks: expected at most 1, because"),
        ("--networks 0", "--networks: expected"),
    ],
)
def test_errors(folder, capsys, options, expected):
    table("curved", 40, curved, classes=False)
    assert run(f"train curved.csv --target y --out model.npz {options}") == 2
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize("options", ["--hidden 4", "--validation 0", "--networks 1", "--resume"])
def test_one_network(folder, capsys, options):
    table("curved", 40, curved, classes=False)
    assert run(f"train curved.csv --target y --out model.npz --seed 0 --epochs 2 --json {options}") == 0
    assert json.loads(capsys.readouterr().out)["best_epochs"] == []


def test_ctrl_c_joins_what_has_trained(folder, capsys, monkeypatch):
    table("curved", 60, curved, classes=False)
    given = joining.fit_many

    def interrupted(trainers, X, y, **options):
        outcomes = given(trainers[:2], X[:2], y[:2], **options | {"validation_data": options["validation_data"][:2]})
        rest = given(
            trainers[2:], X[2:], y[2:], **options | {"validation_data": options["validation_data"][2:], "epochs": 0}
        )
        for outcome in rest:
            outcome._history.interrupted = True
        return [*outcomes, *rest]

    monkeypatch.setattr(joining, "fit_many", interrupted)
    assert run("train curved.csv --target y --out model.npz --seed 0 --json --hidden 4 --networks 5 --epochs 3") == 130
    found = json.loads(capsys.readouterr().out)
    assert (found["ending"], found["network"][1], found["validation"]["rows"]) == ("interrupted", 8, 24)
    assert Trainer.load("model.npz").layer_sizes[1] == 8
