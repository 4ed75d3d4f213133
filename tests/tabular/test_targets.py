"""Transforms of targets: round trips, clamping, and which of them are tried."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp._records import ModelFileError
from fastbp.tabular._objectives import objective_of
from fastbp.tabular._targets import KINDS, TargetTransform, candidates

RMSE = objective_of("rmse", classes=False)


def targets(kind="skewed", n=3000):
    rng = np.random.default_rng(0)
    return {
        "skewed": np.exp(rng.normal(8, 1, n)),
        "normal": rng.normal(5, 2, n),
        "counts": rng.poisson(0.7, n).astype(float),
        "few": rng.choice([3.0, 4.0, 5.0, 6.0, 9.0], n),
        "constant": np.full(n, 0.1),
        "tiny": np.array([2.0, 1.0]),
    }[kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("of", ["skewed", "counts", "few", "constant", "tiny"])
def test_transforms_return_the_targets(kind, of):
    y = targets(of)
    transform = TargetTransform.fit(kind, y)
    z = transform.forward(y)
    assert z.dtype == np.float32
    back = transform.backward(z)
    assert back == pytest.approx(y, rel=1e-4, abs=1e-5 * y.max())
    inner = np.linspace(z.min() - 3, z.max() + 3, 500)
    assert (np.diff(transform.backward(inner)) >= 0).all()
    if kind != "rate":
        assert transform.backward(np.array([-1e30, 1e30])) == pytest.approx([y.min(), y.max()], rel=1e-12)
        assert z.mean() == pytest.approx(0, abs=1e-3)
        assert z.std() == pytest.approx(float(of != "constant"), rel=1e-3)


def test_a_rate_is_positive():
    y = targets("counts")
    transform = TargetTransform.fit("rate", y)
    assert transform.forward(y).mean() == pytest.approx(1, rel=1e-5)
    assert transform.backward(np.array([0.0, 1.0])) == pytest.approx([1e-6 * y.mean(), y.mean()])


def test_the_quantile_transform_makes_targets_normal():
    y = targets("skewed")
    z = TargetTransform.fit("quantile", y).forward(y)
    assert np.quantile(z, [0.025, 0.25, 0.5, 0.975]) == pytest.approx([-1.96, -0.674, 0, 1.96], abs=0.02)
    assert len(TargetTransform.fit("quantile", y).values) <= 1000


@pytest.mark.parametrize("kind", KINDS)
def test_weights_count_as_copies(kind):
    y = targets("few", 200)
    copies = np.random.default_rng(1).integers(1, 4, len(y))
    weighted, repeated = (
        TargetTransform.fit(kind, y, copies.astype(float)),
        TargetTransform.fit(kind, np.repeat(y, copies)),
    )
    assert weighted.forward(y) == pytest.approx(repeated.forward(y), abs=1e-5)


def test_which_transforms_are_tried():
    median = objective_of("mae", classes=False)
    assert candidates(targets("skewed"), RMSE) == ["identity", "log"]
    assert candidates(targets("skewed"), median) == ["identity", "log", "quantile"]
    assert candidates(-targets("skewed"), RMSE) == ["identity"]
    assert candidates(-targets("skewed"), median) == ["identity", "quantile"]
    assert candidates(targets("normal"), RMSE) == candidates(targets("constant"), RMSE) == ["identity"]
    assert candidates(targets("counts"), objective_of("poisson", classes=False)) == ["rate"]


def test_nan_stays_visible():
    for kind in KINDS:
        assert np.isnan(TargetTransform.fit(kind, targets()).backward(np.array([np.nan]))).all()


@pytest.mark.parametrize("kind", KINDS)
def test_records_return_the_transform(kind):
    y = targets()
    transform = TargetTransform.fit(kind, y)
    again = TargetTransform.from_record(transform.record())
    assert (again.backward(again.forward(y)) == transform.backward(transform.forward(y))).all()


def test_wrong_records_are_refused():
    good = TargetTransform.fit("quantile", targets()).record()
    for change in (
        {"kind": "cube"},
        {"kind": "log"},
        {"scale": 0.0},
        {"high": np.nan},
        {"low": 1e9},
        {"scores": good["scores"][:-1]},
        {"values": good["values"][::-1].copy()},
        {"values": good["values"].astype(np.float32)},
        {"center": 1},
        {"more": 1},
    ):
        with pytest.raises(ModelFileError):
            TargetTransform.from_record(good | change)
