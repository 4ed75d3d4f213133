"""`fastbp importance`: show which columns a model needs."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import _checks, metrics, plots, tables
from .._files import TableError
from .._files.columns import Categories, Table
from ..callbacks._watch import direction
from ..progress import ProgressBar, interactive
from ..tables._problems import numbered
from ..trainer import Trainer
from . import ensembles, report
from .answer import Answer
from .files import about, bar_of, check_place, input_names, load_model, read_rows, rows_with_target, told_warnings
from .text import counted, paragraph, width

if TYPE_CHECKING:
    from pandas import DataFrame

Array = npt.NDArray[Any]

ROWS, FEWEST = 10_000, 500  # rows that are used unless --rows is given
WORK = 1e11  # multiplications for so many rows, some seconds
DELAY = 1.0  # seconds before the progress bar


def importance(arguments: Namespace) -> dict[str, Any]:
    """Show how much worse a model gets when the values of a column are shuffled."""
    from ..explanation import Importance
    from ..explanation._importance import shuffled

    if arguments.plot:
        check_place("--plot", arguments.plot, model=arguments.model, data=arguments.data)
        plots.check_picture("--plot", arguments.plot)
    of_ensemble = ensembles.is_ensemble(arguments.model)
    model, table = (ensembles.load if of_ensemble else load_model)(arguments.model)
    is_class = isinstance(table.target, Categories)
    _checks.whole("--repeats", arguments.repeats, minimum=1)
    _checks.whole("--seed", arguments.seed, minimum=0)
    metric = _metric(arguments.metric, is_class=is_class)
    n_parameters = ensembles.n_parameters(model) if of_ensemble else model.n_parameters

    def read(rows: DataFrame) -> Any:
        if of_ensemble:
            return ensembles.rows_of(model, rows, arguments.unknown)
        return tables.inputs(table, rows, unknown=arguments.unknown)

    X, y, left_out = _samples(arguments, table, _most(arguments, n_parameters, table), read)
    sign = direction(metric, "auto")
    with _progress(len(table.columns) * arguments.repeats, shown=interactive() and not arguments.json) as tell:
        if of_ensemble:
            score = ensembles.score(model, table, y, metric)
            before, values = ensembles.shuffled(X, score, sign, arguments.repeats, arguments.seed, tell)
        else:
            measured, parts = _measure(model, table, y, metric), list(table.slices.values())
            before, values = shuffled(X, measured, parts, sign, arguments.repeats, arguments.seed, tell)
    name = report.SHOWN.get(metric, metric.replace("_", " "))
    found = Importance(tuple(table.slices), values, name, before, len(y), "column")
    text = found.text(width(), bar_of()) + "\n"
    if left_out:
        text = paragraph(left_out) + "\n" + text
    if arguments.plot:
        plots.save(found.plot(), arguments.plot)
        text += f"\nWrote {arguments.plot}.\n"
    return Answer(_facts(found, metric) | ({"plot": arguments.plot} if arguments.plot else {}), text)


def _most(arguments: Namespace, n_parameters: int, table: Table) -> int:
    """Return the most rows to use: so many that the command takes some seconds, unless --rows is given."""
    if arguments.rows is not None:
        return _checks.whole("--rows", arguments.rows, minimum=2)
    each = n_parameters * len(table.columns) * arguments.repeats
    return int(min(max(WORK / each, FEWEST), ROWS))


@contextmanager
def _progress(total: int, *, shown: bool) -> Iterator[Callable[[int], object]]:
    """Show a bar if the work takes a while. Yield a function to call with the number of shuffles that are done."""
    if not shown:
        yield lambda _: None
        return
    bar = ProgressBar().new(total=total, desc="shuffles", leave=False, delay=DELAY)
    try:
        yield bar.update
    finally:
        bar.close()


def _metric(name: str | None, *, is_class: bool) -> str:
    """Return the metric that --metric names, checked."""
    usual = "log_loss" if is_class else "rmse"
    try:
        (found,) = metrics.metric_names(name or usual)
    except ValueError as error:
        raise TableError(f"--metric{str(error).removeprefix('metrics')}") from None
    report.check_kind("--metric", [found], is_class=is_class)
    return str(found)


def _samples(arguments: Namespace, table: Table, most: int, read: Callable[[DataFrame], Any]) -> tuple[Any, Array, str]:
    """Return the inputs and y of rows whose target the model knows, and which rows are left out."""
    frame = read_rows(arguments, [*input_names(table), table.target.name])
    with about(arguments.data), told_warnings():
        has_target, left_out = rows_with_target(table, frame)
        rows = np.flatnonzero(has_target)
        with numbered(rows + 1):
            y = tables.targets(table, frame.iloc[rows].reset_index(drop=True), unknown="other")
        is_known = y >= 0 if isinstance(table.target, Categories) else np.isfinite(y)
        known, y = rows[is_known], y[is_known]
        if not known.size:
            expected = f"column {table.target.name!r}, the target: expected a value that the model knows in some row"
            raise TableError(f"{expected}, got none")
        if known.size == 1:
            expected = "expected two or more rows with a target, because there is nothing to shuffle in one"
            raise TableError(f"{expected}, got row {known[0] + 1} alone")
        some = np.arange(len(known))
        if len(some) > most:
            some = np.sort(np.random.default_rng(arguments.seed).choice(some, most, replace=False))
        with numbered(known[some] + 1):
            X = read(frame.iloc[known[some]].reset_index(drop=True))
    texts = [left_out, _unknown(len(rows) - len(known)), _used(len(some), len(known), automatic=arguments.rows is None)]
    return X, y[some], " ".join(filter(None, texts))


def _unknown(n: int) -> str:
    """Return that n rows are left out, because the model doesn't know their class."""
    have, are = ("has", "is") if n == 1 else ("have", "are")
    return f"{counted(n, 'row')} {have} a class that training did not have, and {are} left out." if n else ""


def _used(used: int, known: int, *, automatic: bool) -> str:
    """Return how many rows are used, if there are more."""
    more = f" To use all of them, which takes longer: --rows {known}." if automatic else ""
    return f"{used:,} of {known:,} rows are used, chosen at random.{more}" if used < known else ""


def _measure(trainer: Trainer, table: Table, y: Array, metric: str) -> Callable[[Array], list[float]]:
    """Return a function of several sets of samples, (k, n, n_1), that returns the metric of each, for numbers in the
    target's units.
    """
    target = table.target
    labels = y.astype(np.int64)
    truth = y if isinstance(target, Categories) else y * target.deviation + target.mean

    def score(output: Array) -> float:
        if isinstance(target, Categories):
            return report.measure((metric,), labels, output)[metric]
        found: float = report.of_numbers(truth, tables.answers(table, output), (metric,))["measured"][metric]
        return found

    def measured(samples: Array) -> list[float]:
        k, n, width = samples.shape
        return [score(output) for output in trainer.predict(samples.reshape(k * n, width)).reshape(k, n, -1)]

    return measured


def _facts(found: Any, metric: str) -> dict[str, Any]:
    """Return the importances as JSON values."""
    columns = {
        found.names[j]: {"mean": float(found.means[j]), "deviation": float(found.spreads[j])} for j in found.order
    }
    return {"metric": metric, "measured": found.measured, "rows": found.n_samples, "columns": columns}
