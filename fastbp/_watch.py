"""What all callbacks are, and what those that look for the best epoch have in common."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, SupportsFloat

import numpy as np

from ._checks import one_of, real, sequence, shown, wrong

if TYPE_CHECKING:
    from .trainer import Trainer

    EpochFunction = Callable[[Trainer, int, Mapping[str, float]], bool | None]

FLOAT64 = np.dtype(np.float64)
SMALLER = {"loss", "error", "deviance", "mse", "rmse", "mae"}  # a word of a measure's name: smaller is better
LARGER = {"accuracy", "acc", "precision", "recall", "f1", "auc", "r2", "score"}


class Callback:
    """Override what you need; each does nothing here.

    A plain function ``f(trainer, epoch, measured)`` will do as well: it is called as `on_epoch_end`.
    """

    def on_fit_begin(self, trainer: Trainer, epochs: int) -> None:
        """Before the first of `epochs` epochs."""

    def on_progress(self, trainer: Trainer, done: float) -> None:
        """Every tenth of a second or so: `done` epochs of this fit, with the fraction of the running one."""

    def on_epoch_end(self, trainer: Trainer, epoch: int, measured: Mapping[str, float]) -> bool | None:
        """After each epoch, with its number (from 1) and what was measured; return True to stop training."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, also when training was stopped, interrupted, or failed."""

    def state_dict(self) -> dict[str, Any]:
        """What this callback needs to go on in another fit: values that JSON has, and lists of the trainer's arrays.

        `Trainer.save` writes it, and a fit with an initial_epoch hands it to `load_state_dict`.
        """
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` gave, before `on_fit_begin`; it may come from a file, so check it."""


class FunctionCallback(Callback):
    """A plain function in a callback's place."""

    def __init__(self, function: EpochFunction) -> None:
        self.function = function

    def on_epoch_end(self, trainer: Trainer, epoch: int, measured: Mapping[str, float]) -> bool | None:
        return self.function(trainer, epoch, measured)


def as_callbacks(value: Any) -> list[Callback]:
    """The callbacks given: none, one or several, each a Callback or a function."""
    expected = "a Callback or a function of (trainer, epoch, measured), or several"
    if value is None:
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


Check = Callable[[Any], bool]  # whether a value is one that a state may have; JSON may give any


def is_real(value: Any) -> bool:
    return type(value) in (int, float)


def is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def is_count_or_none(value: Any) -> bool:
    return value is None or is_count(value)


def is_text_or_none(value: Any) -> bool:
    return value is None or type(value) is str


def is_flag(value: Any) -> bool:
    return type(value) is bool


def is_arrays(value: Any) -> bool:
    return type(value) is list and all(isinstance(item, np.ndarray) for item in value)


def is_saved(value: Any) -> bool:
    """Whether it is a list of an epoch's numbers, by name."""
    return type(value) is list and all(type(row) is dict and all(map(is_real, row.values())) for row in value)


class Watch(Callback):
    """What the callbacks that look for the best epoch have in common.

    Parameters
    ----------
    monitor : str
        The measure's name, as in the History. "auto": val_loss where there is validation, else loss.
    mode : {"auto", "min", "max"}
        Whether smaller or larger is better. "auto" goes by the words of the name, as scikit-learn gives names: min
        where one is loss, error, deviance, mse, rmse or mae; else max where one is accuracy, acc, precision, recall,
        f1, auc, r2 or score. Another name wants "min" or "max".
    min_delta : float
        How much better than the best so far an epoch must be, to count as better. NaN never counts.

    Attributes
    ----------
    best : float
        The best so far; infinite before there is one.
    best_epoch : int or None
        Its epoch, by the trainer's number.
    """

    def __init__(self, monitor: str, mode: str, min_delta: SupportsFloat) -> None:
        if not isinstance(monitor, str):
            raise TypeError(
                wrong("monitor", "'auto' or a measure's name", f"{shown(monitor)} ({type(monitor).__name__})")
            )
        self.monitor = monitor
        self.mode = one_of("mode", mode, ["auto", "min", "max"])
        self.min_delta = real("min_delta", min_delta, minimum=0, dtype=FLOAT64)
        self._sign = direction(monitor, self.mode)
        self._goes_on = False  # whether the next fit goes on from a state
        self._reset()

    def _reset(self) -> None:
        self.best = -self._sign * math.inf
        self.best_epoch: int | None = None
        self._measure: str | None = None  # of which best is

    def on_fit_begin(self, trainer: Trainer, epochs: int) -> None:
        if not self._goes_on:
            self._reset()
        self._goes_on = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if "_goes_on" not in state:  # a pickle of 0.1.0, which lacks some of what there is now
            self._goes_on = False
            self._reset()
            vars(self).update(state)

    _state: ClassVar[dict[str, Check]] = {"best": is_real, "best_epoch": is_count_or_none, "_measure": is_text_or_none}

    def state_dict(self) -> dict[str, Any]:
        own = {name.removeprefix("_"): getattr(self, name) for name in self._state}
        return {"monitor": self.monitor, "mode": self.mode} | own

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        checks = {name.removeprefix("_"): check for name, check in self._state.items()}
        kind = type(self).__name__
        if state.keys() != checks.keys() | {"monitor", "mode"}:
            raise ValueError(wrong("state", f"what {kind}.state_dict gives", f"the fields {shown(sorted(state))}"))
        for name, own in (("monitor", self.monitor), ("mode", self.mode)):
            if state[name] != own:
                expected = f"a {kind} with {name}={state[name]!r}, as the training had that goes on"
                raise ValueError(wrong("callbacks", expected, f"one with {name}={own!r}"))
        for name, check in checks.items():
            if not check(state[name]):
                raise ValueError(wrong("state", f"a {name} that {kind}.state_dict gives", shown(state[name])))
        for name in self._state:
            setattr(self, name, state[name.removeprefix("_")])
        self._goes_on = True

    def _is_better(self, epoch: int, measured: Mapping[str, float]) -> bool:
        """Whether this epoch is better than the best so far; then it is the best so far."""
        name = self.monitor
        if name == "auto":
            name = "val_loss" if "val_loss" in measured else "loss"
        if name not in measured:
            hint = "; for val_ give fit validation_data" if name.startswith("val_") else ""
            raise ValueError(wrong("monitor", f"'auto' or what is measured ({', '.join(measured)})", repr(name)) + hint)
        if self._measure not in (None, name):
            self._other_measure(name)
        self._measure = name
        value = float(measured[name])
        better = self._sign * (value - self.best) > self.min_delta
        if better:
            self.best, self.best_epoch = value, epoch
        return better

    def _other_measure(self, name: str) -> None:
        """The best so far is no best of this measure, which "auto" has come to mean."""
        self._reset()


def direction(monitor: str, mode: str) -> int:
    """1 where larger is better, −1 where smaller is."""
    words = set(re.split(r"[\W_]+", monitor.lower()))
    if mode == "min" or (mode == "auto" and (monitor == "auto" or words & SMALLER)):
        return -1
    if mode == "max" or words & LARGER:
        return 1
    raise ValueError(wrong("mode", f"'min' or 'max' for {monitor!r}, whose name doesn't say which is better", "'auto'"))
