"""Columns recognised, rows encoded, and what a model's file says of them."""

from __future__ import annotations

import datetime
import io
import json
import re
from decimal import Decimal

import numpy as np
import pandas
import pytest

from fastbp import ModelFileError, tables
from fastbp._cli.parser import TASKS
from fastbp._files import TableError
from fastbp._files.cells import MISSING, missing_in
from fastbp._files.columns import Categories, Numbers, Table
from fastbp._files.tables import read

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
    table = tables.recognise(FRAME, "kind", missing="mean")
    size, colour, there = table.columns
    assert size == Numbers("size", 2.0, pytest.approx(np.std([1, 2, 3])), True, low=1.0, high=3.0)
    assert colour == Categories("colour", ("blue", "red"), "red", single=True, counts=(1, 2, 0, 1))
    assert there == Categories("there", ("False", "True"), "True", single=True, counts=(1, 3, 0, 0))
    assert table.target == Categories("kind", ("2", "10"), None, counts=(2, 2, 0, 0))
    assert table.left_out == (("same", "it is '5' in every row"),)
    assert (table.n_inputs, table.n_outputs, table.loss) == (3, 1, "binary_cross_entropy")


def test_rows_become_numbers():
    table = tables.recognise(FRAME, "kind", missing="mean")
    z = np.sqrt(1.5)
    np.testing.assert_allclose(
        tables.inputs(table, FRAME[["there", "same", "colour", "size"]]),
        [[-z, 1, 1], [0, -1, -1], [z, 1, 1], [0, 1, 1]],
        rtol=1e-6,
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
        with pytest.raises(TableError, match=r"column 'colour' has .* in row 1, which is not one of its categories"):
            tables.inputs(table, pandas.DataFrame({"colour": [value]}), unknown="error")


@pytest.mark.parametrize("values", [["1.5", "inf", "2.5"], [1.0, np.inf, 2.0], ["1", "-1e400", "2"]])
@pytest.mark.parametrize("task", TASKS)
def test_an_infinite_target_is_refused_rather_than_a_class(values, task):
    with pytest.raises(TableError, match=r"column 'y' has '?-?(inf|1e400)'? in row 2, but numbers must be finite"):
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
    with pytest.raises(TableError, match=r"'1\.5' in row 1, which is not one of its categories: '1', '2'"):
        tables.targets(table, pandas.DataFrame({"y": ["1.5"]}))


def test_an_npz_has_columns_by_number(tmp_path):
    np.savez(tmp_path / "data.npz", X=np.ones((3, 2)), y=np.arange(3))
    assert list(read(str(tmp_path / "data.npz")).columns) == ["x1", "x2", "y"]


def columns(*names) -> pandas.DataFrame:
    return pandas.DataFrame(np.arange(3.0 * len(names)).reshape(3, -1), columns=pandas.Index(names, tupleize_cols=True))


@pytest.mark.parametrize(
    ("frame", "names"),
    [
        (columns(0, 1, 2), ["0", "1", "2"]),
        (columns(0.5, 1.0), ["0.5", "1.0"]),
        (columns(pandas.Timestamp("2020-01-01")), ["2020-01-01 00:00:00"]),
        (columns(pandas.Timedelta("1D")), ["1 days 00:00:00"]),  # pandas writes this file, and can't read it
        (columns(("a", 1), ("b", 2)), ["('a', '1')", "('b', '2')"]),
        (columns(" a", "b "), [" a", "b "]),
        (columns("NA", "null"), ["NA", "null"]),
        (columns("a", "b").set_index("a"), ["b"]),
        (columns("a").set_axis([5, 6, 7]), ["a"]),
    ],
)
def test_parquets_columns_have_texts_as_names_and_pandas_index_is_none_of_them(tmp_path, frame, names):
    pytest.importorskip("pyarrow")
    frame.to_parquet(tmp_path / "data.parquet")
    assert list(read(str(tmp_path / "data.parquet")).columns) == names


def test_an_index_that_is_wanted_as_a_column_is_refused_by_name(tmp_path):
    pytest.importorskip("pyarrow")
    columns("a", "y").set_index("y").to_parquet(path := str(tmp_path / "data.parquet"))
    with pytest.raises(TableError, match=r"'y' is the index of the pandas frame in this file.*frame\.reset_index\(\)"):
        read(path, ["y"])
    assert list(read(path, ["a"]).columns) == ["a"]


def test_an_index_is_known_without_pandas_word_for_it(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"a": [1, 2], "__index_level_0__": [3, 4]})
    for metadata in ({}, {b"pandas": b"{"}, {b"pandas": b"[]"}, {b"pandas": b'{"index_columns": [{"kind": "range"}]}'}):
        parquet.write_table(table.replace_schema_metadata(metadata), tmp_path / "data.parquet")
        assert list(read(str(tmp_path / "data.parquet")).columns) == ["a"]


