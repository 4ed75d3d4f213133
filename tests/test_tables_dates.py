"""Dates and times of day."""

from __future__ import annotations

import datetime
import json

import numpy as np
import pandas
import pytest

from fastbp import ModelFileError, tables
from fastbp._files.columns import Categories, Dates, Numbers, Table

DAYS = pandas.date_range("2020-01-05 06:30", periods=40, freq="11D15h")


def recognised(values, **options) -> Table:
    frame = pandas.DataFrame({"x": pandas.Series(values), "y": np.arange(len(values)) % 2})
    return tables.recognise(frame, "y", **options)


@pytest.mark.parametrize(
    ("written", "format"),
    [
        ("%Y-%m-%d", "ISO8601"),
        ("%Y-%m-%d %H:%M:%S", "ISO8601"),
        ("%Y-%m-%dT%H:%M:%SZ", "ISO8601"),
        ("%Y-%m-%d %H:%M:%S.250+02:00", "ISO8601"),
        ("%Y-%m-%d %H:%M UTC", "ISO8601"),
        ("%Y/%m/%d", "%Y/%m/%d"),
        ("%m/%d/%Y", "%m/%d/%Y"),
        ("%d/%m/%Y", "%d/%m/%Y"),
        ("%d.%m.%Y", "%d.%m.%Y"),
        ("%d-%m-%y", "%d-%m-%y"),
        ("%m/%d/%y %H:%M", "%m/%d/%y %H:%M"),
        ("%d/%m/%Y %I:%M %p", "%d/%m/%Y %I:%M %p"),
        ("%d/%m/%Y, %H:%M:%S", "%d/%m/%Y, %H:%M:%S"),
        ("%d %b %Y", "%d %b %Y"),
        ("%d-%b-%y", "%d-%b-%y"),
        ("%B %d, %Y", "%B %d, %Y"),
        ("%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %Y"),
        ("%b %Y", "%b %Y"),
        ("%b-%y", "%b-%y"),
        ("%Y-%m", "ISO8601"),
        ("%m/%Y", "%m/%Y"),
        ("%Y%m%d", "%Y%m%d"),
        ("%Y%m%dT%H%M%S", "%Y%m%dT%H%M%S"),
    ],
)
@pytest.mark.parametrize("kind", ["object", "category"])
def test_the_format_of_a_column(written, format, kind):
    (column,) = recognised(pandas.Series(DAYS.strftime(written), dtype=kind)).columns
    assert isinstance(column, Dates)
    assert column.format == format
    assert column.note == ""
    expected = DAYS if "%H" in written or "%I" in written else DAYS.normalize()
    if "%d" not in written:
        expected = expected.to_period("M").to_timestamp()
    days = (expected - pandas.Timestamp(0)) / pandas.Timedelta("1D")
    assert column.low == pytest.approx(days.min(), abs=0.01)
    assert column.high == pytest.approx(days.max(), abs=0.01)


@pytest.mark.parametrize(
    "values",
    [
        DAYS,
        DAYS.tz_localize("Europe/Berlin"),
        DAYS.astype("datetime64[s]"),
        pandas.Series(DAYS).astype("category"),
        pandas.Series([day.to_pydatetime() for day in DAYS], dtype=object),
    ],
)
def test_typed_dates_are_read_as_their_texts_are(values):
    values = pandas.Series(values)
    table = recognised(values)
    expected = recognised(DAYS.strftime("%Y-%m-%d %H:%M:%S"))
    assert table.columns[0] == expected.columns[0]
    texts = pandas.Series(values.astype(str).to_numpy(), dtype=object)  # as in a file
    X = tables.inputs(table, pandas.DataFrame({"x": values}))
    np.testing.assert_array_equal(tables.inputs(table, pandas.DataFrame({"x": texts})), X)


