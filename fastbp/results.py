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
    named : all of them by the names of `Trainer.named_parameters`, with those of other layers than Dense
    """

    weights: list[Array]
    biases: list[Array]
    loss: float
    named: dict[str, Array] = field(default_factory=dict)


class Summary(str):
    """Text that an interactive session displays without quotes."""

    def __repr__(self) -> str:
        return str(self)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return one line for each row, with the cells aligned in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
