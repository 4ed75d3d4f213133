"""Sweep: train networks on a grid, or at random points, of options and compare them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsIndex

import numpy as np
import numpy.typing as npt

from .. import _checks, _messages, metrics as metric_functions
from .._keywords import suggests
from .._library.announce import silent_if
from .._names import Names, names_of, rows_of
from ..callbacks import direction
from ..history import frame
from ..results import Summary, aligned
from ..schedules import Schedule
from ..trainer import Trainer
from ._fit_many import fit_many
from ._fits import Outcome, as_error

if TYPE_CHECKING:
    from pandas import DataFrame


class Sweep:
    """Networks with the options in a search space, trained at once and ranked by their results on validation data.

    Parameters
    ----------
    space : {option of Trainer: values}
        A list of values for each option. If you pass n, a value may also be a distribution with ``rvs``, such as those
        of scipy.stats.
    n : int, optional
        Number of points to draw at random. By default, the whole grid is used.
    seed : int, optional
        Seed for drawing the points, and for each network if `space` has no seed.
    **options : any
        Arguments of `Trainer` that are the same for all networks.

    Attributes
    ----------
    points : list of dict
        The options of `space` for each network.
    table : list of dict
        After `fit`: the number, point, loss, epochs, error and metric of each network. The networks that were trained
        for the most epochs come first, from best to worst. A value that wasn't measured is NaN.
    best : Trainer
        After `fit`: the network of the first row. With halving, this is the best of those that were trained to the
        end, as in scikit-learn's HalvingGridSearchCV. A network that was dropped earlier may have a better metric.

    Raises
    ------
    ValueError, TypeError
        If an argument has the wrong type or is out of its range.

    Examples
    --------
    >>> sweep = Sweep({"learning_rate": [0.01, 0.1], "layer_sizes": [[64, 32, 10], [64, 10]]}, loss="cross_entropy")
    >>> sweep.fit(X, y, epochs=20, validation_data=(X_test, y_test), metric="accuracy")
    >>> sweep.best.predict_classes(X_test)
    """

    def __init__(
        self,
        space: Mapping[str, Any],
        *,
        n: SupportsIndex | None = None,
        seed: SupportsIndex | None = None,
        **options: Any,
    ) -> None:
        if not isinstance(space, Mapping) or not space:
            raise TypeError(_checks.wrong("space", "a dict of options and their values", _checks.shown(space)))
        self._seed = None if seed is None else _checks.whole("seed", seed, minimum=0)
        for name in space:
            if name in options:
                raise ValueError(_checks.wrong(str(name), "it in space or as an argument, not in both", "both"))
        if n is None:
            grid = product(*(_listed(name, values) for name, values in space.items()))
            self.points = [dict(zip(space, values, strict=True)) for values in grid]
        else:
            rng = np.random.default_rng(self._seed)
            count = _checks.whole("n", n, minimum=1)
            self.points = [{name: _drawn(name, values, rng) for name, values in space.items()} for _ in range(count)]
        fixed = {"seed": self._seed} | options
        self.trainers = [Trainer(**fixed | point) for point in self.points]
        self.table: list[dict[str, Any]] = []

    @suggests("Sweep.fit")
    def fit(
        self,
        X: Any,
        y: Any,
        *,
        epochs: int,
        validation_data: Any = None,
        validation_split: SupportsFloat = 0.0,
        metric: Any = "loss",
        mode: str = "auto",
        halving: SupportsFloat | None = None,
        n_threads: int | str = "auto",
        n_jobs: SupportsIndex | None = None,
        verbose: int | str = "auto",
    ) -> list[dict[str, Any]]:
        """Train the networks, and evaluate each one when it is trained.

        Parameters
        ----------
        X, y : as in `fit_many`, for all networks
        epochs : int
            Number of epochs for each network; with halving, for the networks that are trained to the end.
        validation_data : (X, y) or (X, y, sample_weight), optional
            The samples that the networks are compared on.
        validation_split : float in [0, 1)
            Fraction of X and y that is set aside instead, as in `Trainer.fit`: the same rows for all networks, and in
            every fit of this Sweep. Pass either this or validation_data.
        metric : str or function of (y, output)
            What the networks are ranked by: "loss" or a metric (fastbp.metrics).
        mode : {"auto", "min", "max"}
            Whether the smallest or the largest value is best; "auto" decides by the name, as `callbacks.Watch` does.
        halving : number > 1, optional
            Factor of successive halving. All networks are trained for a few epochs. The best 1/halving of them
            continue until they have trained for halving times as many epochs, and so on, until one network is left. A
            schedule covers all of `epochs`, so a network that is dropped early has seen only its beginning.
        n_threads, n_jobs, verbose : as in `fit_many`

        Returns
        -------
        The table. Networks with an error, in training or evaluation, come last and are not trained in later rounds of
        halving. After Ctrl-C, the table has the results so far, measured before or after the last halving.

        Raises
        ------
        ValueError, TypeError
            For bad input.
        """
        epochs = _checks.whole("epochs", epochs, minimum=1)
        names = () if isinstance(metric, str) and metric == "loss" else metric_functions.metric_names(metric)
        if len(names) > 1:
            raise ValueError(_checks.wrong("metric", "one metric", len(names)))
        name = metric_functions.name_of(names[0]) if names else "loss"
        sign = -direction(name, _checks.one_of("mode", mode, ("auto", "min", "max")))
        X, y, samples = self._validated(X, y, validation_data, validation_split)
        self._check_measurable(names_of(X, y), samples, names)
        rows = [
            {"number": i, **point, "loss": math.nan, "epochs": 0, "error": None, name: math.nan}
            for i, point in enumerate(self.points)
        ]
        alive = list(range(len(rows)))
        before = 0
        for length, survivors in _rounds(len(alive), epochs, halving):
            group = [self.trainers[i] for i in alive]
            with _schedules_go_on(group, before, epochs):
                outcomes = fit_many(group, X, y, epochs=length, n_threads=n_threads, n_jobs=n_jobs, verbose=verbose)
            before += length
            trained = dict(zip(alive, outcomes, strict=True))
            with silent_if(not verbose):
                ended = not self._measure(rows, trained, samples, names)
            self.table = sorted(rows, key=lambda row: _sort_key(row, name, sign))
            alive.sort(key=lambda i: _sort_key(rows[i], name, sign))
            alive = [i for i in alive[:survivors] if rows[i]["error"] is None]
            if ended or not alive or any(outcome.interrupted for outcome in outcomes):
                break
        return self.table

    def _validated(self, X: Any, y: Any, data: Any, split: SupportsFloat) -> tuple[Any, Any, tuple[Any, ...]]:
        """Return X and y that train, and the samples that validate, given the arguments of `fit`."""
        fraction = _checks.fraction("validation_split", split)
        if data is not None:
            _checks.absent("together with validation_data", validation_split=fraction)
            return X, y, _checks.parts("validation_data", data)
        if fraction == 0:
            expected = "samples to compare the networks on, or validation_split=0.2"
            raise ValueError(_checks.wrong("validation_data", expected, "None"))
        refusals = []
        for trainer in self.trainers:
            intake = trainer._intake
            try:
                training, validating = intake.divided(intake.data("X", X, "y", y, scaled=False), fraction)
            except (ValueError, TypeError) as error:
                refusals.append(error)
            else:
                return rows_of(X, training), rows_of(y, training), (rows_of(X, validating), rows_of(y, validating))
        raise refusals[0]

    def _check_measurable(self, columns: Names, validation_data: tuple[Any, ...], names: tuple[Any, ...]) -> None:
        """Refuse data on which no network can be evaluated, before any training; columns: the names of X and y."""
        refusals = []
        for trainer in self.trainers:
            try:
                intake = trainer._intake
                intake.column_names = intake.column_names.or_else(columns)
                intake.validation(validation_data, names, 1)
            except (ValueError, TypeError) as error:
                refusals.append(error)
            else:
                return
        raise refusals[0]

    def _measure(
        self,
        rows: Sequence[dict[str, Any]],
        outcomes: Mapping[int, Outcome],
        validation_data: tuple[Any, ...],
        names: tuple[Any, ...],
    ) -> bool:
        """Store the outcomes and measurements of some networks in the rows; return False after Ctrl-C."""
        measures = ["loss", *map(metric_functions.name_of, names)]
        for i, outcome in outcomes.items():
            rows[i]["epochs"] += outcome.epochs
            if outcome.error is not None:
                rows[i] |= dict.fromkeys(measures, math.nan) | {"error": outcome.error}
        (X, y), weight = validation_data[:2], validation_data[2] if len(validation_data) > 2 else None
        failed = []
        for i in outcomes:
            if rows[i]["error"] is not None:
                continue
            try:
                measured: dict[str, Any] = self.trainers[i].evaluate(X, y, names, sample_weight=weight)
            except KeyboardInterrupt:  # the other rows keep their last measurements
                return False
            except (Exception, SystemExit) as ended:
                measured = dict.fromkeys(measures, math.nan) | {"error": as_error(ended)}
                failed.append(f"number {i}: {measured['error']}")
            rows[i] |= measured
        if failed:
            message = f"{len(failed)} of {len(outcomes)} networks could not be measured; the first, {failed[0]}"
            _messages.warn(message, RuntimeWarning, stacklevel=_checks.level_outside())
        return True

    @property
    def best(self) -> Trainer:
        """The network in the first row of the table: the best of those that were trained for the most epochs."""
        if not self.table:
            raise AttributeError("this Sweep is not fitted yet; call fit first")
        return self.trainers[self.table[0]["number"]]

    def to_frame(self) -> DataFrame:
        """Return the table as a pandas DataFrame.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        return frame("Sweep.to_frame", self.table)

    def summary(self) -> Summary:
        """Return the table as text."""
        if not self.table:
            return Summary(repr(self))
        rows = [list(self.table[0]), *([_cell(value) for value in row.values()] for row in self.table)]
        return Summary("\n".join(aligned(rows)))

    def __repr__(self) -> str:
        return f"Sweep({len(self.points)} points of {', '.join(self.points[0])}{', fitted' if self.table else ''})"


