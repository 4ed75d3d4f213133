"""`fastbp train --best`: search for the best ensemble of networks and linear models for a table."""

from __future__ import annotations

import math
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import _messages, tables
from .._checks import fraction, real, whole
from .._files import TableError
from .._files.columns import Categories, Table
from .._library.announce import announced_if
from ..progress import ProgressBar, interactive
from ..tables._problems import numbered
from . import ensembles, fitting, report, words
from .answer import Answer
from .disguise import in_disguise
from .files import about, target_facts, told_interruption, told_warnings
from .reading import Found, found
from .split import split, strata
from .text import aligned, counted, figure, paragraph

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..tabular import TabularClassifier, TabularRegressor
    from ..tabular._fitted import Row

    Estimator = TabularClassifier | TabularRegressor

Array = npt.NDArray[Any]

SECONDS = 60.0
COVERAGE = 0.9  # of the intervals that the report judges
SEED = 2**32 - 1  # the largest that scikit-learn takes
SHOWN = 8  # candidates that the report shows
OTHERS = {  # options of a single network, and what they are without
    **dict.fromkeys(("hidden", "networks", "epochs", "patience", "batch_size", "learning_rate", "optimizer")),
    **dict.fromkeys(("activation", "schedule", "dropout", "l2", "class_weight", "plot")),
    "resume": False,
    "folds": 0,
    "missing": "indicator",
}
INSTEAD = {
    "class_weight": "; to give rare classes more weight, use --metric balanced_accuracy",
    "folds": "; --best always cross-validates",
    "missing": "; a missing value always has an input of its own",
}
OWN = ("seconds", "metric")  # options of a search


def check_alone(arguments: Namespace) -> None:
    """Refuse options of a search without --best."""
    for name in OWN:
        if getattr(arguments, name) is not None:
            raise TableError(f"--{name}: expected --best with it, got none")


def search(arguments: Namespace, comm: Any) -> Answer:
    """Search for the best ensemble, write it, and return what there is to say about it."""
    for name, usual in OTHERS.items():
        if getattr(arguments, name) != usual:
            option = f"--{name.replace('_', '-')}"
            raise TableError(f"{option}: is for a single network, not for --best{INSTEAD.get(name, '')}")
    if comm is not None:
        raise TableError("--best: runs in one process, not with MPI")
    seconds = SECONDS if arguments.seconds is None else _seconds(arguments.seconds)
    _check_numbers(arguments)
    share = 0.0 if arguments.validation is None else fraction("--validation", arguments.validation)
    with told_warnings(silent=arguments.quiet), told_interruption(arguments):
        read = found(arguments)
        model = _untrained(arguments, read.table, seconds)
        names = report.metric_names(arguments.metrics, read.table)
        return _searched(arguments, read, model, names, share)


def _check_numbers(arguments: Namespace) -> None:
    """Check --seed and --threads before the table is read."""
    if arguments.seed is not None:
        whole("--seed", arguments.seed, minimum=0)
        if arguments.seed > SEED:
            raise TableError(f"--seed: expected an integer from 0 to {SEED} with --best, got {arguments.seed}")
    threads = arguments.threads
    if threads != "auto" and (not isinstance(threads, int) or threads < 1):
        raise TableError(f"--threads: expected a number of threads ≥ 1, or auto, got {threads}")


def _seconds(given: float) -> float:
    return real("--seconds", given, above=0, dtype=np.dtype(np.float64))


def _untrained(arguments: Namespace, table: Table, seconds: float) -> Estimator:
    """Return the estimator for a table, with the options of the command, checked."""
    from ..tabular import TabularClassifier, TabularRegressor
    from ..tabular._objectives import objective_of

    is_class = isinstance(table.target, Categories)
    seed = int(np.random.default_rng().integers(1 << 31)) if arguments.seed is None else arguments.seed
    metric = arguments.metric or "auto"
    try:
        objective_of(metric, classes=is_class)
    except ValueError as error:
        raise TableError(f"--{error}") from None
    kind: Any = TabularClassifier if is_class else TabularRegressor
    threads = -1 if arguments.threads == "auto" else arguments.threads
    model: Estimator = kind(seconds, metric=metric, random_state=seed, n_jobs=threads)
    return model


def _searched(arguments: Namespace, read: Found, model: Estimator, names: tuple[str, ...], share: float) -> Answer:
    """Search, write the ensemble, and describe it."""
    table, frame = read.table, read.frame
    shows = not (arguments.quiet or arguments.json)
    with about(arguments.data), numbered(read.numbers):
        y = tables.targets(table, frame)
        some = fitting.spread(len(frame))
        seen = frame.iloc[some].reset_index(drop=True)
        text = read.about(arguments.data, in_disguise(table, seen, tables.inputs(table, seen), y[some]))
    rng = np.random.default_rng(model.random_state)
    training, held_out = split(strata(table, y), share, rng)
    if shows:
        _messages.result(text + _plan(model, len(training), len(held_out)))
    started = time.perf_counter()
    bar = _progress(model, shown=interactive() and shows)
    with about(arguments.data), announced_if(not arguments.quiet), bar as told:
        _fit(model, table, frame.iloc[training].reset_index(drop=True), y[training], told)
    took = time.perf_counter() - started
    parts = {"out of fold": ensembles.figures_of(model, table, model.oof_prediction_, y[training], names)}
    covered = None
    if len(held_out):
        rest = frame.iloc[held_out].reset_index(drop=True)
        with told_warnings(silent=True):
            raw = ensembles.rows_of(model, rest, "other")
        parts["held out"] = ensembles.figures_of(model, table, ensembles.predicted(model, raw), y[held_out], names)
        covered = ensembles.covered(model, table, raw, y[held_out], COVERAGE)
    measured = {name: _finite(part["measured"]) for name, part in parts.items()}
    measured["baseline"] = _finite(parts["out of fold"]["baseline"])
    model._table = table
    model._report = _report_of(len(training), len(held_out), read.without_target, took, covered, measured)
    model.save(arguments.out)
    return _answer(arguments, read, model, parts)


