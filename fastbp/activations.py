"""Activations: their names, codes, formulas and ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._checks import one_of, sequence, wrong
from ._kernels import codes


@dataclass(frozen=True)
class Activation:
    """One activation f: its code in the kernels, its formula, and its range."""

    code: int
    formula: str
    low: float = float("-inf")
    high: float = float("inf")
    hidden: bool = True  # whether a hidden layer may have it
    threshold: float = 0.5  # a single output above it is class 1


ACTIVATIONS = {
    "identity": Activation(codes.IDENTITY, "z"),
    "sigmoid": Activation(codes.SIGMOID, "1 / (1 + e⁻ᶻ)", 0, 1),
    "tanh": Activation(codes.TANH, "tanh z", -1, 1, threshold=0.0),
    "relu": Activation(codes.RELU, "max(z, 0)", 0),
    "softmax": Activation(codes.SOFTMAX, "e^z / Σ e^z", 0, 1, hidden=False),
    "leaky_relu": Activation(codes.LEAKY_RELU, "z, 0.01 z below 0"),
    "elu": Activation(codes.ELU, "z, e^z − 1 below 0", -1),
    "selu": Activation(codes.SELU, "1.0507 · (z, 1.6733 (e^z − 1) below 0)", -1.7580993408473766),
    "gelu": Activation(codes.GELU, "z Φ(z)", -0.16997120747990369),
    "gelu_tanh": Activation(codes.GELU_TANH, "½ z (1 + tanh(√(2/π) (z + 0.044715 z³)))", -0.17004075057125412),
    "silu": Activation(codes.SILU, "z / (1 + e⁻ᶻ)", -0.2784645427610738),
    "mish": Activation(codes.MISH, "z tanh(ln(1 + e^z))", -0.30884341183),
    "softplus": Activation(codes.SOFTPLUS, "ln(1 + e^z)", 0),
    "softsign": Activation(codes.SOFTSIGN, "z / (1 + |z|)", -1, 1, threshold=0.0),
    "hard_sigmoid": Activation(codes.HARD_SIGMOID, "min(max(z/6 + ½, 0), 1)", 0, 1),
    "hard_tanh": Activation(codes.HARD_TANH, "min(max(z, −1), 1)", -1, 1, threshold=0.0),
    "exponential": Activation(codes.EXPONENTIAL, "e^z", 0),
}
HIDDEN = [name for name, activation in ACTIVATIONS.items() if activation.hidden]


def hidden_activations(value: Any, n_hidden: int) -> tuple[str, ...]:
    """Return the names for the hidden layers, (n_hidden,), given one name for all or one for each."""
    if isinstance(value, str):
        return (one_of("activation", value, HIDDEN),) * n_hidden
    expected = f"one name, or one for each of the {n_hidden} hidden layers"
    names = sequence("activation", value, expected)
    if len(names) != n_hidden:
        raise ValueError(wrong("activation", expected, f"{len(names)} names"))
    return tuple(one_of(f"activation[{i}]", name, HIDDEN) for i, name in enumerate(names))
