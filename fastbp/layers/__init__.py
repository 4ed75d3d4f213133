"""Layers that you can put into the list that `Trainer` takes.

>>> from fastbp.layers import PBLD, Dense, Inputs, Residual
>>> Trainer([Inputs(numbers=12, categories=[7, 100]), PBLD(4), Dense(256, "mish", norm="layer"), Residual(256), 1])

An integer n at the start of the list stands for ``Inputs(numbers=n)``. Elsewhere it stands for ``Dense(n)``. A list of
integers is a plain network of dense layers. Each layer is a frozen dataclass that checks its arguments.
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