def _report_of(*values: Any) -> Any:
    from ..tabular._report import SearchReport

    return SearchReport(*values)


def _fit(model: Estimator, table: Table, frame: DataFrame, y: Array, told: Callable[[Row], None] | None) -> None:
    """Fit the estimator to the table's columns as they were recognised; classes keep their names and order."""
    columns = tuple(replace(c, statistics=()) if isinstance(c, Categories) else c for c in table.columns)
    target = table.target
    inputs = frame[[column.name for column in columns]]
    is_class = isinstance(target, Categories)
    values = y if isinstance(target, Categories) else replace(target, low=None, high=None).unscaled(y)
    try:
        with told_warnings(silent=True):
            model._fit(inputs, values, classes=is_class, columns=columns, told=told)
    except ValueError as error:
        if not str(error).startswith("y: "):
            raise
        text = str(error).removeprefix("y: ").replace(f"metric={model.metric!r}", f"--metric {model.metric}")
        raise TableError(f"column {target.name!r}: {text}") from None
    if isinstance(target, Categories):
        model.classes_ = np.array(target.categories, object)


def _plan(model: Estimator, training: int, held_out: int) -> str:
    """Return what is searched for how long."""
    text = f"fastbp trains networks of many configurations and linear models on {counted(training, 'row')}, each in "
    seconds = f"{model.max_seconds:g} second{'s' * (model.max_seconds != 1)}"
    text += f"{model.cv} folds, for {seconds}, and weights those that predict best together."
    text += f" {counted(held_out, 'row')} {'is' if held_out == 1 else 'are'} held out." if held_out else ""
    return paragraph(f"{text} The seed is {model.random_state}.") + "\n"


@contextmanager
def _progress(model: Estimator, *, shown: bool) -> Iterator[Callable[[Row], None] | None]:
    """Show a bar that says how many candidates are done, and how good the best one is."""
    if not shown:
        yield None
        return
    from ..tabular._objectives import objective_of

    objective = objective_of(model.metric, classes=model._kind == "classifier")
    started, best, count = time.perf_counter(), math.inf, 0
    form = "{desc} {bar:10} {elapsed}"
    bar = ProgressBar().new(total=model.max_seconds, bar_format=form, desc="searching", leave=False)

    def told(row: Row) -> None:
        nonlocal best, count
        count += 1
        best = min(best, row.loss if row.complete else math.inf)
        value = figure(1 - best if objective.greater_is_better else best)
        bar.set_description_str(f"{counted(count, 'candidate')}, best {objective.metric} {value}", refresh=False)
        bar.update(min(time.perf_counter() - started, model.max_seconds or math.inf) - bar.n)

    try:
        yield told
    finally:
        bar.close()


def _finite(figures: dict[str, float]) -> dict[str, float]:
    """Return the figures that can be measured, as JSON has them."""
    return {name: float(value) for name, value in figures.items() if math.isfinite(value)}


def _answer(arguments: Namespace, read: Found, model: Estimator, parts: dict[str, report.Facts]) -> Answer:
    """Return what there is to say about a search."""
    table, told = read.table, model._report
    assert told is not None
    board = model.leaderboard()
    results = {
        "model": arguments.out,
        "rows": told.rows,
        "held_out_rows": told.held_out_rows,
        "without_target": told.without_target,
        "columns": [{"name": name, "kind": kind, "becomes": text} for name, kind, text in table.describe()],
        "target": target_facts(table),
        "seed": model.random_state,
        "seconds": told.seconds,
        "metric": model.metric_,
        "candidates": len(board) - 1,
        "members": ensembles.members(model),
        "networks": model.n_networks_,
        "interrupted": model.interrupted_,
        "covered": told.covered,
        "leaderboard": board.to_dict("records"),
        **{name.replace(" ", "_"): part for name, part in parts.items()},
    }
    text = ("Interrupted. " if model.interrupted_ else "") + f"{counted(len(board) - 1, 'candidate')} in "
    text = paragraph(f"{text}{told.seconds:.0f} s. {ensembles.about(model)}") + "\n" + _board(model) + "\n"
    text += report.text(parts, of_numbers=not isinstance(table.target, Categories))
    text += ensembles.coverage_text(told)
    return Answer(results, text + words.written(arguments.out, arguments.data, named=not arguments.no_header))


def _board(model: Estimator) -> str:
    """Return the ensemble, its members by their weights, and the best of the other candidates."""
    board = model.leaderboard()
    board = board[board["complete"]].sort_values("weight", ascending=False, kind="stable", na_position="first")
    rows = [["", model.metric_, "weight", "training seconds"]]
    for row in board[: SHOWN + 1].itertuples(index=False):
        weight = f"{row[3]:.3f}" if row[3] > 0 else ""
        rows.append([str(row[0]), figure(row[2]), weight, f"{row[4]:.2f}"])
    return aligned(rows)
