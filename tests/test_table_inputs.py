"""Columns with numbers far from the others get one more input; categories with enough rows have an input each."""

import dataclasses

import numpy as np
import pandas
import pytest

from fastbp import tables
from fastbp._files.numbers import Numbers
from fastbp._records import ModelFileError

RNG = np.random.default_rng(0)


def recognised(**columns):
    frame = pandas.DataFrame(columns)
    frame["y"] = np.arange(len(frame)) % 2
    return tables.recognise(frame, "y", "classes"), frame


def test_numbers_far_from_the_others_are_also_compressed():
    wealth = np.exp(3 * RNG.normal(size=400))
    table, frame = recognised(
        wealth=wealth, height=RNG.normal(size=400), gap=np.where(RNG.random(400) < 0.1, np.nan, wealth)
    )
    assert table.input_names == ("wealth", "wealth: compressed", "height", "gap", "gap: compressed", "gap: missing")
    X = tables.inputs(table, frame)
    low, middle, high = np.quantile(wealth, [0.25, 0.5, 0.75], method="inverted_cdf")
    np.testing.assert_allclose(X[:, 1], np.arcsinh((wealth - middle) / ((high - low) / 1.349)), rtol=1e-5, atol=1e-6)
    assert np.abs(X[:, 0]).max() > 6 > X[:, 0].std() > 0.9  # the first is as for other columns
    gone = frame["gap"].isna().to_numpy()
    assert (X[gone, 3:] == [0, 0, 1]).all()
    assert ["also compressed" in words for _, kind, words in table.describe() if kind == "number"] == [
        True,
        False,
        True,
    ]
    large = pandas.DataFrame({"wealth": [1e300], "height": [0.0], "gap": [-1e300]})
    assert np.isfinite(tables.inputs(table, large)).all()


@pytest.mark.parametrize("column", [RNG.integers(0, 100, 400) == 0, RNG.random(400), np.arange(400) ** 2])
def test_other_numbers_are_not(column):
    table, _ = recognised(a=np.asarray(column, float), b=RNG.normal(size=400))
    assert table.n_inputs == 2


def test_records():
    column = Numbers("a", 1.0, 2.0, True, middle=0.5, spread=0.25)
    record = {"kind": "numbers"} | dataclasses.asdict(column)
    assert Numbers.from_record(record) == column
    for change in ({"spread": 0.0}, {"spread": None}, {"middle": None}, {"middle": float("nan")}, {"spread": "1"}):
        with pytest.raises(ModelFileError):
            Numbers.from_record(record | change)
    earlier = {name: record[name] for name in ("kind", "name", "mean", "deviation", "fill")}  # in files of 0.1.0
    assert Numbers.from_record(earlier) == Numbers("a", 1.0, 2.0, True)


def test_each_category_with_ten_rows_has_an_input():
    country = np.repeat([f"country {i}" for i in range(200)], 10)
    table, frame = recognised(country=country, rare=np.arange(2000) // 5)
    assert len(table.columns[0].categories) == 200
    X = tables.inputs(table, frame)[:, table.slices["country"]]
    assert X.shape[1] == 200
    np.testing.assert_array_equal(X.sum(axis=1), 1)
