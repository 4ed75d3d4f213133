"""fastbp train, evaluate, predict and info on raw tables: small, odd, with missing values and new categories."""

from __future__ import annotations

import errno
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest
from sklearn import datasets, metrics

from fastbp import Trainer
from fastbp.__main__ import main
from fastbp._cli import training
from fastbp._cli.files import default_place
from fastbp._files.columns import Table
from fastbp._records import check_fields
from fastbp.layers import Dense
from tests.commands import run, said

RNG = np.random.default_rng(0)


def shop(n: int = 120) -> pandas.DataFrame:
    """Sales: a number for each row, an identifier, money, a date, a category, gaps."""
    rng = np.random.default_rng(3)
    size = rng.normal(10, 3, n).round(2)
    kind = rng.choice(["bread", "cake", "tea"], n)
    day = pandas.Timestamp("2024-01-01") + pandas.to_timedelta(rng.integers(0, 700, n), unit="D")
    sold = size + 2 * (kind == "cake") + rng.normal(0, 0.5, n) > 10
    frame = pandas.DataFrame({"order_id": np.arange(5000, 5000 + n), "size": size, "kind": kind, "day": day})
    frame["price"] = [f"${1000 + 7 * i:,}.50" for i in rng.integers(0, 400, n)]
    frame["sold"] = np.where(sold, "yes", "no")
    frame.loc[::9, "size"] = np.nan
    frame.loc[::11, "kind"] = None
    return frame


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shop().to_csv("shop.csv", index=False)
    return tmp_path


@pytest.fixture
def model(folder, capsys) -> Path:
    assert run("train shop.csv --target sold --id order_id --seed 0 --epochs 30") == 0
    capsys.readouterr()
    return folder / "shop.model.npz"


def test_train_says_what_it_does(folder, capsys):
    assert run("train shop.csv --target sold --seed 0 --epochs 60 --networks 1") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("shop.csv: 120 rows, 6 columns.\n")
    for name, kind in [("order_id", "left out"), ("size", "number"), ("kind", "category"), ("day", "date")]:
        assert re.search(rf"^{name} +{kind} ", out, re.MULTILINE), name
    assert re.search(r"^sold +target +2 classes: no, yes$", out, re.MULTILINE)
    assert "96 rows train, and 24 validate. The seed is 0." in out
    assert re.search(r"The model has the\s+weights of\s+epoch \d+, which has the lowest validation\s+loss", out)
    assert re.search(r"^accuracy +0\.\d{4} +0\.\d{4} +0\.\d{4}$", out, re.MULTILINE)
    assert "Wrote shop.model.npz." in out
    accuracy = float(re.search(r"^accuracy +(\S+)", out, re.MULTILINE)[1])
    assert accuracy > 0.7


def test_json_has_what_is_printed(folder, capsys):
    assert run("train shop.csv --target sold --seed 0 --epochs 5 --networks 1 --json") == 0
    found = said(capsys)
    assert [column["name"] for column in found["columns"]] == list(shop().columns)
    assert (found["rows"], found["validation"]["rows"], found["training"]["rows"]) == (120, 24, 96)
    assert found["best_epoch"] in range(1, 6)
    assert found["network"][0] == found["inputs"]
    assert found["seed"] == 0
    assert np.sum(found["validation"]["confusion"]) == 24


def test_without_a_seed_one_is_drawn_and_told(folder, capsys):
    assert run("train shop.csv --target sold --epochs 2 --out a.npz --json") == 0
    seed = said(capsys)["seed"]
    assert run(f"train shop.csv --target sold --epochs 2 --out b.npz --seed {seed} --quiet") == 0
    for mine, other in zip(Trainer.load("a.npz").get_weights(), Trainer.load("b.npz").get_weights(), strict=True):
        np.testing.assert_array_equal(mine, other)


TINY = {
    "one row of each class": "a,y\n1,p\n2,q\n3,r\n",
    "a class of one row": "a,y\n" + "".join(f"{i % 7},{'p' if i % 2 else 'q'}\n" for i in range(30)) + "9,r\n",
    "two rows": "a,y\n1,p\n2,q\n",
    "two numbers": "a,y\n1,0.5\n2,1.5\n",
    "three rows, one missing": "a,y\n1,0.5\n,1.5\n3,\n",
    "one input with two values": "a,y\n" + "x,p\nz,q\n" * 10,
}


