"""Columns recognised, rows encoded, and what a model's file says of them."""

from __future__ import annotations

import io

import numpy as np
import pandas
import pytest

from fastbp import ModelFileError, tables
from fastbp._columns import Categories, Numbers, Table
from fastbp._table_files import TableError, read

FRAME = pandas.DataFrame(
    {
        "size": ["1", "2", "3", None],
        "colour": ["red", "blue", "red", None],
        "same": ["5", "5", "5", "5"],
        "there": [True, False, True, True],
        "kind": ["2", "10", "2", "10"],
    }
)


def test_columns_are_what_they_look_like():
    table = tables.recognise(FRAME, "kind", fill=True)
    size, colour, same, there = table.columns
    assert size == Numbers("size", 2.0, pytest.approx(np.std([1, 2, 3])), True)
    assert colour == Categories("colour", ("blue", "red"), "red")
    assert same == Numbers("same", 5.0, 1.0, True)
    assert there == Categories("there", ("False", "True"), "True")
    assert table.target == Categories("kind", ("2", "10"), None)
    assert (table.n_inputs, table.n_outputs, table.loss) == (6, 1, "binary_cross_entropy")


def test_rows_become_numbers():
    table = tables.recognise(FRAME, "kind", fill=True)
    z = np.sqrt(1.5)
    np.testing.assert_allclose(
        tables.inputs(table, FRAME[["there", "same", "colour", "size"]]),
        [[-z, 0, 1, 0, 0, 1], [0, 1, 0, 0, 1, 0], [z, 0, 1, 0, 0, 1], [0, 0, 1, 0, 0, 1]],
    )
    np.testing.assert_array_equal(tables.targets(table, FRAME), [0, 1, 0, 1])


