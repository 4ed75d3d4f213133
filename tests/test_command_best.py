"""`fastbp train --best`, and what the other commands do with its models."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pandas
import pytest

import fastbp.tabular._search as searching
from fastbp import tabular
from tests.commands import run, said

RNG = np.random.default_rng(0)
N = 240


def shop() -> pandas.DataFrame:
    """Rows with an id, missing values, a date as text, and two targets."""
    rng = np.random.default_rng(1)
    size = rng.normal(50, 9, N).round(1)
    kind = rng.choice(["tea", "coffee", "milk"], N)
    days = pandas.Timestamp("2024-03-01") + pandas.to_timedelta(rng.integers(0, 300, N), "D")
    price = (size / 10 + 3 * (kind == "tea") + rng.normal(0, 0.3, N)).round(2)
    sold = np.where(price > 6, "10", np.where(price > 5, "9", "few"))
    columns = {"order_id": range(1000, 1000 + N), "size": size, "kind": kind, "day": days.strftime("%d.%m.%Y")}
    frame = pandas.DataFrame(columns | {"price": price, "sold": sold})
    frame.loc[::9, "size"], frame.loc[::7, "kind"] = np.nan, None
    return frame


@pytest.fixture(scope="module", autouse=True)
def few_candidates():
    """Let a search end after four configurations, which takes far less than its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "MOST", 4)
        yield


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """A folder with a table and the models of its two targets."""
    place = tmp_path_factory.mktemp("best")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        shop().to_csv("shop.csv", index=False)
        options = "--id order_id --best --seconds 60 --seed 5 --threads 1 --quiet"
        assert run(f"train shop.csv --target price --drop sold {options} --out price.npz") == 0
        assert run(f"train shop.csv --target sold --drop price {options} --out sold.npz") == 0
    return place


@pytest.fixture
def folder(models, monkeypatch, tmp_path) -> Path:
    for path in models.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_report(folder, capsys):
    assert run("train shop.csv --target price --drop sold --best --seconds 1 --validation 0.25 --seed 1") == 0
    out = capsys.readouterr().out
    assert "shop.csv: 240 rows, 6 columns." in out
    assert "for 1 second, and weights those that predict best together." in " ".join(out.split())
    assert "60 rows are held out. The seed is 1." in " ".join(out.split())
    assert re.search(r"^ +rmse +weight +training seconds$", out, re.M)
    assert re.search(r"^ensemble +\d", out, re.M)
    assert re.search(r"^ +out of fold +held out +predicting the mean$", out, re.M)
    assert re.search(r"^rows +180 +60$", out, re.M)
    assert re.search(r"The 90 % intervals contain \d+\.\d % of the held-out targets", " ".join(out.split()))
    assert out.endswith("Wrote shop.model.npz. To predict new rows: fastbp predict shop.model.npz NEW.csv\n")
    assert run("info shop.model.npz --json") == 0
    assert said(capsys)["training"]["held_out_rows"] == 60


def test_json(folder, capsys):
    assert run("train shop.csv --target sold --best --seconds 60 --seed 2 --metric accuracy --metrics f1 --json") == 0
    found = said(capsys)
    assert found["target"] == {"name": "sold", "classes": ["9", "10", "few"]}
    assert found["metric"] == "accuracy"
    assert found["rows"] == N
    assert "f1" in found["out_of_fold"]["measured"]
    assert "held_out" not in found
    assert sum(member["weight"] for member in found["members"]) == pytest.approx(1)
    assert found["leaderboard"][0].keys() >= {"name", "accuracy", "weight"}
    assert not found["interrupted"]
    assert run("info shop.model.npz --json") == 0
    told = said(capsys)
    assert told["members"] == found["members"]
    assert told["training"]["measured"]["out of fold"] == found["out_of_fold"]["measured"]


def test_the_estimator_predicts_as_the_command_does(folder, capsys):
    model, frame = tabular.load("price.npz"), pandas.read_csv("shop.csv")
    assert run("predict price.npz shop.csv --interval 0.8 --out p.csv") == 0
    found = pandas.read_csv("p.csv")
    assert list(found.columns) == ["order_id", "price", "price_low", "price_high"]
    assert list(found["order_id"]) == list(shop()["order_id"])
    np.testing.assert_array_equal(found["price"], model.predict(frame[["size", "kind", "day"]]))
    ends = model.predict_interval(frame[["size", "kind", "day"]], 0.8)
    np.testing.assert_array_equal(found[["price_low", "price_high"]], ends)
    assert np.corrcoef(found["price"], frame["price"])[0, 1] > 0.9


