"""Parameters that were set since the last fit: a fit that goes on applies them, or refuses them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _checks
from ..losses import Custom, Loss, loss_of
from ..optimizers import LBFGS
from ..trainer import Trainer
from ._epochs import Pace

AGAIN = "; fit with warm_start=False starts from new weights"


def go_on(estimator: Any, hidden: list[int], *, incremental: bool) -> None:
    """Give the estimator's trainer the activations, the loss and the dropout that the estimator has now.

    The weights stay, and so does the optimizer's memory.

    Raises
    ------
    ValueError
        For a parameter that can't change while the weights stay; nothing is applied then.
    """
    trainer, n_hidden = estimator.trainer_, len(estimator.trainer_.layer_sizes) - 2
    check_kept("hidden_layer_sizes", list(trainer.layer_sizes[1:-1]), hidden)
    if estimator.dtype != "auto":
        check_kept("dtype", trainer.dtype.name, np.dtype(estimator.dtype).name)
    loss = loss_of(estimator._objective()[0])
    if loss.output != trainer.output_activation:
        expected = f"one with the output activation {trainer.output_activation!r}, as the weights were fitted with"
        raise ValueError(_checks.wrong("loss", expected, _checks.shown(estimator.loss)) + AGAIN)
    method = estimator._method()
    if incremental and "_optimizer" in vars(estimator):
        check_pace(estimator._optimizer, estimator._pace(method))
    dropout = _checks.rates("dropout", estimator.dropout, n_hidden)
    if isinstance(method, LBFGS):
        _checks.absent("with 'lbfgs'", dropout=dropout)
    activations = tuple(estimator._activations(n_hidden)[:n_hidden])
    set_objective(trainer, (*activations, trainer.output_activation), loss, dropout)
    if any(dropout):
        trainer._dropout_seed = estimator._dropout_seed()


def check_kept(name: str, fitted: Any, now: Any) -> None:
    """Refuse another value than the weights have."""
    if fitted != now:
        raise ValueError(_checks.wrong(name, f"{fitted!r}, as the weights were fitted with", repr(now)) + AGAIN)


def check_pace(running: Pace, now: Pace) -> None:
    """Refuse another optimizer in the middle of partial_fits, which scikit-learn doesn't notice."""
    if running == now:
        return
    before, after = running.asked or {}, now.asked or {}
    names = [name for name in after if before.get(name) != after[name]]
    values = ", ".join(f"{name}={_checks.shown(before[name])}" for name in names if name in before)
    raise ValueError(
        _checks.wrong(
            " and ".join(names),
            f"{values or 'no other value'}, as partial_fit goes on with the optimizer that was started with it",
            ", ".join(_checks.shown(after[name]) for name in names),
        )
        + "; fit with warm_start=True starts another optimizer"
    )


def set_objective(trainer: Trainer, activations: tuple[str, ...], loss: Loss, dropout: tuple[float, ...]) -> None:
    """Another function for the same weights; the trainer's engine is made anew where something changes."""
    network = trainer.network
    if network.activations == activations and is_same(trainer._loss, loss) and trainer.dropout == dropout:
        return
    network.activations, trainer._loss, trainer._dropout = activations, loss, dropout
    vars(trainer).pop("_engine", None)
    vars(network).pop("_predictor", None)


def is_same(a: Loss, b: Loss) -> bool:
    """Whether two losses are one; a function is compiled anew each time that a loss is made of it."""
    if isinstance(a, Custom) and isinstance(b, Custom):
        return python(a.function) is python(b.function)
    return a == b


def python(function: Any) -> Any:
    """The function that Numba compiled."""
    return getattr(function, "py_func", function)
