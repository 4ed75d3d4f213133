"""Training of many networks: each as if alone, in threads of this process, and its outcome."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .. import _checks, _messages
from .._engine.processors import allowed
from .._engine.team import keep_to, keep_to_share
from .._kernels import codes
from .._names import NONE, Names, names_of, without_index
from .._training.run import Run
from ..callbacks import Callback
from ..history import History, LazyHistory
from ..metrics import metric_names
from ..progress import Tally
from ..streams import Stream
from ..streams._feed import Feed
from ..trainer import Trainer
from ._together import train_together

Array = npt.NDArray[Any]
Sources = tuple[codes.Data, codes.Data | Feed | None]  # training samples, validation samples


@dataclass(frozen=True, repr=False)
class Outcome:
    """The result of training one of many networks.

    Attributes
    ----------
    number : int
        Index of the network among those given, from 0.
    trainer : Trainer or None
        None if its configuration was refused, or if Ctrl-C came before its turn.
    history : History
        The history of this fit; after an error, of the epochs before it.
    error : Exception or None
        The exception that ended the training, as `Trainer.fit` raised it.
    """

    number: int
    trainer: Trainer | None
    _history: LazyHistory
    error: Exception | None = None

    @property
    def history(self) -> History:
        """Measurements of each epoch. With `EarlyStopping`, the trainer may have the weights of an earlier epoch."""
        return self._history.read()

    @property
    def epochs(self) -> int:
        """Number of epochs in the history."""
        return len(self._history)

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the training."""
        return self._history.interrupted

    def __repr__(self) -> str:
        return f"Outcome({self.line()})"

    def line(self) -> str:
        """Return a line for the progress output."""
        if self.error:
            return f"network {self.number}: {type(self.error).__name__}"
        return f"network {self.number}: {self.history!r}"


def as_error(ended: BaseException) -> Exception:
    """Convert what ended one network's training to an Exception, so that it doesn't end the process."""
    return ended if isinstance(ended, Exception) else RuntimeError(f"{type(ended).__name__}: {ended}")


class Halt(Callback):
    """What the main thread tells fits in other threads, between two kernel calls.

    Attributes
    ----------
    came : whether Ctrl-C came, which ends the fits
    share : how many threads each network may use, because other threads have no more work
    cores : the processors of all threads
    """

    _only_looks = True

    def __init__(self) -> None:
        self.came, self.share, self.cores = False, 1, set[int]()

    def on_progress(self, trainer: Trainer, done: float) -> None:
        """End the fit after Ctrl-C, or let it use threads that have ended."""
        if self.came:
            raise KeyboardInterrupt
        if self.share > cast(int, trainer.n_threads):
            keep_to(self.cores)
            trainer.n_threads = self.share


