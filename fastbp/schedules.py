"""Learning-rate schedules: how η changes during a fit."""

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
MOST_CYCLES = 30  # of CosLog; more would be shorter than a batch
WARMUP_START = 0.01  # the first factor of a warm-up; with 0, the first mini-batch would change nothing


class Schedule(ABC):
    """Base class of schedules. A schedule is a function of the progress of a fit; every fit starts it again.

    For a schedule of your own, derive a class and define ``__call__``.
    """

    absolute: ClassVar[bool] = False  # whether the result is η itself instead of a factor of the trainer's η

    @abstractmethod
    def __call__(self, epoch: Array, epochs: int) -> Array:
        """Return the factors of η.

        Parameters
        ----------
        epoch : (n,) float64
            Epochs of this fit completed at the start of each mini-batch: e + k/n for batch k of n in epoch e, from 0.
        epochs : int
            Number of epochs of the fit.

        Returns
        -------
        (n,) float64
            Finite numbers ≥ 0, one for each mini-batch.
        """


@dataclass(frozen=True)
class Constant(Schedule):
    """Constant η."""

    def __call__(self, epoch: Array, epochs: int) -> Array:
        """Return 1 for each mini-batch."""
        return np.ones(np.shape(epoch))


@dataclass(frozen=True)
class StepDecay(Schedule):
    """Multiply η by a factor at regular intervals: η · factor^⌊epoch / every⌋ (PyTorch's StepLR).

    Parameters
    ----------
    every : int
        Number of epochs, ≥ 1, after which η is multiplied by the factor each time.
    factor : float
        Factor in (0, 1].
    """

    every: int = 10
    factor: float = 0.1

    def __post_init__(self) -> None:
        _set(self, every=_checks.whole("every", self.every, minimum=1), factor=_factor("factor", self.factor))

    def __call__(self, epoch: Array, epochs: int) -> Array:
        """Return factor^⌊epoch / every⌋."""
        return np.power(self.factor, np.floor_divide(epoch, self.every))


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """Exponential decay, updated at every mini-batch: η · factor^epoch.

    At whole epochs it equals PyTorch's ExponentialLR; in between, Keras's ExponentialDecay with staircase=False.

    Parameters
    ----------
    factor : float
        Factor for each epoch, in (0, 1].
    """

    factor: float = 0.95

    def __post_init__(self) -> None:
        _set(self, factor=_factor("factor", self.factor))

    def __call__(self, epoch: Array, epochs: int) -> Array:
        """Return factor^epoch."""
        return np.power(self.factor, epoch)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Cosine decay from η to minimum · η at the end of the fit, after an optional warm-up.

    The factor is minimum + (1 − minimum) · ½ (1 + cos π s), where s is the completed fraction of the epochs after the
    warm-up (Loshchilov & Hutter 2017, eq. 5, without restarts). In the warm-up the factor rises linearly from 0.01 at
    the first mini-batch to 1.

    Parameters
    ----------
    warmup : float
        Length of the warm-up in epochs, ≥ 0. A fit that is not longer consists of the warm-up alone.
    minimum : float
        Final factor, in [0, 1], that the last mini-batch approaches.
    """

    warmup: float = 0.0
    minimum: float = 0.0

    def __post_init__(self) -> None:
        warmup = _checks.real("warmup", self.warmup, minimum=0, dtype=FLOAT64)
        _set(self, warmup=warmup, minimum=_fraction("minimum", self.minimum))

    def __call__(self, epoch: Array, epochs: int) -> Array:
        """Return the factors of the rise, then of the fall."""
        epoch = np.asarray(epoch, FLOAT64)
        factors = np.empty(epoch.shape)
        rising = epoch < self.warmup
        factors[rising] = WARMUP_START + (1 - WARMUP_START) * epoch[rising] / self.warmup
        falling = ~rising
        factors[falling] = _between(1, self.minimum, (epoch[falling] - self.warmup) / (epochs - self.warmup))
        return factors


@dataclass(frozen=True)
class OneCycle(Schedule):
    """One-cycle schedule (Smith & Topin 2018): rise to η, then fall, each along half a cosine.

    The trainer's learning rate is the peak. The momentum stays constant. The defaults are those of PyTorch's
    OneCycleLR, where the peak and the end of the fall come one mini-batch earlier.

    Parameters
    ----------
    rise : float
        Fraction of the fit in which η rises, in (0, 1).
    start : float
        First factor of η, in (0, 1]; by default 1/25.
    end : float
        Factor in [0, 1] that the last mini-batch approaches; by default a ten-thousandth of the default `start`.
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
        """Return the factors of the rise, then of the fall."""
        done = np.asarray(epoch, FLOAT64) / epochs
        up = _between(self.start, 1, np.minimum(done, self.rise) / self.rise)
        down = _between(1, self.end, (done - self.rise) / (1 - self.rise))
        return np.where(done < self.rise, up, down)


