"""Transforms of numeric targets (a first version)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class TargetTransform:
    kind: str
    mean: float
    deviation: float
    low: float
    high: float
    shift: float = 0.0

    @classmethod
    def fit(cls, kind: str, y: Array, weights: Array | None = None) -> TargetTransform:
        if kind == "quantile" or y.min() < 0:
            kind = "identity"
        z = np.log(y + 1e-3 * np.median(y)) if kind == "log" else y
        return cls(
            kind, float(z.mean()), float(z.std() or 1), float(y.min()), float(y.max()), float(1e-3 * np.median(y))
        )

    def forward(self, y: Array) -> Array:
        z = np.log(y + self.shift) if self.kind == "log" else y
        return (z - self.mean) / self.deviation

    def backward(self, z: Array) -> Array:
        y = z.astype(np.float64) * self.deviation + self.mean
        if self.kind == "log":
            y = np.exp(np.minimum(y, 700)) - self.shift
        return np.clip(y, self.low, self.high)


def candidates(y: Array) -> list[str]:
    return ["identity", "log"] if y.min() >= 0 else ["identity"]
