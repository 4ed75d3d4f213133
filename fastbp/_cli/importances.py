"""`fastbp importance`: show which columns a model needs."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks, metrics, tables
from .._files import TableError
from .._files.columns import Categories, Table
from ..callbacks._watch import direction
from ..tables._problems import numbered
from ..trainer import Trainer
from . import report
from .answer import Answer
from .files import about, bar_of, input_names, load_model, read_table, told_warnings
from .text import counted, paragraph, width

Array = npt.NDArray[Any]


def importance(arguments: Namespace) -> dict[str, Any]:
    """Show how much worse a model gets when the values of a column are shuffled."""
    from ..explanation import Importance
    from ..explanation._importance import shuffled

    trainer, table = load_model(arguments.model)
    is_class = isinstance(table.target, Categories)
    _checks.whole("--repeats", arguments.repeats, minimum=1)
    _checks.whole("--seed", arguments.seed, minimum=0)
    metric = _metric(arguments.metric, is_class=is_class)
    X, y, left_out = _samples(arguments, table)
    measured = _measure(trainer, table, y, metric)
    before, values = shuffled(
        X, measured, list(table.slices.values()), direction(metric, "auto"), arguments.repeats, arguments.seed
    )
    name = report.SHOWN.get(metric, metric.replace("_", " "))
    found = Importance(tuple(table.slices), values, name, before, len(X), "column")
    text = found.text(width(), bar_of()) + "\n"
    if left_out:
        text = paragraph(left_out) + "\n" + text
    return Answer(_facts(found, metric), text)


def _metric(name: str | None, *, is_class: bool) -> str:
    """Return the metric that --metric names, checked."""
    usual = "log_loss" if is_class else "rmse"
    try:
        (found,) = metrics.metric_names(name or usual)
    except ValueError as error:
        raise TableError(f"--metric{str(error).removeprefix('metrics')}") from None
    if not is_class and found not in metrics.OF_NUMBERS:
        expected = f"a metric of numbers ({', '.join(metrics.OF_NUMBERS)}), because the target is numbers"
        raise TableError(f"--metric: expected {expected}, got {found!r}")
    return str(found)


def _samples(arguments: Namespace, table: Table) -> tuple[Array, Array, str]:
    """Return X and y of rows whose target the model knows, and which rows are left out."""
    most = _checks.whole("--rows", arguments.rows, minimum=2)
    frame = read_table(arguments.data, [*input_names(table), table.target.name])
    with about(arguments.data), told_warnings():
        rows = np.flatnonzero(tables.with_target(table, frame))
        with numbered(rows + 1):
            y = tables.targets(table, frame.iloc[rows].reset_index(drop=True), unknown="other")
        is_known = y >= 0 if isinstance(table.target, Categories) else np.isfinite(y)
        known, y = rows[is_known], y[is_known]
        if not known.size:
            expected = f"column {table.target.name!r}, the target: expected a value that the model knows in some row"
            raise TableError(f"{expected}, got none")
        some = np.arange(len(known))
        if len(some) > most:
            some = np.sort(np.random.default_rng(arguments.seed).choice(some, most, replace=False))
        with numbered(known[some] + 1):
            X = tables.inputs(table, frame.iloc[known[some]].reset_index(drop=True), unknown=arguments.unknown)
    return X, y[some], _left_out(len(frame) - len(rows), len(rows) - len(known), len(known), len(some))


def _left_out(without_target: int, unknown: int, known: int, used: int) -> str:
    """Return which rows are left out, and why."""
    texts = []
    if without_target:
        texts.append(f"{counted(without_target, 'row')} without a target {_are(without_target)} left out.")
    if unknown:
        texts.append(f"{counted(unknown, 'row')} whose class the model doesn't know {_are(unknown)} left out.")
    if used < known:
        texts.append(f"{used:,} of {known:,} rows are used, chosen at random.")
    return " ".join(texts)


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _measure(trainer: Trainer, table: Table, y: Array, metric: str) -> Callable[[Array], float]:
    """Return a function of X that returns the metric, for numbers in the target's units."""
    target = table.target
    if isinstance(target, Categories):
        labels = y.astype(np.int64)
        return lambda X: report.measure((metric,), labels, trainer.predict(X))[metric]
    truth = y * target.deviation + target.mean
    return lambda X: report.of_numbers(truth, tables.answers(table, trainer.predict(X)), (metric,))["measured"][metric]


def _facts(found: Any, metric: str) -> dict[str, Any]:
    """Return the importances as JSON values."""
    columns = {
        found.names[j]: {"mean": float(found.means[j]), "deviation": float(found.spreads[j])} for j in found.order
    }
    return {"metric": metric, "measured": found.measured, "rows": found.n_samples, "columns": columns}
