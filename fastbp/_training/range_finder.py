"""Learning-rate range test, which runs on a copy of the trainer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsIndex

import numpy as np
import numpy.typing as npt

from .. import _checks, _drawing
from .._kernels import codes
from ..results import DivergenceError
from .intake import Intake
from .run import Run
from .state import State

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]

KEPT = 0.8  # decay of the moving average of the loss, per batch
EXPLOSION = 2  # the test stops when the loss is so many first losses above the lowest
MARGIN = 10  # ratio of the rate with the lowest loss, which is almost too large, to the suggested rate


@dataclass(frozen=True, eq=False)
class RangeTest:
    """Result of `Trainer.find_learning_rate`.

    Attributes
    ----------
    learning_rates : (k,)
        η of each batch, in ascending order.
    losses : (k,)
        J of each batch before its update.
    smoothed : (k,)
        Moving average of the losses, from which the suggestion is computed.
    suggestion : float
        A tenth of the rate at which the smoothed loss is lowest.
    """

    learning_rates: Array = field(repr=False)
    losses: Array = field(repr=False)
    smoothed: Array = field(repr=False)
    suggestion: float

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot the loss at each learning rate, and mark the suggested learning rate.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Axes to draw on; a new figure by default.

        Returns
        -------
        The axes.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        return _drawing.range_test(self.learning_rates, self.losses, self.smoothed, self.suggestion, ax)


def find_learning_rate(
    self: Any,
    X: Any,
    y: Any,
    *,
    lowest: SupportsFloat = 1e-5,
    highest: SupportsFloat = 100.0,
    steps: SupportsIndex = 100,
) -> RangeTest:
    """Find a learning rate: raise it from batch to batch until the loss explodes. The trainer stays unchanged.

    This is the range test of Smith (2017), "Cyclical Learning Rates for Training Neural Networks", section 3.3, with
    rates that grow exponentially. The loss falls fastest below the rate at which it is lowest, and explodes soon above
    it. As a rule of thumb, a tenth of that rate is suggested. The test trains a copy of the trainer, without its
    schedule.

    Parameters
    ----------
    X, y : as in `Trainer.fit`
    lowest, highest : float
        First and last learning rate; 0 < lowest < highest.
    steps : int
        Number of learning rates, ≥ 2, and maximum number of batches. Samples are repeated as often as needed.

    Returns
    -------
    RangeTest
        ``learning_rates``, ``losses``, ``suggestion`` and ``plot()``.

    Raises
    ------
    ValueError, TypeError
        For bad input, or if training diverges at the lowest rate.

    Examples
    --------
    >>> trainer.learning_rate = trainer.find_learning_rate(X, y).suggestion
    """
    state: State = self._state
    Intake(state).check_goes_by_batches("find_learning_rate is called")
    lowest = _checks.real("lowest", lowest, above=0, dtype=state.network.dtype)
    highest = _checks.real("highest", highest, above=lowest, dtype=state.network.dtype)
    rates = np.geomspace(lowest, highest, _checks.whole("steps", steps, minimum=2))
    losses = np.array(list(_losses(deepcopy(state), X, y, rates)))
    if not len(losses):
        raise ValueError(_checks.wrong("lowest", "a rate at which training doesn't diverge", f"{lowest:g}"))
    rates, smoothed = rates[: len(losses)], np.array(list(_smoothed(losses)))
    return RangeTest(rates, losses, smoothed, float(rates[smoothed.argmin()]) / MARGIN)


def _losses(state: State, X: Any, y: Any, rates: Array) -> Iterator[float]:
    """Yield J of each batch until it explodes."""
    intake = Intake(state)
    data = intake.data("X", X, "y", y, scaled=False)
    if state.standardize:
        data = intake.trained_on(data)
    run = Run(state, None, [], 1)
    state.begin(data)
    losses: list[float] = []
    for batch, rate in zip(_batches(state, data), rates, strict=False):
        run.rewind.keep(0)
        try:
            losses.append(run.one_batch(batch, float(rate)))
        except DivergenceError:
            return
        yield losses[-1]
        smoothed = list(_smoothed(losses))
        if smoothed[-1] - min(smoothed) > EXPLOSION * abs(losses[0]):
            return


def _batches(state: State, data: codes.Data) -> Iterator[codes.Data]:
    """Yield batches of epoch after epoch, in an order that depends on the seed."""
    n, m = len(data.X), state.batch_size
    rng = state.generator()
    while True:
        order = rng.permutation(n) if state.shuffle else np.arange(n, dtype=np.int64)
        for start in range(0, n, m):
            yield Intake(state).rows(data, order[start : start + m])


def _smoothed(losses: Any) -> Iterator[float]:
    """Yield the exponential moving average, with bias correction."""
    average = 0.0
    for k, loss in enumerate(losses):
        average = KEPT * average + (1 - KEPT) * loss
        yield average / (1 - math.pow(KEPT, k + 1))
