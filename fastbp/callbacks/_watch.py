"""Watch: the base class of callbacks that look for the best epoch."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, SupportsFloat

import numpy as np

from .._checks import one_of, real, shown, wrong
from ._base import Callback

FLOAT64 = np.dtype(np.float64)
SMALLER = {"loss", "error", "deviance", "mse", "rmse", "mae"}  # words in names of measures where smaller is better
LARGER = {"accuracy", "acc", "precision", "recall", "f1", "auc", "r2", "score"}

Check = Callable[[Any], bool]  # whether a state may have this value; the state may come from a file


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
    """Whether the value is a list of dicts from names to numbers, one for each epoch."""
    return type(value) is list and all(type(row) is dict and all(map(is_real, row.values())) for row in value)


class Watch(Callback):
    """Base class of the callbacks that look for the best epoch.

    Parameters
    ----------
    monitor : str
        Name of the measure, as in the History. "auto" is val_loss if there is validation data, otherwise loss.
    mode : {"auto", "min", "max"}
        Whether smaller or larger values are better. "auto" decides by the words in the name: "min" if one of them is
        loss, error, deviance, mse, rmse or mae; otherwise "max" if one of them is accuracy, acc, precision, recall, f1,
        auc, r2 or score. For any other name, pass "min" or "max".
    min_delta : float
        How much better than the best value an epoch must be to count as an improvement. NaN is never an improvement.

    Attributes
    ----------
    best : float
        The best value so far; infinite before the first.
    best_epoch : int or None
        The epoch of the best value, in the trainer's numbering.
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
        self._goes_on = False  # whether the next fit continues from a loaded state
        self._reset()

    def _reset(self) -> None:
        self.best = -self._sign * math.inf
        self.best_epoch: int | None = None
        self._measure: str | None = None  # the measure that best is a value of

    def on_fit_begin(self, trainer: Any, epochs: int) -> None:
        if not self._goes_on:
            self._reset()
        self._goes_on = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if "_goes_on" not in state:  # a pickle of 0.1.0, which lacks newer attributes
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
            raise ValueError(wrong("state", f"what {kind}.state_dict returns", f"the fields {shown(sorted(state))}"))
        for name, own in (("monitor", self.monitor), ("mode", self.mode)):
            if state[name] != own:
                expected = f"a {kind} with {name}={state[name]!r}, as in the training that continues"
                raise ValueError(wrong("callbacks", expected, f"one with {name}={own!r}"))
        for name, check in checks.items():
            if not check(state[name]):
                raise ValueError(wrong("state", f"a {name} that {kind}.state_dict returns", shown(state[name])))
        for name in self._state:
            setattr(self, name, state[name.removeprefix("_")])
        self._goes_on = True

    def _is_better(self, epoch: int, measured: Mapping[str, float]) -> bool:
        """Return whether this epoch is better than the best so far; if it is, it becomes the best."""
        name = self.monitor
        if name == "auto":
            name = "val_loss" if "val_loss" in measured else "loss"
        if name not in measured:
            hint = "; pass validation_data to fit to measure it" if name.startswith("val_") else ""
            expected = f"'auto' or one of the measures ({', '.join(measured)})"
            raise ValueError(wrong("monitor", expected, repr(name)) + hint)
        if self._measure not in (None, name):
            self._other_measure(name)
        self._measure = name
        value = float(measured[name])
        better = self._sign * (value - self.best) > self.min_delta
        if better:
            self.best, self.best_epoch = value, epoch
        return better

    def _other_measure(self, name: str) -> None:
        """Forget the best value, because "auto" now means another measure."""
        self._reset()


def direction(monitor: str, mode: str) -> int:
    """Return 1 if larger values of the measure `monitor` are better, −1 if smaller values are better."""
    words = set(re.split(r"[\W_]+", monitor.lower()))
    if mode == "min" or (mode == "auto" and (monitor == "auto" or words & SMALLER)):
        return -1
    if mode == "max" or words & LARGER:
        return 1
    expected = f"'min' or 'max' for {monitor!r}, because the name doesn't show which is better"
    raise ValueError(wrong("mode", expected, "'auto'"))
