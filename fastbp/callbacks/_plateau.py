"""Callbacks that act when a measure no longer improves: EarlyStopping and ReduceLROnPlateau."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np

from .._checks import flag, real, shown, whole, wrong
from . import _watch
from ._watch import FLOAT64, Watch


class EarlyStopping(Watch):
    """Stop training when a measure no longer improves, and restore the best weights.

    Each fit resets the callback. A fit with initial_epoch > 0 continues from the last weights and the saved state.

    Parameters
    ----------
    monitor : str
        The measure, as in `Watch`.
    patience : int
        Number of epochs in a row without improvement after which training stops.
    min_delta : float
        How much better an epoch must be to count as an improvement.
    mode : {"auto", "min", "max"}
        As in `Watch`.
    restore_best_weights : bool
        Whether the trainer has the weights of the best epoch after the fit, even if training was not stopped, was
        interrupted or diverged. The history keeps all epochs.

    Attributes
    ----------
    best, best_epoch
        See `Watch`.
    stopped_epoch : int or None
        The epoch after which training was stopped, or None.
    """

    def __init__(
        self,
        monitor: str = "auto",
        *,
        patience: SupportsIndex = 10,
        min_delta: SupportsFloat = 0.0,
        mode: str = "auto",
        restore_best_weights: bool = True,
    ) -> None:
        self.patience = whole("patience", patience, minimum=1)
        self.restore_best_weights = flag("restore_best_weights", restore_best_weights)
        super().__init__(monitor, mode, min_delta)

    def _reset(self) -> None:
        super()._reset()
        self.stopped_epoch: int | None = None
        self._waited = 0
        self._weights: list[Any] = []  # the best weights; after they are restored, the last weights if these differ
        self._restored = False

    _state = Watch._state | {
        "stopped_epoch": _watch.is_count_or_none,
        "_waited": _watch.is_count,
        "_weights": _watch.is_arrays,
        "_restored": _watch.is_flag,
    }

    @property
    def _watches_val_loss(self) -> bool:
        """Whether the measure is the validation loss if there is one, and less is better."""
        named = self.monitor in ("auto", "val_loss") and self._measure in (None, "val_loss")
        return named and self._sign < 0

    def on_fit_begin(self, trainer: Any, epochs: int) -> None:
        super().on_fit_begin(trainer, epochs)
        if self._weights and [w.shape for w in self._weights] != [w.shape for w in trainer.get_weights()]:
            came = "an EarlyStopping state with weights of other shapes; load the trainer that this state belongs to"
            raise ValueError(wrong("callbacks", "the state of a training of this network", came))
        if self._restored:
            self._restored = False
            best = trainer.get_weights() if self.restore_best_weights else []
            if self._weights:
                self._give(trainer)
            self._weights = best
        if self._waited >= self.patience:
            trainer.stop_training = True
        else:
            self.stopped_epoch = None

    def on_epoch_end(self, trainer: Any, epoch: int, measured: Mapping[str, float]) -> bool:
        if self._is_better(epoch, measured):
            self._waited = 0
            if self.restore_best_weights:
                self._weights = trainer.get_weights()
            return False
        self._waited += 1
        if self._waited >= self.patience:
            self.stopped_epoch = epoch
        return self._waited >= self.patience

    def on_fit_end(self, trainer: Any) -> None:
        if self._weights:
            last = trainer.get_weights()
            self._give(trainer)
            same = all(map(np.array_equal, last, self._weights))
            finite = all(np.isfinite(array).all() for array in last)
            self._weights = last if finite and not same else []
            self._restored = True

    def _give(self, trainer: Any) -> None:
        """Copy the kept weights to the trainer; set_weights would refuse infinite ones and hide why the fit failed."""
        for view, kept in zip(trainer.network.parameters(), self._weights, strict=True):
            view[...] = kept


class ReduceLROnPlateau(Watch):
    """Reduce the learning rate when a measure no longer improves.

    Parameters
    ----------
    monitor : str
        The measure, as in `Watch`.
    factor : float
        Factor by which the learning rate is reduced: η ← factor · η, 0 < factor < 1.
    patience : int
        Number of epochs in a row without improvement after which the learning rate is reduced.
    min_delta : float
        How much better an epoch must be to count as an improvement.
    cooldown : int
        Number of epochs after a reduction in which the callback doesn't count epochs without improvement.
    min_learning_rate : float
        Lower bound of η.
    mode : {"auto", "min", "max"}
        As in `Watch`.

    Raises
    ------
    ValueError
        At the start of a fit that doesn't use the trainer's learning rate, because the optimizer is "lbfgs" or the
        schedule is a function.
    """

    def __init__(
        self,
        monitor: str = "auto",
        *,
        factor: SupportsFloat = 0.1,
        patience: SupportsIndex = 10,
        min_delta: SupportsFloat = 1e-4,
        cooldown: SupportsIndex = 0,
        min_learning_rate: SupportsFloat = 0.0,
        mode: str = "auto",
    ) -> None:
        self.factor = real("factor", factor, above=0, dtype=FLOAT64)
        if self.factor >= 1:
            raise ValueError(wrong("factor", "a number > 0 and < 1", shown(factor)))
        self.patience = whole("patience", patience, minimum=1)
        self.cooldown = whole("cooldown", cooldown, minimum=0)
        self.min_learning_rate = real("min_learning_rate", min_learning_rate, minimum=0, dtype=FLOAT64)
        super().__init__(monitor, mode, min_delta)

    def _reset(self) -> None:
        super()._reset()
        self._waited = self._cooling = 0

    _state = Watch._state | {"_waited": _watch.is_count, "_cooling": _watch.is_count}

    def on_fit_begin(self, trainer: Any, epochs: int) -> None:
        super().on_fit_begin(trainer, epochs)
        absolute = trainer.schedule is not None and trainer.schedule.absolute
        if absolute or trainer.optimizer.name == "lbfgs":
            came = "a schedule that sets it" if absolute else "optimizer 'lbfgs', which has none"
            raise ValueError(wrong("callbacks", "a learning rate for ReduceLROnPlateau to lower", came))

    def on_epoch_end(self, trainer: Any, epoch: int, measured: Mapping[str, float]) -> None:
        waits = not self._is_better(epoch, measured) and self._cooling == 0
        self._waited = self._waited + 1 if waits else 0
        self._cooling = max(0, self._cooling - 1)
        if self._waited >= self.patience:
            self._waited, self._cooling = 0, self.cooldown
            # the trainer refuses a learning rate that rounds to 0
            least = max(self.min_learning_rate, float(np.finfo(trainer.dtype).tiny))
            if trainer.learning_rate > least:
                trainer.learning_rate = max(self.factor * trainer.learning_rate, least)