def test_days_periods_and_times_of_day_are_read():
    dates = recognised(pandas.Series([day.date() for day in DAYS], dtype=object)).columns[0]
    assert (dates.format, dates.parts) == ("ISO8601", ("days", "year", "month", "day", "weekday"))
    months = recognised(pandas.period_range("2020-01", periods=30, freq="M")).columns[0]
    assert months.parts == ("days", "year", "month")
    clock = [datetime.time(i % 24, i % 60) for i in range(40)]
    for values in (clock, [f"{one:%H:%M}" for one in clock], [f"{one:%I:%M %p}" for one in clock]):
        (column,) = recognised(pandas.Series(values, dtype=object)).columns
        assert column.parts == ("hour",)
        assert column.input_names == ("x: hour, sine", "x: hour, cosine")


def test_inputs_are_elapsed_days_and_the_parts_that_vary():
    table = recognised(["2020-03-01", "2021-06-15", "2023-12-30"])
    (column,) = table.columns
    assert column.parts == ("days", "year", "month", "day", "weekday")
    assert table.input_names[:4] == ("x: days", "x: year", "x: month, sine", "x: month, cosine")
    X = tables.inputs(table, pandas.DataFrame({"x": ["2020-03-01", "2021-06-15", "2023-12-30"]}))
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(X.std(axis=0), 1, rtol=1e-6)
    raw = X * column.deviations + column.means
    np.testing.assert_allclose(raw[:, 0], [18322, 18793, 19721], rtol=1e-6)
    np.testing.assert_allclose(raw[:, 1], [2020, 2021, 2023])
    np.testing.assert_allclose(raw[:, 2], np.sin(np.array([2, 5, 11]) * np.pi / 6), atol=1e-6)
    np.testing.assert_allclose(raw[:, 4], [1, 15, 30], rtol=1e-6)
    np.testing.assert_allclose(raw[:, 5], np.sin(np.array([6, 1, 5]) * 2 * np.pi / 7), atol=1e-6)  # 0 is a Monday


def test_a_part_that_says_nothing_is_no_input():
    assert recognised(pandas.date_range("2020-03-01", periods=20)).columns[0].parts == ("days", "day", "weekday")
    assert recognised(pandas.date_range("2020-03-02", periods=20, freq="7D")).columns[0].parts == (
        "days",
        "month",
        "day",
    )
    assert recognised(pandas.date_range("2020-01-01", periods=20, freq="MS")).columns[0].parts == (
        "days",
        "year",
        "month",
    )
    hours = pandas.date_range("2020-03-02", periods=20, freq="h")
    assert recognised(hours).columns[0].parts == ("days", "hour")
    nearly = [*pandas.date_range("2020-01-01", periods=366), pandas.Timestamp("2021-01-01")]
    assert "year" not in recognised(nearly).columns[0].parts


def test_day_and_month_are_told_apart_by_a_day_above_12_or_it_is_said():
    assert recognised(["01/02/2020", "02/13/2020"]).columns[0].format == "%m/%d/%Y"
    assert recognised(["01/02/2020", "13/02/2020"]).columns[0].format == "%d/%m/%Y"
    column = recognised(["01/02/2020", "03/04/2020"]).columns[0]
    assert column.format == "%m/%d/%Y"
    assert column.note == "if they are %d/%m/%Y, write them as 2024-12-31"
    assert recognised(["01.02.2020", "03.04.2020"]).columns[0].format == "%d.%m.%Y"


def test_years_of_two_digits_lie_before_2041():
    column = recognised(["01/31/41", "01/31/68", "01/31/69", "01/31/40"]).columns[0]
    assert str(np.datetime64(int(column.low), "D")) == "1941-01-31"
    assert str(np.datetime64(int(column.high), "D")) == "2040-01-31"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([2019, 2020, 2021], Numbers),
        (["2019", "2020", "2021"], Numbers),
        ([1577836800, 1577923200, 1578009600], Numbers),
        (["May", "June", "July"], Categories),
        (["Sat", "Sun", "Mon"], Categories),
        (["2020-13-01", "2020-14-01", "2020-15-01"], Categories),
        (["12-34", "56-78", "90-12"], Categories),
        (["20200131", "20200132", "20209931"] * 4, Numbers),
    ],
)
def test_what_is_no_date(values, kind):
    assert isinstance(recognised(values).columns[0], kind)