def test_a_folder_of_other_files_is_told(tmp_path):
    (tmp_path / "notes.txt").write_text("no table")
    with pytest.raises(TableError, match="got a folder with other files; name the file of your table"):
        read(str(tmp_path))


def test_a_folder_of_parquet_files_is_one_table(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    (tmp_path / "data.parquet").mkdir()
    for i in range(2):
        parquet.write_table(pyarrow.table({"3": [i, i]}), tmp_path / "data.parquet" / f"{i}.parquet")
    frame = read(str(tmp_path / "data.parquet"))
    assert (list(frame.columns), list(frame["3"])) == (["3"], [0, 0, 1, 1])


def test_of_two_columns_with_one_name_the_second_is_renamed(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    names = ["3", "3", "3_2", "3"]
    table = pyarrow.Table.from_arrays([pyarrow.array([1])] * 4, names=names)
    parquet.write_table(table, tmp_path / "data.parquet")
    (tmp_path / "data.csv").write_text("3,3 ,3_2, 3\n1,2,3,4\n")
    (tmp_path / "words.csv").write_text("x,x ,x_2, x\n1,2,3,4\n")
    for name, wanted in (("data.parquet", ()), ("data.csv", ("3", "3_2")), ("words.csv", ())):
        frame, stem = read(str(tmp_path / name), wanted), name[0].replace("d", "3").replace("w", "x")
        assert list(frame.columns) == [stem, f"{stem}_3", f"{stem}_2", f"{stem}_4"]
        assert frame.attrs["renamed"] == {f"{stem}_3": stem, f"{stem}_4": stem}


def csv(folder, text: str) -> str:
    (folder / "data.csv").write_text(text, encoding="utf-8")
    return str(folder / "data.csv")


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("NA,null,None,nan", ["NA", "null", "None", "nan"]),
        ("0,1,2,y", ["0", "1", "2", "y"]),
        ('\ufeff"a",b', ["a", "b"]),
        (" a , b", ["a", "b"]),
        ('"a,b","c""d","e\nf"', ["a,b", 'c"d', "e\nf"]),
    ],
)
def test_the_names_of_a_csv(tmp_path, line, names):
    assert list(read(csv(tmp_path, f"{line}\n{','.join('1' * len(names))}\n")).columns) == names


def test_spaces_after_a_comma_belong_to_no_value(tmp_path):
    frame = read(csv(tmp_path, 'a, b\n no, 1\nyes, "1,5"\n'))
    assert frame.to_dict("list") == {"a": ["no", "yes"], "b": ["1", "1,5"]}


@pytest.mark.parametrize("line", ["a,,b", "a, ,b", "a,b,", ",a,b", "column_2,,b"])
def test_a_csvs_column_without_a_name_gets_one(tmp_path, line):
    frame = read(csv(tmp_path, f"{line}\n1,2,3\n"))
    names = [name.strip() for name in line.split(",")]
    place = names.index("")
    new = f"column_{place + 1}" if f"column_{place + 1}" not in names else f"column_{place + 2}"
    assert list(frame.columns) == [*names[:place], new, *names[place + 1 :]]
    assert frame.attrs["renamed"] == {new: ""}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [("0,1,2,3", "3"), ("3,1,2,0", "3"), ("0.5,1.5,3", "0.5"), ("2019,2021,2024", "2024"), ("9,2,5", "295")],
)
def test_numbers_name_a_csvs_columns_where_they_are_looked_for(tmp_path, line, wanted):
    wanted = [wanted] if wanted in line.split(",") else list(wanted)
    path = csv(tmp_path, f"{line}\n{line}\n")
    assert list(read(path, wanted).columns) == line.split(",")
    for others in ([], ["y"], ["7"]):
        with pytest.raises(TableError, match="expected column names in the first line, got numbers: "):
            read(path, others)


