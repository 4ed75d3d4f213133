"""fit_many: train many networks at once, each in one thread."""

from __future__ import annotations

import copy
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Any, SupportsFloat

import numpy as np

from . import _checks
from ._compiling import said_if_compiling
from ._team import keep_to_share, usable_cores
from ._together import groups, train_together
from .callbacks import Callback, Checkpoint, CSVLogger, TensorBoard, as_callbacks
from .history import History
from .progress import Tally
from .trainer import Trainer


@dataclass(frozen=True)
class Outcome:
    """How the training of one of many networks ended.

    Attributes
    ----------
    number : int
        The network's place among those given, from 0.
    trainer : Trainer or None
        None where its configuration was refused, or Ctrl-C came before its turn.
    history : History
        Of this fit; of the epochs before the error where there was one.
    error : Exception or None
        What ended it, as `Trainer.fit` raised it.
    """

    number: int
    trainer: Trainer | None
    history: History
    error: Exception | None = None


class Halt(Callback):
    """Brings Ctrl-C, which only the main thread hears, to fits in other threads, between two calls of the kernel."""

    def __init__(self) -> None:
        self.came = False

    def on_progress(self, trainer: Trainer, done: float) -> None:
        """End the fit where it has come."""
        if self.came:
            raise KeyboardInterrupt


def fit_many(
    trainers: Sequence[Trainer | Mapping[str, Any]],
    X: Any,
    y: Any,
    *,
    epochs: int = 1,
    sample_weight: Any = None,
    class_weight: Any = None,
    validation_data: Any = None,
    validation_split: SupportsFloat = 0.0,
    metrics: Any = (),
    callbacks: Any = (),
    max_seconds: SupportsFloat | None = None,
    on_finish: Callable[[Outcome], Any] | None = None,
    n_threads: int | str = "auto",
    verbose: int | str = "auto",
) -> list[Outcome]:
    """Train many networks for some epochs, as many at once as there are threads.

    Each comes out as `Trainer.fit` alone would have made it, to the bit. An error in one never stops the others. Ctrl-C
    stops all after a whole batch, and what there is is returned.

    Parameters
    ----------
    trainers : sequence of Trainer, or of dicts of Trainer's arguments, ``{"layer_sizes": [64, 32, 10], "seed": 1}``
        No Trainer twice.
    X, y : as in `Trainer.fit`, for all networks; or two lists, of an (n, n_1) X and a y for each network
        Where X and y are lists for each, so are sample_weight and validation_data, if given.
    epochs, class_weight, validation_split, metrics, max_seconds : as in `Trainer.fit`, for each network
    sample_weight, validation_data : as in `Trainer.fit`
    callbacks : as in `Trainer.fit`
        Each network gets its own copies. None that write a file, since all would write to the same.
    on_finish : function of an Outcome, optional
        Called in the caller's thread as soon as a network is trained; what it raises ends everything.
    n_threads : int or "auto"
        How many networks are trained at once; "auto": one for each processor.
    verbose : {"auto", 0, 1, 2}
        0 is silent, 1 a bar (needs tqdm), 2 a line a network; "auto" takes the bar in a terminal or a notebook where
        tqdm is installed, else lines.

    Returns
    -------
    list of Outcome
        In the order of trainers. A RuntimeWarning says how many failed, if any.

    Raises
    ------
    ValueError, TypeError
        For bad input; for what `Trainer` or `Trainer.fit` refuse, where they refuse it for every network.

    Examples
    --------
    >>> networks = [Trainer([64, 32, 10], loss="cross_entropy", seed=seed) for seed in range(100)]
    >>> outcomes = fit_many(networks, X, y, epochs=20)
    >>> min(outcomes, key=lambda outcome: outcome.history["loss"][-1]).number
    """
    networks = [_built(network) for network in _networks(trainers)]
    cores = _checks.thread_count(n_threads)
    cores = usable_cores() if isinstance(cores, str) else cores
    epochs = _checks.whole("epochs", epochs, minimum=0)
    if on_finish is not None and not callable(on_finish):
        raise TypeError(_checks.wrong("on_finish", "a function of an Outcome", _checks.shown(on_finish)))
    watchers = as_callbacks(callbacks)
    for watcher in watchers:
        if isinstance(watcher, Checkpoint | CSVLogger | TensorBoard):
            raise ValueError(_checks.wrong("callbacks", "none that write files", type(watcher).__name__))
    samples = {"X": X, "y": y, "sample_weight": sample_weight, "validation_data": validation_data}
    own = isinstance(X, list | tuple) and len(X) > 0 and (hasattr(X[0], "to_numpy") or np.ndim(X[0]) == 2)
    arguments = _own(samples, len(networks)) if own else _shared(samples)
    options = {"class_weight": class_weight, "validation_split": validation_split, "max_seconds": max_seconds}
    fits = _Fits(networks, arguments, options | {"epochs": epochs, "metrics": metrics}, watchers, cores)
    if own or watchers or any(map(_is_asked, (sample_weight, validation_data, metrics, *options.values()))):
        jobs = [[number] for number in range(len(networks))]
    else:
        jobs = groups([None if isinstance(network, Exception) else network for network in networks], epochs, cores)
    with said_if_compiling(silent=not verbose):
        outcomes = fits.all(jobs, on_finish, Tally(len(networks), verbose))
    _report([outcome for outcome in outcomes if outcome.error], len(outcomes))
    return outcomes


