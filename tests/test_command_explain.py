"""fastbp explain and fastbp importance: in the words of the table, as text, JSON and pages, and one step in numbers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas
import pytest

from fastbp import Trainer, tables
from fastbp.__main__ import main
from fastbp._cli import importances
from fastbp._cli.files import load_model
from tests.commands import run, said

from .test_command_line import iris


@pytest.fixture
def model(folder) -> Path:
    """A small table and its model."""
    text = "size,colour,y\n1,red,a\n2,blue,b\n3,red,a\n4,blue,b\n5,red,c\n6,blue,c\n"
    (folder / "data.csv").write_text(text)
    assert run("train data.csv --out model.npz --hidden 32,16 --epochs 2 --validation 0 --seed 0 --quiet") == 0
    return folder / "model.npz"


@pytest.fixture
def flowers(folder) -> pandas.DataFrame:
    """Iris, with a trained model."""
    frame = iris().sample(frac=1, random_state=0)
    frame.to_csv("iris.csv", index=False)
    assert run("train iris.csv --target y --out iris.npz --hidden 8 --epochs 30 --seed 0 --quiet") == 0
    return frame


@pytest.fixture
def prices(folder) -> pandas.DataFrame:
    """A table whose target is a number, with missing values."""
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame({"rooms": rng.integers(1, 9, 90), "town": rng.choice(["Ulm", "Bonn"], 90)})
    frame["price"] = 10_000 * frame["rooms"] + 5_000 * (frame["town"] == "Ulm") + rng.normal(0, 300, 90)
    frame.loc[5, "town"] = frame.loc[7, "price"] = None
    frame.to_csv("prices.csv", index=False)
    assert run("train prices.csv --target price --out prices.npz --epochs 60 --seed 0 --quiet") == 0
    return frame


# Contributions


def test_a_prediction_in_the_words_of_the_table(flowers, capsys):
    assert run("explain iris.npz iris.csv --row 3") == 0
    text = capsys.readouterr().out
    species = flowers["y"].iloc[2]
    assert text.startswith(f"row 3: {species} with probability ")
    assert f"\ntarget: {species}\n" in text
    assert f"The probability of {species} is " in text
    assert "For the mean of the training rows it is" in text.replace("\n", " ")
    shown = [re.split(r"  +", line.strip())[:2] for line in text.splitlines() if re.search(r" [+-]\d", line)]
    assert dict(shown[:-1]) == {
        name: f"{flowers[name].iloc[2]:g}" if name != "colour" else flowers[name].iloc[2]
        for name in flowers.columns.drop("y")
    }
    assert shown[-1][0] == "sum"
    assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize("model_of", ["flowers", "prices"])
def test_contributions_add_up_to_the_difference_of_the_predictions(model_of, request, capsys):
    frame = request.getfixturevalue(model_of)
    name = {"flowers": "iris", "prices": "prices"}[model_of]
    assert run(f"explain {name}.npz {name}.csv --row 1-50 --json") == 0
    found = said(capsys)
    trainer, table = load_model(f"{name}.npz")
    X = tables.inputs(table, pandas.read_csv(f"{name}.csv", dtype=str).iloc[:50])
    answers, start = tables.answers(table, trainer.predict(X)), trainer.predict(table.baseline[None])[0]
    assert found["rows"] == list(range(1, 51))
    for one, answer, output in zip(found["predictions"], answers, trainer.predict(X), strict=True):
        assert one["prediction"] == answer
        change = one["output"] - one["baseline_output"]
        assert sum(one["contributions"].values()) == pytest.approx(change, rel=1e-3, abs=1e-6)
        assert list(one["contributions"]) == sorted(one["contributions"], key=lambda n: -abs(one["contributions"][n]))
        assert set(one["contributions"]) == {column.name for column in table.columns}
        if name == "iris":
            k = table.target.categories.index(answer)
            assert one["probabilities"][answer] == max(one["probabilities"].values())
            assert (one["output"], one["baseline_output"]) == pytest.approx((output[k], start[k]), rel=1e-4)
        else:
            before = start[0] * table.target.deviation + table.target.mean
            assert one["baseline_output"] == pytest.approx(before, rel=1e-4)
    assert [one["target"] for one in found["predictions"][:5]] == list(map(str, frame.iloc[:5, -1]))


def test_two_classes_of_one_output_explain_each_its_own_probability(folder, capsys):
    frame = iris().query("y != 'setosa'")
    frame.to_csv("two.csv", index=False)
    assert run("train two.csv --target y --out two.npz --hidden 8 --epochs 300 --seed 0 --quiet") == 0
    assert run("explain two.npz two.csv --row 1,100 --json") == 0
    first, last = said(capsys)["predictions"]
    assert (first["prediction"], last["prediction"]) == ("versicolor", "virginica")
    assert min(first["output"], last["output"]) > 0.5
    assert first["baseline_output"] + last["baseline_output"] == pytest.approx(1)
    assert first["contributions"]["petal width (cm)"] > 0 < last["contributions"]["petal width (cm)"]


def test_the_target_is_not_needed(prices, capsys):
    prices.drop(columns="price").to_csv("new.csv", index=False)
    assert run("explain prices.npz new.csv --row 6") == 0
    text = capsys.readouterr().out
    assert "target" not in text
    assert re.search(r"town +missing", text)
    assert run("explain prices.npz prices.csv --row 8") == 0
    assert "target: missing" in capsys.readouterr().out
    assert run("explain prices.npz new.csv --row 1 --steps") == 2
    assert "price" in capsys.readouterr().err
    assert run("explain prices.npz new.csv --row 1 --out page.html") == 0
    assert "It does not show the steps of backpropagation, because new.csv has no column 'price'" in (
        capsys.readouterr().out
    )
    page = Path("page.html").read_text(encoding="utf-8")
    assert "The predicted price is" in page
    assert 'id="drawing"' not in page


def test_a_new_category_is_explained_or_refused(flowers, capsys):
    Path("new.csv").write_text(flowers.assign(colour="green").head(3).to_csv(index=False))
    assert run("explain iris.npz new.csv --row 2") == 0
    out, err = capsys.readouterr()
    assert re.search(r"colour +green", out)
    assert "colour" in err
    assert run("explain iris.npz new.csv --row 2 --unknown error") == 2


def test_messages_name_the_rows_of_the_file(prices, capsys):
    """Also where only some of its rows are used: those that are asked for, or those with a target."""
    text = prices.to_csv(index=False).splitlines()
    text[41] = "5,Köln,"  # row 41 has no target, and row 42 a town that training did not have
    text[42] = "5,Köln,50000"
    Path("new.csv").write_text("\n".join(text), encoding="utf-8")
    for command in (
        "explain prices.npz new.csv --row 40,42",
        "evaluate prices.npz new.csv",
        "importance prices.npz new.csv",
    ):
        assert run(command) == 0
        assert "'Köln' in row 42" in capsys.readouterr().err
    assert run("explain prices.npz new.csv --row 42 --unknown error") == 2
    assert "'Köln' in row 42" in capsys.readouterr().err
    assert run("explain prices.npz new.csv --row 41 --steps") == 2
    assert "row 41" in capsys.readouterr().err
    text[51] = "?,Ulm,50000"
    Path("new.csv").write_text("\n".join(text), encoding="utf-8")
    assert run("train new.csv --target price --out new.npz --epochs 1 --networks 1") == 0
    assert "'?' in row 51" in " ".join(capsys.readouterr().out.split())


def test_several_rows_have_a_line_each(prices, capsys):
    assert run("explain prices.npz prices.csv --row 2-4") == 0
    text = capsys.readouterr().out
    assert text.startswith("Average contributions to 3 rows, without signs:\n")
    assert len(re.findall(r"^row [234]: \d+ \(target \d{5}\.\d\): \w+ [+-]\d+, \w+ [+-]\d+$", text, re.M)) == 3
    assert run("explain prices.npz prices.csv --row 2-4 --out some.txt") == 0
    assert Path("some.txt").read_text(encoding="utf-8").count("\nrow ") == 3
    assert capsys.readouterr().out == "Wrote some.txt, which explains 3 rows.\n"


def test_a_prediction_beyond_the_range_of_training_says_so(prices, capsys):
    Path("new.csv").write_text("rooms,town\n40,Ulm\n")
    assert run("explain prices.npz new.csv") == 0
    text = " ".join(capsys.readouterr().out.split())
    predicted, given = re.match(
        r"row 1: (\d+) The network gives (\d+), which is more than any training row has, and so the prediction is \1\. "
        r"The contributions explain \2\. The network's price is \2\. For ",
        text,
    ).groups()
    assert float(predicted) == pytest.approx(prices["price"].max(), rel=1e-3)
    assert float(given) > float(predicted)
    assert run("explain prices.npz new.csv --out page.html") == 0
    page = Path("page.html").read_text(encoding="utf-8")
    assert page.index(f"The network gives {given}") < page.index(f"price is <b>{given}</b>")


@pytest.mark.parametrize(
    ("spelled", "unit"),
    [
        (lambda x: f"${x:,.2f}", "$"),
        (lambda x: f"{x:.1f} kg", "kg"),
        (lambda x: pandas.Timedelta(x + 0.5, "D"), "days"),
    ],
    ids=["money", "weight", "duration"],
)
def test_a_target_with_a_unit_is_shown_as_it_is_predicted(folder, capsys, spelled, unit):
    frame = pandas.DataFrame({"size": np.arange(90.0) % 17, "y": [spelled(1234 + 50 * i) for i in range(90)]})
    frame.to_parquet("data.parquet")
    assert run("train data.parquet --target y --out model.npz --hidden 4 --epochs 3 --seed 0 --quiet") == 0
    assert run("explain model.npz data.parquet --row 1") == 0
    text = capsys.readouterr().out
    assert f"y (in {unit}) is " in text
    target = float(re.search(r"target: (.*)", text)[1])
    assert target == pytest.approx(1234.5 if unit == "days" else 1234, rel=1e-5)


def test_a_wide_table_shows_its_largest_contributions(folder, capsys):
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame({f"column {j}": rng.normal(size=60) for j in range(150)})
    frame.assign(y=frame["column 7"] * 3).to_csv("wide.csv", index=False)
    assert run("train wide.csv --out wide.npz --epochs 3 --validation 0 --seed 0 --quiet") == 0
    assert run("explain wide.npz wide.csv") == 0
    text = capsys.readouterr().out
    assert len(re.findall(r"^  column ", text, re.M)) == 15
    assert "  135 others together  " in text
    assert run("importance wide.npz wide.csv --repeats 1") == 0
    assert "  … and 135 more columns, each " in capsys.readouterr().out


HOSTILE = ("</script><script>alert(1)</script>", "<img src=x onerror=alert(2)>", "\x1b[31m", "市区 \"'&<!--data-->")


def test_no_text_of_a_file_runs_as_code_or_controls_the_terminal(folder, capsys):
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame({f"n{name}": rng.normal(size=40) for name in HOSTILE})
    frame["c<b>"] = rng.choice([*HOSTILE], 40)
    frame["t<i>"] = [f"{HOSTILE[j % 2]}!" for j in range(40)]
    frame.to_csv("bad.csv", index=False)
    assert main(["train", "bad.csv", "--target", "t<i>", "--out", "bad.npz", "--epochs", "2", "--quiet"]) == 0
    assert run("explain bad.npz bad.csv --row 1-4 --out page.html") == 0
    page = Path("page.html").read_text(encoding="utf-8")
    assert page.count("<script") == 2  # the data and the script
    assert "<img" not in page
    texts = page.split("<script")[0]
    assert texts.count("<b>") == texts.count("</b>") == 4 * 4  # of each row: the target and three numbers
    assert "&lt;b&gt;" in texts
    assert "\x1b" not in page
    for command in (
        "explain bad.npz bad.csv --row 2",
        "explain bad.npz bad.csv --row 1-4",
        "importance bad.npz bad.csv",
    ):
        assert run(command) == 0
        assert "\x1b" not in capsys.readouterr().out


def test_too_many_rows_for_a_page(folder, capsys):
    pandas.DataFrame({"x": range(1200), "y": range(1200)}).to_csv("long.csv", index=False)
    assert run("train long.csv --features x --type x=number --out long.npz --epochs 1 --quiet") == 0
    assert run("explain long.npz long.csv --row 1-1001 --out page.html") == 2
    assert "--row: expected at most 1,000 rows for a page, got 1,001" in capsys.readouterr().err


# Importance


def test_importance_finds_the_columns_that_matter(prices, capsys):
    assert run("importance prices.npz prices.csv --json") == 0
    found = said(capsys)
    assert (found["metric"], found["rows"]) == ("rmse", 89)  # one row has no target
    assert list(found["columns"]) == ["rooms", "town"]
    assert found["columns"]["rooms"]["mean"] > 10_000 > found["columns"]["town"]["mean"] > 0
    assert run("evaluate prices.npz prices.csv --json") == 0
    assert found["measured"] == pytest.approx(said(capsys)["measured"]["rmse"], rel=1e-6)
    assert run("importance prices.npz prices.csv") == 0
    text = capsys.readouterr().out
    assert text.startswith("1 row without a target is left out.\n")
    assert re.search(r"rooms  [\d.]+ ± [\d.]+  █{24}\n  town ", text)


@pytest.mark.parametrize(
    ("metric", "name"), [("", "log_loss"), ("--metric accuracy", "accuracy"), ("--metric auc", "auc")]
)
def test_importance_of_classes_by_any_metric(flowers, capsys, metric, name):
    assert run(f"importance iris.npz iris.csv --json --rows 90 --seed 2 {metric}") == 0
    found = said(capsys)
    assert (found["metric"], found["rows"]) == (name, 90)
    means = [column["mean"] for column in found["columns"].values()]
    assert means == sorted(means, reverse=True)
    assert next(iter(found["columns"])).startswith("petal")
    assert abs(found["columns"]["colour"]["mean"]) < 0.1 < means[0]
    assert run(f"importance iris.npz iris.csv --json --rows 90 --seed 2 {metric}") == 0
    assert said(capsys) == found
    assert run(f"importance iris.npz iris.csv --rows 90 {metric}") == 0
    assert "90 of 150 rows are used, chosen at random.\n" in capsys.readouterr().out


def test_importance_leaves_out_classes_that_training_did_not_have(flowers, capsys):
    frame = flowers[:40].astype({"y": object})
    frame.iloc[3, frame.columns.get_loc("y")] = "fern"
    frame.iloc[[5, 6], frame.columns.get_loc("y")] = None
    frame.to_csv("some.csv", index=False)
    assert run("importance iris.npz some.csv") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith(
        "2 rows without a target are left out. 1 row has a class that training did not have, and is left out. log loss"
    )


def test_importance_of_a_large_network_uses_fewer_rows(flowers, capsys, monkeypatch):
    monkeypatch.setattr(importances, "WORK", 30 * 5 * 5 * Trainer.load("iris.npz").n_parameters)
    monkeypatch.setattr(importances, "FEWEST", 20)
    assert run("importance iris.npz iris.csv") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith(
        "30 of 150 rows are used, chosen at random. To use all of them, which takes longer: --rows 150."
    )
    assert run("importance iris.npz iris.csv --rows 150") == 0
    assert capsys.readouterr().out.startswith("log loss of 150 rows")
    monkeypatch.setattr(importances, "WORK", 1)
    assert run("importance iris.npz iris.csv --json") == 0
    assert said(capsys)["rows"] == 20


def test_importance_shows_its_progress_in_a_terminal(flowers, capsys, monkeypatch):
    monkeypatch.setattr(importances, "interactive", lambda: True)
    monkeypatch.setattr(importances, "DELAY", 0.0)
    assert run("importance iris.npz iris.csv") == 0
    assert "shuffles:" in capsys.readouterr().err
    assert run("importance iris.npz iris.csv --json") == 0
    assert not capsys.readouterr().err


def test_importance_draws_a_picture(prices, folder, capsys, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    assert run("importance prices.npz prices.csv --plot bars.svg") == 0
    assert capsys.readouterr().out.endswith("\n\nWrote bars.svg.\n")
    assert "<svg" in (folder / "bars.svg").read_text(encoding="utf-8")
    assert run("importance prices.npz prices.csv --plot bars.png --json") == 0
    assert said(capsys)["plot"] == "bars.png"
    assert (folder / "bars.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            "importance prices.npz prices.csv --metric auc",
            "--metric: expected a metric of numbers (mse, rmse, mae, r2)",
        ),
        (
            "importance iris.npz iris.csv --metric rmse",
            "--metric: expected a metric of classes (accuracy, log_loss, balanced_",
        ),
        ("evaluate iris.npz iris.csv --metrics f1,mse", "because the target is classes, got 'mse'"),
        ("importance iris.npz iris.csv --metric acuracy", "--metric: expected one of 'accuracy'"),
        ("importance iris.npz iris.csv --repeats 0", "--repeats: expected an integer ≥ 1, got 0"),
        ("importance iris.npz iris.csv --rows 1", "--rows: expected an integer ≥ 2, got 1"),
        ("importance iris.npz iris.csv --plot x.xyz", ".webp, got 'x.xyz'"),
        ("importance iris.npz iris.csv --plot iris.csv", "--plot: expected a file other than the data"),
        ("importance iris.npz iris.csv --plot iris.npz", "--plot: expected a file other than the model"),
        (
            "importance prices.npz one.csv",
            "one.csv: expected two or more rows with a target, because there is nothing to shuffle in one, got row 2",
        ),
    ],
)
def test_importance_says_what_is_wrong(flowers, prices, capsys, command, message):
    Path("one.csv").write_text("rooms,town,price\n4,Ulm,\n5,Bonn,50000\n")
    assert run(command) == 2
    assert message in capsys.readouterr().err


# One step of backpropagation


def test_steps(model, folder, capsys):
    assert run("explain model.npz data.csv --row 2 --steps") == 0
    text = capsys.readouterr().out
    assert "∂J/∂" in text
    for name in ("page.html", "page.tex", "page.txt", "other.HTML"):
        assert run(f"explain model.npz data.csv --row 2 --steps --out {name} --json") == 0
        found = said(capsys)
        assert found["kernel_difference"] < 1e-6
        assert (folder / name).stat().st_size > 500
    assert (folder / "page.txt").read_text(encoding="utf-8") == text
    assert (folder / "page.html").read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")
    assert (folder / "other.HTML").read_bytes() == (folder / "page.html").read_bytes()
    assert_loss_of_rows([2], found["loss"])


def assert_loss_of_rows(rows, loss):
    trainer = Trainer.load("model.npz")
    _, table = load_model("model.npz")
    frame = pandas.read_csv("data.csv").iloc[[row - 1 for row in rows]]
    X, y = tables.inputs(table, frame), tables.targets(table, frame)
    assert loss == pytest.approx(trainer.evaluate(X, y)["loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("asked", "rows"), [("1,5,3", [1, 5, 3]), ("2-4", [2, 3, 4]), ("6,1-2", [6, 1, 2]), ("5-5", [5])]
)
def test_explain_several_rows(model, capsys, asked, rows):
    assert run(f"explain model.npz data.csv --row {asked} --steps --json") == 0
    found = said(capsys)
    assert found["rows"] == rows
    assert_loss_of_rows(rows, found["loss"])


@pytest.fixture
def small(folder) -> Trainer:
    """Three inputs, two units, three outputs."""
    (folder / "data.csv").write_text("size,colour,y\n1,red,a\n2,blue,b\n3,red,a\n4,blue,b\n5,red,c\n6,blue,c\n")
    assert run("train data.csv --out model.npz --hidden 2 --epochs 2 --validation 0 --seed 0 --quiet") == 0
    return Trainer.load("model.npz")


@pytest.mark.parametrize("weight", [(1, 2, 1), (2, 3, 2), (1, 1, 0)])
def test_explain_one_weight(small, folder, capsys, weight):
    l, j, k = weight
    asked = f"--weight {l},{j},{k}"
    assert run(f"explain model.npz data.csv --row 2,3 {asked} --json") == 0
    found = said(capsys)["weight"]
    assert (found["l"], found["j"], found["k"]) == weight
    assert len(found["paths"]) == 2 * (3 if l == 1 else 1)
    assert sum(path["product"] for path in found["paths"]) == pytest.approx(found["kernel"], abs=1e-7)
    theta = small.weights[l - 1][j - 1, k - 1] if k else small.biases[l - 1][j - 1]
    assert found["theta"] == theta
    assert run(f"explain model.npz data.csv --row 2,3 {asked}") == 0
    text = capsys.readouterr().out
    assert text.startswith(f"∂J/∂{found['symbol']} = ")
    assert text.count("sample ") == len(found["paths"])
    assert run(f"explain model.npz data.csv --row 2,3 {asked} --out chain.txt") == 0
    assert (folder / "chain.txt").read_text(encoding="utf-8") == text
    assert run(f"explain model.npz data.csv --row 2,3 {asked} --out chain.tex") == 0
    assert (folder / "chain.tex").read_text(encoding="utf-8").count("(sample ") == len(found["paths"])
    capsys.readouterr()
    assert run(f"explain model.npz data.csv {asked} --out page.html") == 0
    assert f"To see the weight, open page.html#weight-{l}-{j}-{k}\n" in capsys.readouterr().out
    assert f'href="#weight-{l}-{j}-{k}"' in (folder / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--row 0", "--row: expected rows of data.csv from 1 to 6, got 0"),
        ("--row 7", "--row: expected rows of data.csv from 1 to 6, got 7"),
        ("--row 2,5-99999999999", "--row: expected rows of data.csv from 1 to 6, got 99999999999"),
        ("--row 3-1", "--row: expected rows such as 3, 1,5,9 or 1-4, got '3-1'"),
        ("--row 1,", "--row: expected rows such as 3, 1,5,9 or 1-4, got '1,'"),
        ("--row ²", "--row: expected rows such as 3, 1,5,9 or 1-4, got '²'"),
        ("--weight 1,2", "--weight: expected a layer and two units such as 1,2,1, got '1,2'"),
        ("--weight 1,x,2", "--weight: expected a layer and two units such as 1,2,1, got '1,x,2'"),
        ("--weight 3,1,1", "--weight: expected L,J,K with a layer L from 1 to 2, got 3,1,1"),
        ("--weight 0,1,1", "--weight: expected L,J,K with a layer L from 1 to 2, got 0,1,1"),
        ("--weight 1,3,1", "--weight: expected L,J,K with a unit J of layer 2 from 1 to 2, got 1,3,1"),
        ("--weight 1,0,1", "--weight: expected L,J,K with a unit J of layer 2 from 1 to 2, got 1,0,1"),
        ("--weight 2,1,3", "--weight: expected L,J,K with a unit K of layer 2 from 1 to 2, or 0 for the bias unit"),
        ("--out page.pdf", "--out: expected a file of type .html, .tex, .txt, got 'page.pdf'"),
        ("--out nowhere/page.html", "--out: expected a file in an existing folder, got 'nowhere/page.html'"),
        ("--out folder.html", "--out: expected a file or a new name, got 'folder.html', which is a folder"),
    ],
)
def test_explain_says_what_is_wrong(small, folder, capsys, arguments, message):
    (folder / "folder.html").mkdir()
    assert run(f"explain model.npz data.csv {arguments}") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


@pytest.mark.parametrize("place", ["chain.txt", "page.html"])
@pytest.mark.parametrize(("l", "j", "k"), [(1, 77, 2), (2, 98, 76), (3, 1, 99), (2, 99, 0)])
def test_a_weight_of_a_large_network_is_shown_on_demand(model, folder, capsys, l, j, k, place):
    assert run("train data.csv --out large.npz --hidden 99,99 --epochs 1 --validation 0 --quiet") == 0
    trainer = Trainer.load("large.npz")
    assert run(f"explain large.npz data.csv --row 1-2 --weight {l},{j},{k} --out {place} --json") == 0
    weight = said(capsys)["weight"]
    assert (weight["l"], weight["j"], weight["k"]) == (l, j, k)
    assert weight["theta"] == (trainer.weights[l - 1][j - 1, k - 1] if k else trainer.biases[l - 1][j - 1])
    assert weight["sum"] == pytest.approx(weight["kernel"], abs=1e-6)
    text = (folder / place).read_text(encoding="utf-8")
    assert f'href="#weight-{l}-{j}-{k}"' in text if place == "page.html" else text.count("sample ") == 2


def test_the_steps_of_a_large_network(model, capsys):
    assert run("train data.csv --out large.npz --hidden 99,99 --epochs 1 --validation 0 --quiet") == 0
    assert run("explain large.npz data.csv --row 1-6 --steps") == 0
    assert "There are too many weights to show each" in capsys.readouterr().out