@pytest.mark.parametrize("line", ["5.1,3.5,1.4,0", "1,0,0", "7,0,3"])
def test_a_row_of_numbers_is_no_header_for_one_of_its_numbers(tmp_path, line):
    with pytest.raises(TableError, match="expected column names in the first line, got numbers: "):
        read(csv(tmp_path, f"{line}\n{line}\n"), ["0"])


def test_a_csv_of_one_column_keeps_its_blank_lines(tmp_path):
    frame = read(csv(tmp_path, '\na\n1\n\n3\n""\n\n\n'))
    assert list(frame["a"].isna()) == [False, True, False, True]


def test_the_texts_that_count_as_missing_are_pandas_own(tmp_path):
    """In every file; but for the empty text, which CSV has not."""
    texts = [*MISSING, "Na", "none", "NAN", "-", "?", "x", "0"]
    theirs = pandas.read_csv(io.StringIO("\n".join(["a", *texts])), dtype=str)["a"].isna()
    frame = read(csv(tmp_path, "\n".join(["a,b", *(f"{text},1" for text in texts)])))
    np.testing.assert_array_equal(missing_in(frame["a"]), theirs)
    np.savez(tmp_path / "data.npz", X=np.array(texts)[:, None])
    np.testing.assert_array_equal(missing_in(read(str(tmp_path / "data.npz"))["x1"]), theirs)
    np.testing.assert_array_equal(missing_in(pandas.Series(["", None, "NA", "b"], dtype=object)), [0, 1, 1, 0])


def test_a_text_that_counts_as_missing_is_named():
    frame = pandas.DataFrame({"country": ["NO", "NA", "SE"], "y": [1, 2, 3]})
    message = r"'country' has no value in row 2 \('NA' counts as missing\)"
    with pytest.raises(TableError, match=message):
        tables.inputs(tables.recognise(frame, "y", missing="refuse"), frame)
    known = Table((Categories("country", ("NA", "NO"), "NO"),), Numbers("y", 0.0, 1.0, False))  # an older model's
    np.testing.assert_array_equal(tables.inputs(known, frame[:2]), [[0, 1], [1, 0]])


def written(folder, suffix: str, **values) -> str:
    """A file of these columns."""
    path, frame = folder / f"data{suffix}", pandas.DataFrame(values)
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    elif suffix == ".parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet(path)
    else:
        np.savez(path, X=np.array(frame.drop(columns="y").to_numpy().tolist()), y=np.array(frame["y"].tolist()))
    return str(path)


FORMS = [".csv", ".parquet", ".npz"]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1])
@pytest.mark.parametrize("suffix", FORMS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "Float64", "text", "decimal", "endless"])
def test_infinite_numbers_are_numbers_however_many_they_are(tmp_path, share, suffix, dtype):
    values = np.arange(20.0)
    values[: round(20 * share)] = -np.inf
    values[0] = 1.0 if share < 1 else np.inf
    endless = {-np.inf: "-1e999", np.inf: "INF"}
    column = {
        "text": lambda: values.astype(str).astype(object),
        "decimal": lambda: [Decimal(value) if suffix == ".csv" else str(Decimal(value)) for value in values],
        "endless": lambda: [endless.get(value, str(value)) for value in values],
    }.get(dtype, lambda: pandas.array(values, dtype))()
    frame = read(written(tmp_path, suffix, x1=column, y=np.arange(20) % 2))
    row = {0.1: "row 2", 1: r"20 rows \(1, "}.get(share, r"\d+ rows \(2, 3, 4 …\)")
    message = rf"column 'x1' has '(-?inf|-1e999|-?Infinity|INF)'.* in {row}.*, but numbers must be finite"
    with pytest.raises(TableError, match=message):
        tables.recognise(frame, "x1")
    if share == 1:
        with pytest.raises(TableError, match="column 'x1' is left out: it has no finite numbers"):
            tables.recognise(frame, "y")
        return
    (column,) = tables.recognise(frame, "y").columns
    assert isinstance(column, Numbers)
    assert column.indicator
    assert re.fullmatch(rf"'-(inf|1e999|Infinity)' in {row}.* counts as missing", column.note)


