"""Losses: their names and codes, their default output activations, and the targets that they accept."""

import importlib
from typing import TYPE_CHECKING, Any

from ._custom import Custom
from ._kinds import (
    AbsoluteError,
    BinaryCrossEntropy,
    CrossEntropy,
    Hinge,
    Huber,
    Loss,
    Poisson,
    Quantile,
    SquaredError,
)
from ._named import LOSSES, NAMES, loss_of
from ._targets import encode, padded, resolve_output

if TYPE_CHECKING:
    from ._members import Members
    from ._own_rows import Rows
    from ._rows import GaussianNLL, NegativeBinomial
else:
    _FROM = {"Rows": "_own_rows", "GaussianNLL": "_rows", "Members": "_members", "NegativeBinomial": "_rows"}

    def __getattr__(name):
        """Import a loss that few networks have when it is first used."""
        if name not in _FROM:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value = getattr(importlib.import_module(f".{_FROM[name]}", __name__), name)
        return value


__all__ = [
    "LOSSES",
    "NAMES",
    "AbsoluteError",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Custom",
    "GaussianNLL",
    "Hinge",
    "Huber",
    "Loss",
    "Members",
    "NegativeBinomial",
    "Poisson",
    "Quantile",
    "Rows",
    "SquaredError",
    "encode",
    "loss_of",
    "losses_with",
    "padded",
    "resolve_output",
]


def losses_with(name: Any) -> dict[str, type[Loss]]:
    """Return the losses of fastbp, without those of rows if the name is that of another one."""
    if isinstance(name, str) and name in LOSSES:
        return LOSSES
    from ._members import Members
    from ._rows import GaussianNLL, NegativeBinomial

    return LOSSES | {kind.name: kind for kind in (GaussianNLL, NegativeBinomial, Members)}