class _Fits:
    """Fits of many networks, in threads.

    Parameters
    ----------
    networks : Trainers, and exceptions in the place of those that were refused
    arguments : of `Trainer.fit`, for a network by its number
    options : more of them, for all networks
    watchers : callbacks, of which each network gets copies
    cores : how many threads there may be
    """

    def __init__(
        self,
        networks: list[Trainer | Exception],
        arguments: Arguments,
        options: dict[str, Any],
        watchers: list[Callback],
        cores: int,
    ) -> None:
        self.networks, self.arguments, self.options, self.watchers = networks, arguments, options, watchers
        self.cores, self.each = cores, max(1, cores // max(1, len(networks)))  # threads in all, and of one network
        self.halt = Halt()

    def halted(self) -> bool:
        """Whether Ctrl-C came."""
        return self.halt.came

    def one(self, number: int) -> Outcome:
        """Fit one network."""
        trainer = self.networks[number]
        if isinstance(trainer, Exception):
            return Outcome(number, None, History(), trainer)
        before = trainer.epochs_trained
        asked, trainer.n_threads = trainer.n_threads, self.each
        try:
            watchers = [*(copy.deepcopy(watcher) for watcher in self.watchers), self.halt]
            arguments = self.arguments(number, trainer) | self.options
            return Outcome(number, trainer, trainer.fit(**arguments, callbacks=watchers, verbose=0))
        except Exception as error:
            columns = {name: column[before:] for name, column in trainer.history.items()}
            return Outcome(number, trainer, History.restored(columns, trainer.history.epochs[before:], False), error)
        finally:
            trainer.n_threads = asked

    def group(self, numbers: list[int]) -> Iterator[Outcome]:
        """Fit one network, or some that may go together."""
        if len(numbers) > 1:
            trainers = [network for number in numbers if isinstance(network := self.networks[number], Trainer)]
            with suppress(ValueError, TypeError, MemoryError, RuntimeError):  # each will say so of itself
                samples = self.arguments(numbers[0], trainers[0])
                histories = train_together(trainers, samples["X"], samples["y"], self.options["epochs"], self.halted)
                for number, trainer, history in zip(numbers, trainers, histories, strict=True):
                    yield self.one(number) if history is None else Outcome(number, trainer, history)
                return
        yield from map(self.one, numbers)

    def all(self, jobs: list[list[int]], on_finish: Callable[[Outcome], Any] | None, tally: Tally) -> list[Outcome]:
        """Fit all networks, group by group, in threads, and tell of each here."""
        waiting, finished = deque(jobs), SimpleQueue[Outcome | None]()
        outcomes: dict[int, Outcome] = {}

        def work(i: int) -> None:
            try:
                keep_to_share(i, len(threads))
                while waiting and not self.halt.came:
                    with suppress(IndexError):  # another thread took the last one
                        for outcome in self.group(waiting.popleft()):
                            finished.put(outcome)
            finally:
                finished.put(None)

        threads = [Thread(target=work, args=(i,), name=f"fit_many {i}") for i in range(min(self.cores, len(jobs)))]
        running = 0
        try:
            for thread in threads:
                thread.start()
                running += 1
            ends = 0
            while ends < running:
                outcome = finished.get()
                if outcome is None:
                    ends += 1
                    continue
                outcomes[outcome.number] = outcome
                tally.add(_line(outcome))
                if on_finish:
                    on_finish(outcome)
        except KeyboardInterrupt:
            pass
        finally:
            self.halt.came = True
            for thread in threads[:running]:
                thread.join()
            tally.close()
        while not finished.empty():  # what ended after Ctrl-C
            if outcome := finished.get():
                outcomes[outcome.number] = outcome
        return [outcomes.get(number) or self._untouched(number) for number in range(len(self.networks))]

    def _untouched(self, number: int) -> Outcome:
        """Of a network before whose turn Ctrl-C came."""
        network, history = self.networks[number], History()
        history.interrupted = True
        return Outcome(number, network if isinstance(network, Trainer) else None, history)


Arguments = Callable[[int, Trainer], dict[str, Any]]


def _networks(trainers: Any) -> list[Trainer | Mapping[str, Any]]:
    networks = _checks.sequence("trainers", trainers, "a sequence of Trainers, or of dicts of their arguments")
    seen = set()
    for i, network in enumerate(networks):
        if not isinstance(network, Trainer | Mapping):
            raise TypeError(_checks.wrong(f"trainers[{i}]", "a Trainer or a dict", _checks.shown(network)))
        if isinstance(network, Trainer):
            if network._ranks is not None:
                raise ValueError(
                    _checks.wrong(f"trainers[{i}]", "a Trainer with comm=None", "one that shares its batches")
                )
            if id(network) in seen:
                raise ValueError(_checks.wrong(f"trainers[{i}]", "each Trainer once", "one for the second time"))
            seen.add(id(network))
    return networks


def _built(network: Trainer | Mapping[str, Any]) -> Trainer | Exception:
    if isinstance(network, Trainer):
        return network
    try:
        return Trainer(**network)
    except Exception as error:
        return error


def _is_asked(value: Any) -> bool:
    """Whether an argument is there, and not its default."""
    return value is not None and not (isinstance(value, tuple | list | float | int) and not value)


def _own(samples: dict[str, Any], count: int) -> Arguments:
    """Lists of an X, a y and so on for each network."""
    given = {name: value for name, value in samples.items() if name in ("X", "y") or value is not None}
    for name, value in given.items():
        is_list = isinstance(value, list | tuple)
        if not is_list or len(value) != count:
            expected = f"a list of {count}, one for each network, as X is a list of arrays"
            raise ValueError(_checks.wrong(name, expected, len(value) if is_list else _checks.shown(value)))
    return lambda number, _: {name: value[number] for name, value in given.items()}


def _shared(samples: dict[str, Any]) -> Arguments:
    """One X for all; it is converted once for each dtype, not for each network."""
    y, ready = samples["y"], dict[Any, Any]()
    if not hasattr(y, "dtype") and not hasattr(y, "to_numpy"):
        y = _checks.numbers("y", y)

    def given(_: int, trainer: Trainer) -> dict[str, Any]:
        key = trainer.layer_sizes[0], trainer.dtype
        if key not in ready:
            ready[key] = _checks.matrix("X", samples["X"], *key)
        return samples | {"X": ready[key], "y": y}

    return given


def _line(outcome: Outcome) -> str:
    if outcome.error:
        return f"network {outcome.number}: {type(outcome.error).__name__}"
    return f"network {outcome.number}: {outcome.history!r}"


def _report(failed: list[Outcome], count: int) -> None:
    """Warn of networks that failed; where none could even begin, that is the caller's error."""
    if not failed:
        return
    first = failed[0]
    assert first.error is not None
    if len(failed) == count and all(isinstance(outcome.error, ValueError | TypeError) for outcome in failed):
        raise first.error
    message = f"{len(failed)} of {count} networks failed; the first, number {first.number}: {first.error}"
    warnings.warn(message, RuntimeWarning, stacklevel=3)