@pytest.mark.parametrize("suffix", FORMS)
@pytest.mark.parametrize(
    "labels",
    [
        [2**53, 2**53 + 1, 2**53 + 4],
        [-(2**60) - 1, -(2**60)],
        [2**64 - 2, 2**64 - 1],
        ["1" + 29 * "0", "1" + 28 * "0" + "1"],
        ["001", "1", "007"],
        ["01234", "94110"],
        ["1.10", "1.1", "2.0", "x", "y", "z"],
    ],
)
def test_labels_are_the_files_own(tmp_path, suffix, labels):
    """Compared with pandas, which reads the labels as they are written."""
    many = labels * 2
    frame = read(written(tmp_path, suffix, x1=np.arange(len(many)) / 2, y=many))
    table = tables.recognise(frame, "y")
    assert set(table.target.categories) == set(map(str, labels))
    assert Table.from_record(json.loads(json.dumps(table.record()))) == table
    named = [table.target.categories[code] for code in tables.targets(table, frame)]
    assert named == list(map(str, many))
    csv_file = written(tmp_path, ".csv", x1=np.arange(len(many)) / 2, y=many)
    assert named == list(pandas.read_csv(csv_file, dtype=str)["y"])
    np.testing.assert_array_equal(tables.targets(table, read(csv_file)), tables.targets(table, frame))


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["1.0", "2", "1"], ("1", "2")),
        (["0.000000000000000000e+00", "1.000000000000000000e+00"], ("0", "1")),
        (["-0.0", "0", "1"], ("0", "1")),
        (["+1", "-1"], ("-1", "+1")),
        (["1e16", "2e16"], ("1e16", "2e16")),
        ([1e16, 2e16], ("1e+16", "2e+16")),
        ([1.0, 2.0], ("1", "2")),
        ([Decimal("1.00"), Decimal(2**60 + 1)], ("1", str(2**60 + 1))),
        ([True, False], ("False", "True")),
        (["1", "X", "2"], ("1", "2", "X")),
    ],
)
def test_the_names_of_classes(values, labels):
    table = tables.recognise(pandas.DataFrame({"x": range(len(values)), "y": values}), "y")
    assert table.target.categories == labels
    np.testing.assert_array_equal(
        tables.targets(table, pandas.DataFrame({"y": values})),
        [labels.index(tables.label(str(value))) for value in values],
    )


@pytest.mark.parametrize(
    ("category", "same", "others"),
    [
        ("1", [1, 1.0, np.float32(1), "1.0", "1.", "+1", " 1", "1.00e+00", Decimal("1.0")], ["001", "01", True, "1.5"]),
        ("007", ["007"], [7, "7", "07", "7.0"]),
        ("+1", ["+1", 1, "1.0"], ["-1", "01"]),
        ("True", [True, "true", "TRUE"], [1, "1", "yes"]),
        ("true", [True, "True"], ["t"]),
        (str(2**53), [2**53, str(2**53)], [float(2**53), 2**53 + 1, f"{2**53}.0"]),
        (
            "2020-01-01",
            [
                pandas.Timestamp("2020-01-01"),
                datetime.date(2020, 1, 1),
                "2020-01-01 00:00:00",
                "2020-01-01 00:00:00.000",
            ],
            [pandas.Timestamp("2020-01-01 1:00"), "2020-01-01 00:00:01"],
        ),
        ("2020-01-01 00:00:00", [pandas.Timestamp("2020-01-01"), "2020-01-01"], [pandas.Timestamp("2020-01-02")]),
        (
            "2020-01-01 10:00:00.500",
            [pandas.Timestamp("2020-01-01 10:00:00.5")],
            [pandas.Timestamp("2020-01-01 10:00")],
        ),
        ("1 days 00:00:00", [pandas.Timedelta("1D")], [pandas.Timedelta("10D")]),
        ("a", ["a", b"a", "a "], ["A"]),
    ],
)
def test_a_value_is_the_same_category_in_every_spelling_that_files_have(category, same, others):
    table = Table((Numbers("x", 0.0, 1.0, False),), Categories("y", (category, "other"), None))
    for value in same:
        assert tables.targets(table, pandas.DataFrame({"y": pandas.Series([value], dtype=object)})) == [0]
        assert tables.targets(table, pandas.DataFrame({"y": [value, "other"]})).tolist() == [0, 1]
    for value in others:
        with pytest.raises(TableError, match="in row 1, which is not one of its categories"):
            tables.targets(table, pandas.DataFrame({"y": pandas.Series([value], dtype=object)}))


