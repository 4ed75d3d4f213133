"""The activations: their names, their codes, and the range of their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._checks import one_of, sequence, wrong
from ._kernels import codes


@dataclass(frozen=True)
class Activation:
    """One activation f: what a kernel calls it and what users must know of it."""

    code: int
    formula: str
    low: float = float("-inf")
    high: float = float("inf")
    hidden: bool = True  # whether it may stand in a hidden layer
    threshold: float = 0.5  # of a single output, above which it says class 1


ACTIVATIONS = {
    "identity": Activation(codes.IDENTITY, "z"),
    "sigmoid": Activation(codes.SIGMOID, "1 / (1 + e⁻ᶻ)", 0, 1),
    "tanh": Activation(codes.TANH, "tanh z", -1, 1, threshold=0.0),
    "relu": Activation(codes.RELU, "max(z, 0)", 0),
    "softmax": Activation(codes.SOFTMAX, "e^z / Σ e^z", 0, 1, hidden=False),
}
HIDDEN = [name for name, activation in ACTIVATIONS.items() if activation.hidden]


def hidden_activations(value: Any, n_hidden: int) -> tuple[str, ...]:
    """The names for the hidden layers, (n_hidden,), from one name or one for each."""
    if isinstance(value, str):
        return (one_of("activation", value, HIDDEN),) * n_hidden
    expected = f"one name, or one for each of the {n_hidden} hidden layers"
    names = sequence("activation", value, expected)
    if len(names) != n_hidden:
        raise ValueError(wrong("activation", expected, f"{len(names)} names"))
    return tuple(one_of(f"activation[{i}]", name, HIDDEN) for i, name in enumerate(names))
