"""The base class of callbacks, and callbacks from plain functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from .._checks import sequence, shown, wrong

EpochFunction = Callable[[Any, int, Mapping[str, float]], bool | None]


class Callback:
    """Base class of callbacks. Override the methods that you need; each does nothing by default.

    `trainer` is the Trainer that is being fitted. You can read and change it, for example its learning rate. If you
    write type hints, annotate it as Trainer. This class annotates it as Any, because the module of Trainer imports
    this one.

    You can also pass a plain function ``f(trainer, epoch, measured)``. It is called like `on_epoch_end`.
    """

    _writes_file: ClassVar[bool] = False  # fit_many refuses it if True: all networks would write the same file
    _only_looks: ClassVar[bool] = False  # whether on_progress changes nothing in the trainer

    def on_fit_begin(self, trainer: Any, epochs: int) -> None:
        """Called before the first of `epochs` epochs."""

    def on_progress(self, trainer: Any, done: float) -> None:
        """Called about every tenth of a second. `done` is the number of epochs of this fit, with a fraction."""

    def on_epoch_end(self, trainer: Any, epoch: int, measured: Mapping[str, float]) -> bool | None:
        """Called after each epoch with its number (from 1) and the measurements. Return True to stop training."""

    def on_fit_end(self, trainer: Any) -> None:
        """Called after the last epoch, even if training was stopped, was interrupted or failed."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state from which another fit can continue: JSON values, and lists of the trainer's arrays.

        `Trainer.save` saves the state. A fit with initial_epoch > 0 passes it to `load_state_dict`.
        """
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` returned, before `on_fit_begin`. It may come from a file, so check it."""


class FunctionCallback(Callback):
    """A callback that calls a plain function."""

    def __init__(self, function: EpochFunction) -> None:
        self.function = function

    def on_epoch_end(self, trainer: Any, epoch: int, measured: Mapping[str, float]) -> bool | None:
        return self.function(trainer, epoch, measured)


def as_callbacks(value: Any) -> list[Callback]:
    """Return a list of callbacks from None, one or several, each a Callback or a function."""
    expected = "a Callback or a function of (trainer, epoch, measured), or several"
    if value is None or (type(value) is tuple and not value):
        return []
    items = (
        [value]
        if isinstance(value, Callback) or callable(value)
        else sequence("callbacks", value, expected, ordered=False)
    )
    for item in items:
        if isinstance(item, type) or not (isinstance(item, Callback) or callable(item)):
            raise TypeError(wrong("callbacks", expected, shown(item)))
    return [item if isinstance(item, Callback) else FunctionCallback(item) for item in items]