@pytest.mark.parametrize("name", TINY)
def test_tiny_tables(folder, capsys, name):
    Path("tiny.csv").write_text(TINY[name])
    assert run("train tiny.csv --seed 0 --epochs 3 --json") == 0
    found = said(capsys)
    counts = found["training"]["rows"], found.get("validation", {"rows": 0})["rows"]
    assert counts == (found["rows"],) * 2 if found["best_epochs"] else sum(counts) == found["rows"]
    assert run("evaluate tiny.model.npz tiny.csv") == 0
    assert run("predict tiny.model.npz tiny.csv --out p.csv") == 0
    assert run("info tiny.model.npz") == 0
    assert len(pandas.read_csv("p.csv")) == len(pandas.read_csv("tiny.csv"))


def test_rows_without_a_target_are_left_out(folder, capsys):
    frame = shop()
    frame.loc[:9, "sold"] = None
    frame.to_csv("gaps.csv", index=False)
    assert run("train gaps.csv --target sold --epochs 2 --seed 0") == 0
    assert "gaps.csv: 120 rows, 6 columns.\n10 rows without a target are left out.\n" in capsys.readouterr().out
    assert run("evaluate gaps.model.npz gaps.csv --json") == 0
    found = said(capsys)
    assert (found["rows"], found["without_target"]) == (110, 10)
    frame["sold"] = None
    frame.to_csv("none.csv", index=False)
    assert run("evaluate gaps.model.npz none.csv") == 2
    assert "column 'sold', the target: expected a value in some row, got none" in capsys.readouterr().err


def test_a_target_of_numbers_that_is_called_a_category_keeps_its_texts(folder, capsys):
    frame = shop()[["size"]].assign(code=RNG.integers(0, 30, 120).astype(str))
    frame.loc[:5, "code"] = "none"
    frame.to_csv("codes.csv", index=False)
    assert run("train codes.csv --target code --type code=category --epochs 1 --networks 1 --json") == 0
    found = said(capsys)
    assert (found["rows"], found["without_target"]) == (120, 0)
    assert "none" in found["target"]["classes"]


def test_a_target_that_trains_is_evaluated(folder, capsys):
    frame = shop()[["size", "kind"]].assign(price=RNG.uniform(1, 40, 120).round(2).astype(str))
    frame.loc[:1, "price"] = "withheld", "inf"
    frame.to_csv("prices.csv", index=False)
    told_of = "2 rows without a target are left out: 'withheld', 'inf' in 2 rows (1, 2) are not\nfinite numbers.\n"
    assert run("train prices.csv --target price --epochs 2 --seed 0") == 0
    assert told_of in capsys.readouterr().out
    assert run("evaluate prices.model.npz prices.csv") == 0
    assert told_of in capsys.readouterr().out
    assert run("importance prices.model.npz prices.csv --json") == 0
    assert said(capsys)["rows"] == 118
    frame.assign(price="withheld").to_csv("none.csv", index=False)
    assert run("evaluate prices.model.npz none.csv") == 2
    assert "expected a number in some row, got none: 'withheld' in 120 rows" in capsys.readouterr().err


def test_new_classes_count_as_wrong(model, capsys):
    frame = shop()
    frame.loc[:2, "sold"] = "perhaps"
    frame.to_csv("new.csv", index=False)
    assert run("evaluate shop.model.npz new.csv --json") == 0
    found = said(capsys)
    assert found["new_classes"] == {"perhaps": 3}
    assert run("predict shop.model.npz new.csv --out p.csv") == 0
    accuracy = (pandas.read_csv("p.csv")["sold"] == frame["sold"]).mean()
    assert found["measured"]["accuracy"] == pytest.approx(accuracy)
    capsys.readouterr()
    assert run("evaluate shop.model.npz new.csv") == 0
    assert "3 rows have a class that training did not have ('perhaps'). They count as" in capsys.readouterr().out
    frame.iloc[:1].to_csv("one.csv", index=False)
    assert run("evaluate shop.model.npz one.csv") == 0
    assert "1 row has a class that training did not have ('perhaps'). It counts as" in capsys.readouterr().out


