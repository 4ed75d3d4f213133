"""Numbers beyond the range of training."""

import numpy as np
import pandas as pd

from fastbp.tables import raw_columns, recognise_inputs


def test_numbers_and_dates_of_new_rows_are_clamped_to_the_range_of_training():
    frame = pd.DataFrame({"x": np.linspace(0, 1, 50), "when": pd.date_range("2020-01-01", periods=50, freq="9D")})
    columns, _ = recognise_inputs(frame)
    new = pd.DataFrame(
        {"x": [-5.0, 0.5, 7.0, np.nan], "when": pd.to_datetime(["2019-03-01", "2020-06-01"] + ["2024-07-01"] * 2)}
    )
    known, raw = raw_columns(columns, frame, silent=True), raw_columns(columns, new, silent=True)
    assert raw.numbers[0, :3].tolist() == [0, 0.5, 1]
    assert np.isnan(raw.numbers[0, 3])
    days = raw.numbers[1]
    assert (days[0], days[2]) == (known.numbers[1].min(), known.numbers[1].max())
    assert known.numbers[1].min() < days[1] < known.numbers[1].max()


def test_the_month_of_a_later_date_is_its_own():
    frame = pd.DataFrame({"when": pd.date_range("2020-01-01", "2021-12-31", freq="5D")})
    columns, _ = recognise_inputs(frame)
    later, same = pd.DataFrame({"when": ["2023-07-15"]}), pd.DataFrame({"when": ["2020-07-15"]})
    waves = [i for i, name in enumerate(columns[0].input_names) if "sine" in name]
    found = [raw_columns(columns, frame, silent=True).numbers[waves, 0] for frame in (later, same)]
    assert len(waves) > 0
    month = [i for i, name in enumerate(columns[0].input_names) if "month" in name]
    found = [raw_columns(columns, rows, silent=True).numbers[month, 0] for rows in (later, same)]
    np.testing.assert_allclose(found[0], found[1])