class Samples:
    """The array arguments of `Trainer.fit` for each network.

    Parameters
    ----------
    given : the arguments by name; if each network has its own, a list of them, or a dict by number
    own : whether each network has its own arguments
    """

    def __init__(self, given: dict[str, Any], own: bool) -> None:
        self.given, self.own = given, own
        self._converted, self._sources = dict[Any, Array](), dict[Any, Sources]()
        self.names = NONE  # column names of shared arrays
        if not own:
            self.names, given["X"] = names_of(given["X"], given["y"]), without_index(given["X"])
        if not own and not hasattr(given["y"], "dtype") and not hasattr(given["y"], "to_numpy"):
            given["y"] = _checks.numbers("y", given["y"])

    def of(self, number: int, trainer: Trainer, names: tuple[Any, ...], options: dict[str, Any]) -> Sources:
        """Return the training and validation samples of a network. Shared arrays are checked only once.

        names, options : the metrics, and the arguments of `Trainer.fit` that are not arrays
        """
        fraction = _checks.fraction("validation_split", options["validation_split"])
        if self.own:
            given = {name: values[number] for name, values in self.given.items()}
            return _sources(given, trainer, names, options, NONE)
        trainer._state.column_names.check("X", self.names)
        sources = self._shared(trainer, names, options, fraction)
        trainer._state.column_names = trainer._state.column_names.or_else(self.names)
        return sources

    def _shared(self, trainer: Trainer, names: tuple[Any, ...], options: dict[str, Any], fraction: float) -> Sources:
        """Return the training and validation samples from shared arrays."""
        if trainer.standardize:  # each has its own means and deviations
            return _sources(self.given, trainer, names, options, self.names)
        given = self.given | {"X": self._matrix(trainer)}
        # A split depends on the seed, and a Stream may have only one reader at a time.
        if fraction > 0 or isinstance(given.get("validation_data"), Stream):
            return _sources(given, trainer, names, options, self.names)
        state = trainer._state
        loss, outputs = state.loss.of_targets, (trainer.layer_sizes[-1], state.n_targets, trainer.output_activation)
        takes = trainer.layer_sizes[0], trainer.dtype, trainer.shuffle, trainer._state.column_names
        key = *takes, outputs, type(loss), loss.low, loss.high, trainer.network.categories
        if key not in self._sources:
            self._sources[key] = _sources(given, trainer, names, options, self.names)
        data, validation = self._sources[key]
        return trainer._state.engine.with_own_order(data), validation

    def _matrix(self, trainer: Trainer) -> Array:
        """Return the shared X, converted once for each dtype."""
        key = trainer.layer_sizes[0], trainer.dtype
        if key not in self._converted:
            self._converted[key] = _checks.matrix("X", self.given["X"], *key)
        return self._converted[key]

    def convert(self, trainers: Sequence[Trainer]) -> None:
        """Convert a shared X before it is sent to other processes, if all trainers need the same conversion."""
        wanted = {(trainer.layer_sizes[0], trainer.dtype) for trainer in trainers}
        if any(trainer.standardize for trainer in trainers):  # which scale X before they convert it
            return
        if not self.own and len(wanted) == 1 and not isinstance(self.given["X"], np.memmap):
            with suppress(ValueError, TypeError):  # each network will raise the error itself
                self.given["X"] = _checks.matrix("X", self.given["X"], *wanted.pop())

    def part(self, numbers: Sequence[int]) -> Samples:
        """Return the samples of some networks."""
        if not self.own:
            return self
        return Samples({name: {i: values[i] for i in numbers} for name, values in self.given.items()}, True)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_converted": {}, "_sources": {}}


def _sources(
    given: dict[str, Any],
    trainer: Trainer,
    names: tuple[Any, ...],
    options: dict[str, Any],
    columns: Names,
) -> Sources:
    """Convert arguments as `Trainer.fit` does; columns: the column names of X and y if these are already arrays."""
    intake = trainer._intake
    intake.column_names = intake.column_names.or_else(columns)
    data, validation = intake.training(
        given["X"],
        given["y"],
        names,
        given.get("sample_weight"),
        options["class_weight"],
        steps=None,
        epochs=options["epochs"],
        validation_data=given.get("validation_data"),
        validation_split=options["validation_split"],
        sharded=False,
    )
    assert isinstance(data, codes.Data)  # X is an array
    return data, validation


