"""What a trainer hands out, beside arrays and histories: gradients, a summary, the news of a divergence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from .network import Network

Array = npt.NDArray[Any]


class DivergenceError(ArithmeticError):
    """Training was stopped because the loss or a weight became NaN or infinite; the epoch before is what is left.

    Attributes
    ----------
    epoch : int
        The trainer's number, from 1, of the epoch in which it happened.
    """

    def __init__(self, message: str, epoch: int) -> None:
        super().__init__(message)
        self.epoch = epoch

    def __reduce__(self) -> tuple[Any, ...]:
        return DivergenceError, (str(self), self.epoch)


@dataclass(frozen=True)
class Gradients:
    """The gradients of J over all samples given.

    Attributes
    ----------
    weights : [∂J/∂Θ¹, …], each (n_{l+1}, n_l)
    biases : [∂J/∂b¹, …], each (n_{l+1},); zero without bias units
    loss : J
    """

    weights: list[Array]
    biases: list[Array]
    loss: float


class Summary(str):
    """Text that an interactive session shows as it is, without quotes."""

    def __repr__(self) -> str:
        return str(self)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row, with its cells in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def layer_table(network: Network, remark: str) -> Summary:
    """A line for each layer, and one of what there is in all."""
    rows = [("layer", "units", "activation", "weights", "parameters")]
    rows.append(("1 (input)", str(network.layer_sizes[0]), "", "", ""))
    for l, theta in enumerate(network.weights):
        count = theta.size + network.use_bias * len(theta)
        name = f"{l + 2} (output)" if l + 2 == len(network.layer_sizes) else str(l + 2)
        shape = f"{theta.shape[0]} × {theta.shape[1]}{' + bias' if network.use_bias else ''}"
        rows.append((name, str(len(theta)), network.activations[l], shape, f"{count:,}"))
    lines = aligned(rows)
    lines.insert(1, "─" * max(map(len, lines)))
    size = network.n_parameters * network.dtype.itemsize
    lines.append(f"{network.n_parameters:,} parameters, {size:,} bytes of {network.dtype.name}; {remark}")
    return Summary("\n".join(lines))