def test_spellings_that_are_two_categories_stay_two():
    table = Table((Numbers("x", 0.0, 1.0, False),), Categories("y", ("1", "1.0"), None))
    np.testing.assert_array_equal(tables.targets(table, pandas.DataFrame({"y": ["1.0", "1"]})), [1, 0])
    with pytest.raises(TableError, match="not one of its categories"):
        tables.targets(table, pandas.DataFrame({"y": ["1.00"]}))


@pytest.mark.parametrize("values", [["1", "1.0", "1"], [5, 5, 5], ["0", "-0"]])
@pytest.mark.parametrize("task", TASKS)
def test_a_target_of_one_value_is_refused_however_it_is_written(values, task):
    with pytest.raises(TableError, match=r"column 'y', the target: expected different values, got .* in all rows"):
        tables.recognise(pandas.DataFrame({"x": range(len(values)), "y": values}), "y", task)


def test_a_text_among_a_targets_numbers_makes_no_classes_of_them():
    frame = pandas.DataFrame({"x": range(4), "y": ["1.5", "2.5", "?", "3.5"]})
    message = r"column 'y' has '\?' in row 3, but most of its values are numbers; .* --task classes"
    with pytest.raises(TableError, match=message):
        tables.recognise(frame, "y")
    assert tables.recognise(frame, "y", "classes").target.categories == ("1.5", "2.5", "3.5", "?")


def test_leading_zeros_make_names_of_numbers():
    frame = pandas.DataFrame({"zip": ["01234", "94110", "K1A"], "y": ["1", "2", "3"]})
    table = tables.recognise(frame, "y")
    assert table.columns[0].categories == ("01234", "94110", "K1A")
    np.testing.assert_array_equal(tables.inputs(table, pandas.DataFrame({"zip": [94110]})), [[0, 1, 0]])
    with pytest.raises(TableError, match="'1234' in row 1, which is not one of its categories"):
        tables.inputs(table, pandas.DataFrame({"zip": ["1234"]}), unknown="error")
    many = pandas.DataFrame({"zip": [f"{i:05}" for i in range(101)], "y": range(101)})
    with pytest.raises(TableError, match="'zip' is left out: an identifier or text: each row has a different value"):
        tables.recognise(many, "y")
    assert tables.recognise(many, "zip", "numbers").target.mean == 50


@pytest.mark.parametrize("values", [[2**60, 2**60 + 1], ["1" + 29 * "0", "1" + 28 * "0" + "1"]])
def test_integers_that_would_become_one_number_are_categories(values):
    frame = pandas.DataFrame({"x": values, "y": ["a", "b"]})
    assert tables.recognise(frame, "y").columns[0].categories == tuple(map(str, values))
    apart = pandas.DataFrame({"x": [2**60, 2**60, 2**61], "y": ["a", "b", "a"]})
    assert tables.recognise(apart, "y").columns[0].mean == np.mean([2.0**60, 2.0**60, 2.0**61])


