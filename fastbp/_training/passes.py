"""Passes over the samples in kernel calls. Callbacks and Ctrl-C run between the calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._kernels import codes
from .._library.library import is_finite
from ..callbacks import Callback, ReduceLROnPlateau
from ..history import History
from ..results import DivergenceError
from ..streams._feed import Feed
from .batches import Batches
from .callback_states import with_states_first
from .state import Rewind, State
from .steps import (
    CHUNK_SECONDS,
    batches_of,
    blocks_before,
    constant_step,
    first_budget,
    start_of,
    step_of,
    whole_batches,
    with_factors,
)

Array = npt.NDArray[Any]


class OutOfTime(Exception):
    """Raised when the time limit of the run is exceeded."""


class Passes:
    """The passes over the samples in one process, and the way back from a divergence.

    Parameters
    ----------
    state : what the training changes
    told : the trainer, which callbacks are called with
    callbacks : called before, between and after the epochs
    epochs : number of epochs of this fit
    seconds : time limit, after which `OutOfTime` is raised between two batches
    before : number of epochs of the same training that earlier fits have done
    """

    def __init__(
        self,
        state: State,
        told: Any,
        callbacks: Sequence[Callback],
        epochs: int,
        seconds: float = math.inf,
        before: int = 0,
    ) -> None:
        self.state, self.told = state, told
        self.epochs, self.before = epochs, before
        self.history = History()  # of this fit
        self.histories = [state.history.read(), self.history]
        self.callbacks = with_states_first(callbacks) if callbacks else []
        self.deadline = perf_counter() + seconds
        self.rewind = Rewind(state)
        self.factors: tuple[Array, Array] | None = None  # of the weight decay and the dropout of the step's batches
        lowers = bool(callbacks) and any(isinstance(callback, ReduceLROnPlateau) for callback in callbacks)
        self.reports_rate = lowers or state.schedule is not None

    def rates(self, epoch: int, n_batches: int, batches: Array | None = None) -> Array:
        """Return η of all or some batches of an epoch, (n_batches,); (1,) if all have the same η."""
        base, schedule = self.state.learning_rate, self.state.schedule
        if schedule is None:
            return np.array([base])
        from ..schedules import SCHEDULES

        parts = (np.arange(n_batches) if batches is None else batches) / n_batches
        values = schedule(self.before + epoch + parts, self.before + self.epochs)
        if type(schedule) not in SCHEDULES.values():  # check the user's own schedule
            values = _checks.factors(f"schedule ({type(schedule).__name__})", values, parts.shape)
        return values if schedule.absolute else base * values

    @property
    def has_schedules(self) -> bool:
        """Whether the step of an epoch isn't that of the epoch before."""
        settings = self.state.settings
        return self.state.schedule is not None or (settings is not None and settings.has_schedules)

    def set_factors(self, epoch: int, n_batches: int, batches: Array | None = None) -> None:
        """Compute the factors of the weight decay and the dropout; the arguments are those of `rates`."""
        settings = self.state.settings
        if settings is not None and settings.has_schedules:
            parts = (np.arange(n_batches) if batches is None else batches) / n_batches
            self.factors = settings.factors_at(self.before + epoch + parts, self.before + self.epochs)

    def factors_of_all(self, n_batches: int) -> tuple[Array, Array] | None:
        """Return the factors of all batches of all epochs."""
        parts = []
        for epoch in range(self.epochs):
            self.set_factors(epoch, n_batches)
            parts.append(self.factors)
        if not parts or parts[0] is None:
            return None
        decays, dropouts = zip(*(part for part in parts if part is not None), strict=True)
        return np.concatenate(decays), np.concatenate(dropouts)

    def step(self, batch_size: int, epoch: int, n_batches: int, batches: Array | None = None) -> codes.Step:
        """Return the settings of the updates; the other arguments are those of `rates`."""
        if self.state.settings is not None:
            self.set_factors(epoch, n_batches, batches)
        if self.state.schedule is None:
            return constant_step(self.state, batch_size, self.state.learning_rate)
        return step_of(self.state, batch_size, self.rates(epoch, n_batches, batches))

    def count(self, data: codes.Data) -> int:
        """Return the number of training samples."""
        return len(data.X)

    def over(self, data: codes.Data, done: int, epochs: int) -> None:
        """Train some epochs over data in memory, after `done` epochs of this fit."""
        state, n = self.state, self.count(data)
        batch_size = min(state.batch_size, n)
        step = self.step(batch_size, done, batches_of(state, n))
        at = start_of(state, epochs)
        first = state.epochs_trained + 1
        self.rewind.keep(0)
        try:
            self._calls(data, step, at, done)
        except (OutOfTime, KeyboardInterrupt):  # report a divergence in the last kernel call instead
            self._conclude(data, step, at, first)
            raise
        except BaseException:
            with suppress(DivergenceError):
                self._conclude(data, step, at, first)
            raise
        self._conclude(data, step, at, first)

    def _conclude(self, data: codes.Data, step: codes.Step, at: codes.Progress, first: int) -> None:
        """Record the finished epochs. After a divergence, go back to the start of its epoch and raise the error."""
        losses, (finished, sample) = at.losses, at.position.tolist()
        name, value = "loss", float(losses[finished]) if finished < len(losses) else 0.0
        diverged = not math.isfinite(value)
        if not diverged and not is_finite(self.state.network._parameters):
            diverged, name, value = True, "largest weight", math.inf
            finished -= sample == 0 and finished > 0  # it was in the last update of the epoch before
        if diverged:
            self._go_back(data, step, finished)
            if finished > self.rewind.epoch and not is_finite(self.state.network._parameters):  # likewise
                finished, name, value = finished - 1, "largest weight", math.inf
                self._go_back(data, step, finished)
        values = losses[:finished].tolist()
        for history in self.histories:
            history.extend(first, values)
        if diverged:
            raise self.divergence(name, value, first + finished)

    def _calls(self, data: codes.Data, step: codes.Step, at: codes.Progress, done: float, share: float = 1.0) -> None:
        """Call the kernel until all epochs are done or the loss isn't finite. If possible, a call ends with an epoch.

        share: fraction of an epoch that one pass over this data is, for the progress that callbacks get.
        """
        position, losses, n = at.position, at.losses, len(data.X)
        budget, seconds = first_budget(self.state, step.block), 0.0
        whole = blocks_before(n, step)
        running, sample = position.tolist()
        while running < len(losses) and math.isfinite(losses[running]):
            if seconds > CHUNK_SECONDS and sample == 0:
                if not is_finite(self.state.network._parameters):
                    return
                self.rewind.keep(running)
                seconds = 0.0
            left = whole - blocks_before(sample, step)
            if budget.blocks > left:
                budget.blocks = left + min((budget.blocks - left) // whole, len(losses) - 1 - running) * whole
            seconds += budget.spend(self._call, data, step, at)[1]
            running, sample = position.tolist()
            self._between_calls(done + share * (running + sample / n), running < len(losses))

    def _go_back(self, data: codes.Data, step: codes.Step, epoch: int) -> None:
        """Go back to the start of an epoch: restore the latest state kept before it, and train again from there."""
        self.rewind.back()
        at = codes.Progress(np.array([self.rewind.epoch, 0], np.int64), self.state.random, np.zeros(epoch))
        while at.position[codes.EPOCH] < epoch:
            self._call(data, step, at, blocks_before(len(data.X), step))

    def all_batches(self, source: Batches, take: Callable[[Any], codes.Data], after: Callable[[int], bool]) -> None:
        """Train all epochs over an iterable of batches. `take` converts a batch for the kernels."""
        for done in range(self.epochs):
            self.over_batches(map(take, source), source.length, done)
            if after(done):
                break

    def over_batches(self, batches: Iterable[codes.Data], steps: int | None, done: int) -> None:
        """Train an epoch over batches, with one update for each."""
        total = weight = 0.0
        first = self.state.epochs_trained + 1
        self.rewind.keep(0)
        for k, data in enumerate(batches):
            batch = np.array([min(k, (steps or 1) - 1)])
            rate = self.rates(done, steps or 1, batch)  # for one batch only: an epoch may be endless
            self.set_factors(done, steps or 1, batch)
            loss = self.one_batch(data, float(rate[0]))
            total, weight = total + loss * data.weight, weight + data.weight
            self._between_calls(done + (k + 1) / steps if steps else done, True)
        for history in self.histories:
            history.extend(first, [total / weight if weight else 0.0])

    def over_feed(self, feed: Feed, done: int) -> None:
        """Train an epoch over a Stream. After a divergence, go back to its start, for which no samples are needed."""
        total = np.zeros(1)  # the sum of the losses
        first = self.state.epochs_trained + 1
        self.rewind.keep(0)
        try:
            weight = self._over_slabs(feed, done, total)
        except (OutOfTime, KeyboardInterrupt):  # report a divergence just before instead
            self._check(float(total[0]), first)
            raise
        except BaseException:
            with suppress(DivergenceError):
                self._check(float(total[0]), first)
            raise
        self._check(float(total[0]), first)
        for history in self.histories:
            history.extend(first, [float(total[0]) / weight])

    def _over_slabs(self, feed: Feed, done: int, total: Array) -> float:
        """Train over the slabs of a pass until the loss isn't finite. Return the weight of the samples."""
        state, batch_size = self.state, self.state.batch_size
        n_batches = batches_of(state, feed.rows) if feed.rows else 0
        share = 1 / feed.rows if feed.rows else 0.0
        weight, rows = 0.0, 0
        with feed.epoch(batch_size, state.random, self._while_waiting) as slabs:
            for slab in self._alike(slabs):
                if rows:
                    self._look_at_the_clock()
                data = whole_batches(state, slab, batch_size if rows else min(batch_size, len(slab.X)))
                n = len(data.X)
                if n == 0:
                    break
                numbers = np.arange(rows // batch_size, -(-(rows + n) // batch_size)) if n_batches else np.zeros(1)
                step = self.step(batch_size if rows else min(batch_size, n), done, n_batches or 1, numbers)
                at = codes.Progress(np.zeros(2, np.int64), state.random, total)
                # The kernels divide the sum by the weight at the end; with weight 1 it continues from slab to slab.
                self._calls(data._replace(weight=1.0), step, at, done + share * rows, share * n)
                if not math.isfinite(total[0]):
                    break
                weight, rows = weight + data.weight, rows + n
        return weight

    def _check(self, loss: float, epoch: int) -> None:
        """After a divergence, go back to the start of the epoch and raise the error."""
        if not (math.isfinite(loss) and is_finite(self.state.network._parameters)):
            self.rewind.back()
            name, value = ("largest weight", math.inf) if math.isfinite(loss) else ("loss", loss)
            raise self.divergence(name, value, epoch)

    def one_batch(self, data: codes.Data, rate: float) -> float:
        """Update once with the gradient over all of data, after `rewind.keep`. Return J before the update."""
        loss = self._descend(data, rate)
        self._check(loss, self.state.epochs_trained + 1)
        return loss

    def _descend(self, data: codes.Data, rate: float) -> float:
        """Make the update, until it is complete or J isn't finite."""
        step, at = constant_step(self.state, len(data.X), rate), start_of(self.state, 1)
        budget = first_budget(self.state, step.block)
        while at.position[codes.EPOCH] == 0 and math.isfinite(at.losses[0]):
            self._call(data, step, at, budget.blocks)
        return float(at.losses[0])

    def divergence(self, name: str, value: float, epoch: int) -> DivergenceError:
        """Return the error that says that training diverged."""
        state = self.state
        scaled = "" if state.standardize else ", or standardize=True, which scales X and y"
        message = (
            f"training diverged: the {name} became {value} in epoch {epoch}; the weights are reset to those before "
            f"that epoch; try a smaller learning_rate (it is {state.learning_rate:g}), clip_norm{scaled}"
        )
        return DivergenceError(message, epoch)

    def _call(self, data: codes.Data, step: codes.Step, at: codes.Progress, budget: int) -> int:
        state = self.state
        given = step if self.factors is None else with_factors(step, self.factors)
        return state.engine.train(data, state.memory, given, at, budget, state.n_threads)

    def _between_calls(self, done: float, unfinished: bool) -> None:
        for callback in self.callbacks:
            callback.on_progress(self.told, done)
        if unfinished:
            self._look_at_the_clock()

    def _while_waiting(self) -> None:
        """Called ten times a second while waiting for samples of a Stream."""
        self._look_at_the_clock()

    def _alike(self, slabs: Iterator[codes.Data]) -> Iterator[codes.Data]:
        """Give all processes equally many slabs of equally many rows. Here there is only one process."""
        return slabs

    def _look_at_the_clock(self) -> None:
        if perf_counter() > self.deadline:
            raise OutOfTime