@dataclass(frozen=True)
class InverseScaling(Schedule):
    """Inverse scaling: η / (1 + epoch)^power.

    scikit-learn's "invscaling" counts samples instead of epochs.

    Parameters
    ----------
    power : float
        Exponent > 0.
    """

    power: float = 0.5

    def __post_init__(self) -> None:
        _set(self, power=_checks.real("power", self.power, above=0, dtype=FLOAT64))

    def __call__(self, epoch: Array, epochs: int) -> Array:
        """Return (1 + epoch)^−power."""
        return np.power(1 + np.asarray(epoch, FLOAT64), -self.power)


@dataclass(frozen=True)
class CosLog(Schedule):
    """Cosines on a logarithmic scale: ½ (1 − cos(2π log₂(1 + (2^cycles − 1) t))), where t is the fraction of the fit.

    In each cycle, the factor rises from 0 to 1 and falls to 0 again. Each cycle is about twice as long as the previous
    one. With 4 cycles, this is the schedule "coslog4" of RealMLP (Holzmüller, Grinsztajn and Steinwart 2024,
    arXiv 2407.04491).

    Parameters
    ----------
    cycles : int
        Number of cycles, 1 to 30.
    """

    cycles: int = 4

    def __post_init__(self) -> None:
        cycles = _checks.whole("cycles", self.cycles, minimum=1)
        if cycles > MOST_CYCLES:
            raise ValueError(_checks.wrong("cycles", f"an integer from 1 to {MOST_CYCLES}", cycles))
        _set(self, cycles=cycles)

    def __call__(self, epoch: Array, epochs: int) -> Array:
        """Return the factors."""
        done = np.asarray(epoch, FLOAT64) / epochs
        return 0.5 * (1 - np.cos(2 * np.pi * np.log2(1 + (2.0**self.cycles - 1) * done)))


@dataclass(frozen=True)
class FlatCosine(Schedule):
    """1 in the first half of the fit, then ½ (1 + cos π(2t − 1)), which falls to 0, where t is the fraction of the fit.

    This is RealMLP's schedule "flat_cos" (Holzmüller, Grinsztajn and Steinwart 2024, arXiv 2407.04491).
    """

    def __call__(self, epoch: Array, epochs: int) -> Array:
        """Return the factors."""
        return _between(1, 0, np.maximum(0, 2 * np.asarray(epoch, FLOAT64) / epochs - 1))


@dataclass(frozen=True)
class EpochFunction(Schedule):
    """A schedule from a function of the epoch that returns η itself.

    Parameters
    ----------
    function : callable
        Called with the number of the epoch in the fit, an int from 0. It returns η > 0 for the whole epoch.
    """

    absolute = True

    function: Callable[[int], Any]

    def __call__(self, epoch: Array, epochs: int) -> Array:
        """Return η for each mini-batch. The function is called once for each of their epochs, in order.

        Raises
        ------
        ValueError, TypeError
            If the function doesn't return a finite number > 0.
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
    "coslog4": CosLog,
    "flat_cosine": FlatCosine,
}


def schedule_of(value: Any) -> Schedule | None:
    """Return a Schedule or None, given one, a name (with its default values), or a function of the epoch."""
    if value is None or isinstance(value, Schedule):
        return value
    if isinstance(value, str):
        return SCHEDULES[_checks.one_of("schedule", value, SCHEDULES)]()
    if callable(value) and not isinstance(value, type):
        return EpochFunction(value)
    expected = f"None, one of {', '.join(map(repr, SCHEDULES))}, a Schedule, or a function of the epoch"
    raise TypeError(_checks.wrong("schedule", expected, _checks.kind_shown(value, Schedule)))


def _between(first: float, last: float, done: Array) -> Array:
    """Interpolate from first to last along half a cosine."""
    return last + (first - last) * 0.5 * (1 + np.cos(np.pi * done))


def _fraction(argument: str, value: Any) -> float:
    """Return a number in [0, 1]."""
    number = _checks.real(argument, value, minimum=0, dtype=FLOAT64)
    if number > 1:
        raise ValueError(_checks.wrong(argument, "a number in [0, 1]", _checks.shown(value)))
    return number


def _factor(argument: str, value: Any) -> float:
    """Return a number in (0, 1]."""
    number = _checks.real(argument, value, above=0, dtype=FLOAT64)
    if number > 1:
        raise ValueError(_checks.wrong(argument, "a number in (0, 1]", _checks.shown(value)))
    return number


def _set(record: Schedule, **values: float) -> None:
    """Set the checked values of a frozen dataclass."""
    for name, value in values.items():
        object.__setattr__(record, name, value)