def test_new_categories_are_warned_of(model, capsys):
    frame = shop().drop(columns="sold")
    frame.loc[:4, "kind"] = "coffee"
    frame.loc[0, "price"] = "free"
    frame.to_csv("new.csv", index=False)
    assert run("predict shop.model.npz new.csv --out p.csv") == 0
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "fastbp: warning: column 'kind' has 'coffee' in 5 rows (1, 2, 3 …), which training did not have; it counts "
        "as other",
        "fastbp: warning: column 'price' has 'free' in row 1, where a finite number is expected; it counts as missing",
    ]
    assert run("predict shop.model.npz new.csv --unknown error") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 2
    assert run("evaluate shop.model.npz shop.csv --unknown error --json") == 0
    assert said(capsys)["rows"] == 120


def test_ids_are_in_the_predictions_and_are_no_inputs(model, capsys):
    table = Trainer.load(model)._table
    assert "order_id" not in [column.name for column in table.columns]
    assert run("predict shop.model.npz shop.csv --probabilities --out p.csv") == 0
    found = pandas.read_csv("p.csv")
    assert list(found.columns) == ["order_id", "sold", "probability_no", "probability_yes"]
    assert list(found["order_id"]) == list(shop()["order_id"])
    capsys.readouterr()
    shop().drop(columns="order_id").to_csv("without.csv", index=False)
    assert run("predict shop.model.npz without.csv") == 0
    out, err = capsys.readouterr()
    assert out.startswith("sold\n")
    assert "the table has no column 'order_id', which the model was trained with as --id" in err


def test_ids_are_the_files_own_texts(folder, capsys):
    """In the fast path without pandas, too."""
    text = "code,a,y\n" + "".join(f"00{i},{i % 5},{'p' if i % 5 > 2 else 'q'}\n" for i in range(20))
    Path("plain.csv").write_text(text)
    Path("quoted.csv").write_text(text.replace("007,", '"007",').replace("008,", ","))
    assert run("train plain.csv --id code --epochs 2 --quiet") == 0
    frames = {}
    for name in ("plain", "quoted"):
        assert run(f"predict plain.model.npz {name}.csv") == 0
        frames[name] = pandas.read_csv(io.StringIO(capsys.readouterr().out), dtype=str, keep_default_na=False)
    assert list(frames["plain"]["code"])[6:9] == ["006", "007", "008"]
    assert list(frames["quoted"]["code"])[6:9] == ["006", "007", ""]
    assert list(frames["plain"]["y"]) == list(frames["quoted"]["y"])


def test_columns_are_chosen(folder, capsys):
    def inputs(options: str) -> list[str]:
        assert run(f"train shop.csv --target sold --epochs 0 --quiet {options}") == 0
        return [column.name for column in Trainer.load("shop.model.npz")._table.columns]

    assert inputs("") == ["size", "kind", "day", "price"]
    assert inputs("--drop day,price") == ["size", "kind"]
    assert inputs("--features kind --features size") == ["size", "kind"]
    assert inputs("--type order_id=number --features order_id") == ["order_id"]
    assert run("train shop.csv --target sold --type kind=number") == 2
    assert "fastbp: shop.csv: --type: expected numbers in column 'kind'" in capsys.readouterr().err


def test_problems_are_told_at_once(folder, capsys):
    assert run("train shop.csv --target solt --drop x --type kind=nummer") == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[2] for line in lines] == ["--target", "--drop", "--type"]


def test_folds(folder, capsys):
    assert run("train shop.csv --target sold --seed 0 --epochs 20 --folds 3 --json") == 0
    found = said(capsys)
    each = found["folds"]["each"]
    assert [fold["rows"] for fold in each] == [40, 40, 40]
    values = [fold["measured"]["log_loss"] for fold in each]
    assert found["folds"]["means"]["log_loss"]["mean"] == pytest.approx(np.mean(values))
    assert found["folds"]["means"]["log_loss"]["deviation"] == pytest.approx(np.std(values, ddof=1))
    folded = Trainer.load("shop.model.npz").get_weights()
    assert run("train shop.csv --target sold --seed 0 --epochs 20") == 0
    for mine, other in zip(folded, Trainer.load("shop.model.npz").get_weights(), strict=True):
        np.testing.assert_array_equal(mine, other)
    capsys.readouterr()
    assert run("train shop.csv --target size --seed 0 --epochs 2 --folds 2") == 0
    assert re.search(r"^mean +-?\d", capsys.readouterr().out, re.MULTILINE)
    for count, came in (("1", "got 1"), ("500", "from 2 to 120")):
        assert run(f"train shop.csv --target sold --folds {count}") == 2
        assert came in capsys.readouterr().err


