"""Conformal intervals contain as many targets as they should, and are narrow where errors are small."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp._records import ModelFileError
from fastbp.tabular._intervals import Conformal, disagreement


def a_table(n, *, seed, error):
    """Return predictions, targets, and the spread, which is half the size of an error on average.

    Parameters
    ----------
    error : "equal", "grows" with the prediction, "spread" as that, or "skewed"
    """
    rng = np.random.default_rng(seed)
    prediction = rng.uniform(0, 10, n)
    spread = rng.uniform(0.1, 2, n)
    size = {"equal": 1, "skewed": 1, "grows": 0.05 + 0.3 * prediction, "spread": 2 * spread}[error]
    noise = rng.exponential(1, n) - 0.2 if error == "skewed" else rng.normal(size=n)
    return prediction, prediction + size * noise, spread


ERRORS = ["equal", "grows", "spread", "skewed"]


@pytest.mark.parametrize("error", ERRORS)
def test_intervals_cover_new_targets(error):
    prediction, y, spread = a_table(4000, seed=0, error=error)
    new, targets, new_spread = a_table(20_000, seed=1, error=error)
    for intervals, around in (
        (Conformal.fit(y, prediction), None),
        (Conformal.fit(y, prediction, spread), new_spread),
    ):
        for coverage in (0.5, 0.9, 0.99):
            low, high = intervals.interval(new, coverage, around)
            assert ((low <= targets) & (targets <= high)).mean() == pytest.approx(coverage, abs=0.02)


def test_intervals_are_wide_where_errors_are_large():
    plain_width, widths = {}, {}
    for error in ERRORS:
        prediction, y, spread = a_table(4000, seed=0, error=error)
        low, high = Conformal.fit(y, prediction, spread).interval(prediction, 0.9, spread)
        widths[error] = np.mean(high - low)
        plain_width[error] = 2 * np.quantile(np.abs(y - prediction), 0.9)
        if error == "grows":
            assert (high - low)[prediction > 9].mean() > 4 * (high - low)[prediction < 1].mean()
        if error == "spread":
            assert (high - low)[spread > 1.8].mean() > 3 * (high - low)[spread < 0.3].mean()
    assert widths["equal"] == pytest.approx(plain_width["equal"], rel=0.02)
    assert all(widths[error] < 0.95 * plain_width[error] for error in ("grows", "spread", "skewed"))


def test_the_mean_of_folds_has_narrower_intervals():
    """Five folds' predictions have errors of their own, which their mean has not."""
    rng = np.random.default_rng(0)

    def folds(n):
        truth = rng.normal(size=n)
        return truth + rng.normal(size=n), truth + 0.7 * rng.normal(size=(5, n))

    y, of_each = folds(5000)
    intervals = Conformal.fit(y, of_each[0])
    new, of_each = folds(20_000)
    low, high = intervals.interval(of_each.mean(axis=0), 0.9, None, of_each.var(axis=0))
    assert ((low <= new) & (new <= high)).mean() == pytest.approx(0.9, abs=0.015)
    low, high = intervals.interval(of_each.mean(axis=0), 0.9)
    assert ((low <= new) & (new <= high)).mean() > 0.93
    low, high = intervals.interval(np.zeros(1), 0.9, None, np.array([1e9]))
    assert low < 0 < high
    few, far = Conformal.fit(y[:50], of_each[0][:50]), np.full(20_000, 9.0)
    np.testing.assert_array_equal(few.interval(new, 0.9, None, far), few.interval(new, 0.9))


def test_few_residuals_by_hand():
    y = np.array([1.0, -2.0, 3.0, -4.0])
    intervals = Conformal.fit(y, np.zeros(4))
    # ⌈5 × 0.6⌉ = 3: the third smallest of 1, 2, 3, 4
    assert [float(end[0]) for end in intervals.interval(np.array([10.0]), 0.6)] == [7, 13]
    # ⌈5 × 0.9⌉ = 5 residuals are not there
    assert [float(end[0]) for end in intervals.interval(np.array([10.0]), 0.9)] == [-np.inf, np.inf]


def test_intervals_end_where_targets_do():
    prediction, _, _ = a_table(2000, seed=0, error="equal")
    y = np.maximum(prediction + np.random.default_rng(2).normal(0, 3, 2000), 0)
    low, high = Conformal.fit(y, prediction).interval(prediction, 0.9)
    assert low.min() == 0
    assert high.max() <= y.max()
    assert Conformal.fit(y, prediction).interval(prediction, 0.999)[0].min() < 0


def test_weights_count_as_copies():
    """Apart from the new row's weight, of which a copy has less."""
    prediction, y, spread = a_table(1000, seed=0, error="grows")
    copies = np.random.default_rng(1).integers(0, 3, len(y))
    weighted = Conformal.fit(y, prediction, spread, copies.astype(float))
    repeated = Conformal.fit(*(np.repeat(values, copies) for values in (y, prediction, spread)))
    for end, other in zip(
        weighted.interval(prediction, 0.8, spread), repeated.interval(prediction, 0.8, spread), strict=True
    ):
        assert end == pytest.approx(other, rel=0.02, abs=0.05)


def test_perfect_predictions_have_intervals_of_width_0():
    y = np.arange(1000.0)
    low, high = Conformal.fit(y, y, np.zeros(1000)).interval(y, 0.9, np.zeros(1000))
    assert (low == y).all()
    assert (high == y).all()
    constant = np.full(1000, 3.0)
    assert Conformal.fit(constant, constant).interval(constant, 0.9)[1].max() == 3


def test_disagreement_is_that_inside_of_each_fold():
    one, other = np.array([[1.0, 2.0], [11.0, 12.0]]), np.array([[3.0, 2.0], [13.0, 16.0]])
    unused = np.full((2, 2), np.nan)
    assert disagreement([one, other, unused], np.array([0.5, 0.5, 0])) == pytest.approx([1, 1])
    assert disagreement([one, other], np.array([0.25, 0.75]))[0] == pytest.approx(
        np.sqrt(0.25 * 1.5**2 + 0.75 * 0.5**2)
    )


def test_wrong_coverages_are_refused():
    intervals = Conformal.fit(np.arange(9.0), np.zeros(9))
    for coverage in (0, 1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="coverage: expected a"):
            intervals.interval(np.zeros(2), coverage)


def test_records_return_the_intervals():
    prediction, y, spread = a_table(1000, seed=0, error="spread")
    intervals = Conformal.fit(y, prediction, spread)
    again = Conformal.from_record(intervals.record())
    for end, other in zip(
        again.interval(prediction, 0.9, spread), intervals.interval(prediction, 0.9, spread), strict=True
    ):
        assert (end == other).all()
    good = intervals.record()
    for change in (
        {"scores": good["scores"][::-1].copy()},
        {"scores": good["scores"][:-1]},
        {"weights": -good["weights"]},
        {"knots": good["knots"][:-1]},
        {"knots": good["knots"].astype(np.float32)},
        {"sizes": np.full(len(good["sizes"]), np.nan)},
        {"power": 2.0},
        {"floor": 0.0},
        {"low": np.inf},
        {"two_sided": 1},
        {"more": 1},
    ):
        with pytest.raises(ModelFileError):
            Conformal.from_record(good | change)