def _listed(name: str, values: Any) -> list[Any]:
    listed = _checks.sequence(f"space[{name!r}]", values, "a list of values")
    if not listed:
        raise ValueError(_checks.wrong(f"space[{name!r}]", "a list of values", "an empty one"))
    return listed


def _drawn(name: str, values: Any, rng: np.random.Generator) -> Any:
    if hasattr(values, "rvs"):
        drawn = values.rvs(random_state=rng)
        return drawn.item() if hasattr(drawn, "item") else drawn
    listed = _listed(name, values)
    return listed[rng.integers(len(listed))]


def _rounds(count: int, epochs: int, halving: SupportsFloat | None) -> list[tuple[int, int]]:
    """Return the number of epochs in each round, and how many networks continue after it."""
    if halving is None:
        return [(epochs, count)]
    factor = _checks.real("halving", halving, above=1, dtype=np.dtype(float))
    counts = [count]
    while counts[-1] > 1:
        counts.append(min(counts[-1] - 1, math.ceil(counts[-1] / factor)))
    ends = [max(i + 1, round(epochs / factor ** (len(counts) - 1 - i))) for i in range(len(counts))]
    if epochs < len(counts):
        raise ValueError(
            _checks.wrong("epochs", f"{len(counts)} or more, so that each round of halving has one", epochs)
        )
    return [(end - before, after) for before, end, after in zip([0, *ends], ends, [*counts[1:], 1], strict=False)]