def test_each_fold_is_predicted_by_a_model_that_has_not_seen_it(folder, capsys):
    """A table of noise, in which a model that has seen the rows would be better than chance."""
    frame = pandas.DataFrame(RNG.normal(size=(60, 30))).add_prefix("x").assign(y=RNG.permutation(60) % 2)
    frame.to_csv("noise.csv", index=False)
    assert (
        run("train noise.csv --seed 0 --epochs 60 --validation 0 --hidden 64 --learning-rate 0.01 --folds 3 --json")
        == 0
    )
    found = said(capsys)
    assert found["training"]["measured"]["accuracy"] > 0.7
    assert found["folds"]["means"]["accuracy"]["mean"] < 0.7


def test_balanced_classes(folder, capsys):
    n = 400
    x = RNG.normal(size=(n, 2))
    y = np.where(x[:, 0] + RNG.normal(0, 1, n) > 2.0, "rare", "usual")
    pandas.DataFrame(x, columns=["a", "b"]).assign(y=y).to_csv("rare.csv", index=False)
    recall = {}
    for option in ("", "--class-weight balanced"):
        assert run(f"train rare.csv --seed 0 --epochs 60 --json {option}") == 0
        classes = {row["class"]: row for row in said(capsys)["training"]["classes"]}
        recall[option] = classes["rare"]["recall"]
    assert recall["--class-weight balanced"] > recall[""] + 0.2
    assert run("info rare.model.npz") == 0
    assert "Class weights: balanced." in capsys.readouterr().out
    assert run("train rare.csv --target a --class-weight balanced") == 2
    assert "--class-weight: expected a target of classes" in capsys.readouterr().err


def test_metrics(model, capsys):
    assert run("evaluate shop.model.npz shop.csv --metrics f1,balanced_accuracy --json") == 0
    measured = said(capsys)["measured"]
    assert list(measured) == ["accuracy", "log_loss", "auc", "f1", "balanced_accuracy"]
    assert run("predict shop.model.npz shop.csv --out p.csv --probabilities") == 0
    predicted, truth = pandas.read_csv("p.csv"), shop()["sold"]
    assert measured["f1"] == pytest.approx(metrics.f1_score(truth, predicted["sold"], pos_label="yes"))
    assert measured["auc"] == pytest.approx(metrics.roc_auc_score(truth == "yes", predicted["probability_yes"]))
    assert run("evaluate shop.model.npz shop.csv --metrics acuracy") == 2
    assert "--metrics: expected one of" in (err := capsys.readouterr().err)
    assert "did you mean 'accuracy'?" in err
    assert run("train shop.csv --target size --metrics f1") == 2
    assert "because the target is numbers, got 'f1'" in capsys.readouterr().err


@pytest.mark.parametrize("standardize", [True, False])
def test_info_of_a_model_of_trainer_save(folder, capsys, standardize):
    frame = pandas.DataFrame({"size": [1.0, 2.0, 3.0], "age": [0.0, 1.0, 0.5]})
    trainer = Trainer([2, 3, 1], loss="huber", standardize=standardize)
    trainer.fit(frame, [1, 0, 1], epochs=2, verbose=0)
    trainer.save("plain.npz")
    assert run("info plain.npz") == 0
    text = capsys.readouterr().out
    assert text.startswith("Trainer.save wrote this model.")
    assert "fastbp export" in text
    assert "Inputs: 'size', 'age'." in text
    assert "2-3-1 (tanh), 13 parameters" in text
    assert ("standardize=True" in text) == standardize
    assert "loss huber" in text
    assert "trained for 2 epochs" in text
    assert run("info plain.npz --json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["standardize"], found["input_names"], found["epochs"]) == (standardize, ["size", "age"], 2)


def test_info_of_a_model(model, folder, capsys):
    assert run("info shop.model.npz") == 0
    text = capsys.readouterr().out
    assert re.search(r"^order_id +id ", text, re.MULTILINE)
    assert "Network: " in text
    assert "validation" in text
    assert run("info shop.model.npz --json") == 0
    found = said(capsys)
    assert found["training"]["rows"] == 120
    assert run("evaluate shop.model.npz shop.csv --json") == 0
    assert said(capsys)["target"] == found["target"]
    trainer = Trainer.load(model)
    X = np.zeros((4, trainer.layer_sizes[0]), np.float32)
    trainer.fit(X, np.array([0.0, 1.0, 0.0, 1.0]), epochs=1, verbose=0)
    trainer.save(model)
    assert run("info shop.model.npz") == 0
    assert "The file has no figures of the result." in capsys.readouterr().out


def test_a_column_that_is_the_target_in_disguise(folder, capsys):
    frame = shop()
    frame["flag"] = frame["sold"].map({"yes": "Y1", "no": "N1"})
    frame["cents"] = (frame["size"] * 100).round()
    frame.to_csv("leak.csv", index=False)
    assert run("train leak.csv --target sold --epochs 0") == 0
    out = capsys.readouterr().out
    assert "Note: column 'flag' may be the target in another form" in out
    assert out.count("Note:") == 1
    assert run("train leak.csv --target size --epochs 0") == 0
    assert "column 'cents' may be the target" in capsys.readouterr().out
    assert run("train leak.csv --target size --drop cents --epochs 0") == 0
    assert "Note:" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ("iris.csv", "iris.model.npz"),
        ("a/b/iris.csv.gz", "iris.model.npz"),
        ("-", "model.npz"),
        (".csv", "table.model.npz"),
        ("a.b.parquet", "a.model.npz"),
    ],
)
def test_where_a_model_is_written(data, place):
    assert default_place(data) == place