def test_classes_keep_their_names_and_order(folder, capsys):
    model, frame = tabular.load("sold.npz"), pandas.read_csv("shop.csv")
    assert model.classes_.tolist() == ["9", "10", "few"]
    assert run("predict sold.npz shop.csv --probabilities") == 0
    found = pandas.read_csv(io.StringIO(capsys.readouterr().out), keep_default_na=False)
    assert list(found.columns) == ["order_id", "sold", "probability_9", "probability_10", "probability_few"]
    probabilities = model.predict_proba(frame[["size", "kind", "day"]])
    np.testing.assert_array_equal(found.iloc[:, 2:], probabilities)
    assert list(found["sold"].astype(str)) == model.predict(frame[["size", "kind", "day"]]).tolist()
    assert (found["sold"].astype(str) == shop()["sold"]).mean() > 0.7


def test_evaluate(folder, capsys):
    assert run("evaluate sold.npz shop.csv --metrics balanced_accuracy --json") == 0
    found = said(capsys)
    assert run("predict sold.npz shop.csv --out p.csv") == 0
    predicted = pandas.read_csv("p.csv", dtype=str, keep_default_na=False)["sold"]
    assert found["measured"]["accuracy"] == pytest.approx((predicted == shop()["sold"]).mean())
    assert "balanced_accuracy" in found["measured"]
    capsys.readouterr()
    frame = shop()
    frame.loc[:4, "price"], frame.loc[5, "kind"] = np.nan, "cocoa"
    frame.sample(frac=1, axis=1, random_state=0).to_csv("new.csv", index=False)
    assert run("evaluate price.npz new.csv --json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["without_target"] == 5
    assert "column 'kind' has 'cocoa' in row 6, which training did not have" in err
    assert run("evaluate price.npz new.csv --unknown error") == 2


def test_figures_of_balanced_accuracy_are_those_of_the_predicted_classes(folder, capsys):
    frame = shop().assign(sold=np.where(shop()["price"] > 8, "yes", "no"))
    frame.to_csv("rare.csv", index=False)
    options = "--drop price --best --seconds 60 --seed 0 --metric balanced_accuracy --metrics balanced_accuracy"
    assert run(f"train rare.csv --target sold {options} --quiet") == 0
    assert run("evaluate rare.model.npz rare.csv --metrics balanced_accuracy --json") == 0
    measured = said(capsys)["measured"]
    assert run("predict rare.model.npz rare.csv --out p.csv") == 0
    hits = pandas.read_csv("p.csv")["sold"] == frame["sold"]
    assert measured["accuracy"] == pytest.approx(hits.mean())
    recalls = [hits[frame["sold"] == name].mean() for name in ("yes", "no")]
    assert measured["balanced_accuracy"] == pytest.approx(np.mean(recalls))


def test_explain(folder, capsys):
    assert run("explain price.npz shop.csv --row 2,5 --json") == 0
    found = said(capsys)["predictions"]
    assert [each["row"] for each in found] == [2, 5]
    assert run("predict price.npz shop.csv --out p.csv") == 0
    predicted = pandas.read_csv("p.csv")["price"]
    for each in found:
        assert each["prediction"] == pytest.approx(predicted[each["row"] - 1])
        difference = each["output"] - each["baseline_output"]
        assert sum(each["contributions"].values()) == pytest.approx(difference)
        assert float(each["target"]) == shop()["price"][each["row"] - 1]
    capsys.readouterr()
    assert run("explain sold.npz shop.csv --row 3") == 0
    out = capsys.readouterr().out
    assert "row 3" in out
    assert "The probability of" in out
    assert run("explain sold.npz shop.csv --row 1-3 --out page.html") == 0
    assert "order_id" not in Path("page.html").read_text(encoding="utf-8")
    for options in ("--steps", "--weight 1,1,1", "--out steps.tex"):
        assert run(f"explain sold.npz shop.csv {options}") == 2
        assert "is an ensemble of many networks" in capsys.readouterr().err


def test_importance(folder, capsys):
    assert run("importance price.npz shop.csv --repeats 2 --json") == 0
    found = said(capsys)
    assert found["metric"] == "rmse"
    assert max(found["columns"], key=lambda name: found["columns"][name]["mean"]) == "kind"
    assert run("importance sold.npz shop.csv --metric auc --repeats 2 --json") == 0
    found = said(capsys)
    assert found["columns"].keys() == {"size", "kind", "day"}
    assert found["columns"]["kind"]["mean"] > 0


def test_export(folder, capsys):
    assert run("export price.npz price.c") == 2
    came = "out: expected a file that ends in .onnx for 'price.npz', an ensemble of --best, got 'price.c'"
    assert came in capsys.readouterr().err
    assert not Path("price.c").exists()
    onnxruntime = pytest.importorskip("onnxruntime")
    assert run("export price.npz price.onnx --json") == 0
    assert said(capsys) == {"model": "price.npz", "onnx": "price.onnx"}
    inputs = {each.name for each in onnxruntime.InferenceSession("price.onnx").get_inputs()}
    assert inputs == {"size", "kind", "day"}


def test_info(folder, capsys):
    assert run("info price.npz") == 0
    out = capsys.readouterr().out
    assert "The ensemble has" in out
    assert "It was optimized for rmse. The seed was 5." in " ".join(out.split())
    assert "order_id  id" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--best --epochs 3", "--epochs: is for a single network, not for --best"),
        ("--best --hidden 3,4", "--hidden: is for a single network"),
        ("--best --class-weight balanced", "use --metric balanced_accuracy"),
        ("--best --resume", "--resume: is for a single network"),
        ("--best --missing mean", "--missing: is for a single network"),
        ("--best --folds 5", "--folds: is for a single network, not for --best; --best always cross-validates"),
        ("--best --seconds 0", "--seconds: expected a finite number > 0, got 0"),
        ("--best --validation 1", "--validation: expected"),
        ("--best --seed -1", "--seed: expected an integer ≥ 0, got -1"),
        ("--best --seed 99999999999", "--seed: expected an integer from 0 to 4294967295"),
        ("--best --threads 0", "--threads: expected a number of threads ≥ 1, or auto, got 0"),
        ("--best --threads many", "--threads: expected a number of threads ≥ 1, or auto, got many"),
        ("--best --metric rmse", "--metric: expected one of 'log_loss', 'roc_auc', 'accuracy', 'balanced_accuracy'"),
        ("--best --metric auk", "--metric: expected one of"),
        ("--seconds 9", "--seconds: expected --best with it, got none"),
        ("--metric accuracy", "--metric: expected --best with it, got none"),
    ],
)
def test_options_that_do_not_fit(options, message, folder, capsys):
    assert run(f"train shop.csv --target sold {options}") == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not Path("shop.model.npz").exists()


