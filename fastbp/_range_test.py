"""Which learning rate to take: the learning-rate range test, on a copy of the trainer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsIndex

import numpy as np
import numpy.typing as npt

from . import _checks, plots
from ._kernels import codes
from ._run import Run
from ._samples import generator_of
from .results import DivergenceError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .trainer import Trainer

Array = npt.NDArray[Any]

KEPT = 0.8  # of the smoothed loss, at each batch
EXPLOSION = 2  # first losses above the lowest loss
MARGIN = 10  # from the rate where the loss is lowest, which is nearly too large, to the one suggested


@dataclass(frozen=True, eq=False)
class RangeTest:
    """What `Trainer.find_learning_rate` measured.

    Attributes
    ----------
    learning_rates : (k,)
        η of each batch, ascending.
    losses : (k,)
        J of each batch before its update.
    smoothed : (k,)
        The losses' moving average, from which the suggestion comes.
    suggestion : float
        A tenth of the rate at which the smoothed loss is lowest.
    """

    learning_rates: Array = field(repr=False)
    losses: Array = field(repr=False)
    smoothed: Array = field(repr=False)
    suggestion: float

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the losses over the learning rates, with the suggestion.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        The axes.

        Raises
        ------
        ImportError
            Where matplotlib is not installed.
        """
        return plots.range_test(self.learning_rates, self.losses, self.smoothed, self.suggestion, ax)


def find_learning_rate(
    self: Trainer,
    X: Any,
    y: Any,
    *,
    lowest: SupportsFloat = 1e-5,
    highest: SupportsFloat = 100.0,
    steps: SupportsIndex = 100,
) -> RangeTest:
    """Try learning rates from low to high, one a batch, until the loss explodes; the trainer stays as it is.

    The range test of Smith (2017), "Cyclical Learning Rates for Training Neural Networks", section 3.3, with rates that
    grow exponentially. The loss falls fastest below the rate at which it is lowest, and soon explodes above it: a tenth
    of that rate is suggested, a rule of thumb. All of it happens on a copy of the trainer, without its schedule.

    Parameters
    ----------
    X, y : as in `Trainer.fit`
    lowest, highest : float
        The first rate and the last; 0 < lowest < highest.
    steps : int
        How many rates there are, and batches at the most; ≥ 2. Samples come as often as they must.

    Returns
    -------
    RangeTest
        ``learning_rates``, ``losses``, ``suggestion`` and ``plot()``.

    Raises
    ------
    ValueError, TypeError
        For bad input, and where training diverges at the lowest rate.

    Examples
    --------
    >>> trainer.learning_rate = trainer.find_learning_rate(X, y).suggestion
    """
    self._intake.check_goes_by_batches("find_learning_rate is called")
    lowest = _checks.real("lowest", lowest, above=0, dtype=self.dtype)
    highest = _checks.real("highest", highest, above=lowest, dtype=self.dtype)
    rates = np.geomspace(lowest, highest, _checks.whole("steps", steps, minimum=2))
    losses = np.array(list(_losses(deepcopy(self), X, y, rates)))
    if not len(losses):
        raise ValueError(_checks.wrong("lowest", "a rate at which training doesn't diverge", f"{lowest:g}"))
    rates, smoothed = rates[: len(losses)], np.array(list(_smoothed(losses)))
    return RangeTest(rates, losses, smoothed, float(rates[smoothed.argmin()]) / MARGIN)


def _losses(trainer: Trainer, X: Any, y: Any, rates: Array) -> Iterator[float]:
    """J of each batch, while it doesn't explode."""
    data = trainer._intake.data("X", X, "y", y)
    run = Run(trainer, [], [], 1)
    losses: list[float] = []
    for batch, rate in zip(_batches(trainer, data), rates, strict=False):
        run.rewind.keep(0)
        try:
            losses.append(run.one_batch(batch, float(rate)))
        except DivergenceError:
            return
        yield losses[-1]
        smoothed = list(_smoothed(losses))
        if smoothed[-1] - min(smoothed) > EXPLOSION * abs(losses[0]):
            return


def _batches(trainer: Trainer, data: codes.Data) -> Iterator[codes.Data]:
    """Epoch after epoch, in an order that the seed gives."""
    n, m = len(data.X), trainer.batch_size
    rng = generator_of(trainer)
    while True:
        order = rng.permutation(n) if trainer.shuffle else np.arange(n)
        for start in range(0, n, m):
            yield trainer._intake.rows(data, order[start : start + m])


def _smoothed(losses: Any) -> Iterator[float]:
    """Exponential moving average, without the bias towards 0 of its start."""
    average = 0.0
    for k, loss in enumerate(losses):
        average = KEPT * average + (1 - KEPT) * loss
        yield average / (1 - math.pow(KEPT, k + 1))