def test_integers_of_which_some_are_missing_stay_exact(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    labels = [2**53 + 1, None, 2**53]
    parquet.write_table(pyarrow.table({"x": ["a", "b", "c"], "y": labels}), tmp_path / "data.parquet")
    frame = read(str(tmp_path / "data.parquet"))
    assert list(missing_in(frame["y"])) == [False, True, False]
    assert tables.recognise(frame.drop(1), "y").target.categories == (str(2**53), str(2**53 + 1))


X, Y = np.array([[1.5, -2], [0.25, 4], [3, 8]]), np.array([0, 1, 2])


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (X.astype(">f8"), Y.astype(">i8")),
        (X.astype(">f4"), Y.astype(">u2")),
        (np.asfortranarray(X), Y[:, None]),
        (X.astype(np.float16), Y.astype(np.float16)),
        (X.astype(np.longdouble), Y.astype(np.longdouble)),
        (X.astype(">f2"), Y.astype(">f8")),
        (X.astype("S9"), Y.astype("S1")),
        (X.astype(str), Y.astype(str).astype(">U2")),
    ],
)
def test_an_npz_of_any_dtype_is_the_same_table(tmp_path, X, y):
    np.savez(tmp_path / "plain.npz", X=globals()["X"], y=Y)
    np.savez(tmp_path / "data.npz", X=X, y=y)
    plain, frame = read(str(tmp_path / "plain.npz")), read(str(tmp_path / "data.npz"))
    table = tables.recognise(plain, "y")
    assert tables.recognise(frame, "y") == table
    np.testing.assert_array_equal(tables.inputs(table, frame), tables.inputs(table, plain))
    np.testing.assert_array_equal(tables.targets(table, frame), Y)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (X + 1j, Y, "X: expected numbers, text or true/false, got dtype complex128"),
        (X, np.zeros(3, "i4,f4"), "y: expected numbers, text or true/false, got dtype"),
        (X.astype(object), Y, r"this is not an \.npz file of plain arrays: Object arrays"),
        (X, np.array([b"a", b"\xff", b"b"]), "y: expected bytes that are UTF-8 text"),
        (X, np.array(1), r"y: expected one value for each of the 3 rows of X, got shape \(\)"),
        (np.array(1.0), Y, "expected a 2-D array X"),
        (X[:0], Y[:0], "expected at least one row, got none"),
    ],
)
def test_an_npz_that_makes_no_table(tmp_path, X, y, message):
    np.savez(tmp_path / "data.npz", X=X, y=y)
    with pytest.raises(TableError, match=message):
        read(str(tmp_path / "data.npz"))


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, b"\xff"])
def test_columns_that_are_neither_numbers_nor_text_are_left_out(tmp_path, value):
    pytest.importorskip("pyarrow")
    pandas.DataFrame({"x": [1, 2, 2], "y": [None, value, value]}).to_parquet(tmp_path / "data.parquet")
    frame = read(str(tmp_path / "data.parquet")).assign(target=[0, 1, 0])
    ((name, why),) = tables.recognise(frame, "target").left_out
    assert name == "y"
    assert why.startswith("its values are neither numbers nor text")
    with pytest.raises(TableError, match="column 'y', the target: expected numbers or text, got values of type"):
        tables.recognise(frame, "y")


def test_a_parquet_that_is_none(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "data.parquet"
    parquet.write_table(pyarrow.table({"a": list(range(1000))}), path)
    data = bytearray(path.read_bytes())
    data[4:60] = bytes(56)
    for spoilt_data in (b"", b"PAR1", bytes(data)):
        path.write_bytes(spoilt_data)
        with pytest.raises(TableError, match="this is not a Parquet file: "):
            read(str(path))
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read(str(path))


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
    with pytest.raises(TableError, match=rf"this is not an \.npz file of plain arrays: .*{message}"):
        read(str(path))


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    FRAME.to_parquet(tmp_path / "data.parquet")
    table = tables.recognise(read(str(tmp_path / "data.parquet")), "kind", missing="mean")
    assert table == tables.recognise(FRAME, "kind", missing="mean")


def test_a_record_is_read_back():
    table = tables.recognise(FRAME, "kind", missing="mean")
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
