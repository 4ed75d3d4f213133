"""Transforms of numeric targets: networks learn the transformed ones, and predictions are transformed back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from .._records import check_fields, refused
from ._objectives import Objective, mean

Array = npt.NDArray[Any]

KINDS = ("identity", "log", "quantile", "rate")
KNOTS = 1000  # of the quantile transform, at most
NORMAL = 0.98  # correlation with normal scores above which targets count as normal
GAIN = 0.01  # of this correlation that makes the log worth trying
ROUNDING = 1e-12  # a deviation that is a smaller share of the mean counts as 0
LEAST_RATE = 1e-6  # a predicted rate, as a share of the mean
FIELDS = dict.fromkeys(("low", "high", "center", "scale", "offset"), (float,))


@dataclass(frozen=True, eq=False)
class TargetTransform:
    """A monotonic function of the targets. Predictions that are transformed back lie in the range of training.

    Attributes
    ----------
    kind : "identity", "log", "quantile" or "rate"
        "quantile" gives the targets a normal distribution; "rate" divides counts by their mean.
    low, high : limits of predictions
    center, scale : with which transformed targets are standardized
    offset : added before the logarithm is taken
    values, scores : (q,) increasing targets and their normal scores; empty unless kind is "quantile"
    """

    kind: str
    low: float
    high: float
    center: float
    scale: float
    offset: float
    values: Array
    scores: Array

    @classmethod
    def fit(cls, kind: str, y: Array, weights: Array | None = None) -> TargetTransform:
        """Return the transform of a kind that suits the targets y, (n,)."""
        y = np.asarray(y, np.float64)
        low, high = float(y.min()), float(y.max())
        values = scores = np.empty(0)
        offset = 0.0
        if kind == "rate":
            size = float(mean(y, weights)) or 1.0
            return cls(kind, LEAST_RATE * size, max(high, LEAST_RATE * size), 0.0, size, offset, values, scores)
        if kind == "log" and low <= 0:
            offset = float(y[y > 0].min()) - low
        if kind == "quantile":
            values, scores = _normal_scores(y, weights)
        plain = cls(kind, low, high, 0.0, 1.0, offset, values, scores)
        z = plain._raw(y)
        center = float(mean(z, weights))
        deviation = float(np.sqrt(mean((z - center) ** 2, weights)))
        scale = deviation if deviation > ROUNDING * abs(center) else 1.0
        return cls(kind, low, high, center, scale, offset, values, scores)

    def forward(self, y: Array) -> npt.NDArray[np.float32]:
        """Return transformed targets of about mean 0 and deviation 1 (mean 1 for a rate), as float32."""
        return ((self._raw(np.asarray(y, np.float64)) - self.center) / self.scale).astype(np.float32)

    def backward(self, z: Array) -> Array:
        """Return predictions in the units of the targets, within their range in training, as float64."""
        z = np.asarray(z, np.float64) * self.scale + self.center
        if self.kind == "log":
            ends = self._raw(np.array([self.low, self.high]))
            z = np.exp(np.clip(z, *ends)) - self.offset
        elif self.kind == "quantile":
            z = np.where(np.isnan(z), z, np.interp(z, self.scores, self.values))
        return np.clip(z, self.low, self.high)

    def _raw(self, y: Array) -> Array:
        """Return transformed targets that are not standardized."""
        if self.kind == "log":
            return np.log(y + self.offset)
        return np.interp(y, self.values, self.scores) if self.kind == "quantile" else y

    def record(self) -> dict[str, Any]:
        """Return what `from_record` needs: text, numbers and arrays."""
        numbers = {name: getattr(self, name) for name in FIELDS}
        return {"kind": self.kind, **numbers, "values": self.values, "scores": self.scores}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> TargetTransform:
        """Return the transform of a record.

        Raises
        ------
        ModelFileError
            If `record` can't have made it.
        """
        check_fields(
            "a target transform", record, {"kind": (str,), **FIELDS, "values": (np.ndarray,), "scores": (np.ndarray,)}
        )
        transform = cls(**record)
        values, scores = transform.values, transform.scores
        fits = (
            transform.kind in KINDS
            and all(np.isfinite(getattr(transform, name)) for name in FIELDS)
            and transform.low <= transform.high
            and transform.scale > 0
            and (transform.kind != "log" or transform.low + transform.offset > 0)
            and values.shape == scores.shape == (values.size,)
            and values.dtype == scores.dtype == np.float64
            and (values.size > 0) == (transform.kind == "quantile")
            and all(np.isfinite(knots).all() and (np.diff(knots) > 0).all() for knots in (values, scores))
        )
        if not fits:
            raise refused("other values", "a target transform")
        return transform


def candidates(y: Array, objective: Objective) -> list[str]:
    """Return the kinds of transforms that suit the targets, the plainest first.

    Counts with the Poisson objective are rates. Targets ≥ 0 that are closer to normal after the logarithm may gain from
    that. Others that are not normal may gain from a quantile transform, if the objective is the absolute error or a
    quantile: medians and quantiles stay what they are if they are transformed back, but means don't. How normal targets
    are is the correlation between them and their normal scores (Shapiro and Francia, 1972).
    """
    if objective.name == "poisson":
        return ["rate"]
    y = np.asarray(y, np.float64)
    kinds = ["identity"]
    if np.ptp(y) == 0:
        return kinds
    normal = _normality(y)
    if y.min() >= 0 and _normality(TargetTransform.fit("log", y)._raw(y)) > normal + GAIN:
        kinds.append("log")
    if normal < NORMAL and objective.name in ("mae", "quantile"):
        kinds.append("quantile")
    return kinds


def _normality(y: Array) -> float:
    """Return the correlation of y, which is not constant, with its normal scores."""
    return float(np.corrcoef(y, np.interp(y, *_normal_scores(y, None)))[0, 1])


def _normal_scores(y: Array, weights: Array | None) -> tuple[Array, Array]:
    """Return increasing values of y and the normal quantiles of the middles of their ranks, KNOTS of them at most."""
    values, places = np.unique(y, return_inverse=True)
    shares = np.bincount(places, weights)
    kept = shares > 0
    values, shares = values[kept], shares[kept] / shares.sum()
    middles = np.cumsum(shares) - shares / 2
    if len(values) > KNOTS:
        even = np.linspace(middles[0], middles[-1], KNOTS)
        chosen = np.unique(np.searchsorted(middles, even).clip(0, len(values) - 1))
        values, middles = values[chosen], middles[chosen]
    quantile = NormalDist().inv_cdf
    scores = np.array([quantile(min(max(place, 1e-9), 1 - 1e-9)) for place in middles])
    increasing = np.append(True, np.diff(scores) > 0)
    return values[increasing], scores[increasing]
