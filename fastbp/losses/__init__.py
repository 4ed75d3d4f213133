"""Losses: their names and codes, their default output activations, and the targets that they accept."""

from typing import Any

from .._checks import kind_shown, one_of, wrong
from ._custom import Custom, Rows
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
from ._rows import GaussianNLL, Members, NegativeBinomial
from ._targets import encode, padded, resolve_output

__all__ = [
    "KINDS",
    "LOSSES",
    "NAMED",
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
NAMED = LOSSES | {kind.name: kind for kind in (GaussianNLL, NegativeBinomial)}  # that a name is enough for
KINDS = NAMED | {Members.name: Members}  # that a file can have


def loss_of(value: Any) -> Loss:
    """Return a Loss, given its name, a Loss, or a function of (output, target)."""
    if isinstance(value, Loss):
        return value
    if callable(value) and not isinstance(value, type):
        return Custom(value)
    if isinstance(value, type) and issubclass(value, Loss):
        raise TypeError(wrong("loss", "an object", kind_shown(value, Loss)))
    return NAMED[one_of("loss", value, NAMED)]()