def test_what_is_no_date_among_dates_counts_as_missing():
    days = [f"{day:%Y-%m-%d}" for day in DAYS]
    table = recognised([*days, "unknown", "see note"])
    (column,) = table.columns
    assert (column.indicator, column.note) == (True, "'unknown', 'see note' in 2 rows (41, 42) count as missing")
    with pytest.warns(UserWarning, match="'x' has 'someday' in row 2, where a date is expected; it counts as missing"):
        X = tables.inputs(table, pandas.DataFrame({"x": [days[0], "someday", None]}))
    np.testing.assert_array_equal(X[:, -1], [0, 1, 1])
    np.testing.assert_array_equal(X[1:, :-1], 0)
    with pytest.warns(UserWarning, match="'x' has no value in row 1, but had one in all rows of training"):
        tables.inputs(recognised(days), pandas.DataFrame({"x": [None]}))


def test_a_record_is_read_back():
    table = recognised([*DAYS.astype(str), None])
    assert Table.from_record(json.loads(json.dumps(table.record()))) == table
    assert table.describe()[0] == (
        "x",
        "date",
        "ISO 8601, 2020-01-05 to 2021-04-02; as days, year, month, day, weekday, hour; missing values have an input",
    )


DATES = recognised(DAYS).record()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": []}, "different parts among days, year"),
        ({"parts": ["days", "days"]}, "different parts"),
        ({"parts": ["century"]}, "different parts"),
        ({"parts": [1]}, "different parts"),
        ({"means": [0.0]}, "9 finite means"),
        ({"deviations": [0.0] * 9}, "deviations > 0"),
        ({"means": [float("nan")] * 9}, "9 finite means"),
        ({"low": 5.0, "high": 1.0}, "a finite range"),
        ({"high": float("inf")}, "a finite range"),
        ({"format": "x"}, "a format of dates"),
        ({"format": "%Q"}, "a format of dates"),
        ({"format": "%d" * 100}, "a format of dates"),
        ({"format": 1}, "format as str"),
        ({"more": 1}, "one that differs in"),
    ],
)
def test_a_forged_record_is_refused(change, message):
    record = json.loads(json.dumps(DATES))
    record["columns"][0] |= change
    with pytest.raises(ModelFileError, match=message):
        Table.from_record(record)


@pytest.mark.parametrize(
    ("day", "blank"),
    [
        ("2020-02-{:02}", "0000-00-00"),
        ("2020-02-{:02}", "9999-99-99"),
        ("2020-02-{:02}", "9999-12-31"),
        ("2020-02-{:02} 10:00:00", "0000-00-00 00:00:00"),
        ("{:02}/02/2020", "00/00/0000"),
        ("{:02}.02.2020", "01.01.0001"),
        ("202002{:02}", "99999999"),
        ("202002{:02}", "0"),
    ],
)
def test_dates_that_stand_for_none_count_as_missing(day, blank):
    values = [blank if i % 3 == 0 else day.format(i % 28 + 1) for i in range(90)]
    frame = pandas.DataFrame({"x": values, "y": [0, 1] * 45})
    for given in [frame, frame.astype({"x": int})] if blank.isdecimal() else [frame]:
        table = tables.recognise(given, "y")
        assert isinstance(table.columns[0], Dates)
        assert table.columns[0].note.endswith(f"{blank!r} in 30 rows (1, 4, 7 …) counts as missing")
        assert str(np.datetime64(int(table.columns[0].low), "D")) == "2020-02-01"
        X = tables.inputs(table, given, unknown="error")
        assert (X[:, -1] == [1, 0, 0] * 30).all()
        assert not X[::3, :-1].any()
