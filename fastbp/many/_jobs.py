"""Training of many networks in joblib's backends: processes, threads or a cluster. Only this module imports joblib."""

from __future__ import annotations

import copy
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from numbers import Integral
from typing import Any

from .. import _checks, _messages
from .._extras import not_installed
from .._library.announce import is_silent, silent_if
from ..callbacks import Callback
from ..history import LazyHistory
from ..trainer import Trainer
from ._fits import Fits, Halt, Outcome, Samples, as_error

ASKED = "None, or an integer other than 0"


def jobs_asked(n_jobs: Any) -> int | None:
    """Return the number of jobs in joblib's convention, where −1 means all; None if joblib isn't used.

    Raises
    ------
    ImportError
        If joblib is asked for and not installed.
    """
    if n_jobs is None:
        if "joblib" not in sys.modules:  # a backend can only be set after this import
            return None
    elif isinstance(n_jobs, bool) or not isinstance(n_jobs, Integral):
        raise TypeError(_checks.wrong("n_jobs", ASKED, _checks.shown(n_jobs)))
    elif n_jobs == 0:
        raise ValueError(_checks.wrong("n_jobs", ASKED, 0))
    try:
        from joblib import Parallel
    except ImportError:
        raise not_installed("n_jobs needs joblib", "many") from None
    asked = int(Parallel(n_jobs=n_jobs).n_jobs)
    return None if n_jobs is None and asked == 1 else asked


def jobs_at_once(n_jobs: int) -> int:
    """Return how many jobs the active backend runs at once."""
    from joblib import effective_n_jobs

    return int(effective_n_jobs(n_jobs))


def preferred() -> str | None:
    """Return what joblib uses if the user chose no backend. Without the GIL, threads share the samples in memory."""
    return None if getattr(sys, "_is_gil_enabled", lambda: True)() else "threads"


def by_joblib(fits: Fits, jobs: list[list[int]], n_jobs: int, tell: Callable[[Outcome], None]) -> None:
    """Fit all networks, group by group, in joblib's jobs. The caller's trainers take over the results."""
    from joblib import Parallel, delayed
    from joblib.parallel import get_active_backend

    for number, network in fits.networks.items():
        if isinstance(network, Exception):  # it was refused; its outcome is the error
            tell(fits.one(number))
    backend, _ = get_active_backend(prefer=preferred())
    fits.samples.convert([network for network in fits.networks.values() if isinstance(network, Trainer)])
    shared: Any = fits.samples
    if not shared.own and hasattr(backend, "client"):
        shared = _on_cluster(backend.client, shared)
    calls = (
        delayed(_job)(
            {number: fits.networks[number] for number in numbers},
            fits.samples.part(numbers) if fits.samples.own else shared,
            fits.options, fits.callbacks, fits.threads, fits.halt, is_silent(),
        )
        for numbers in jobs
        if isinstance(fits.networks[numbers[0]], Trainer)
    )  # fmt: skip
    as_they_finish = getattr(backend, "supports_return_generator", False)
    with _messages.flushable(), _losses_told(backend) if hasattr(backend, "client") else nullcontext():
        how = "generator_unordered" if as_they_finish else "list"
        stream = Parallel(n_jobs, prefer=preferred(), return_as=how)(calls)
        try:
            for outcomes in stream:
                for outcome in outcomes:
                    tell(_taken(fits, outcome))
                if any(outcome.interrupted for outcome in outcomes):  # Ctrl-C reached a job first
                    raise KeyboardInterrupt
        finally:
            fits.halt.came = True
            if as_they_finish:
                with warnings.catch_warnings():  # joblib warns if not all results were taken
                    warnings.simplefilter("ignore")
                    stream.close()


@contextmanager
def _losses_told(backend: Any) -> Iterator[None]:
    """Turn jobs that Dask gives up into outcomes. Joblib only gets results, so it would wait for them forever."""
    name = "submit" if hasattr(backend, "submit") else "apply_async"  # its name before joblib 1.5
    given, own = getattr(backend, name), vars(backend).get(name)

    def submit(batch: Any, callback: Any = None) -> Any:
        def told(future: Any) -> None:
            if not future.cancelled() and (error := future.exception()):
                callback([_lost(networks, as_error(error)) for _, (networks, *_), _ in batch.items])

        future = given(batch, callback)
        future.add_done_callback(told)
        return future

    setattr(backend, name, submit)
    try:
        yield
    finally:
        delattr(backend, name)
        if own is not None:
            setattr(backend, name, own)


def _lost(networks: Mapping[int, Trainer], error: Exception) -> list[Outcome]:
    """Return the outcomes of a job that was lost."""
    return [Outcome(number, None, LazyHistory(), error) for number in networks]


def _on_cluster(client: Any, samples: Samples) -> Any:
    """Return a Dask future of the samples, copied to each worker. Unlike scattered data, it survives lost workers."""
    with warnings.catch_warnings():  # Dask warns that they are large
        warnings.simplefilter("ignore")
        future = client.submit(_itself, samples, pure=False)
    with suppress(Exception):  # a worker may be lost; the others fetch the future when they need it
        client.replicate([future])
    return future


def _itself(value: Any) -> Any:
    return value


def _job(
    networks: Mapping[int, Trainer],
    samples: Any,
    options: dict[str, Any],
    callbacks: Sequence[Callback],
    threads: int,
    halt: Halt,
    silent: bool,
) -> list[Outcome]:
    """Fit copies of some networks. In threads, the caller's own networks must stay unchanged if Ctrl-C comes."""
    if not isinstance(samples, Samples):  # joblib passes the future if a cluster has only one thread
        samples = samples.result()
    fits = Fits(copy.deepcopy(dict(networks)), samples, options, callbacks, threads, halt)
    with silent_if(silent):
        groups = list(fits.group(list(networks)))
    return [replace(outcome, error=_portable(outcome.error)) for outcomes in groups for outcome in outcomes]


def _portable(error: Exception | None) -> Exception | None:
    """Return an exception that can be pickled. Those with their own constructor arguments often can't."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _taken(fits: Fits, outcome: Outcome) -> Outcome:
    """Return the outcome with the caller's trainer, which takes over the result."""
    trainer, trained = fits.networks[outcome.number], outcome.trainer
    assert isinstance(trainer, Trainer)
    if trained is None:
        return replace(outcome, trainer=trainer)
    try:
        with trainer._state.engine.exclusively():
            trainer._state.take_over(trained._state)
    except RuntimeError as error:
        return replace(outcome, trainer=trainer, error=error)
    return replace(outcome, trainer=trainer)