def test_intervals_need_an_ensemble_of_numbers(folder, capsys):
    assert run("train shop.csv --target price --epochs 1 --networks 1 --quiet") == 0
    for command, message in (
        ("predict sold.npz shop.csv --interval 0.9", "predicts classes; use --probabilities"),
        ("predict price.npz shop.csv --interval 1.5", "expected a share in (0, 1), such as 0.9, got 1.5"),
        ("predict shop.model.npz shop.csv --interval 0.9", "expected a model of fastbp train --best"),
        ("predict price.npz shop.csv --probabilities", "expected a model that predicts classes"),
    ):
        assert run(command) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "model",
    [tabular.TabularRegressor(1, n_networks=1, cv=2), tabular.RealMLPRegressor(n_epochs=1, hidden_layer_sizes=(2,))],
    ids=["ensemble", "realmlp"],
)
def test_a_file_of_python_has_no_target(model, folder, capsys):
    model.fit(shop()[["size"]], shop()["price"]).save("python.npz")
    for command in ("predict python.npz shop.csv", "info python.npz", "export python.npz python.onnx"):
        assert run(command) == 2
        assert "does not name the target; use it in Python, with fastbp.tabular.load" in capsys.readouterr().err


def test_a_spoilt_file(folder, capsys):
    data = Path("price.npz").read_bytes()
    Path("price.npz").write_bytes(data.replace(b'"version": 1', b'"version": 7'))
    assert run("predict price.npz shop.csv") == 2
    assert capsys.readouterr().err.startswith("fastbp: price.npz: expected")


def test_ctrl_c_keeps_the_best_so_far(folder, capsys, monkeypatch):
    finish, done = searching.Search._finish, []

    def interrupt(search, candidate):
        finish(search, candidate)
        done.append(candidate)
        if len(done) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(searching.Search, "_finish", interrupt)
    assert run("train shop.csv --target price --best --seconds 60 --seed 0 --threads 1") == 130
    out, err = capsys.readouterr()
    assert "Interrupted. " in out
    assert err == ""
    assert tabular.load("shop.model.npz").interrupted_
    assert run("predict shop.model.npz shop.csv --out p.csv") == 0


def test_a_terminal_shows_progress(folder, capsys, monkeypatch):
    monkeypatch.setattr("fastbp._cli.searching.interactive", lambda: True)
    assert run("train shop.csv --target price --best --seconds 60 --seed 0") == 0
    err = capsys.readouterr().err
    assert re.search(r"\d+ candidates, best rmse \d", err)


def test_a_target_that_the_metric_cannot_have_is_named(folder, capsys):
    frame = shop()
    frame.assign(price=frame["price"] - 100).to_csv("loss.csv", index=False)
    assert run("train loss.csv --target price --best --seconds 0.5 --metric poisson --quiet") != 0
    err = capsys.readouterr().err
    assert "loss.csv: column 'price': expected numbers ≥ 0, not all 0, with --metric poisson, got -9" in err