def test_a_linear_model(folder, capsys):
    diabetes = datasets.load_diabetes(as_frame=True).frame
    diabetes.to_csv("d.csv", index=False)
    assert main(["train", "d.csv", "--target", "target", "--hidden", "", "--seed", "0", "--json"]) == 0
    found = said(capsys)
    assert found["network"] == [19, 1]  # nine columns have ranks, too, and the sex has none
    assert found["validation"]["measured"]["r2"] > 0.3


def test_predictions_stay_in_the_range_of_training(folder, capsys):
    pandas.DataFrame({"a": np.arange(40.0), "y": np.arange(40) * 2.5}).to_csv("line.csv", index=False)
    assert run("train line.csv --hidden 8 --epochs 50 --seed 0 --quiet") == 0
    Path("far.csv").write_text("a\n-1000\n1000\n")
    assert run("predict line.model.npz far.csv --out p.csv") == 0
    predicted = pandas.read_csv("p.csv")["y"]
    assert predicted.between(0, 97.5).all()


def test_auto_is_the_default(folder, capsys):
    names = ("hidden", "epochs", "patience", "batch-size", "learning-rate", "optimizer", "activation", "l2", "dropout")
    options = " ".join(f"--{name} auto" for name in names)
    assert run(f"train shop.csv --target sold {options} --seed 1 --out a.npz --quiet") == 0
    assert run("train shop.csv --target sold --seed 1 --out b.npz --quiet") == 0
    for mine, other in zip(Trainer.load("a.npz").get_weights(), Trainer.load("b.npz").get_weights(), strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet", ".csv.gz"])
def test_predictions_are_written_as_the_suffix_says(model, capsys, suffix):
    assert run(f"predict shop.model.npz shop.csv --out p{suffix}") == 0
    if suffix == ".jsonl":
        found = pandas.DataFrame([json.loads(line) for line in Path(f"p{suffix}").read_text().splitlines()])
    elif suffix == ".parquet":
        found = pandas.read_parquet(f"p{suffix}")
    else:
        found = pandas.read_csv(f"p{suffix}", sep="\t" if suffix == ".tsv" else ",")
    assert list(found.columns) == ["order_id", "sold"]
    assert list(found["order_id"].astype(int)) == list(shop()["order_id"])
    capsys.readouterr()
    assert run("predict shop.model.npz shop.csv --out p.xlsx") == 2
    assert "fastbp: --out: expected a file of type .csv" in capsys.readouterr().err


def test_standard_input_and_output(model, capsys, monkeypatch):
    assert run("predict shop.model.npz shop.csv --out p.csv") == 0
    capsys.readouterr()
    data = Path("shop.csv").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert run("predict shop.model.npz - --out -") == 0
    assert capsys.readouterr().out == Path("p.csv").read_text()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert run("train - --target sold --id order_id --seed 0 --epochs 30 --quiet") == 0
    for mine, other in zip(Trainer.load("model.npz").get_weights(), Trainer.load(model).get_weights(), strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("target", ["sold", "size"])
def test_inputs_of_large_tables_are_made_in_pieces(folder, capsys, monkeypatch, target):
    """With the same figures as those of arrays, but for the order in which rows are shuffled."""
    frame = pandas.concat([shop()] * 5).dropna(subset=["size"])
    frame.to_csv("large.csv", index=False)
    command = f"train large.csv --target {target} --networks 1 --seed 0 --epochs 30 --json"
    assert run(command) == 0
    whole = said(capsys)
    monkeypatch.setattr("fastbp.tables._pieces.LARGE", 1)
    for options in ("", " --class-weight balanced" if target == "sold" else "", " --folds 2"):
        assert run(command + options) == 0
        found = said(capsys)
        assert found["validation"]["rows"] == whole["validation"]["rows"]
        assert found["training"]["rows"] == whole["training"]["rows"]
        name = "log_loss" if target == "sold" else "rmse"
        assert found["validation"]["measured"][name] < 1.2 * whole["validation"]["measured"][name]
    assert run("evaluate large.model.npz large.csv") == 0
    assert run("predict large.model.npz large.csv --out p.csv") == 0
    assert run(f"train large.csv --target {target} --seed 0 --epochs 2 --networks 3") == 2
    assert "--networks: expected 1 with inputs of more than 64 MB, got 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--validation 1.5", "--validation: expected a number in [0, 1), got 1.5"),
        ("--seed -1", "--seed: expected an integer ≥ 0, got -1"),
        ("--hidden 0", "--hidden: expected an integer ≥ 1, got 0"),
        ("--epochs -3", "--epochs: expected an integer ≥ 0, got -3"),
        ("--epochs ten", "argument --epochs: expected an integer or auto, got 'ten'; see fastbp train --help"),
        ("--patience soon", "argument --patience: expected an integer, never or auto, got 'soon'"),
        ("--l2 x", "argument --l2: expected a number or auto, got 'x'"),
        ("--batch-size 0", "--batch-size: expected an integer ≥ 1, got 0"),
        ("--schedule cosin", "--schedule: expected one of"),
        ("--optimizer adm", "did you mean 'adam'?"),
        ("--networks 9", "--networks: expected at most 5, because --validation 0.2"),
        ("--networks 3 --resume", "--networks: expected 1 with --resume, got 3"),
        ("--metrics acc", "--metrics: expected one of"),
        ("--tagret x", "unrecognized arguments: --tagret x; did you mean --target?"),
    ],
)
def test_wrong_options_are_told_before_anything_else(folder, capsys, options, message):
    assert run(f"train shop.csv --target sold {options}") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert not Path("shop.model.npz").exists()


