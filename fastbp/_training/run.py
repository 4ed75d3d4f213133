"""A run of fit: passes over the samples in kernel calls. Callbacks and Ctrl-C run between the calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._kernels import codes
from .._kernels.compiling import import_what_kernels_need, silent_if
from .._kernels.finite import is_finite
from ..callbacks import Callback, ReduceLROnPlateau
from ..history import History
from ..optimizers import LBFGS
from ..results import DivergenceError
from ..schedules import SCHEDULES
from ..streams._feed import Feed
from . import lbfgs
from .callback_states import gathered, give_back, with_states_first
from .intake import Batches, Source
from .measures import gradients, measure
from .state import Rewind, State
from .steps import CHUNK_SECONDS, blocks_before, first_budget, step_of

Array = npt.NDArray[Any]

AT_ONCE = 1 << 20  # epochs whose losses are stored in one array


class OutOfTime(Exception):
    """Raised when the time limit of the run is exceeded."""


class Run:
    """The passes over the samples in one process. shared_run.py overrides what several processes do together.

    Parameters
    ----------
    state : what the training changes
    told : the trainer, which callbacks are called with
    watchers : callbacks
    epochs : number of epochs of this fit
    seconds : time limit, after which `OutOfTime` is raised between two batches
    before : number of epochs of the same training that earlier fits have done
    """

    has_all = True  # whether this process has all training samples
    by_epochs = False  # whether each epoch is always a separate call
    speaks = True  # whether this process prints the progress

    def __init__(
        self,
        state: State,
        told: Any,
        watchers: Sequence[Callback],
        epochs: int,
        seconds: float = math.inf,
        before: int = 0,
    ) -> None:
        self.state, self.told = state, told
        self.epochs, self.before = epochs, before
        self.history = History()  # of this fit
        self.histories = [state.history.read(), self.history]
        self.watchers = with_states_first(watchers)
        self.deadline = perf_counter() + seconds
        self.rewind = Rewind(state)
        lowers = any(isinstance(watcher, ReduceLROnPlateau) for watcher in watchers)
        self.reports_rate = lowers or state.schedule is not None

    def fit(
        self,
        source: Source,
        validation: codes.Data | Feed | None,
        names: Any,
        class_weight: Any,
        *,
        silent: bool,
    ) -> History:
        """Train until all epochs are done, Ctrl-C is pressed or the time is over; call on_fit_begin and on_fit_end.

        Returns
        -------
        The epochs of this fit. They are also in the state's history.
        """
        import_what_kernels_need()  # before Ctrl-C ends the training
        with self.state.engine.exclusively(), ExitStack() as ends:
            self.state.history.interrupted = self.state.stop = False
            try:
                self.begin(ends, source, validation, names)
                if self.epochs > 0 and not self.state.stop:  # a restored callback may have stopped training
                    with silent_if(silent or not self.speaks):
                        self.go(source, validation, names, class_weight)
            except KeyboardInterrupt:
                for history in self.histories:
                    history.interrupted = True
            except OutOfTime:
                pass
        return self.history

    def begin(self, ends: ExitStack, source: Source, validation: codes.Data | Feed | None, names: Any) -> None:
        """Call on_fit_begin of the callbacks. At the end, call on_fit_end and keep their states."""
        if self.before > 0:
            give_back(self.state.callback_states, self.watchers)
        ends.callback(self._keep_states)
        self.state.watchers = self.watchers
        for callback in self.watchers:
            callback.on_fit_begin(self.told, self.epochs)
            ends.callback(callback.on_fit_end, self.told)

    def _keep_states(self) -> None:
        """Keep the states of the callbacks, so that another fit can continue the training."""
        self.state.watchers = ()
        self.state.callback_states = gathered(self.watchers)

    def go(
        self,
        source: Source,
        validation: codes.Data | Feed | None,
        names: Any,
        class_weight: Any,
    ) -> None:
        """Train all epochs over a source of samples, and measure after each."""

        def after(done: int) -> bool:
            """Measure and record an epoch; return whether to stop."""
            measured = self.after_epoch(source, validation, names)
            if self.reports_rate:
                measured["learning_rate"] = float(self.rates(done, 1)[0])
            if not math.isfinite(measured.get("val_loss", 0)):
                for record in self.histories:
                    record.drop_last()
                self.rewind.back()
                raise self.divergence("val_loss", measured["val_loss"], self.state.epochs_trained + 1)
            for record in self.histories:
                record.add(measured)
            return self.stopped()

        if isinstance(source, Batches):
            intake = source.intake
            self.all_batches(source, lambda item: intake.batch(item, names, class_weight), after)
        elif isinstance(source, Feed):
            self.epoch_by_epoch(lambda done: self.over_feed(source, done), after)
        elif isinstance(self.state.optimizer, LBFGS):
            self.by_lbfgs(source, self.state.optimizer, after)
        elif self.by_epochs or names or validation or self.state.schedule or any(map(watches_epochs, self.watchers)):
            self.epoch_by_epoch(lambda done: self.over(source, done, 1), after)
        else:  # the kernel may run all epochs in one call
            for done in range(0, self.epochs, AT_ONCE):
                if done > 0:
                    self._look_at_the_clock()
                self.over(source, done, min(AT_ONCE, self.epochs - done))

    def rates(self, epoch: int, n_batches: int, batches: Array | None = None) -> Array:
        """Return η of all or some batches of an epoch, (n_batches,); (1,) if all have the same η."""
        base, schedule = self.state.learning_rate, self.state.schedule
        if schedule is None:
            return np.array([base])
        parts = (np.arange(n_batches) if batches is None else batches) / n_batches
        values = schedule(self.before + epoch + parts, self.before + self.epochs)
        if type(schedule) not in SCHEDULES.values():  # check the user's own schedule
            values = _checks.factors(f"schedule ({type(schedule).__name__})", values, parts.shape)
        return values if schedule.absolute else base * values

    def count(self, data: codes.Data) -> int:
        """Return the number of training samples."""
        return len(data.X)

    def over(self, data: codes.Data, done: int, epochs: int) -> None:
        """Train some epochs over data in memory, after `done` epochs of this fit."""
        state, n = self.state, self.count(data)
        batch_size = min(state.batch_size, n)
        step = step_of(self.state, batch_size, self.rates(done, -(-n // batch_size)))
        losses = np.zeros(epochs)
        at = codes.Progress(np.zeros(2, np.int64), state.random, losses)
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
        losses, finished = at.losses, int(at.position[codes.EPOCH])
        name, value = "loss", float(losses[finished]) if finished < len(losses) else 0.0
        diverged = not math.isfinite(value)
        if not diverged and not is_finite(self.state.network._parameters):
            diverged, name, value = True, "largest weight", math.inf
            finished -= at.position[codes.SAMPLE] == 0 and finished > 0  # it was in the last update of the epoch before
        if diverged:
            self._go_back(data, step, finished)
            if finished > self.rewind.epoch and not is_finite(self.state.network._parameters):  # likewise
                finished, name, value = finished - 1, "largest weight", math.inf
                self._go_back(data, step, finished)
        for history in self.histories:
            history.extend(first, losses[:finished].tolist())
        if diverged:
            raise self.divergence(name, value, first + finished)

    def _calls(self, data: codes.Data, step: codes.Step, at: codes.Progress, done: float, share: float = 1.0) -> None:
        """Call the kernel until all epochs are done or the loss isn't finite. If possible, a call ends with an epoch.

        share: fraction of an epoch that one pass over this data is, for the progress that callbacks get.
        """
        position, losses, n = at.position, at.losses, len(data.X)
        budget, seconds = first_budget(self.state, step.block), 0.0
        whole = blocks_before(n, step)
        while (running := position[codes.EPOCH]) < len(losses) and math.isfinite(losses[running]):
            if seconds > CHUNK_SECONDS and position[codes.SAMPLE] == 0:
                if not is_finite(self.state.network._parameters):
                    return
                self.rewind.keep(running)
                seconds = 0.0
            left = whole - blocks_before(position[codes.SAMPLE], step)
            if budget.blocks > left:
                budget.blocks = left + min((budget.blocks - left) // whole, len(losses) - 1 - running) * whole
            seconds += budget.spend(lambda blocks: self._call(data, step, at, blocks))[1]
            unfinished = position[codes.EPOCH] < len(losses)
            self._between_calls(done + share * (position[codes.EPOCH] + position[codes.SAMPLE] / n), unfinished)

    def _go_back(self, data: codes.Data, step: codes.Step, epoch: int) -> None:
        """Go back to the start of an epoch: restore the latest state kept before it, and train again from there."""
        self.rewind.back()
        at = codes.Progress(np.array([self.rewind.epoch, 0]), self.state.random, np.zeros(epoch))
        while at.position[codes.EPOCH] < epoch:
            self._call(data, step, at, blocks_before(len(data.X), step))

    def epoch_by_epoch(self, train: Callable[[int], None], after: Callable[[int], bool]) -> None:
        """Train all epochs with `train`. Call `after` after each epoch; it returns whether to stop."""
        for done in range(self.epochs):
            train(done)
            if after(done):
                break
            if done + 1 < self.epochs:
                self._look_at_the_clock()

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
            loss = self.one_batch(data, rate[0])
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
            weight = self._over_pieces(feed, done, total)
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

    def _over_pieces(self, feed: Feed, done: int, total: Array) -> float:
        """Train over the pieces of a pass until the loss isn't finite. Return the weight of the samples."""
        state, batch_size = self.state, self.state.batch_size
        n_batches = -(-feed.rows // batch_size) if feed.rows else 0
        share = 1 / feed.rows if feed.rows else 0.0
        weight, rows = 0.0, 0
        with feed.epoch(batch_size, state.random, self._while_waiting) as pieces:
            for data in self._alike(pieces):
                if rows:
                    self._look_at_the_clock()
                n = len(data.X)
                numbers = np.arange(rows // batch_size, -(-(rows + n) // batch_size)) if n_batches else np.zeros(1)
                step = step_of(
                    state, batch_size if rows else min(batch_size, n), self.rates(done, n_batches or 1, numbers)
                )
                at = codes.Progress(np.zeros(2, np.int64), state.random, total)
                # The kernels divide the sum by the weight at the end; with weight 1 it continues from piece to piece.
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

    def by_lbfgs(self, data: codes.Data, optimizer: LBFGS, after: Callable[[int], bool]) -> None:
        """Train with scipy, one iteration per epoch. Call `after` after each; it returns whether to stop."""
        state, network = self.state, self.state.network
        accepted, done = network.packed().astype(np.float64), 0

        def cost(theta: Array) -> tuple[float, Array]:
            network.unpack(theta)
            J = gradients(state, data)
            if not math.isfinite(J.loss):
                raise self.divergence("loss", J.loss, state.epochs_trained + 1)
            self._between_calls(done, True)
            pairs = zip(J.weights, J.biases, strict=True)
            return J.loss, lbfgs.flat([part for pair in pairs for part in pair])

        def iteration(result: Any) -> bool:
            nonlocal accepted, done
            network.unpack(result.x)
            first = state.epochs_trained + 1
            for history in self.histories:
                history.extend(first, [float(result.fun)])
            done += 1
            try:
                stop = after(done - 1)
            finally:  # a callback or a divergence may have changed the weights
                accepted = network.packed().astype(np.float64)
            self.rewind.keep(done)
            return stop

        options = {"maxiter": self.epochs, "maxcor": optimizer.memory, "gtol": optimizer.tolerance, "ftol": 0.0}
        options["maxfun"] = 100 * (self.epochs + 1)  # a limit that a line search never reaches
        self.rewind.keep(0)
        try:
            lbfgs.minimize(cost, accepted, options, iteration)
        finally:  # the end may come during a line search; go back to the accepted weights
            network.unpack(accepted)

    def train_on_batch(self, data: codes.Data, rate: float) -> float:
        """Train on one batch, which is not counted as an epoch."""
        with self.state.engine.exclusively():
            self.rewind.keep(0)
            return self.one_batch(data, rate)

    def one_batch(self, data: codes.Data, rate: float) -> float:
        """Update once with the gradient over all of data, after `rewind.keep`. Return J before the update."""
        loss = self._descend(data, rate)
        self._check(loss, self.state.epochs_trained + 1)
        return loss

    def _descend(self, data: codes.Data, rate: float) -> float:
        """Make the update, until it is complete or J isn't finite."""
        step = step_of(self.state, len(data.X), np.array([rate]))
        at = codes.Progress(np.zeros(2, np.int64), self.state.random, np.zeros(1))
        budget = first_budget(self.state, step.block)
        while at.position[codes.EPOCH] == 0 and math.isfinite(at.losses[0]):
            self._call(data, step, at, budget.blocks)
        return float(at.losses[0])

    def after_epoch(self, training: Source, validation: codes.Data | Feed | None, names: Any) -> dict[str, float]:
        """Return the measurements after an epoch, except the training loss."""
        measured = {}
        if names and self.has_all and isinstance(training, codes.Data):
            measured = self.measure(training, names)
            del measured["loss"]
        if validation:
            measured |= {f"val_{name}": value for name, value in self.measure(validation, names).items()}
        return measured

    def measure(self, data: codes.Data | Feed, names: Any) -> dict[str, float]:
        """Return the loss and the metrics with the current weights."""
        return measure(self.state, data, names)

    def stopped(self) -> bool:
        """Call the callbacks for the last epoch. Return whether one of them stops training."""
        return stopped(self.told, self.watchers, self.history)

    def divergence(self, name: str, value: float, epoch: int) -> DivergenceError:
        """Return the error that says that training diverged."""
        message = (
            f"training diverged: the {name} became {value} in epoch {epoch}; the weights are reset to those before "
            f"that epoch; try a smaller learning_rate (it is {self.state.learning_rate:g}), clip_norm, inputs "
            "scaled to about [-1, 1], or a new Trainer with a smaller epsilon"
        )
        return DivergenceError(message, epoch)

    def _call(self, data: codes.Data, step: codes.Step, at: codes.Progress, budget: int) -> int:
        state = self.state
        return state.engine.train(data, state.memory, step, at, budget, state.n_threads)

    def _between_calls(self, done: float, unfinished: bool) -> None:
        for callback in self.watchers:
            callback.on_progress(self.told, done)
        if unfinished:
            self._look_at_the_clock()

    def _while_waiting(self) -> None:
        """Called ten times a second while waiting for samples of a Stream."""
        self._look_at_the_clock()

    def _alike(self, pieces: Iterator[codes.Data]) -> Iterator[codes.Data]:
        """Give all processes equally many pieces of equally many rows. Here there is only one process."""
        return pieces

    def _look_at_the_clock(self) -> None:
        if perf_counter() > self.deadline:
            raise OutOfTime


def watches_epochs(callback: Callback) -> bool:
    """Return whether a callback overrides on_epoch_end."""
    return type(callback).on_epoch_end is not Callback.on_epoch_end


def stopped(told: Any, watchers: Sequence[Callback], history: History) -> bool:
    """Call the callbacks for the last epoch of the history. Return whether one of them stops training."""
    epoch, row = history.last()
    answers = [callback.on_epoch_end(told, epoch, row) for callback in watchers]
    return any(isinstance(answer, bool | np.bool_) and bool(answer) for answer in answers) or bool(told.stop_training)
