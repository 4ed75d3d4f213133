"""Numbers in the spellings of public files."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal

import numpy as np
import pandas
import pytest
from hypothesis import given, settings, strategies as st

from fastbp import ModelFileError, tables
from fastbp._files import TableError
from fastbp._files.columns import Categories, Numbers, Table
from fastbp.tables import _numbers
from fastbp.tables._cells import trimmed


def table_of(values, **options) -> Table:
    """Return the table of a column x of these values, and of a target that says nothing."""
    frame = pandas.DataFrame({"x": pandas.Series(values), "y": np.arange(len(values)) % 2})
    return tables.recognise(frame, "y", **options)


def numbers_of(column: Numbers, values) -> list[float]:
    """Return the numbers that a column reads."""
    plain = Table((Numbers("x", 0.0, 1.0, True, spelling=column.spelling, unit=column.unit),), column)
    return tables.inputs(plain, pandas.DataFrame({"x": values}))[:, 0].tolist()


@pytest.mark.parametrize(
    ("texts", "numbers", "spelling", "unit"),
    [
        (["1", "2.5", "-3"], [1, 2.5, -3], "plain", ""),
        (["1e3", "2E-1", "+3"], [1000, 0.2, 3], "plain", ""),
        (["$1,234.50", "$12", "-$3.25"], [1234.5, 12, -3.25], "point", "$"),
        (["$ 1,234", "12", "($3)"], [1234, 12, -3], "point", "$"),
        (["US$5", "US$1,000", "US$7"], [5, 1000, 7], "point", "US$"),
        (["12 €", "1.234,50 €", "−3,5 €"], [12, 1234.5, -3.5], "comma", "€"),
        (["€ 12", "€ 1.234.567", "€ 3,5"], [12, 1234567, 3.5], "comma", "€"),
        (["12 %", "3%", "4.5 %"], [12, 3, 4.5], "point", "%"),
        (["1,234", "12", "1,234,567"], [1234, 12, 1234567], "point", ""),
        (["1,234", "5,678", "9,012"], [1234, 5678, 9012], "point", ""),
        (["0,234", "5,678", "9,012"], [0.234, 5.678, 9.012], "comma", ""),
        (["1,5", "2,25", "3"], [1.5, 2.25, 3], "comma", ""),
        (["1.234", "5.678", "9.012"], [1.234, 5.678, 9.012], "plain", ""),
        (["1.234,5", "5.678", "9"], [1234.5, 5678, 9], "comma", ""),
        (["1 234", "5 678,5", "9"], [1234, 5678.5, 9], "comma", ""),
        (["1\u00a0234.5", "5\u202f678", "9"], [1234.5, 5678, 9], "point", ""),
        (["1'234", "5’678.5", "9"], [1234, 5678.5, 9], "point", ""),
        (["12,34,567", "1,00,000", "5"], [1234567, 100000, 5], "point", ""),
        (["−1", "2", "−3.5"], [-1, 2, -3.5], "point", ""),
        (["(1)", "2", "(3.5)"], [-1, 2, -3.5], "point", ""),
        (["3 kg", "4.5 kg", "0 kg"], [3, 4.5, 0], "point", "kg"),
        (["3 km/h", "45km/h", "0"], [3, 45, 0], "point", "km/h"),
        (["1 days 12:00:00", "2 days", "-1 days 06:00:00"], [1.5, 2, -0.75], "duration", ""),
        (["25:30:00", "1:00:00", "48:00:00"], [25.5 / 24, 1 / 24, 2], "duration", ""),
    ],
)
@pytest.mark.parametrize("kind", ["object", "str", "category"])
def test_the_spelling_of_a_column(texts, numbers, spelling, unit, kind):
    values = pandas.Series(texts, dtype=kind)
    (column,) = table_of(values).columns
    assert isinstance(column, Numbers)
    assert (column.spelling, column.unit) == (spelling, unit)
    assert (column.low, column.high) == pytest.approx((min(numbers), max(numbers)))
    assert column.mean == pytest.approx(np.mean(numbers))
    np.testing.assert_allclose(numbers_of(column, values), numbers, rtol=1e-6)


@pytest.mark.parametrize(
    "values",
    [
        np.array([1, 2, 5], "i8"),
        np.array([1, 2, 5], "u1"),
        np.array([1, 2, 5], "f4"),
        pandas.array([1, 2, 5], "Int64"),
        pandas.array([1, 2, 5], "Float32"),
        pandas.Series([Decimal(1), Decimal(2), Decimal("5.0")], dtype=object),
        pandas.Series([1, 2.0, "5"], dtype=object),
        pandas.Series([1, 2, 5], dtype="category"),
        pandas.to_timedelta([1, 2, 5], unit="D"),
    ],
)
def test_typed_numbers_are_read(values):
    (column,) = table_of(values).columns
    assert isinstance(column, Numbers)
    assert (column.low, column.high, column.mean) == (1, 5, pytest.approx(8 / 3))


@pytest.mark.parametrize(
    "texts",
    [
        ["1.2.3", "2.0.1", "4.5.6"],
        ["1,2,3", "4,5,6", "7,8,9"],
        ["$5", "€6", "£7"],
        ["1.5k", "3M", "20 x"],
        ["3 kg", "4 lb", "5 g"],
        ["10-20", "20-30", "30-40"],
        ["<5", ">5", "5"],
        ["1st", "2nd", "3rd"],
        ["a1", "b2", "c3"],
        ["007", "012", "100"],
        ["10+", "20+", "30+"],
        ["1/2", "1/3", "1/4"],
    ],
)
def test_what_is_no_number_is_a_category(texts):
    (column,) = table_of(texts).columns
    assert isinstance(column, Categories)
    assert sorted(column.categories) == sorted(texts)


def test_a_few_texts_among_many_numbers_count_as_missing():
    values = [str(i % 40) for i in range(200)]
    values[3] = values[7] = "?"
    values[9] = "see note"
    table = table_of(values)
    (column,) = table.columns
    assert column.indicator
    assert column.note == "'?', 'see note' in 3 rows (4, 8, 10) count as missing"
    X = tables.inputs(table, pandas.DataFrame({"x": ["5", "?", "-", "", None]}))
    np.testing.assert_array_equal(X[:, 1], [0, 1, 1, 1, 1])
    np.testing.assert_array_equal(X[1:, 0], 0)
    with pytest.warns(UserWarning, match=r"'x' has 'later' in row 2, where a finite number is expected; it counts as"):
        X = tables.inputs(table, pandas.DataFrame({"x": ["5", "later"]}))
    np.testing.assert_array_equal(X[:, 1], [0, 1])
    with pytest.raises(TableError, match=r"'x' has 'later' in row 2, but a finite number is expected; fix it"):
        tables.inputs(table, pandas.DataFrame({"x": ["5", "later"]}), unknown="error")


def test_frequent_texts_among_few_numbers_make_categories():
    values = ["some", "some", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"] * 20
    assert table_of(values).columns[0].categories == ("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "some")


def test_a_missing_number_that_training_did_not_have_is_the_mean_with_a_warning():
    table = table_of(["1", "2", "3"])
    with pytest.warns(
        UserWarning, match="'x' has no value in row 2, but had one in all rows of training; it counts as the mean"
    ):
        X = tables.inputs(table, pandas.DataFrame({"x": ["2", None]}))
    np.testing.assert_array_equal(X, [[0], [0]])
    assert tables.inputs(table_of(["1", "2", None], missing="mean"), pandas.DataFrame({"x": [None]})) == 0


def test_a_unit_that_training_did_not_have_is_no_number():
    table = table_of(["$5", "$6", "$8"])
    with pytest.warns(UserWarning, match=r"'x' has '€6', '7 kg' in 2 rows \(2, 3\)"):
        tables.inputs(table, pandas.DataFrame({"x": ["$6", "€6", "7 kg", "8"]}))


def test_outliers_are_clamped_to_the_range_of_training_widened_by_its_width():
    table = table_of([0.0, 10.0, 5.0])
    X = tables.inputs(table, pandas.DataFrame({"x": [-10.0, -11.0, 20.0, 1e9]}))[:, 0]
    assert X[0] == X[1] == -X[2] == -X[3]


def test_infinite_numbers_count_as_missing():
    table = table_of([1.0, 2.0, np.inf, -np.inf])
    assert table.columns[0].note == "'inf', '-inf' in 2 rows (3, 4) count as missing"
    assert table.columns[0].high == 2


@given(
    st.lists(st.integers(-(10**9), 10**9), min_size=3, max_size=20, unique=True),
    st.sampled_from([",", ".", " ", "\u00a0", "\u202f", "'"]),
    st.integers(1, 4),
    st.sampled_from(["", "$", "€", "%", "kg"]),
)
@settings(deadline=None, max_examples=60)
def test_any_number_is_read_as_it_was_written(numbers, separator, places, unit):
    decimal = "," if separator == "." else "."

    def written(number: int) -> str:
        whole, digits = divmod(abs(number), 10**places)
        text = f"{whole:,}".replace(",", separator) + f"{decimal}{digits:0{places}d}"
        return ("-" if number < 0 else "") + (f"{unit}{text}" if unit in ("$", "€") else f"{text} {unit}".strip())

    values = [written(number) for number in numbers]
    (column,) = table_of(values).columns
    expected = [number / 10**places for number in numbers]
    assert isinstance(column, Numbers)
    assert column.low == pytest.approx(min(expected), abs=1e-9)
    np.testing.assert_allclose(numbers_of(column, values), expected, rtol=1e-5)
    assert Numbers.from_record(json.loads(json.dumps(table_of(values).record()))["columns"][0]) == column


@pytest.mark.parametrize("texts", [["$1,200", "$2,500.50", "$9"] * 10, ["1,5", "2,25", "7"] * 10])
def test_a_target_in_any_spelling_is_numbers(texts):
    frame = pandas.DataFrame({"x": range(30), "y": texts})
    table = tables.recognise(frame, "y")
    assert isinstance(table.target, Numbers)
    y = tables.targets(table, frame)
    expected = [1200, 2500.5, 9] if "$9" in texts else [1.5, 2.25, 7]
    np.testing.assert_allclose(tables.answers(table, y[:, None])[:3], expected)


def test_answers_stay_within_the_range_of_training():
    table = tables.recognise(pandas.DataFrame({"x": range(30), "y": np.arange(30) * 1.5}), "y")
    np.testing.assert_allclose(tables.answers(table, np.array([[-99.0], [0], [99]])), [0, 21.75, 43.5])
    with_new = pandas.DataFrame({"y": [1000.0]})  # but targets are as they are
    assert tables.targets(table, with_new) == (1000 - 21.75) / table.target.deviation


def test_many_different_numbers_have_a_rank_in_which_outliers_do_not_count():
    values = [*np.linspace(1, 2, 398), 1e4, None]
    table = table_of(values)
    (column,) = table.columns
    assert table.input_names == ("x", "x: rank", "x: missing")
    X = tables.inputs(table, pandas.DataFrame({"x": values}))
    rank = X[:-1, 1]
    assert (np.diff(rank) > 0).sum() > 390  # float32 can't tell all of them apart
    np.testing.assert_allclose([rank.mean(), rank.std()], [0, 1], atol=1e-3)
    np.testing.assert_allclose(rank[[99, 298]], [-0.67, 0.67], atol=0.02)  # the quartiles of a normal distribution
    np.testing.assert_array_equal(X[-1], [0, 0, 1])
    new = tables.inputs(table, pandas.DataFrame({"x": [-5.0, 5e4]}))[:, 1]
    np.testing.assert_array_equal(new, [rank[0], rank[-1]])
    assert len(column.knots) <= 65
    assert Table.from_record(json.loads(json.dumps(table.record()))) == table


@pytest.mark.parametrize("values", [np.arange(301.0) / 7 % 10, np.arange(301) / 3])
def test_ranks_are_for_many_different_numbers_in_many_rows(values):
    assert table_of(values).columns[0].knots
    assert not table_of(values[:300]).columns[0].knots
    assert not table_of(np.round(values) % 10).columns[0].knots
    assert not tables.recognise(pandas.DataFrame({"x": values, "y": values}), "y").target.knots


def test_two_spellings_of_a_number_are_one_knot():
    values = [text for i in range(200) for text in (f"{i / 4:.2f}", f"{i / 4:.3f}")]
    knots = table_of(values).columns[0].knots
    assert knots == tuple(sorted(set(knots)))


RANKED = table_of(np.arange(400) / 7).record()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"knots": [], "scores": [0.5]}, "rising knots and finite scores of 'x'"),
        ({"knots": [1.0], "scores": [0.5]}, "rising knots"),
        ({"knots": [2.0, 1.0], "scores": [0.5, 0.6]}, "rising knots"),
        ({"knots": [1.0, 1.0], "scores": [0.5, 0.6]}, "rising knots"),
        ({"knots": [1.0, float("inf")], "scores": [0.5, 0.6]}, "rising knots"),
        ({"knots": [1.0, 2.0], "scores": [0.5, float("nan")]}, "rising knots"),
        ({"knots": [1.0, "2"], "scores": [0.5, 0.6]}, "rising knots"),
        ({"knots": 1}, "knots as list"),
        ({"low": None}, "a finite range"),
        ({"spelling": "roman"}, "spelling among plain, point, comma, duration"),
        ({"unit": 1}, "unit as str"),
    ],
)
def test_a_forged_record_is_refused(change, message):
    record = json.loads(json.dumps(RANKED))
    assert Table.from_record(record)
    record["columns"][0] |= change
    with pytest.raises(ModelFileError, match=message):
        Table.from_record(record)


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["1.2k", "850", "3.4M", "?", "-7K"], [1200, 850, 3.4e6, np.nan, -7000]),
        (["€110.5M", "€565K", "€0", "565.25K"], [110.5e6, 565e3, 0, 565250]),
        (["$ 1,200 k", "$2 bn", "$.5M", "$3T"], [1.2e6, 2e9, 5e5, 3e12]),
    ],
)
def test_magnitudes_of_thousands_and_millions(texts, numbers):
    frame = pandas.DataFrame({"x": texts * 20, "y": [0, 1] * (10 * len(texts))})
    (column,) = tables.recognise(frame, "y").columns
    assert isinstance(column, Numbers)
    assert column.spelling == "magnitude"
    assert "with k, M and the like" in column.words
    assert Numbers.from_record({"kind": "numbers"} | dataclasses.asdict(column)) == column
    np.testing.assert_array_equal(_numbers.read(trimmed(frame["x"]), "magnitude", column.unit)[: len(texts)], numbers)


@pytest.mark.parametrize(
    "texts",
    [["1.2k", "3M", "big"], ["$1k", "€2M", "3"], ["1.2k", "3 kg", "2M"], ["5m", "3 cm", "2k"], ["5m", "3", "2"]],
)
def test_a_column_is_one_of_magnitudes_only_if_all_rows_are(texts):
    frame = pandas.DataFrame({"x": texts * 20, "y": [0, 1] * 30})
    (column,) = tables.recognise(frame, "y").columns
    assert isinstance(column, Categories)
