"""Models of `fastbp train` as C: what becomes of the columns, and `fastbp export`."""

from __future__ import annotations

import csv
import re
from ctypes import POINTER, Structure, byref, c_double, c_long
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest

from fastbp import Trainer, tables
from fastbp._files.columns import Categories
from tests.commands import run, said
from tests.test_c import FLAGS, Compiled

CITIES = ("Rome", "Paris */ ??/", "Bonn", "Oslo\\", "größer", *(f"rare {i}" for i in range(12)))


def rows(n, seed):
    """Return rows with numbers, categories and dates, some of them missing; and prices that depend on them."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        city = int(rng.integers(5) if rng.random() < 0.93 else rng.integers(5, len(CITIES)))
        area = round(float(np.exp(rng.normal() * 1.2 + 4)), 1)
        hours = int(rng.integers(60 * 365 * 24))
        date = np.datetime64("1961-03-01T00:00:00") + np.timedelta64(hours, "h")
        price = 2 * area + 20 * city + float(rng.normal())
        yield [
            area if rng.random() > 0.1 else "",
            CITIES[city] if rng.random() > 0.05 else "",
            str(date).replace("T", " "),
            int(rng.integers(1, 7)),
            ("yes", "no")[int(rng.integers(2))],
            f"{hours % 24:02}:{int(rng.integers(60)):02}" if rng.random() > 0.05 else "",
            round(price, 2),
            "abc"[int(price / 120) % 3],
            ("left", "right")[price > 200],
        ]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with a table and models for three kinds of targets."""
    folder = tmp_path_factory.mktemp("models")
    with (folder / "t.csv").open("w", newline="", encoding="utf-8") as file:
        names = ("area m²", "city of */ birth", "sold", "rooms", "int", "at", "price", "kind", "side")
        csv.writer(file).writerows([names, *rows(400, 0)])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for target in ("price", "kind", "side"):
            others = ",".join({"price", "kind", "side"} - {target})
            words = f"train t.csv --target {target} --drop {others} --hidden 8 --networks 1 --epochs 8 --seed 0 --quiet"
            assert run(f"{words} --out {target}.npz") == 0
    return folder


