"""ONNX models of tabular estimators give what `predict` gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeRegressor

from fastbp._files.columns import Categories, Dates
from fastbp.tabular import RealMLPClassifier, RealMLPRegressor, TabularClassifier, TabularRegressor
from fastbp.tabular._configurations import Configuration
from fastbp.tabular._constant import Constant
from fastbp.tabular._fitted import weighted
from fastbp.tabular._views import ViewSpec

OPTIONS = {"max_seconds": None, "cv": 2, "n_jobs": 1, "random_state": 0}
RNG = np.random.default_rng(0)
N = 300
pytestmark = pytest.mark.filterwarnings("ignore:column:UserWarning")


def table() -> pd.DataFrame:
    days = pd.Timestamp("2019-11-20 10:00") + pd.to_timedelta(RNG.integers(0, 24 * 900, N), "h")
    frame = pd.DataFrame(
        {
            "size": RNG.normal(size=N),
            "price": np.exp(2 * RNG.normal(size=N)),
            "stamp": 1.7e9 + RNG.uniform(0, 1e4, N),
            "count": RNG.integers(0, 4, N),
            "colour": RNG.choice(["red", "green", "blue", "é"], N),
            "code": RNG.choice([f"c{i}" for i in range(40)], N),
            "sold": RNG.choice(["no", "yes"], N),
            "day": days,
        }
    )
    frame.loc[::7, "size"], frame.loc[::5, "colour"], frame.loc[::11, "day"] = np.nan, None, pd.NaT
    return frame


X = table()
Y = np.log(X["price"]) + (X["colour"] == "red") + X["size"].fillna(0) * X["count"] + 1e-4 * (X["stamp"] - 1.7e9)
NEW = X.iloc[:40].copy()
NEW["colour"] = NEW["colour"].astype(object)
NEW.loc[:3, "colour"], NEW.loc[4, "size"], NEW.loc[5, "price"], NEW.loc[6, "price"] = "black", 1e9, -3.0, np.nan
NEW.loc[7, "day"] = pd.Timestamp("1931-02-28 23:59:59")
NEW.loc[8, "day"] = pd.Timestamp("2100-03-01")


def fed(estimator, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """What the model takes of a frame."""
    found = {}
    for column in estimator.columns_:
        series = frame[column.name]
        if isinstance(column, Categories):
            values = np.array(["" if gone else str(v) for v, gone in zip(series, series.isna(), strict=True)], object)
        elif isinstance(column, Dates):
            values = ((series - pd.Timestamp(0)) / pd.Timedelta("1D")).to_numpy()
        else:
            values = series.to_numpy(np.float64)
        found[column.name] = values[:, None]
    return found


def outputs(model, estimator, frame: pd.DataFrame = NEW) -> list[np.ndarray]:
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, fed(estimator, frame))


def with_views(monkeypatch, *options: dict) -> None:
    """Let the search train networks of these views, whose activations differ."""
    chosen = []
    for view, activation in zip(options, ["mish", "gelu", "selu", "silu", "relu"], strict=False):
        spec = ViewSpec(**{name: value for name, value in view.items() if name not in OTHERS})
        others = {name: value for name, value in view.items() if name in OTHERS}
        chosen.append(Configuration(view=spec, hidden=(9, 8), activation=activation, epochs=3, **others))
    monkeypatch.setattr("fastbp.tabular._search.proposed", lambda number, *_, **__: chosen[number])


OTHERS = ("target", "pbld", "scale", "parametric")  # fields of a configuration
EVERY = (
    {"target": "log", "pbld": 3, "scale": 5.0, "parametric": True},
    {"rank": True, "log": True, "target": "quantile"},
    {"pieces": 8, "means": True},
    {"fourier": 4, "sigma": 0.7},
    {"scaled": False, "rank": True, "means": True, "pbld": 3},
)


@pytest.fixture
def all_members(monkeypatch):
    """Give every candidate a weight."""

    def same(problem, members, *_):
        return np.full(len(members), 1 / len(members))

    monkeypatch.setattr("fastbp.tabular._fitted.chosen_weights", same)
    monkeypatch.setattr(
        "fastbp.tabular._search.weighted", lambda *given: weighted(*given[:2], len(given[1]), *given[3:])
    )
    monkeypatch.setattr("fastbp.tabular._search.Search._is_worse", lambda *_: False)


@pytest.mark.parametrize("metric", ["rmse", "mae", "quantile:0.8", "poisson"])
def test_numbers(metric, monkeypatch, all_members):
    with_views(monkeypatch, *EVERY)
    y = np.maximum(Y, 0).round() if metric == "poisson" else np.exp(Y)
    estimator = TabularRegressor(**OPTIONS, n_networks=10, metric=metric).fit(X, y)
    assert {member.family for member in estimator.members_} == {"constant", "linear", "network"}
    assert estimator.n_networks_ == 10
    (prediction,) = outputs(estimator.to_onnx(), estimator)
    np.testing.assert_allclose(prediction, estimator.predict(NEW), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("metric", ["log_loss", "balanced_accuracy"])
@pytest.mark.parametrize("k", [2, 3])
def test_classes(k, metric, monkeypatch, all_members):
    with_views(monkeypatch, *EVERY)
    y = np.array(["low", "é", "high"])[np.digitize(Y, [1.5] if k == 2 else [0, 1])]
    estimator = TabularClassifier(**OPTIONS, n_networks=10, metric=metric).fit(X, y)
    assert {member.family for member in estimator.members_} == {"constant", "linear", "network"}
    label, probabilities = outputs(estimator.to_onnx(), estimator)
    np.testing.assert_allclose(probabilities, estimator.predict_proba(NEW), rtol=1e-5, atol=1e-5)
    assert label.tolist() == estimator.predict(NEW).tolist()


@pytest.mark.parametrize("variant", ["td", "td-s"])
def test_realmlp(variant, tmp_path):
    options = {"n_epochs": 3, "hidden_layer_sizes": (9, 8), "random_state": 0}
    regressor = RealMLPRegressor(variant, **options).fit(X, Y)
    (prediction,) = outputs(regressor.to_onnx(tmp_path / "model.onnx"), regressor)
    np.testing.assert_allclose(prediction, regressor.predict(NEW), rtol=1e-5, atol=1e-5)
    assert (tmp_path / "model.onnx").stat().st_size > 1000
    classifier = RealMLPClassifier(variant, **options).fit(X, np.digitize(Y, [0, 1]))
    label, probabilities = outputs(classifier.to_onnx(), classifier)
    np.testing.assert_allclose(probabilities, classifier.predict_proba(NEW), rtol=1e-5, atol=1e-5)
    assert label.tolist() == classifier.predict(NEW).tolist()


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_temperature(temperature):
    estimator = TabularClassifier(**OPTIONS, n_networks=2).fit(X, (Y > 1).to_numpy())
    estimator._fitted = replace(estimator._fitted, temperature=temperature)
    label, probabilities = outputs(estimator.to_onnx(), estimator)
    np.testing.assert_allclose(probabilities, estimator.predict_proba(NEW), rtol=1e-5, atol=1e-5)
    assert label.dtype == bool
    assert label.tolist() == estimator.predict(NEW).tolist()


@pytest.mark.parametrize("classes", [[3, 7], [2.0, 5.0], [-(2**40), 0]])
def test_labels_have_the_type_of_the_classes(classes):
    y = np.array(classes)[(Y > 1).astype(int)]
    estimator = TabularClassifier(**OPTIONS, n_networks=2).fit(X[["size"]], y)
    label, _ = outputs(estimator.to_onnx(), estimator)
    assert label.dtype == y.dtype
    assert label.tolist() == estimator.predict(NEW[["size"]]).tolist()


def test_each_part_of_a_date():
    days = pd.DataFrame({"day": pd.date_range("1896-02-27 05:00", periods=3000, freq="25D17h")})
    y = days["day"].dt.month + days["day"].dt.hour / 24 + days["day"].dt.year / 100
    estimator = TabularRegressor(**OPTIONS, n_networks=2).fit(days, y)
    assert len(estimator.columns_[0].parts) == 6
    (prediction,) = outputs(estimator.to_onnx(), estimator, days)
    np.testing.assert_allclose(prediction, estimator.predict(days), rtol=1e-5, atol=1e-5)


def test_missing_texts_and_infinity():
    estimator = TabularRegressor(**OPTIONS, n_networks=2).fit(X, Y)
    rows = NEW.iloc[:4].copy()
    rows["colour"] = [None, "NaN", "N/A", "null"]
    rows.loc[:2, "price"] = [np.inf, -np.inf, np.nan]
    (prediction,) = outputs(estimator.to_onnx(), estimator, rows)
    np.testing.assert_allclose(prediction, estimator.predict(rows), rtol=1e-5, atol=1e-5)


def test_other_spellings_of_categories():
    rows = pd.DataFrame({"flag": RNG.choice([True, False], N), "code": RNG.choice(["1", "2", "30"], N), "kind": " a"})
    rows["kind"] = RNG.choice([" a", "b ", "C"], N)
    y = rows["flag"] + (rows["code"] == "2") + 3 * (rows["kind"] == "b ")
    estimator = TabularRegressor(**OPTIONS, n_networks=2, types={"code": "category"}).fit(rows, y)
    new = pd.DataFrame({"flag": ["true", "FALSE", "True"], "code": ["1.0", "2", " 30"], "kind": ["a", "b ", "c"]})
    (prediction,) = outputs(estimator.to_onnx(), estimator, new)
    np.testing.assert_allclose(prediction, estimator.predict(new), rtol=1e-5, atol=1e-5)
    (other,) = outputs(estimator.to_onnx(), estimator, new.assign(flag=["false"] * 3))
    assert abs(other - prediction).max() > 0.3


def test_only_a_constant():
    estimator = TabularRegressor(**OPTIONS, n_networks=2).fit(X[["colour"]], np.full(N, 3.5))
    fitted = estimator._fitted
    constant = Constant(np.array(3.5), np.full(N, 3.5), 0.0, 2)
    estimator._fitted = replace(fitted, members=(constant,), weights=np.ones(1))
    (prediction,) = outputs(estimator.to_onnx(), estimator)
    assert prediction.tolist() == [3.5] * len(NEW)


def test_a_column_called_as_an_output():
    rows = X[["size", "price"]].set_axis(["label", "prediction"], axis=1)
    estimator = TabularRegressor(**OPTIONS, n_networks=2).fit(rows, Y)
    model = estimator.to_onnx()
    assert [each.name for each in model.graph.input] == ["label", "prediction"]
    assert [each.name for each in model.graph.output] == ["prediction_"]
    (prediction,) = outputs(model, estimator, rows)
    np.testing.assert_allclose(prediction, estimator.predict(rows), rtol=1e-5, atol=1e-5)


def test_features_are_computed_once(monkeypatch, all_members):
    with_views(monkeypatch, {"pieces": 8}, {"pieces": 8}, {"pieces": 8})
    estimator = TabularRegressor(**OPTIONS, n_networks=6).fit(X, Y)
    model = estimator.to_onnx()
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("Gemm") == 3 * 6
    raw = estimator._fitted.columns_of(NEW)
    views = {member.view.matrix(raw).tobytes() for member in estimator.members_ if member.family != "constant"}
    assert kinds.count("Concat") == 2 + len(views)  # of the numbers, of the constant's shape, and of each view


def test_the_file(tmp_path):
    estimator = TabularRegressor(**OPTIONS, n_networks=2).fit(X, Y)
    model = estimator.to_onnx(tmp_path / "model.onnx")
    assert onnx.load(tmp_path / "model.onnx") == model
    assert {each.key for each in model.metadata_props} == {"fastbp.columns", "fastbp.metric"}


def test_what_has_no_model():
    with pytest.raises(ValueError, match="not fitted"):
        TabularRegressor().to_onnx()
    alone = TabularRegressor(**OPTIONS, n_networks=1).fit(np.ones((9, 1)), np.arange(9.0))
    with pytest.raises(ValueError, match="a column that is an input"):
        alone.to_onnx()
    tree = TabularRegressor(**OPTIONS, n_networks=1, estimators=[("tree", DecisionTreeRegressor())])
    tree.fit(np.repeat(np.arange(30.0), 4)[:, None], np.repeat(RNG.normal(size=30), 4))
    with pytest.raises(TypeError, match="contains 'tree' of estimators=; ONNX has no operator"):
        tree.to_onnx()
