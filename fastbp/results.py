"""Gradients, Summary and DivergenceError, which methods of a trainer return or raise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class DivergenceError(ArithmeticError):
    """Raised if the loss or a weight becomes NaN or infinite. The trainer returns to the end of the epoch before.

    Attributes
    ----------
    epoch : int
        Number of the epoch in which it happened, in the trainer's count from 1.
    """

    def __init__(self, message: str, epoch: int) -> None:
        super().__init__(message)
        self.epoch = epoch

    def __reduce__(self) -> tuple[Any, ...]:
        return DivergenceError, (str(self), self.epoch)


@dataclass(frozen=True)
class Gradients:
    """Gradients of J over all given samples.

    Attributes
    ----------
    weights : [∂J/∂Θ¹, …], each (n_{l+1}, n_l)
    biases : [∂J/∂b¹, …], each (n_{l+1},); zero if there are no bias units
    loss : the value of J
    of_layers : gradients by the names of the parameters if the network has layers, otherwise None
    """

    weights: list[Array]
    biases: list[Array]
    loss: float
    of_layers: dict[str, Array] | None = field(default=None, repr=False)

    @property
    def named(self) -> dict[str, Array]:
        """All gradients by parameter name, as in `Trainer.named_parameters`: "dense1.weight" is ∂J/∂Θ¹."""
        if self.of_layers is not None:
            return self.of_layers
        named: dict[str, Array] = {}
        for l, (theta, b) in enumerate(zip(self.weights, self.biases, strict=True), 1):
            named |= {f"dense{l}.weight": theta, f"dense{l}.bias": b}
        return named


class Summary(str):
    """Text that an interactive session displays without quotes."""

    def __repr__(self) -> str:
        return str(self)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return one line for each row, with the cells aligned in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


@dataclass(frozen=True)
class Quantization:
    """How far the outputs of a network with 8-bit integers are from those of the trained network.

    Attributes
    ----------
    rows : number of calibration rows; all other numbers are measured on them
    largest : largest deviation of an output, relative to the largest output
    deviation : root mean square of the deviations, relative to the standard deviation of the outputs
    agreement : share of the predicted classes or labels that are the same; None if the targets are numbers
    metric : "accuracy" or "rmse" if y was passed, otherwise None
    before, after : the metric of the trained network, and of the network with integers
    """

    rows: int
    largest: float
    deviation: float
    agreement: float | None = None
    metric: str | None = None
    before: float | None = None
    after: float | None = None

    def __str__(self) -> str:
        told = [
            f"8-bit integers, calibrated on {self.rows:,} rows. On these, outputs deviate by at most "
            f"{100 * self.largest:.3g} % of the largest output, and by {100 * self.deviation:.3g} % of their standard "
            "deviation on average (root mean square)."
        ]
        if self.agreement is not None:
            told.append(f"{100 * self.agreement:.2f} % of the predicted classes are the same.")
        if self.metric is not None:
            told.append(f"{self.metric}: {self.before:.6g} before, {self.after:.6g} with integers.")
        return "\n".join(told)


@dataclass(frozen=True)
class CSource:
    """A network as C code, which `Trainer.to_c` returns.

    Attributes
    ----------
    source : text of the C file
    header : text of the header
    report : how much accuracy the 8-bit integers cost; None for float32 and float64
    """

    source: str
    header: str
    report: Quantization | None = None

    def __repr__(self) -> str:
        lines = self.source.count("\n") + self.header.count("\n")
        return f"CSource({lines:,} lines{'' if self.report is None else f', {self.report}'})"
