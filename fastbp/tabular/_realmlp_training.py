"""The training of a RealMLP, which ends with the weights of the epoch that is best for the validation rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _messages
from .._training.course import Course
from .._training.steps import batches_of
from ..callbacks import Callback
from ..results import DivergenceError
from ..trainer import Trainer
from ._realmlp import set_parameters

Array = npt.NDArray[Any]

ALIKE = 1e-12  # losses that differ by less count as equal, of which the later is the best
TOO_EARLY = "interrupted before the first epoch ended"
PRINTED_SECONDS = 0.2  # between two looks at the finished epochs


class BestEpoch(Callback):
    """Keeps the parameters of the epoch with the least loss of the validation rows; of equal ones, the later.

    Parameters
    ----------
    X : the validation rows
    loss : function of the output for them
    patience : epochs without improvement after which training ends; None for never

    Attributes
    ----------
    losses : after each epoch
    epoch : the best one, from 1; 0 before there is one
    parameters : those of the best epoch, by name
    """

    def __init__(self, X: Array, loss: Callable[[Array], float], patience: int | None) -> None:
        self.X, self.loss, self.patience = X, loss, patience
        self.losses: list[float] = []
        self.epoch = 0
        self.parameters: dict[str, Array] = {}

    def on_epoch_end(self, trainer: Any, epoch: int, measured: Mapping[str, float]) -> bool:
        """Measure the validation rows. Return whether the patience is over."""
        self.losses.append(self.loss(trainer.predict(self.X)))
        if math.isfinite(self.losses[-1]) and (not self.epoch or self.losses[-1] <= self.losses[self.epoch - 1]):
            self.epoch = epoch
            self.parameters = {name: view.copy() for name, view in trainer.named_parameters().items()}
        return self.patience is not None and epoch - self.epoch >= self.patience


@dataclass(frozen=True)
class Rows:
    """Rows that train or validate.

    Attributes
    ----------
    X : (n, n_1) of float32
    y : (n,) class numbers, or (n, 1) standardized numbers
    weights : (n,) of the rows, or None
    """

    X: Array
    y: Array
    weights: Array | None


class Trained(NamedTuple):
    """What a training found.

    Attributes
    ----------
    losses : of the validation rows after each epoch
    best_epoch : from 1
    interrupted : whether Ctrl-C ended it
    """

    losses: Array
    best_epoch: int
    interrupted: bool


def train_until_best(trainer: Trainer, epochs: int, rows: Rows, best: BestEpoch, verbose: int) -> Trained:
    """Train with a measurement in Python after each epoch."""
    options: dict[str, Any] = {"sample_weight": rows.weights, "verbose": 2 * bool(verbose)}
    interrupted = False
    try:
        interrupted = trainer.fit(rows.X, rows.y, epochs=epochs, callbacks=best, **options).interrupted
    except DivergenceError:
        if not best.epoch:
            raise
    if not best.epoch:
        raise KeyboardInterrupt(TOO_EARLY)
    set_parameters(trainer, best.parameters)
    return Trained(np.array(best.losses), best.epoch, interrupted)


def train_in_kernels(
    trainer: Trainer, epochs: int, rows: Rows, validation: Rows, patience: int | None, verbose: int
) -> Trained:
    """Train in kernel calls, which also measure J of the validation rows: their targets are as those of `rows`.

    Raises
    ------
    DivergenceError, KeyboardInterrupt
        If training diverged, or Ctrl-C came, before the first epoch was measured.
    """
    state = trainer._state
    settings, schedule = state.settings, state.schedule
    assert settings is not None
    assert schedule is not None
    data, other = (_data(state.engine, part, shuffle) for part, shuffle in ((rows, True), (validation, False)))
    n_batches = batches_of(state, len(rows.X))
    done = np.arange(epochs * n_batches) / n_batches
    course = Course(
        *(state, data, other),
        epochs=epochs,
        patience=patience,
        min_delta=-ALIKE,
        rates=state.learning_rate * schedule(done, epochs),
        factors=settings.factors_at(done, epochs) if settings.has_schedules else None,
        n_threads=state.n_threads,
    )
    interrupted = False
    try:
        _advance(course, epochs, verbose)
    except KeyboardInterrupt:
        interrupted = True
        course.stop()
        course.restore()
    if course.best_epoch < 0:
        if course.bad is None:
            raise KeyboardInterrupt(TOO_EARLY)
        name, value = course.bad
        text = f"training diverged: the {name} became {value}; try a smaller learning_rate"
        raise DivergenceError(text, course.epochs_done + 1)
    return Trained(course.val_losses.copy(), course.best_epoch + 1, interrupted)


def _advance(course: Course, epochs: int, verbose: int) -> None:
    """Train to the end. If asked, print a line for each epoch."""
    shown, ended = 0, False
    while not ended:
        ended = course.advance(PRINTED_SECONDS if verbose else math.inf)
        for epoch in range(shown, course.epochs_done if verbose else 0):
            loss, val_loss = course.losses[epoch], course.val_losses[epoch]
            _messages.out(f"epoch {epoch + 1}/{epochs}: loss {loss:.4g}, val_loss {val_loss:.4g}\n")
        shown = course.epochs_done


def _data(engine: Any, rows: Rows, shuffle: bool) -> Any:
    """Return rows in the form that kernels take."""
    weights = None if rows.weights is None else rows.weights.astype(np.float32)
    numbers, labels = (rows.y, None) if rows.y.ndim == 2 else (None, rows.y)
    return engine.data(rows.X, numbers, labels, weights, shuffle=shuffle)