def test_wrong_commands_are_told(folder, capsys):
    assert run("trian shop.csv") == 2
    assert capsys.readouterr().err.endswith("; did you mean train?\n")
    Path("none.csv").write_text("a,y\n1,\n2,\n")
    assert run("train none.csv") == 2
    assert "column 'y', the target: expected a value in some row, got none" in capsys.readouterr().err


def test_a_file_without_names(folder, capsys):
    frame = pandas.DataFrame({"a": np.arange(60) % 17, "b": RNG.choice(["p", "q"], 60), "c": ["no", "yes"] * 30})
    frame.to_csv("named.csv", index=False)
    frame.to_csv("plain.csv", index=False, header=False)
    hint = "the first line looks like data: if it has no names, use --no-header"
    assert run("train plain.csv --target c") == 2
    assert f"one of '0', '{frame['b'][0]}', 'no', got 'c'; {hint}" in capsys.readouterr().err
    options = "--epochs 2 --hidden 3 --seed 0 --out"
    assert run(f"train plain.csv --no-header --target column_3 {options} plain.npz") == 0
    out = capsys.readouterr().out
    assert re.search(r"column_1 +number +0 to 16", out)
    assert out.endswith("fastbp predict plain.npz NEW.csv --no-header\n")
    assert run(f"train named.csv --target c {options} named.npz --quiet") == 0
    assert run("predict plain.npz plain.csv --no-header") == 0
    predicted = capsys.readouterr().out
    assert run("predict named.npz named.csv") == 0
    assert predicted.split()[1:] == capsys.readouterr().out.split()[1:]
    for command in ("evaluate", "explain", "importance"):
        assert run(f"{command} plain.npz plain.csv --no-header --json") == 0, command
        said(capsys)
        assert run(f"{command} plain.npz plain.csv") == 2
        assert hint in capsys.readouterr().err
    frame.to_json("lines.jsonl", orient="records", lines=True)
    assert run("predict plain.npz lines.jsonl --no-header") == 2
    assert "lines.jsonl: --no-header: expected a text table, such as CSV" in capsys.readouterr().err