class Fits:
    """The training of many networks.

    Parameters
    ----------
    networks : a Trainer, or the exception that refused it, by number
    samples : the array arguments of `Trainer.fit` for a network, by its number
    options : the other arguments, the same for all networks
    callbacks : callbacks; each network gets copies
    threads : number of threads for one network
    halt : ends these fits from outside
    """

    def __init__(
        self,
        networks: Mapping[int, Trainer | Exception],
        samples: Samples,
        options: dict[str, Any],
        callbacks: Sequence[Callback],
        threads: int,
        halt: Halt,
    ) -> None:
        self.networks, self.samples, self.options, self.callbacks = networks, samples, options, callbacks
        self.threads, self.halt = threads, halt
        self.outcomes: dict[int, Outcome] = {}

    def halted(self) -> bool:
        """Whether Ctrl-C came."""
        return self.halt.came

    def one(self, number: int) -> Outcome:
        """Fit one network."""
        trainer = self.networks[number]
        if isinstance(trainer, Exception):
            return Outcome(number, None, LazyHistory(), trainer)
        before = trainer.epochs_trained
        asked, trainer.n_threads = trainer.n_threads, self.threads
        try:
            callbacks = [*(copy.deepcopy(callback) for callback in self.callbacks), self.halt]
            seconds = _checks.seconds("max_seconds", self.options["max_seconds"])
            names = metric_names(self.options["metrics"])
            sources = self.samples.of(number, trainer, names, self.options)
            epochs, initial = self.options["epochs"], self.options["initial_epoch"]
            run = Run(trainer._state, trainer, callbacks, epochs, seconds, initial)
            history = run.fit(*sources, names, self.options["class_weight"], silent=False)
            return Outcome(number, trainer, LazyHistory(history))
        except (Exception, SystemExit) as ended:
            columns = {name: column[before:] for name, column in trainer.history.items()}
            history = History.restored(columns, trainer.history.epochs[before:], False)
            return Outcome(number, trainer, LazyHistory(history), as_error(ended))
        finally:
            trainer.n_threads = asked
            trainer._state.free()

    def group(self, numbers: Sequence[int]) -> Iterator[list[Outcome]]:
        """Fit one network, or several that can be trained together. Yield outcomes as soon as they are there."""
        logs: list[LazyHistory | None] = [None] * len(numbers)
        if len(numbers) > 1:
            trainers = [network for number in numbers if isinstance(network := self.networks[number], Trainer)]
            with suppress(Exception):  # each network will raise its own error below
                for trainer in trainers:
                    trainer._state.column_names.check("X", self.samples.names)
                data, _ = self.samples.of(numbers[0], trainers[0], (), self.options)
                logs = train_together(trainers, data, self.options["epochs"], self.halted)
                for trainer in trainers:
                    trainer._state.column_names = trainer._state.column_names.or_else(self.samples.names)
            ended = zip(numbers, trainers, logs, strict=True)
            yield [Outcome(number, trainer, log) for number, trainer, log in ended if log is not None]
        for number, log in zip(numbers, logs, strict=True):
            if log is None:
                yield [self.one(number)]

    def all(
        self, run: Callable[[Callable[[Outcome], None]], None], on_finish: Callable[[Outcome], Any] | None, tally: Tally
    ) -> list[Outcome]:
        """Fit all networks and return their outcomes.

        run : a function that trains them and calls its argument with each outcome, in this thread
        """

        def tell(outcome: Outcome) -> None:
            self.outcomes[outcome.number] = outcome
            tally.add(outcome.line)
            if on_finish:
                on_finish(outcome)

        try:
            run(tell)
        except KeyboardInterrupt:
            pass
        finally:
            tally.close()
        return [self.outcomes.get(number) or self._untouched(number) for number in self.networks]

    def by_threads(self, jobs: list[list[int]], cores: int, tell: Callable[[Outcome], None]) -> None:
        """Fit all networks, group by group, in `cores` threads. An error in a thread is raised here."""
        waiting, finished = deque(jobs), SimpleQueue[list[Outcome] | BaseException | None]()
        told, given = deque[_messages.Told](), set[_messages.Told]()

        def work(i: int) -> None:
            try:
                keep_to_share(i, len(threads))
                with _messages.kept(told):
                    while not self.halt.came and (numbers := _taken(waiting)):
                        for outcomes in self.group(numbers):
                            self.outcomes |= {outcome.number: outcome for outcome in outcomes}  # even if none collects
                            finished.put(outcomes)
            except BaseException as error:  # the waiting thread must get any error
                finished.put(error)
            finally:
                finished.put(None)

        threads = [
            Thread(target=copy_context().run, args=(work, i), name=f"fit_many {i}")
            for i in range(min(cores, len(jobs)))
        ]
        running, self.halt.cores = 0, allowed()
        try:
            for thread in threads:
                thread.start()
                running += 1
            ends = 0
            while ends < running:
                item = finished.get()
                _messages.give(told, _checks.level_outside(), given)
                if isinstance(item, BaseException):
                    try:
                        raise item
                    finally:
                        del item  # otherwise its traceback would keep the thread's objects alive
                if item is None:
                    ends += 1
                    self.halt.share = cores // max(1, running - ends)
                for outcome in item or ():
                    tell(outcome)
        finally:
            self.halt.came = True
            for thread in threads[:running]:
                thread.join()

    def _untouched(self, number: int) -> Outcome:
        """Return the outcome of a network that Ctrl-C prevented from training."""
        network, log = self.networks[number], LazyHistory()
        log.interrupted = True
        return Outcome(number, network if isinstance(network, Trainer) else None, log)


def _taken(waiting: deque[list[int]]) -> list[int] | None:
    """Return the next waiting job, or None if another thread took the last one."""
    try:
        return waiting.popleft()
    except IndexError:
        return None
