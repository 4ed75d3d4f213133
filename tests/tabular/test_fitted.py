"""Handicaps of the members of an ensemble."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fastbp.tabular._fitted import handicaps_of


def test_networks_have_half_of_their_median_handicap():
    families = ["constant", "linear", "network", "network", "network", "estimator"]
    members = [
        SimpleNamespace(family=family, handicap=handicap)
        for family, handicap in zip(families, [0.0, 0.0, 0.01, 0.3, 0.05, 0.0], strict=True)
    ]
    assert handicaps_of(members, 100).tolist() == [0, 0, 0.025, 0.025, 0.025, 0]
    assert handicaps_of(members[:2], 100).tolist() == [0, 0]
    assert handicaps_of(members, 3000)[2] == pytest.approx(0.01)
