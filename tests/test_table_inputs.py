"""Categories with enough rows have an input each."""

import numpy as np
import pandas

from fastbp import tables


def recognised(**columns):
    frame = pandas.DataFrame(columns)
    frame["y"] = np.arange(len(frame)) % 2
    return tables.recognise(frame, "y", "classes"), frame


def test_each_category_with_enough_rows_has_an_input():
    country = np.repeat([f"country {i}" for i in range(200)], 10)
    table, frame = recognised(country=country, rare=np.arange(2000) // 5)
    assert len(table.columns[0].categories) == 200
    X = tables.inputs(table, frame)[:, table.slices["country"]]
    assert X.shape[1] == 200
    np.testing.assert_array_equal(X.sum(axis=1), 1)


def test_too_many_categories_share_an_input():
    def named(*rows):  # rows of each category, the first of them with 5,000
        names = np.repeat([f"c{i}" for i in range(1 + len(rows))], [5000, *rows])
        table, _ = recognised(x=names)
        return len(table.columns[0].categories)

    assert named(*[3] * 249) == 250
    assert named(*[2] * 249) == 1  # too rare
    assert named(*[3] * 250, *[10] * 40) == 41  # more than 250 with three rows, but not with ten
    assert named(*[10] * 300) == 30
