"""Categories with enough rows have an input each."""

import numpy as np
import pandas

from fastbp import tables


def recognised(**columns):
    frame = pandas.DataFrame(columns)
    frame["y"] = np.arange(len(frame)) % 2
    return tables.recognise(frame, "y", "classes"), frame


def test_each_category_with_ten_rows_has_an_input():
    country = np.repeat([f"country {i}" for i in range(200)], 10)
    table, frame = recognised(country=country, rare=np.arange(2000) // 5)
    assert len(table.columns[0].categories) == 200
    X = tables.inputs(table, frame)[:, table.slices["country"]]
    assert X.shape[1] == 200
    np.testing.assert_array_equal(X.sum(axis=1), 1)
