"""The losses that have a name, and what `Trainer` accepts as a loss."""

from __future__ import annotations

from typing import Any

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


def loss_of(value: Any) -> Loss:
    """Return a Loss, given its name, a Loss, or a function of (output, target)."""
    if isinstance(value, Loss):
        return value
    if callable(value) and not isinstance(value, type):
        return Custom(value)
    if isinstance(value, type) and issubclass(value, Loss):
        raise TypeError(wrong("loss", "an object", kind_shown(value, Loss)))
    name = one_of("loss", value, NAMES)
    if name in LOSSES:
        return LOSSES[name]()
    from ._rows import GaussianNLL, NegativeBinomial

    return GaussianNLL() if name == GaussianNLL.name else NegativeBinomial()
