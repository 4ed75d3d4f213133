"""Learning-rate schedules: how η changes in the course of a fit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from . import _checks

Array = npt.NDArray[np.float64]

FLOAT64 = np.dtype("float64")
WARMUP_START = 0.01  # the first factor of a warm-up: from 0 the first mini-batch would be wasted


class Schedule(ABC):
    """A function of how far a fit has come; it starts anew with every fit.

    Derive from it, and define ``__call__``, for a schedule of your own.
    """

    absolute: ClassVar[bool] = False  # whether the result is η itself, and not a factor on the trainer's η

    @abstractmethod
    def __call__(self, epoch: Array, epochs: int) -> Array:
        """The factors on η.

        Parameters
        ----------
        epoch : (n,) float64
            Epochs of this fit done at the start of each mini-batch: e + k/n for batch k of n in epoch e, both from 0.
        epochs : int
            Of the fit.

        Returns
        -------
        (n,) float64
            Finite numbers ≥ 0, one for each mini-batch.
        """


@dataclass(frozen=True)
class Constant(Schedule):
    """η as it is."""

    def __call__(self, epoch: Array, epochs: int) -> Array:
        """1."""
        return np.ones(np.shape(epoch))


@dataclass(frozen=True)
class StepDecay(Schedule):
    """η · factor^⌊epoch / every⌋ (PyTorch's StepLR).

    Parameters
    ----------
    every : int
        ≥ 1: after so many epochs η is multiplied by the factor, again and again.
    factor : float
        In (0, 1].
    """

    every: int = 10
    factor: float = 0.1

    def __post_init__(self) -> None:
        _set(self, every=_checks.whole("every", self.every, minimum=1), factor=_factor("factor", self.factor))

    def __call__(self, epoch: Array, epochs: int) -> Array:
        """factor^⌊epoch / every⌋."""
        return np.power(self.factor, np.floor_divide(epoch, self.every))


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """η · factor^epoch, from mini-batch to mini-batch.

    At whole epochs it is PyTorch's ExponentialLR, in between Keras's ExponentialDecay without its staircase.

    Parameters
    ----------
    factor : float
        In (0, 1]: of an epoch.
    """

    factor: float = 0.95

    def __post_init__(self) -> None:
        _set(self, factor=_factor("factor", self.factor))

    def __call__(self, epoch: Array, epochs: int) -> Array:
        """factor^epoch."""
        return np.power(self.factor, epoch)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from η down to minimum · η at the end of the fit, after an optional warm-up.

    The factor is minimum + (1 − minimum) · ½ (1 + cos π s), s the part done of the epochs after the warm-up: Loshchilov
    & Hutter 2017, eq. 5, without restarts. In the warm-up it rises in a straight line from 0.01 at the very first
    mini-batch to 1.

    Parameters
    ----------
    warmup : float
        ≥ 0: epochs. A fit that is no longer than this sees nothing but the warm-up.
    minimum : float
        In [0, 1]: of η, approached by the last mini-batch.
    """

    warmup: float = 0.0
    minimum: float = 0.0

    def __post_init__(self) -> None:
        warmup = _checks.real("warmup", self.warmup, minimum=0, dtype=FLOAT64)
        _set(self, warmup=warmup, minimum=_fraction("minimum", self.minimum))

    def __call__(self, epoch: Array, epochs: int) -> Array:
        """The rise, then the fall."""
        epoch = np.asarray(epoch, FLOAT64)
        factors = np.empty(epoch.shape)
        rising = epoch < self.warmup
        factors[rising] = WARMUP_START + (1 - WARMUP_START) * epoch[rising] / self.warmup
        falling = ~rising
        factors[falling] = _between(1, self.minimum, (epoch[falling] - self.warmup) / (epochs - self.warmup))
        return factors


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Rise to η and fall again, each along half a cosine: Smith & Topin 2018, with PyTorch's OneCycleLR's defaults.

    The trainer's learning rate is the peak. The momentum stays constant. In PyTorch, the peak and the end of the fall
    come one mini-batch earlier.

    Parameters
    ----------
    rise : float
        In (0, 1): the part of the fit that goes up.
    start : float
        In (0, 1]: the first factor on η; 1/25.
    end : float
        In [0, 1]: the factor approached by the last mini-batch; a ten-thousandth of `start`.
    """

    rise: float = 0.3
    start: float = 0.04
    end: float = 4e-6

    def __post_init__(self) -> None:
        rise = _checks.real("rise", self.rise, above=0, dtype=FLOAT64)
        if rise >= 1:
            raise ValueError(_checks.wrong("rise", "a number in (0, 1)", _checks.shown(self.rise)))
        _set(self, rise=rise, start=_factor("start", self.start), end=_fraction("end", self.end))

    def __call__(self, epoch: Array, epochs: int) -> Array:
        """The rise, then the fall."""
        done = np.asarray(epoch, FLOAT64) / epochs
        up = _between(self.start, 1, np.minimum(done, self.rise) / self.rise)
        down = _between(1, self.end, (done - self.rise) / (1 - self.rise))
        return np.where(done < self.rise, up, down)


@dataclass(frozen=True)
class InverseScaling(Schedule):
    """η / (1 + epoch)^power.

    scikit-learn's "invscaling" counts samples instead of epochs.

    Parameters
    ----------
    power : float
        > 0.
    """

    power: float = 0.5

    def __post_init__(self) -> None:
        _set(self, power=_checks.real("power", self.power, above=0, dtype=FLOAT64))

    def __call__(self, epoch: Array, epochs: int) -> Array:
        """(1 + epoch)^−power."""
        return np.power(1 + np.asarray(epoch, FLOAT64), -self.power)


@dataclass(frozen=True)
class EpochFunction(Schedule):
    """η itself, as a function of the epoch gives it.

    Parameters
    ----------
    function : callable
        Called with the number of the epoch in the fit, an int from 0; returns η > 0 for all its mini-batches.
    """

    absolute = True

    function: Callable[[int], Any]

    def __call__(self, epoch: Array, epochs: int) -> Array:
        """η for each mini-batch; the function is called once for each epoch among them, in order.

        Raises
        ------
        ValueError, TypeError
            Where its answer is no finite number > 0.
        """
        wholes, place = np.unique(np.floor(epoch).astype(np.int64), return_inverse=True)
        rates = [_checks.real(f"schedule({e})", self.function(e), above=0, dtype=FLOAT64) for e in wholes.tolist()]
        return np.array(rates, FLOAT64)[place].reshape(np.shape(epoch))


SCHEDULES: dict[str, type[Any]] = {
    "constant": Constant,
    "step": StepDecay,
    "exponential": ExponentialDecay,
    "cosine": Cosine,
    "one_cycle": OneCycle,
    "inverse_scaling": InverseScaling,
}


def schedule(value: Any) -> Schedule | None:
    """The schedule that is meant: by its name, with its default values; itself; of a function of the epoch; or None."""
    if value is None or isinstance(value, Schedule):
        return value
    if isinstance(value, str):
        return SCHEDULES[_checks.one_of("schedule", value, SCHEDULES)]()
    if callable(value) and not isinstance(value, type):
        return EpochFunction(value)
    expected = f"None, one of {', '.join(map(repr, SCHEDULES))}, a Schedule, or a function of the epoch"
    raise TypeError(_checks.wrong("schedule", expected, _checks.kind_shown(value, Schedule)))


def _between(first: float, last: float, done: Array) -> Array:
    """From first to last along half a cosine."""
    return last + (first - last) * 0.5 * (1 + np.cos(np.pi * done))


def _fraction(argument: str, value: Any) -> float:
    """A number in [0, 1]."""
    number = _checks.real(argument, value, minimum=0, dtype=FLOAT64)
    if number > 1:
        raise ValueError(_checks.wrong(argument, "a number in [0, 1]", _checks.shown(value)))
    return number


def _factor(argument: str, value: Any) -> float:
    """A number in (0, 1]."""
    number = _checks.real(argument, value, above=0, dtype=FLOAT64)
    if number > 1:
        raise ValueError(_checks.wrong(argument, "a number in (0, 1]", _checks.shown(value)))
    return number


def _set(record: Schedule, **values: float) -> None:
    """Put checked values into a frozen record."""
    for name, value in values.items():
        object.__setattr__(record, name, value)