def test_a_text_that_is_no_category_is_refused_also_beside_an_empty_one():
    """Parquet has empty texts, and "inf" is a number that no integer's name stands for."""
    frame = pandas.DataFrame({"colour": ["", "red", "2"], "y": ["p", "q", "p"]})
    table = tables.recognise(frame, "y")
    assert table.columns[0].categories == ("2", "", "red")
    np.testing.assert_array_equal(
        tables.inputs(table, frame.assign(colour=["", "red", "2.0"])), [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    )
    for value in ("green", "inf", "-Infinity", "1e400", "2.5", np.inf):
        with pytest.raises(TableError, match=r"column 'colour' has .* in row 1, which is none of its categories"):
            tables.inputs(table, pandas.DataFrame({"colour": [value]}))


@pytest.mark.parametrize("values", [["1.5", "inf", "2.5"], [1.0, np.inf, 2.0], ["1", "-1e400", "2"]])
@pytest.mark.parametrize("task", tables.TASKS)
def test_an_infinite_target_is_refused_rather_than_a_class(values, task):
    with pytest.raises(TableError, match=r"column 'y' has '?-?(inf|1e400)'? in row 2, among numbers"):
        tables.recognise(pandas.DataFrame({"x": [1, 2, 3], "y": values}), "y", task)


@pytest.mark.parametrize(
    ("values", "task", "kind"),
    [
        (["a", "b", "a"], "auto", Categories),
        (["1", "2", "3"], "auto", Categories),
        (["1.0", "2", "3"], "auto", Categories),
        (["1.5", "2", "3"], "auto", Numbers),
        ([str(i) for i in range(21)], "auto", Numbers),
        (["1", "2", "3"], "numbers", Numbers),
        (["1.5", "2", "3"], "classes", Categories),
    ],
)
def test_the_target_is_classes_or_numbers(values, task, kind):
    frame = pandas.DataFrame({"x": range(len(values)), "y": values})
    assert isinstance(tables.recognise(frame, "y", task).target, kind)


def test_an_integer_class_is_the_same_however_it_is_written():
    table = Table((Numbers("x", 0.0, 1.0, False),), Categories("y", ("1", "2"), None))
    np.testing.assert_array_equal(tables.targets(table, pandas.DataFrame({"y": [1.0, 2.0]})), [0, 1])
    with pytest.raises(TableError, match=r"'1\.5' in row 1, which is none of its categories: '1', '2'"):
        tables.targets(table, pandas.DataFrame({"y": ["1.5"]}))


def test_an_npz_has_columns_by_number(tmp_path):
    np.savez(tmp_path / "data.npz", X=np.ones((3, 2)), y=np.arange(3))
    assert list(read(str(tmp_path / "data.npz")).columns) == ["x1", "x2", "y"]


def encrypted(data: bytes) -> bytes:
    return flagged(data, 6, 8, 1)


def by_an_unknown_method(data: bytes) -> bytes:
    return flagged(data, 8, 10, 99)


def flagged(data: bytes, local: int, central: int, value: int) -> bytes:
    """With a field of the first member's two records set."""
    changed = bytearray(data)
    for place in (data.index(b"PK\x03\x04") + local, data.index(b"PK\x01\x02") + central):
        changed[place : place + 2] = value.to_bytes(2, "little")
    return bytes(changed)


def spoilt(data: bytes) -> bytes:
    """A deflated member whose first block is of no kind that there is."""
    start = 30 + int.from_bytes(data[26:28], "little") + int.from_bytes(data[28:30], "little")
    return data[:start] + b"\xff" * 8 + data[start + 8 :]


def one_array(_: bytes) -> bytes:
    file = io.BytesIO()
    np.save(file, np.ones((3, 2)))
    return file.getvalue()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (encrypted, "encrypted"),
        (by_an_unknown_method, "compression"),
        (spoilt, "decompressing"),
        (one_array, r"it is an \.npy file"),
    ],
)
def test_an_npz_that_is_none(tmp_path, spoil, message):
    path = tmp_path / "data.npz"
    np.savez_compressed(path, X=np.ones((3, 2)), y=np.arange(3))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(TableError, match=rf"this is no \.npz file of plain arrays: .*{message}"):
        read(str(path))


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    FRAME.to_parquet(tmp_path / "data.parquet")
    table = tables.recognise(read(str(tmp_path / "data.parquet")), "kind", fill=True)
    assert table == tables.recognise(FRAME, "kind", fill=True)


def test_a_record_is_read_back():
    table = tables.recognise(FRAME, "kind", fill=True)
    record = table.record()
    record["columns"] = [{n: list(v) if type(v) is tuple else v for n, v in c.items()} for c in record["columns"]]
    record["target"]["categories"] = list(record["target"]["categories"])
    assert Table.from_record(record) == table


NUMBERS = {"kind": "numbers", "name": "x", "mean": 0.0, "deviation": 1.0, "fill": False}
CLASSES = {"kind": "categories", "name": "y", "categories": ["a", "b"], "fill": None}


@pytest.mark.parametrize(
    ("column", "target", "message"),
    [
        ({"mean": 0}, {}, "mean as float"),
        ({"mean": float("nan")}, {}, "a finite mean"),
        ({"deviation": 0.0}, {}, "a deviation > 0"),
        ({"fill": 1}, {}, "fill as bool"),
        ({"kind": "code"}, {}, "a column of a kind among numbers, categories"),
        ({"kind": ["numbers"]}, {}, "a column of a kind among"),
        ({"more": 1}, {}, "one that differs in"),
        ({"name": "y"}, {}, "two called 'y'"),
        ({}, {"categories": ["a"]}, "two or more categories"),
        ({}, {"categories": ["a", "a"]}, "different texts"),
        ({}, {"categories": ["a", 1]}, "different texts"),
        ({}, {"fill": "c"}, "a fill among the categories"),
    ],
)
def test_a_record_that_is_not_ours(column, target, message):
    with pytest.raises(ModelFileError, match=message):
        Table.from_record({"columns": [NUMBERS | column], "target": CLASSES | target})