@pytest.fixture
def here(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in models.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def struct_of(trainer, header):
    """Return the struct of a row, from the header."""
    body = re.search(r"typedef struct \{([^}]*)\} \w+_row;", header)[1]
    members = re.findall(r"^    (double|long) (\w+);", body, re.MULTILINE)
    assert len(members) == len(trainer._table.columns)
    kinds = {"double": c_double, "long": c_long}
    return type("Row", (Structure,), {"_fields_": [(name, kinds[kind]) for kind, name in members]})


def values_of(column, series):
    """Return the values of a column for the struct: numbers, days since 1970, or numbers of categories."""
    if isinstance(column, Categories):
        return [-2 if pandas.isna(text) else column.place(str(text)) for text in series]
    if series.name == "sold":
        return (pandas.to_datetime(series).astype("datetime64[s]").astype("int64") / 86400).tolist()
    if series.name == "at":
        return (pandas.to_timedelta(series + ":00").dt.total_seconds() / 86400).tolist()
    return series.tolist()


def encoded(net, trainer, header, frame):
    """Return what the C function makes of the rows of a frame, (n, n_1)."""
    row_type = struct_of(trainer, header)
    columns = [values_of(column, frame[column.name]) for column in trainer._table.columns]
    X = np.full((len(frame), trainer.layer_sizes[0]), np.nan, np.float32)
    for values, x in zip(zip(*columns, strict=True), X, strict=True):
        assert net["encode"](byref(row_type(*values)), x.ctypes.data_as(POINTER(net.real))) == 0
    return X


@pytest.mark.parametrize("target", ["price", "kind", "side"])
def test_rows_of_a_table_get_the_answers_of_the_command(here, target):
    trainer = Trainer.load(f"{target}.npz")
    with open("new.csv", "w", newline="", encoding="utf-8") as file:
        new = [*rows(60, 1)]
        new[0][1], new[1][0], new[2][0] = "Nowhere", 1e9, -1e9
        file.write(Path("t.csv").read_text(encoding="utf-8").splitlines()[0] + "\n")
        csv.writer(file).writerows(new)
    frame = pandas.read_csv("new.csv")
    made = trainer.to_c()
    net = Compiled(made, here)
    X = encoded(net, trainer, made.header, frame)
    with pytest.warns(UserWarning, match="Nowhere"):
        expected = tables.inputs(trainer._table, frame, unknown="other")
    np.testing.assert_allclose(X, expected, rtol=1e-6, atol=1e-6)
    answers = tables.answers(trainer._table, trainer.predict(expected))
    y = net.predict(X)
    if target == "price":
        net["number"].restype = c_double
        found = [net["number"](row.ctypes.data_as(POINTER(net.real))) for row in y]
        np.testing.assert_allclose(found, answers, rtol=1e-5)
    else:
        assert [trainer._table.target.categories[j] for j in net.classes(y)] == list(answers)
    assert net.self_test() < net.tolerance


def test_encode_refuses_numbers_of_no_category(here):
    trainer = Trainer.load("price.npz")
    made = trainer.to_c()
    net, row_type = Compiled(made, here), struct_of(trainer, made.header)
    x = np.zeros(trainer.layer_sizes[0], np.float32).ctypes.data_as(POINTER(net.real))
    row = row_type(*[1] * len(row_type._fields_))
    assert net["encode"](byref(row), x) == 0
    for name, code in (("city_of_birth", len(CITIES) + 1), ("column_int", -3), ("column_int", 2)):
        row = row_type(*[1] * len(row_type._fields_))
        setattr(row, name, code)
        assert net["encode"](byref(row), x) == 1 + [field[0] for field in row_type._fields_].index(name)


@pytest.mark.parametrize(
    "taken", ["NET_INPUTS NET_H unix", "errno EOF linux", "NULL I stdin", "NET_TOLERANCE near HIGH"]
)
def test_names_of_columns_that_are_macros(here, taken):
    trainer = Trainer.load("price.npz")
    names = [*taken.split(), *"abc"]
    columns = tuple(replace(column, name=name) for column, name in zip(trainer._table.columns, names, strict=True))
    trainer._table = replace(trainer._table, columns=columns)
    made = trainer.to_c()
    first = "".join(f"#include <{header}.h>\n" for header in ("complex", "errno", "math", "stdio"))
    first += "#define HIGH 1\n#define near\n"
    made = type(made)(first + made.source, made.header)
    net = Compiled(made, here, flags=["-std=gnu17" if flag == "-std=c99" else flag for flag in FLAGS])
    assert net.self_test() < net.tolerance


def test_export_writes_c(here, capsys):
    assert run("export price.npz price.c") == 0
    assert "Wrote price.c and price.h, which" in capsys.readouterr().out
    made = Trainer.load("price.npz").to_c("again.c", name="price")
    assert Path("price.c").read_text() == made.source.replace("again.h", "price.h")
    assert run("export price.npz price.c --name net --header api.h --dtype float64 --json") == 0
    told = said(capsys)
    assert told == {
        "model": "price.npz",
        "source": "price.c",
        "header": "api.h",
        "dtype": "float64",
        "accuracy": None,
    }
    assert "void net_predict(const double x[NET_INPUTS]" in Path("api.h").read_text()


@pytest.mark.parametrize(("model", "metric"), [("price", "rmse"), ("kind", "accuracy"), ("side", "accuracy")])
def test_export_of_integers_reports_the_accuracy(here, capsys, model, metric):
    assert run(f"export {model}.npz {model}.c --dtype int8 --calibration t.csv --json") == 0
    found = said(capsys)["accuracy"]
    assert (found["rows"], found["metric"]) == (400, metric)
    assert found["deviation"] < 0.05
    assert run(f"evaluate {model}.npz t.csv --json") == 0
    measured = said(capsys)["measured"][metric]
    assert found["before"] == pytest.approx(measured, rel=0.02)
    assert run(f"export {model}.npz {model}.c --dtype int8 --calibration t.csv") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "calibrated on 400 rows" in out
    assert f"{metric}: " in out
    net = Compiled(
        type("Made", (), {"source": Path(f"{model}.c").read_text(), "header": Path(f"{model}.h").read_text()}),
        here,
        model,
        "int8",
    )
    assert net.self_test() < net.tolerance


def test_export_calibrates_without_the_target_and_without_a_table(here, capsys):
    lines = [",".join(line.split(",")[:6]) for line in Path("t.csv").read_text(encoding="utf-8").splitlines()]
    Path("inputs.csv").write_text("\n".join(lines), encoding="utf-8")
    assert run("export price.npz price.c --dtype int8 --calibration inputs.csv --json") == 0
    assert said(capsys)["accuracy"]["metric"] is None
    X = np.random.default_rng(0).normal(size=(50, 3))
    Trainer([3, 5, 1], seed=0).save("plain.npz")
    np.savez("rows.npz", X=X, y=X.sum(axis=1))
    assert run("export plain.npz plain.c --dtype int8 --calibration rows.npz --json") == 0
    assert said(capsys)["accuracy"]["metric"] == "rmse"
    np.savez("wide.npz", X=np.zeros((5, 4)), y=np.zeros(5))
    assert run("export plain.npz plain.c --dtype int8 --calibration wide.npz") == 2
    assert "wide.npz: expected 3 columns of inputs, got 4" in capsys.readouterr().err


def test_export_writes_onnx(here, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    assert run("export kind.npz kind.onnx --json") == 0
    assert said(capsys) == {"model": "kind.npz", "onnx": "kind.onnx"}
    trainer = Trainer.load("kind.npz")
    X = np.random.default_rng(0).normal(size=(5, trainer.layer_sizes[0])).astype(np.float32)
    (found,) = onnxruntime.InferenceSession("kind.onnx").run(None, {"input": X})
    np.testing.assert_allclose(found, trainer.predict(X), atol=1e-6)


def test_export_refuses_onnx_of_distributions(here, capsys):
    Trainer([3, 2], loss="gaussian_nll", seed=0).save("g.npz")
    assert run("export g.npz g.onnx") == 2
    assert "out: expected a file that ends in .c for the loss 'gaussian_nll', or, in Python" in capsys.readouterr().err
    assert not Path("g.onnx").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("price.npz price.py", "out: expected a file that ends in .c or .onnx, got 'price.py'"),
        ("price.npz price.npz", "out: expected a file that ends in .c or .onnx"),
        ("t.csv price.c", "t.csv: expected a model that `fastbp train` wrote"),
        ("none.npz price.c", "none.npz: No such file"),
        ("price.npz no/price.c", "out: expected a file in an existing folder"),
        ("price.npz price.c --header price.npz", "--header: expected a file other than the model"),
        ("price.npz price.c --dtype int8", "--dtype int8: expected --calibration"),
        ("price.npz price.c --calibration t.csv", "--calibration: expected --dtype int8"),
        ("price.npz price.c --dtype int8 --calibration price.c", "out: expected a file other than --calibration"),
        (
            "price.npz price.c --dtype int8 --calibration t.csv --header t.csv",
            "--header: expected a file other than --cal",
        ),
        ("price.npz price.c --dtype int4", "--dtype: invalid choice: 'int4'"),
        ("price.npz price.c --name int", "name: expected an identifier of C that is not a keyword"),
        ("price.npz price.onnx --dtype int8", "--dtype: expected an output that ends in .c, got 'price.onnx'"),
        ("price.npz price.onnx --name net", "--name: expected an output that ends in .c"),
    ],
)
def test_export_refuses(here, capsys, words, message):
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    assert run(f"export {words}") == 2
    assert message in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before
