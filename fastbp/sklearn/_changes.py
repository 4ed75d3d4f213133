"""Parameters that were changed since the last fit. A fit that continues applies or refuses them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _checks
from ..losses import Custom, Loss, loss_of
from ..optimizers import LBFGS
from ..trainer import Trainer
from ._epochs import Pace

AGAIN = "; to start from new weights, fit with warm_start=False"


def go_on(estimator: Any, hidden: list[int], *, incremental: bool) -> None:
    """Set the trainer's activations, loss and dropout to the current parameters of the estimator.

    The weights and the state of the optimizer stay unchanged.

    Raises
    ------
    ValueError
        If a parameter doesn't fit the existing weights. Nothing is changed then.
    """
    trainer, n_hidden = estimator.trainer_, len(estimator.trainer_.layer_sizes) - 2
    check_kept("hidden_layer_sizes", list(trainer.layer_sizes[1:-1]), hidden)
    if estimator.dtype != "auto":
        check_kept("dtype", trainer.dtype.name, np.dtype(estimator.dtype).name)
    loss = loss_of(estimator._objective()[0])
    if loss.output != trainer.output_activation:
        expected = f"one with the output activation {trainer.output_activation!r}, as in the last fit"
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
        trainer._state.dropout_seed = estimator._dropout_seed()


def check_kept(name: str, fitted: Any, now: Any) -> None:
    """Refuse a value that differs from the one of the last fit."""
    if fitted != now:
        raise ValueError(_checks.wrong(name, f"{fitted!r}, as in the last fit", repr(now)) + AGAIN)


def check_pace(running: Pace, now: Pace) -> None:
    """Refuse another optimizer between two calls of partial_fit; scikit-learn ignores it."""
    if running == now:
        return
    before, after = running.asked or {}, now.asked or {}
    names = [name for name in after if before.get(name) != after[name]]
    values = ", ".join(f"{name}={_checks.shown(before[name])}" for name in names if name in before)
    raise ValueError(
        _checks.wrong(
            " and ".join(names),
            f"{values or 'no other value'}, because partial_fit continues with the optimizer of the last call",
            ", ".join(_checks.shown(after[name]) for name in names),
        )
        + "; to start another optimizer, fit with warm_start=True"
    )


def set_objective(trainer: Trainer, activations: tuple[str, ...], loss: Loss, dropout: tuple[float, ...]) -> None:
    """Change the activations, the loss and the dropout, but not the weights. A change creates a new engine."""
    state = trainer._state
    if state.network.activations != activations or not is_same(state.loss, loss) or state.dropout != dropout:
        state.set_objective(activations, loss, dropout)


def is_same(a: Loss, b: Loss) -> bool:
    """Return whether two losses are the same. Every custom loss compiles its function anew."""
    if isinstance(a, Custom) and isinstance(b, Custom):
        return python(a.function) is python(b.function)
    return a == b


def python(function: Any) -> Any:
    """Return the Python function that Numba compiled."""
    return getattr(function, "py_func", function)