@dataclass(frozen=True)
class _Segment(Schedule):
    """The schedule for a fit that is a segment of a longer fit.

    Parameters
    ----------
    whole : Schedule
        The schedule of the longer fit.
    before : int
        Number of its epochs before this segment.
    epochs : int
        Its total number of epochs.
    """

    whole: Schedule
    before: int
    epochs: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "absolute", self.whole.absolute)

    def __call__(self, epoch: npt.NDArray[Any], epochs: int) -> npt.NDArray[Any]:
        """Return bit-exactly what the whole schedule returns for the n batches of an epoch: e + k/n is rounded once."""
        e, fractions = int(epoch[0]), np.arange(len(epoch)) / len(epoch)
        if np.array_equal(epoch, e + fractions):
            return self.whole(self.before + e + fractions, self.epochs)
        return self.whole(self.before + epoch, self.epochs)


@contextmanager
def _schedules_go_on(trainers: Sequence[Trainer], before: int, epochs: int) -> Iterator[None]:
    """Make the schedules cover all epochs while a fit runs only some of them."""
    states = [trainer._state for trainer in trainers]
    kept = [(state.schedule, state.settings) for state in states]

    def segment(whole: Schedule | None) -> Schedule | None:
        return None if whole is None else _Segment(whole, before, epochs)

    try:
        for state, (schedule, settings) in zip(states, kept, strict=True):
            state.schedule = segment(schedule)
            if settings is not None and settings.has_schedules:
                decay, dropout = map(segment, settings.schedules)
                state.settings = replace(settings, weight_decay_schedule=decay, dropout_schedule=dropout)
        yield
    finally:
        for state, (schedule, settings) in zip(states, kept, strict=True):
            state.schedule, state.settings = schedule, settings


def _sort_key(row: Mapping[str, Any], name: str, sign: float) -> tuple[Any, ...]:
    """Return a sort key: longest trained first, then the best; networks with an error come last."""
    value = row.get(name, math.nan)
    return row["error"] is not None, -row["epochs"], math.isnan(value), sign * value


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else type(value).__name__ if isinstance(value, Exception) else str(value)
