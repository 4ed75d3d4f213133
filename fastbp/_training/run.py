"""A run of fit: passes over the samples in kernel calls. Callbacks and Ctrl-C run between the calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from time import perf_counter
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .._kernels import codes
from .._library.announce import silent_if
from ..callbacks import Callback, EarlyStopping
from ..history import History
from ..optimizers import LBFGS
from ..streams._feed import Feed
from . import lbfgs
from .batches import Batches
from .callback_states import gathered, give_back
from .course import Course
from .intake import Source
from .measures import gradients, measure
from .passes import OutOfTime, Passes
from .steps import batches_of

Array = npt.NDArray[Any]

NO_ENDS = nullcontext()
AT_ONCE = 1 << 20  # epochs whose losses are stored in one array, or batches whose learning rates are
MOST_MULTIPLICATIONS = 5e9  # in a validation inside a kernel call, a tenth of a second, so that Ctrl-C works


class Run(Passes):
    """A fit: its callbacks, its epochs, and what is measured after each. The arguments are those of `Passes`.

    shared_run.py overrides what several processes do together.
    """

    has_all = True  # whether this process has all training samples
    by_epochs = False  # whether each epoch is always a separate call
    speaks = True  # whether this process prints the progress

    def fit(
        self,
        source: Source,
        validation: codes.Data | Feed | None,
        metrics: Any,
        class_weight: Any,
        *,
        silent: bool,
    ) -> History:
        """Train until all epochs are done, Ctrl-C is pressed or the time is over; call on_fit_begin and on_fit_end.

        Returns
        -------
        The epochs of this fit. They are also in the state's history.
        """
        state = self.state
        with state.engine.exclusively(), self.ends() as ends:
            state.history.interrupted = state.stop = False
            try:
                with silent_if(silent or not self.speaks):
                    state.engine.load()  # before a progress bar begins its line
                self.begin(ends, source, validation, metrics)
                state.begin(source if isinstance(source, codes.Data) else None)
                if self.epochs > 0 and not state.stop:  # a restored callback may have stopped training
                    with silent_if(silent or not self.speaks):
                        self.go(source, validation, metrics, class_weight)
            except KeyboardInterrupt:
                for history in self.histories:
                    history.interrupted = True
            except OutOfTime:
                pass
            finally:
                state.end()
        return self.history

    def ends(self) -> AbstractContextManager[ExitStack | None]:
        """Return a context for the callbacks' ends. Without callbacks it gives None, which is faster to enter."""
        return ExitStack() if self.callbacks else NO_ENDS

    def begin(self, ends: ExitStack | None, source: Source, validation: codes.Data | Feed | None, metrics: Any) -> None:
        """Call on_fit_begin of the callbacks. At the end, call on_fit_end and keep their states."""
        if ends is None:
            self.state.callbacks, self.state.callback_states = (), ()
            return
        if self.before > 0:
            give_back(self.state.callback_states, self.callbacks)
        ends.callback(self._keep_states)
        self.state.callbacks = self.callbacks
        for callback in self.callbacks:
            callback.on_fit_begin(self.told, self.epochs)
            ends.callback(callback.on_fit_end, self.told)

    def _keep_states(self) -> None:
        """Keep the states of the callbacks, so that another fit can continue the training."""
        self.state.callbacks = ()
        self.state.callback_states = gathered(self.callbacks)

    def go(
        self,
        source: Source,
        validation: codes.Data | Feed | None,
        metrics: Any,
        class_weight: Any,
    ) -> None:
        """Train all epochs over a source of samples, and measure after each."""

        def after(done: int) -> bool:
            """Measure and record an epoch; return whether to stop."""
            measured = self.after_epoch(source, validation, metrics)
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
            self.all_batches(source, lambda item: intake.batch(item, metrics, class_weight), after)
        elif isinstance(source, Feed):
            self.epoch_by_epoch(lambda done: self.over_feed(source, done), after)
        elif self.state.optimizer.name == LBFGS.name:
            self.by_lbfgs(source, cast(LBFGS, self.state.optimizer), after)
        elif isinstance(validation, codes.Data) and not metrics and self.goes_by_course(source, validation):
            self.by_course(source, validation)
        elif self.by_epochs or metrics or validation or self.has_schedules or any(map(watches_epochs, self.callbacks)):
            self.epoch_by_epoch(lambda done: self.over(source, done, 1), after)
        else:  # the kernel may run all epochs in one call
            for done in range(0, self.epochs, AT_ONCE):
                if done > 0:
                    self._look_at_the_clock()
                self.over(source, done, min(AT_ONCE, self.epochs - done))

    def epoch_by_epoch(self, train: Callable[[int], None], after: Callable[[int], bool]) -> None:
        """Train all epochs with `train`. Call `after` after each epoch; it returns whether to stop."""
        for done in range(self.epochs):
            train(done)
            if after(done):
                break
            if done + 1 < self.epochs:
                self._look_at_the_clock()

    def goes_by_course(self, data: codes.Data, validation: codes.Data) -> bool:
        """Return whether kernels can run all epochs, with the validation: nothing in Python must see each epoch."""
        state, bounds = self.state, self.state.bounds
        if self.by_epochs or bounds.l1 > 0 or bounds.l2 > 0:  # numpy computes the penalties in the validation loss
            return False
        stopping = [callback for callback in self.callbacks if watches_epochs(callback)]
        if len(stopping) > 1 or not all(type(each) is EarlyStopping and each._watches_val_loss for each in stopping):
            return False
        if any(type(each).on_progress is not Callback.on_progress and not each._only_looks for each in self.callbacks):
            return False
        schedules = [state.schedule] if state.settings is None else [state.schedule, *state.settings.schedules]
        given = [schedule for schedule in schedules if schedule is not None]
        short = validation.n * state.engine.multiplications <= MOST_MULTIPLICATIONS
        rates = self.epochs * (batches_of(state, data.n) if given else 1)
        return short and rates <= AT_ONCE and all(map(is_own, given))

    def by_course(self, data: codes.Data, validation: codes.Data) -> None:
        """Train all epochs in few kernel calls, which also validate and decide when to stop."""
        state, n_batches = self.state, batches_of(self.state, data.n)
        stopping = next((each for each in self.callbacks if isinstance(each, EarlyStopping)), None)
        rates = (
            np.concatenate([self.rates(epoch, n_batches) for epoch in range(self.epochs)]) if state.schedule else None
        )
        options: dict[str, Any] = {"epochs": self.epochs, "rates": rates, "n_threads": state.n_threads}
        if state.settings is not None:
            options["factors"] = self.factors_of_all(n_batches)
        if stopping is None:
            options["stores"] = False
        else:
            options |= {"patience": stopping.patience, "min_delta": stopping.min_delta}
            options |= {"stores": stopping.restore_best_weights, "best": stopping.best, "waited": stopping._waited}
        course = Course(state, data, validation, **options)
        try:
            while not course.finished:
                course.n_threads = state.n_threads
                course.call(self.deadline - perf_counter())
                self._between_calls(course.progress, not course.finished)
        finally:
            course.stop()
            self._record(course, stopping, n_batches)

    def _record(self, course: Course, stopping: EarlyStopping | None, n_batches: int) -> None:
        """Write the finished epochs of a course into the histories and into the callback."""
        first, rates = self.state.epochs_trained + 1, course.rates[::n_batches]
        for epoch, (loss, val_loss) in enumerate(zip(course.losses.tolist(), course.val_losses.tolist(), strict=True)):
            measured = {"val_loss": val_loss}
            if self.reports_rate:
                measured["learning_rate"] = float(rates[epoch])
            for record in self.histories:
                record.extend(first + epoch, [loss])
                record.add(measured)
            if stopping is not None:
                stopping.on_epoch_end(course, first + epoch, {"loss": loss, **measured})
        if course.bad is not None:
            raise self.divergence(*course.bad, self.state.epochs_trained + 1)

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
            self.state.begin()
            self.rewind.keep(0)
            return self.one_batch(data, rate)

    def after_epoch(self, training: Source, validation: codes.Data | Feed | None, metrics: Any) -> dict[str, float]:
        """Return the measurements after an epoch, except the training loss."""
        measured = {}
        if metrics and self.has_all and isinstance(training, codes.Data):
            measured = self.measure(training, metrics)
            del measured["loss"]
        if validation:
            measured |= {f"val_{name}": value for name, value in self.measure(validation, metrics).items()}
        return measured

    def measure(self, data: codes.Data | Feed, metrics: Any) -> dict[str, float]:
        """Return the loss and the metrics with the current weights."""
        return measure(self.state, data, metrics)

    def stopped(self) -> bool:
        """Call the callbacks for the last epoch. Return whether one of them stops training."""
        return stopped(self.told, self.callbacks, self.history)


def is_own(schedule: Any) -> bool:
    """Return whether a schedule is one of fastbp's, which gives the same rates whenever it is asked."""
    from ..schedules import SCHEDULES

    return type(schedule) in SCHEDULES.values()


def watches_epochs(callback: Callback) -> bool:
    """Return whether a callback overrides on_epoch_end."""
    return type(callback).on_epoch_end is not Callback.on_epoch_end


def stopped(told: Any, callbacks: Sequence[Callback], history: History) -> bool:
    """Call the callbacks for the last epoch of the history. Return whether one of them stops training."""
    epoch, row = history.last()
    answers = [callback.on_epoch_end(told, epoch, row) for callback in callbacks]
    return any(isinstance(answer, bool | np.bool_) and bool(answer) for answer in answers) or bool(told.stop_training)
