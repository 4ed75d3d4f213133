"""Layers: what the list that `Trainer` takes may have in place of numbers of units.

>>> from fastbp.layers import PBLD, Dense, Inputs, Residual
>>> Trainer([Inputs(numbers=12, categories=[7, 100]), PBLD(4), Dense(256, "mish", norm="layer"), Residual(256), 1])

An integer is `Inputs` of that many numbers at the start of the list, and `Dense` of that many units elsewhere. A list
of integers is a network as it always was. Each layer is a frozen dataclass that checks its arguments.
"""

from ._classes import (
    PBLD,
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    Inputs,
    Layer,
    LayerNorm,
    Periodic,
    PiecewiseLinear,
    Residual,
    Scale,
)

__all__ = [
    "PBLD",
    "Activation",
    "BatchNorm",
    "Dense",
    "Dropout",
    "Inputs",
    "Layer",
    "LayerNorm",
    "Periodic",
    "PiecewiseLinear",
    "Residual",
    "Scale",
]
