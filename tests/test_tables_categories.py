"""Categories, booleans, missing values, and columns that become no inputs."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas
import pytest
from sklearn.preprocessing import TargetEncoder

from fastbp import ModelFileError, tables
from fastbp._cli.fitting import Samples
from fastbp._files import TableError
from fastbp._files.columns import Categories, Numbers, Table
from fastbp._files.tables import read
from fastbp._files.writing import write
from fastbp.tables import target_rows

N = 600
RNG = np.random.default_rng(0)
CITIES = np.array([f"c{int(i)}" for i in RNG.exponential(25, N)])


def recognised(values, y=None, **options) -> Table:
    y = np.arange(len(values)) % 2 if y is None else y
    return tables.recognise(pandas.DataFrame({"x": pandas.Series(values), "y": y}), "y", **options)


def encoded(table: Table, values) -> np.ndarray:
    return tables.inputs(table, pandas.DataFrame({"x": pandas.Series(values, dtype=object)}))


@pytest.mark.parametrize(
    "values",
    [["true", "false"], ["TRUE", "FALSE"], ["yes", "no"], ["Y", "N"], ["t", "f"], [True, False]],
)
def test_booleans_are_one_input(values):
    table = recognised(values * 10)
    assert table.describe()[0][1] == "boolean"
    assert table.n_inputs == 1
    second = table.columns[0].categories[1]
    assert table.input_names == (f"x = {second}",)
    X = encoded(table, values)
    assert sorted(X[:, 0]) == [-1, 1]
    assert X[[str(value) for value in values].index(second), 0] == 1


@pytest.mark.parametrize("dtype", ["boolean", "bool[pyarrow]", object])
def test_missing_booleans_have_an_input_of_their_own(dtype):
    if dtype == "bool[pyarrow]":
        pytest.importorskip("pyarrow")
    table = recognised(pandas.Series([True, False, None, True] * 5, dtype=dtype))
    assert table.input_names == ("x = True", "x: missing")
    np.testing.assert_array_equal(encoded(table, ["true", False, None]), [[1, 0], [-1, 0], [0, 1]])


def test_frequent_categories_have_inputs_and_rare_ones_share_one():
    values = ["red"] * 300 + ["blue"] * 250 + ["pink", "teal"] * 2 + [None] * 8
    table = recognised(values)
    (column,) = table.columns
    assert column.categories == ("blue", "red")
    assert set(column.others) == {"pink", "teal"}
    assert column.counts == (250, 300, 4, 8)
    assert table.input_names == ("x = blue", "x = red", "x: other", "x: missing", "x: mean target")
    np.testing.assert_array_equal(
        encoded(table, ["blue", "red", "pink", None])[:, :4], [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    )
    np.testing.assert_allclose(table.baseline[:4], np.array([250, 300, 4, 8]) / 562)


def test_a_category_that_training_did_not_have_counts_as_other_with_one_warning():
    table = recognised(["red"] * 300 + ["blue"] * 250 + ["pink", "teal"] * 2)
    with pytest.warns(
        UserWarning, match=r"'x' has 'grey', 'gold' in 3 rows \(2, 3, 5\), which training did not"
    ) as all:
        X = encoded(table, ["red", "grey", "gold", "pink", "grey"])
    assert len(all) == 1
    np.testing.assert_array_equal(X[:, 2], [0, 1, 1, 1, 1])
    with pytest.raises(TableError, match=r"'grey' in row 1, which is not one of its categories: 'blue', 'red'"):
        tables.inputs(table, pandas.DataFrame({"x": ["grey"]}), unknown="error")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_spaces_around_a_text_belong_to_no_category_in_any_file(tmp_path, suffix):
    path, n = str(tmp_path / f"t{suffix}"), 60
    rows = {"x": ["p", "q ", " p", "NA ", "q", "p  "] * 10, "z": [f"{i % 9}.5 " for i in range(n)]}
    write({**rows, "y": ["no", "yes", "no ", "yes", " yes", "no"] * 10}, path)
    frame = read(path)
    table = tables.recognise(frame[tables.with_target("y", frame)], "y")
    assert [column.name for column in table.columns] == ["x", "z"]
    assert [type(column) for column in table.columns] == [Categories, Numbers]
    assert (table.columns[0].categories, table.columns[0].absent) == (("p", "q"), True)
    assert table.target.categories == ("no", "yes")
    assert tables.targets(table, frame).tolist() == [0, 1, 0, 1, 1, 0] * 10
    assert table.target.counts[:2] == (30, 30)
    spaced = tables.inputs(table, pandas.DataFrame({"x": ["p", "p ", "  p", "NA", " NA "], "z": 2.5})).tolist()
    assert spaced == [spaced[0]] * 3 + [spaced[3]] * 2
    assert spaced[0] != spaced[3]


def test_long_categories_are_shortened_where_they_are_printed():
    table = recognised([f"{letter * 20_000}\n" for letter in "pqr"] * 20)
    (_, kind, words), _ = table.describe()
    assert (kind, words.split(", ")[2]) == ("category", "r" * 39 + "…")
    assert len(words) < 150
    frame = pandas.DataFrame({"x": ["p" * 20_000] * 30, "z": [1, 2, 3] * 10, "y": [0, 1, 2] * 10})
    assert len(tables.recognise(frame, "y").left_out[0][1]) < 100


def test_a_model_that_has_spaces_in_its_categories_keeps_them():
    column = Categories("x", ("p", "p ", "q "), None)
    assert [column.code(text) for text in ("p", "p ", " p", "q", "q ", "q  ", "r")] == [0, 1, 0, 2, 2, 2, -1]


def test_without_rare_categories_a_new_one_is_the_mean_row_of_training():
    table = recognised(["a"] * 10 + ["b"] * 20 + ["c"] * 20)
    with pytest.warns(UserWarning, match="which training did not have"):
        X = encoded(table, ["d"])
    np.testing.assert_allclose(X[0], [0.2, 0.4, 0.4])
    with pytest.warns(
        UserWarning, match="has no value in row 1, but had one in all rows of training; it counts as other"
    ):
        np.testing.assert_allclose(encoded(table, [None])[0], [0.2, 0.4, 0.4])


def test_missing_categories_as_asked():
    values = ["a", "b", "b", "c", None] * 4
    assert recognised(values).input_names[-1] == "x: missing"
    mean = recognised(values, missing="mean")
    np.testing.assert_array_equal(encoded(mean, [None]), [[0, 1, 0]])
    refused = recognised(["a", "b", "c"] * 4, missing="refuse")
    with pytest.raises(
        TableError, match="'x' has no value in row 2; fill or remove such rows, or train with --missing"
    ):
        encoded(refused, ["a", None])


def test_one_category_and_missing_ones_are_one_input():
    table = recognised(["sold", None] * 20)
    assert table.input_names == ("x: missing",)
    np.testing.assert_array_equal(encoded(table, ["sold", None]), [[0], [1]])
    with pytest.raises(TableError, match="it is 'sold' in every row that has a value"):
        recognised(["sold", None] * 20, missing="mean")


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        (RNG.normal(size=N), "continuous"),
        (RNG.integers(0, 2, N), "binary"),
        (RNG.choice(["u", "v", "w"], N), "multiclass"),
    ],
)
def test_mean_targets_are_those_of_scikit_learn(y, kind):
    table = recognised(CITIES, y)
    frame = pandas.DataFrame({"x": CITIES, "y": y})
    targets = tables.targets(table, frame)
    encoder = TargetEncoder(smooth=10.0, target_type=kind).fit(CITIES[:, None], targets)
    theirs = encoder.transform(CITIES[:, None])
    outputs = theirs.shape[1]
    mine = tables.inputs(table, frame)[:, -outputs:]
    rare = np.isin(CITIES, table.columns[0].others)
    assert 0 < rare.sum() < N
    assert not mine[~rare].any()  # these have an input each
    for j in range(outputs):  # up to their scale
        slope, offset = np.polyfit(theirs[rare, j], mine[rare, j], 1)
        assert slope > 0
        np.testing.assert_allclose(mine[rare, j], slope * theirs[rare, j] + offset, atol=1e-5)
    crossed = tables.training_inputs(table, frame)[:, -outputs:]
    assert not crossed[~rare].any()
    np.testing.assert_allclose(crossed[rare].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(crossed[rare].std(axis=0), 1, rtol=1e-5)
    np.testing.assert_array_equal(crossed, tables.training_inputs(table, frame)[:, -outputs:])


def test_the_mean_target_of_a_row_does_not_contain_its_own():
    """A target of noise says so: with its own in it, a mean of a few rows would predict it."""
    frame = pandas.DataFrame({"x": [f"c{i // 2}" for i in range(N)], "y": RNG.normal(size=N)})
    table = tables.recognise(frame, "y")
    assert np.corrcoef(tables.inputs(table, frame)[:, -1], frame["y"])[0, 1] > 0.5
    assert np.corrcoef(tables.training_inputs(table, frame)[:, -1], frame["y"])[0, 1] < 0.1


def test_many_classes_get_no_mean_targets():
    table = recognised(CITIES, [f"class {i % 12}" for i in range(N)])
    assert table.columns[0].others
    assert not table.columns[0].statistics


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("id", np.arange(50) * 7, "an identifier: each row has a different integer"),
        ("PassengerId", np.arange(50), "an identifier: each row has a different integer"),
        ("x", np.arange(50), "an identifier: it counts the rows"),
        ("Unnamed: 0", np.arange(1, 51), "an identifier: each row has a different integer"),
        ("x", [f"name {i}" for i in range(50)], "an identifier or text: each row has a different value"),
        (
            "x",
            ["lorem ipsum dolor sit amet, consetetur", *(f"sadipscing elitr, sed diam {i}" for i in range(49))],
            "an id",
        ),
        ("x", [f"lorem ipsum dolor sit amet, consetetur {max(i, 9)}" for i in range(50)], "text: 41 different values"),
        ("x", [f"{max(i, 3)}a{i % 2}" for i in range(50)], "text or an identifier: 48 different values in 50 rows"),
        ("x", [5] * 50, "it is '5' in every row"),
        ("x", ["5", "5.0"] * 25, "it is 5 in every row"),
        ("x", [None] * 50, "it has no values"),
        ("x", ["NA", " "] * 25, "it has no values"),
        ("x", [[1, 2]] * 50, "its values are neither numbers nor text, but of type list"),
        ("x", [{"a": 1}] * 50, "its values are neither numbers nor text, but of type dict"),
        ("x", [b"\xff"] * 50, "its values are neither numbers nor text, but of type bytes"),
        ("x", ["1e308", "-1e308"] * 25, "its numbers are too large to be scaled; divide them by a constant"),
    ],
)
def test_columns_that_say_nothing_are_left_out(name, values, why):
    frame = pandas.DataFrame({name: pandas.Series(values, dtype=object), "k": ["a", "b"] * 25, "y": ["u", "v"] * 25})
    table = tables.recognise(frame, "y")
    assert [column.name for column in table.columns] == ["k"]
    ((left_out, reason),) = table.left_out
    assert left_out == name
    assert reason.startswith(why)
    with (
        pytest.raises(TableError, match=f"column '{name}' is left out: ")
        if "counts the rows" not in why
        else (warnings.catch_warnings())
    ):
        tables.recognise(frame.drop(columns="k"), "y")


@pytest.mark.parametrize("name", ["year", "day", "x1 time"])
def test_years_that_count_the_rows_are_numbers(name):
    frame = pandas.DataFrame({name: range(50), "k": ["a", "b"] * 25, "y": ["u", "v"] * 25})
    assert isinstance(tables.recognise(frame, "y").columns[0], Numbers)


def test_integers_that_name_things_are_categories():
    frame = pandas.DataFrame({"store_id": np.arange(100) % 5, "n": np.arange(100) % 7, "y": ["u", "v"] * 50})
    store, n = tables.recognise(frame, "y").columns
    assert isinstance(store, Categories)
    assert isinstance(n, Numbers)


FRAME = pandas.DataFrame(
    {
        "a": np.arange(60) % 7,
        "b": ["p", "q", "r"] * 20,
        "name": [f"n{i}" for i in range(60)],
        "code": ["1", "2", "x"] * 20,
        "when": [f"{i % 28 + 1}.3.2020" for i in range(60)],
        "y": ["u", "v"] * 30,
    }
)


def test_columns_as_asked():
    table = tables.recognise(FRAME, "y", drop=["a"], ids=["name"], types={"b": "text", "code": "number"})
    assert [column.name for column in table.columns] == ["code", "when"]
    assert table.left_out == (("a", "you dropped it"), ("b", "you called it text"))
    assert table.ids == ("name",)
    assert table.columns[0].note == "'x' in 20 rows (3, 6, 9 …) counts as missing"
    table = tables.recognise(FRAME, "y", features=["a", "b"])
    assert [column.name for column in table.columns] == ["a", "b"]
    assert dict(table.left_out)["when"] == "it is not among the features that you chose"
    assert [name for name, _, _ in table.describe()] == list(FRAME.columns)
    table = tables.recognise(FRAME, "y", types={"a": "category", "name": "category", "when": "date"})
    assert [type(column).__name__ for column in table.columns] == ["Categories"] * 4 + ["Dates"]


def test_the_type_of_the_target_as_asked():
    frame = pandas.DataFrame({"x": ["p", "q", "r"] * 20, "y": [0, 1, 2] * 20})
    assert isinstance(tables.recognise(frame, "y").target, Categories)
    assert isinstance(tables.recognise(frame, "y", types={"y": "number"}).target, Numbers)
    assert isinstance(tables.recognise(frame, "y", "numbers").target, Numbers)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"drop": ["nam"]}, "drop: expected columns of the table, got 'nam'; did you mean 'name'?"),
        ({"features": ["z"]}, "features: expected columns of the table, got 'z'; it has 'a', 'b'"),
        ({"ids": ["y"]}, "ids: expected columns besides the target, got 'y'"),
        ({"types": {"z": "number"}}, "types: expected columns of the table, got 'z'"),
        ({"types": {"a": "integer"}}, "types: expected one of 'boolean', 'category', 'date', 'number', 'text'"),
        ({"types": {"b": "number"}}, "types: expected numbers in column 'b', got 'p', 'q'"),
        ({"types": {"b": "date"}}, "types: expected dates in column 'b', got 'p', 'q', 'r'"),
        ({"types": {"b": "boolean"}}, "types: expected two different values in column 'b'"),
        ({"missing": "drop"}, "missing: expected one of 'indicator', 'mean', 'refuse'"),
    ],
)
def test_what_is_asked_wrongly_is_refused(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011  the message has many parentheses
        tables.recognise(FRAME, "y", **options)
    assert message in str(error.value)


def test_all_problems_are_told_at_once():
    with pytest.raises(TableError) as error:
        tables.recognise(FRAME.assign(y=["u", None] * 30), "y", drop=["z"], types={"b": "date"})
    lines = str(error.value).split("\n")
    assert [line.split(":")[0].split(",")[0] for line in lines] == ["drop", "column 'y'", "types"]
    assert lines[1].startswith("column 'y', the target, is missing in 30 rows (2, 4, 6 …); remove rows")
    table = tables.recognise(FRAME, "y", missing="refuse")
    new = pandas.DataFrame({"a": ["x", "1"], "b": ["p", None], "code": ["1", "?"], "when": ["then", "1.3.2020"]})
    with pytest.raises(TableError) as error:
        tables.inputs(table, new, unknown="error")
    assert [line.split("'")[1] for line in str(error.value).split("\n")] == ["a", "b", "code", "when"]


@pytest.mark.parametrize("value", [[1], {"a": 1}, b"\xff"])
def test_nested_values_are_refused_where_training_had_none(value):
    table = tables.recognise(FRAME, "y")
    nested = FRAME.assign(b=[value] * 60)
    with pytest.raises(TableError, match=f"'b': expected numbers or text, got values of type {type(value).__name__}"):
        tables.inputs(table, nested)
    for function in (
        lambda: tables.targets(table, nested.assign(y=nested["b"])),
        lambda: tables.recognise(nested, "b"),
    ):
        with pytest.raises(TableError, match="the target: expected numbers or text, got values of type"):
            function()


def test_rows_without_a_target_are_told_apart():
    texts = pandas.DataFrame({"x": range(4), "y": ["u", None, "?", "NA"]})
    np.testing.assert_array_equal(tables.with_target("y", texts), [1, 0, 1, 0])
    numbers = pandas.DataFrame({"y": [*map(str, np.arange(50) / 3), "?", "inf", None, "x"]})
    np.testing.assert_array_equal(tables.with_target("y", numbers)[48:], [1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(tables.with_target("y", numbers, "classes")[48:], [1, 1, 1, 1, 0, 1])
    table = tables.recognise(pandas.DataFrame({"x": ["a", "b"] * 25, "y": np.arange(50) / 3}), "y")
    np.testing.assert_array_equal(tables.with_target(table, numbers)[48:], [1, 1, 0, 0, 0, 0])


def test_what_a_target_has_in_place_of_numbers_is_told():
    frame = pandas.DataFrame({"x": ["a", "b"] * 27, "y": [*map(str, np.arange(50) / 3), "?", "inf", None, "x"]})
    known, texts = target_rows("y", frame)
    assert texts == "'?', 'inf', 'x' in 3 rows (51, 52, 54) are not finite numbers"
    table = tables.recognise(frame[known].reset_index(drop=True), "y")
    assert target_rows(table, frame)[1] == texts
    assert target_rows(table, frame.iloc[[0, 53]].reset_index(drop=True))[1] == "'x' in row 2 is not a number"
    assert target_rows("x", frame)[1] == ""


def test_dates_as_a_target_are_called_so():
    days = pandas.date_range("2024-01-01", periods=50).strftime("%d.%m.%Y")
    frame = pandas.DataFrame({"x": ["a", "b"] * 25, "y": days})
    with pytest.raises(TableError, match=r"got 50 different dates, such as '01.01.2024'; choose another"):
        tables.recognise(frame, "y")
    with pytest.raises(TableError, match=r"expected numbers, got dates, such as '01.01.2024'; choose another"):
        tables.recognise(frame, "y", "numbers")


@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        (np.arange(50) * 1e-300, r"too small \(at most 4.9e-299\)"),
        (1e15 + np.arange(50) % 2, "subtract a con"),
    ],
)
def test_numbers_that_can_not_be_scaled_are_not_called_equal(numbers, why):
    frame = pandas.DataFrame({"x": ["a", "b"] * 25, "y": numbers})
    with pytest.raises(TableError, match=f"the target: expected numbers that can be scaled, but they .*{why}"):
        tables.recognise(frame, "y", "numbers")
    with pytest.raises(TableError, match=f"column 'y' is left out: its numbers .*{why}"):
        tables.recognise(frame, "x", features=["y"])


def test_a_target_that_hardly_repeats_is_refused():
    frame = pandas.DataFrame({"x": ["a", "b"] * 25, "y": [f"n{i}" for i in range(50)]})
    with pytest.raises(TableError, match="expected a few classes, or numbers, got 50 different values in 50 rows"):
        tables.recognise(frame, "y")
    counts = pandas.DataFrame({"x": ["a", "b"] * 12, "y": np.arange(24) % 13})
    assert isinstance(tables.recognise(counts, "y").target, Numbers)


def test_answers_are_names_of_classes():
    two = recognised(["p", "q"] * 9, ["no", "yes"] * 9)
    assert tables.answers(two, np.array([[0.2], [0.5], [0.9]])).tolist() == ["no", "yes", "yes"]
    three = recognised(["p", "q", "r"] * 9, ["a", "b", "c"] * 9)
    assert tables.answers(three, np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])).tolist() == ["c", "a"]


CATEGORIES = recognised(CITIES, RNG.normal(size=N)).record()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"others": ["c1"]}, "different texts as categories"),
        ({"others": [1]}, "different texts as categories"),
        ({"categories": []}, "as many categories of 'x' as its inputs need"),
        ({"single": True}, "as many categories of 'x' as its inputs need"),
        ({"counts": [1, 2]}, "counts of each category"),
        ({"counts": [0.5]}, "counts of each category"),
        ({"statistics": [[0.5]]}, "finite mean targets"),
        ({"statistics": [[]]}, "finite mean targets"),
        ({"statistics": "no"}, "statistics as list"),
        ({"absent": 1}, "absent as bool"),
    ],
)
def test_a_forged_record_is_refused(change, message):
    record = json.loads(json.dumps(CATEGORIES))
    assert Table.from_record(record)
    record["columns"][0] |= change
    with pytest.raises(ModelFileError, match=message):
        Table.from_record(record)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": [], "order": []}, "columns, and a target"),
        ({"left_out": [["a"]]}, "names and reasons"),
        ({"left_out": [["x", "why"]]}, "columns of different names"),
        ({"ids": [1]}, "texts as names"),
        ({"ids": ["y"]}, "columns of different names"),
        ({"order": ["x"]}, "the names of all columns"),
        ({"order": 1}, "order as list"),
        ({"more": 1}, "one that differs in"),
    ],
)
def test_a_forged_table_is_refused(change, message):
    with pytest.raises(ModelFileError, match=message):
        Table.from_record(json.loads(json.dumps(CATEGORIES)) | change)


def test_fields_that_an_earlier_version_did_not_have_get_their_defaults():
    column, date = CATEGORIES["columns"][0], {"kind": "dates", "name": "d", "format": "ISO8601", "parts": ["days"]}
    date |= {"means": [0.0], "deviations": [1.0], "fill": True, "indicator": False, "low": 0.0, "high": 1.0}
    numbers = {"kind": "numbers", "name": "n", "mean": 2.0, "deviation": 4.0, "fill": True, "unit": "$"}
    columns = [{k: v for k, v in column.items() if k not in ("lenient", "note")}, date, numbers]
    record = json.loads(json.dumps(CATEGORIES | {"columns": columns, "order": [], "left_out": [], "ids": []}))
    found = Table.from_record(record).columns
    assert [each.note for each in found] == [""] * 3
    assert found[2].unit == "$"
    record["columns"][1]["elsewhere"] = 1
    with pytest.raises(ModelFileError, match=r"in \['elsewhere'\]; if another version .*, train the model again"):
        Table.from_record(record)


def test_a_record_of_an_earlier_version_reads_as_before():
    record = {
        "columns": [
            {"kind": "numbers", "name": "n", "mean": 2.0, "deviation": 4.0, "fill": True},
            {"kind": "categories", "name": "c", "categories": ["a", "b"], "fill": "b"},
        ],
        "target": {"kind": "numbers", "name": "y", "mean": 1.0, "deviation": 2.0, "fill": False},
    }
    table = Table.from_record(record)
    frame = pandas.DataFrame({"n": [2.0, 10.0, None, 1e9], "c": ["a", "b", None, "a"]})
    np.testing.assert_array_equal(
        tables.inputs(table, frame), np.array([[0, 1, 0], [2, 0, 1], [0, 0, 1], [(1e9 - 2) / 4, 1, 0]], np.float32)
    )
    np.testing.assert_array_equal(tables.answers(table, np.array([[-100.0]])), [-199])
    assert Table.from_record(json.loads(json.dumps(table.record()))) == table


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("kind", ["numbers", "two", "three"])
def test_no_input_of_a_split_comes_from_a_target_that_validates(kind, large):
    rng = np.random.default_rng(0)
    cities = rng.choice([f"city {i}" for i in range(60)], 300)
    targets = {"numbers": rng.normal(size=300), "two": rng.permutation(300) % 2, "three": rng.permutation(300) % 3}
    y, X = targets[kind], rng.normal(size=300)
    numbers = rng.permutation(300)
    validation, training = np.sort(numbers[:60]), np.sort(numbers[60:])
    other = y.copy()
    other[validation] = np.roll(y[validation], 1)

    def split(y):
        frame = pandas.DataFrame({"city": cities, "x": X, "y": y if kind == "numbers" else y.astype(str)})
        table = tables.recognise(frame, "y")
        encoding = tables.training_encoding(table, frame)
        samples = Samples(encoding if large else encoding[:], tables.targets(table, frame), encoding.crossed)
        return table, [part.X[:] for part in samples.split(training, validation)], encoding[:]

    table, parts, whole = split(y)
    _, others, others_whole = split(other)
    rare = np.isin(cities, table.columns[0].others)
    for j in range(table.slices["city"].stop - table.n_outputs, table.slices["city"].stop):
        mine, theirs = (np.concatenate([part[:, j] for part in some]) for some in (parts, others))
        here = np.concatenate([rare[training], rare[validation]])
        slope, offset = np.polyfit(mine[here], theirs[here], 1)  # the scale is that of all rows
        np.testing.assert_allclose(theirs[here], slope * mine[here] + offset, atol=1e-5)
        slope, offset = np.polyfit(whole[rare, j], others_whole[rare, j], 1)
        assert abs(others_whole[rare, j] - slope * whole[rare, j] - offset).max() > 0.01
    for place, rows in enumerate((training, validation)):  # the other inputs are those of the whole
        kept = np.r_[0 : table.slices["city"].stop - table.n_outputs, table.slices["x"].start : table.n_inputs]
        np.testing.assert_array_equal(parts[place][:, kept], whole[rows][:, kept])


@pytest.mark.parametrize("large", [False, True])
def test_rows_of_training_become_new_rows(large):
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame({"city": rng.choice([f"city {i}" for i in range(60)], 300), "y": rng.normal(size=300)})
    table = tables.recognise(frame, "y")
    encoding = tables.training_encoding(table, frame)
    samples = Samples(encoding if large else encoding[:], tables.targets(table, frame), encoding.crossed)
    X = tables.inputs(table, frame)
    assert (encoding[:] != X).any()
    for rows in (np.arange(300), np.arange(5, 300, 7)):
        np.testing.assert_array_equal(samples.as_new(rows).X[:], X[rows])
