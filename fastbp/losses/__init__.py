"""Losses: their names and codes, their default output activations, and the targets that they accept."""

import importlib
from typing import TYPE_CHECKING, Any

from .._checks import kind_shown, one_of, wrong
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
from ._targets import encode, padded, resolve_output

if TYPE_CHECKING:
    from ._own_rows import Rows
    from ._rows import GaussianNLL, Members, NegativeBinomial
else:
    _FROM = {"Rows": "_own_rows", "GaussianNLL": "_rows", "Members": "_rows", "NegativeBinomial": "_rows"}

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

LOSSES: dict[str, type[Loss]] = {
    kind.name: kind
    for kind in (
        SquaredError,
        AbsoluteError,
        Huber,
        Quantile,
        Hinge,
        Poisson,
        CrossEntropy,
        BinaryCrossEntropy,
    )
}
NAMES = (*LOSSES, "gaussian_nll", "negative_binomial")  # of losses that need no parameters


def losses_with(name: Any) -> dict[str, type[Loss]]:
    """Return the losses of fastbp, without those of rows if the name is that of another one."""
    if isinstance(name, str) and name in LOSSES:
        return LOSSES
    from ._rows import GaussianNLL, Members, NegativeBinomial

    return LOSSES | {kind.name: kind for kind in (GaussianNLL, NegativeBinomial, Members)}


def loss_of(value: Any) -> Loss:
    """Return a Loss, given its name, a Loss, or a function of (output, target)."""
    if isinstance(value, Loss):
        return value
    if callable(value) and not isinstance(value, type):
        return Custom(value)
    if isinstance(value, type) and issubclass(value, Loss):
        raise TypeError(wrong("loss", "an object", kind_shown(value, Loss)))
    name = one_of("loss", value, NAMES)
    return losses_with(name)[name]()
