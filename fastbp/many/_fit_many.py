"""fit_many: train many networks at once, one per thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np

from .. import _checks, _messages
from .._engine.team import usable_cores
from .._keywords import suggests
from .._library.announce import silent_if
from ..callbacks import Callback, as_callbacks
from ..progress import Tally
from ..trainer import Trainer
from . import _jobs
from ._fits import Fits, Halt, Outcome, Samples
from ._together import groups


@suggests("fit_many")
def fit_many(
    trainers: Sequence[Trainer | Mapping[str, Any]],
    X: Any,
    y: Any,
    *,
    epochs: int = 1,
    initial_epoch: SupportsIndex = 0,
    sample_weight: Any = None,
    class_weight: Any = None,
    validation_data: Any = None,
    validation_split: SupportsFloat = 0.0,
    metrics: Any = (),
    callbacks: Any = (),
    max_seconds: SupportsFloat | None = None,
    on_finish: Callable[[Outcome], Any] | None = None,
    n_threads: int | str = "auto",
    n_jobs: SupportsIndex | None = None,
    verbose: int | str = "auto",
) -> list[Outcome]:
    """Train many networks, as many at once as there are threads.

    Each result is bit-identical to that of `Trainer.fit`. An error in one network does not stop the others. Ctrl-C
    stops all networks after the current batch, and the results so far are returned.

    Parameters
    ----------
    trainers : sequence of Trainer, or of dicts of Trainer's arguments, ``{"layer_sizes": [64, 32, 10], "seed": 1}``
        Each Trainer may appear only once.
    X, y : arrays as in `Trainer.fit`, for all networks; or two lists, with an (n, n_1) X and a y for each network
        If X and y are lists, sample_weight and validation_data must be lists, too, if you pass them.
    epochs, initial_epoch, class_weight, validation_split, metrics, max_seconds : as in `Trainer.fit`, for each network
    sample_weight, validation_data : as in `Trainer.fit`
    callbacks : as in `Trainer.fit`
        Each network gets its own copies. Callbacks that write a file are refused, because all would write the same one.
    on_finish : function of an Outcome, optional
        Called in the caller's thread each time that a network has finished. An exception in it ends all training.
    n_threads : int or "auto"
        How many networks are trained at once; "auto" is one per processor. With n_jobs, how many threads each network
        may use; "auto" is one.
    n_jobs : int, optional
        How many jobs of joblib's active backend train the networks. ``joblib.parallel_config`` chooses processes,
        threads or a Dask cluster. By default, joblib uses processes, or threads in a free-threaded Python. −1 uses all
        that the backend has. Without n_jobs and without an active parallel_config, threads of this process train.
    verbose : {"auto", 0, 1, 2}
        0 is silent, 1 shows a bar (needs tqdm), 2 prints a line for each network. "auto" shows the bar in a terminal
        or a notebook if tqdm is installed, and otherwise prints lines.

    Returns
    -------
    list of Outcome
        In the order of trainers. If some networks failed, a RuntimeWarning gives their number and the first error.

    Raises
    ------
    ValueError, TypeError
        For bad input, and for input that `Trainer` or `Trainer.fit` refuses for every network.
    ImportError
        If you pass n_jobs and joblib is not installed.

    Examples
    --------
    >>> networks = [Trainer([64, 32, 10], loss="cross_entropy", seed=seed) for seed in range(100)]
    >>> outcomes = fit_many(networks, X, y, epochs=20)
    >>> min(outcomes, key=lambda outcome: outcome.history["loss"][-1]).number
    """
    networks = [_built(network) for network in _networks(trainers)]
    threads = _checks.thread_count(n_threads)
    n_jobs = _jobs.jobs_asked(n_jobs)
    before = _checks.whole("initial_epoch", initial_epoch, minimum=0)
    epochs = max(0, _checks.whole("epochs", epochs, minimum=0) - before)
    if on_finish is not None and not callable(on_finish):
        raise TypeError(_checks.wrong("on_finish", "a function of an Outcome", _checks.shown(on_finish)))
    callbacks = _without_files(as_callbacks(callbacks))
    samples, own = _samples(X, y, sample_weight, validation_data, len(networks))
    options = {"class_weight": class_weight, "validation_split": validation_split, "max_seconds": max_seconds}
    alone = own or callbacks or any(map(_is_given, (sample_weight, validation_data, metrics, *options.values())))
    options |= {"epochs": epochs, "initial_epoch": before, "metrics": metrics}
    at_once, each = _shares(len(networks), threads, n_jobs)
    fits = Fits(dict(enumerate(networks)), Samples(samples, own), options, callbacks, each, Halt())
    if alone:
        jobs = _longest_first(networks, samples["X"], own)
    else:
        jobs = groups([None if isinstance(network, Exception) else network for network in networks], epochs, at_once)
    threaded = partial(fits.by_threads, jobs, at_once)
    run = threaded if n_jobs is None else partial(_jobs.by_joblib, fits, jobs, n_jobs)
    with silent_if(not verbose):
        for network in {network.dtype: network for network in networks if isinstance(network, Trainer)}.values():
            network._state.engine.load()  # here, and not in each process
        outcomes = fits.all(run, on_finish, Tally(len(networks), verbose))
    _report([outcome for outcome in outcomes if outcome.error], len(outcomes))
    return outcomes


def _networks(trainers: Any) -> list[Trainer | Mapping[str, Any]]:
    networks = _checks.sequence("trainers", trainers, "a sequence of Trainers, or of dicts of their arguments")
    seen = set()
    for i, network in enumerate(networks):
        if not isinstance(network, Trainer | Mapping):
            raise TypeError(_checks.wrong(f"trainers[{i}]", "a Trainer or a dict", _checks.shown(network)))
        if isinstance(network, Trainer):
            if network._state.ranks is not None:
                raise ValueError(_checks.wrong(f"trainers[{i}]", "a Trainer with comm=None", "one with a comm"))
            if id(network) in seen:
                raise ValueError(_checks.wrong(f"trainers[{i}]", "each Trainer once", "the same one twice"))
            seen.add(id(network))
    return networks


def _built(network: Trainer | Mapping[str, Any]) -> Trainer | Exception:
    if isinstance(network, Trainer):
        return network
    try:
        return Trainer(**network)
    except Exception as error:
        return error


def _without_files(callbacks: list[Callback]) -> list[Callback]:
    """Refuse callbacks that write a file: all networks would write the same one."""
    for callback in callbacks:
        if callback._writes_file:
            raise ValueError(_checks.wrong("callbacks", "callbacks that write no file", type(callback).__name__))
    return callbacks


def _samples(X: Any, y: Any, sample_weight: Any, validation_data: Any, count: int) -> tuple[dict[str, Any], bool]:
    """Return the arguments of `Trainer.fit` for the samples, and whether each network has its own."""
    for part in X if isinstance(X, list | tuple) else [X]:
        _checks.no_stream("X", part, "arrays")
    samples = {"X": X, "y": y, "sample_weight": sample_weight, "validation_data": validation_data}
    own = isinstance(X, list | tuple) and len(X) > 0 and (hasattr(X[0], "to_numpy") or np.ndim(X[0]) == 2)
    if own:
        samples = {name: value for name, value in samples.items() if name in ("X", "y") or value is not None}
        _check_own(samples, count)
    return samples, own


def _shares(count: int, threads: int | str, n_jobs: int | None) -> tuple[int, int]:
    """Return how many networks are trained at once, and how many threads each of them may use."""
    if n_jobs is not None:
        return _jobs.jobs_at_once(n_jobs), 1 if isinstance(threads, str) else threads
    cores = usable_cores() if isinstance(threads, str) else threads
    return cores, max(1, cores // max(1, count))


def _longest_first(networks: Sequence[Trainer | Exception], X: Any, own: bool) -> list[list[int]]:
    """Return a job for each network. Those with the most work begin, so that no thread waits long for the last one."""
    rows = [len(part) if hasattr(part, "__len__") else 0 for part in X] if own else [1] * len(networks)
    work = [
        count * network._state.engine.multiplications if isinstance(network, Trainer) else 0
        for count, network in zip(rows, networks, strict=True)
    ]
    return [[number] for number in sorted(range(len(networks)), key=lambda number: -work[number])]


def _is_given(value: Any) -> bool:
    """Return whether an argument is neither missing nor its default."""
    return value is not None and not (isinstance(value, tuple | list | float | int) and not value)


def _check_own(samples: dict[str, Any], count: int) -> None:
    """Check that each argument is a list with one entry for each network."""
    for name, value in samples.items():
        is_list = isinstance(value, list | tuple)
        if not is_list or len(value) != count:
            expected = f"a list of {count}, one for each network, because X is a list of arrays"
            raise ValueError(_checks.wrong(name, expected, len(value) if is_list else _checks.shown(value)))


def _report(failed: list[Outcome], count: int) -> None:
    """Warn about networks that failed. If none could start, raise the error of the first."""
    if not failed:
        return
    first = failed[0]
    assert first.error is not None
    if len(failed) == count and all(isinstance(outcome.error, ValueError | TypeError) for outcome in failed):
        raise first.error
    message = f"{len(failed)} of {count} networks failed; the first, number {first.number}: {first.error}"
    _messages.warn(message, RuntimeWarning, stacklevel=_checks.level_outside())