def test_a_class_that_may_mean_missing_is_told(folder, capsys):
    frame = shop()
    frame.loc[:9, "sold"] = "?"
    frame.to_csv("marks.csv", index=False)
    assert run("train marks.csv --target sold --epochs 1 --networks 1") == 0
    note = "Note: '?' is a class of 'sold'; if the target is missing there, remove these rows."
    assert note in " ".join(capsys.readouterr().out.split())
    frame.replace({"sold": {"?": "none"}}).to_csv("none.csv", index=False)
    assert run("train none.csv --target sold --epochs 1 --networks 1") == 0
    assert "remove these rows" not in capsys.readouterr().out


def test_columns_that_may_have_another_name_are_told(model, capsys):
    shop().rename(columns={"size": "Size", "kind": "kinds"}).to_csv("new.csv", index=False)
    assert run("predict shop.model.npz new.csv") == 2
    assert "; if these are the same, rename 'Size' to 'size', 'kinds' to 'kind'" in capsys.readouterr().err


def test_no_picture_is_drawn_of_a_training_without_epochs(folder, capsys):
    X = RNG.normal(size=(60, 2))
    pandas.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": X @ [1, 2]}).to_csv("line.csv", index=False)
    assert run("train line.csv --seed 0 --plot curves.png") == 0
    assert "No picture is written to curves.png: the model has no learning curves" in capsys.readouterr().out
    assert not Path("curves.png").exists()
    assert run("train line.csv --seed 0 --hidden 3 --epochs 2 --plot curves.png --json") == 0
    assert said(capsys)["plot"] == "curves.png"
    assert Path("curves.png").exists()


def test_ctrl_c_before_there_is_a_model(folder, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "_fitted", interrupt)
    assert run("train shop.csv --target sold --quiet") == 130
    assert capsys.readouterr().err == "fastbp: interrupted before there was a model to write\n"
    Path("shop.model.npz").write_text("old")
    assert run("train shop.csv --target sold --quiet") == 130
    assert capsys.readouterr().err.endswith("a model to write; shop.model.npz is as it was\n")
    assert Path("shop.model.npz").read_text() == "old"


def test_ctrl_c_before_the_report(folder, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(training.fitting, "figures", interrupt)
    assert run("train shop.csv --target sold --quiet --epochs 1") == 130
    assert capsys.readouterr().err == "fastbp: interrupted before the report; shop.model.npz has the model\n"
    assert run("predict shop.model.npz shop.csv --out p.csv") == 0


def test_a_training_of_an_earlier_version_is_not_continued(model, capsys):
    trainer = Trainer.load(model)
    trainer._table = replace(trainer._table, left_out=(), ids=(), order=())
    trainer.save(model)
    assert run("train shop.csv --target sold --id order_id --resume") == 2
    err = capsys.readouterr().err
    assert err.endswith("one of an earlier version, which read tables in another way; train anew with another --out\n")


def test_a_model_of_another_version_says_what_to_do(model, capsys, monkeypatch):
    monkeypatch.setattr(Table, "from_record", lambda record: check_fields("a column", {"a": 1}, {"b": (int,)}))
    assert run("predict shop.model.npz shop.csv") == 2
    assert "if another version of fastbp wrote this model, train it again with this one" in capsys.readouterr().err


def test_a_full_disk_is_told_with_the_file(model, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = model.read_bytes()
    monkeypatch.setattr(np, "savez", full)
    assert run("train shop.csv --target sold --epochs 1 --quiet") == 2
    assert capsys.readouterr().err.endswith(
        "shop.model.npz: can't be written: No space left on device; free space, or choose another folder\n"
    )
    assert model.read_bytes() == before
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["shop.csv", "shop.model.npz"]


def test_info_of_a_model_with_layers(folder, capsys):
    Trainer([2, Dense(3, "relu", norm="layer"), 1], seed=0).save("layers.npz")
    assert run("info layers.npz") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Network: Inputs(numbers=2), Dense(3, activation='relu', norm='layer'), Dense(1" in text
