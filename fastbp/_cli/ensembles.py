"""Ensembles that `fastbp train --best` wrote: their files, predictions, figures, contributions and importances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .._files import TableError, archive
from .._files.columns import Categories, Numbers, Table
from .._records import ModelFileError
from ..tables import RawColumns
from . import report, words
from .answer import Answer
from .files import target_facts
from .text import counted, listed, paragraph

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..explanation import Contributions
    from ..tabular._report import SearchReport

Array = npt.NDArray[Any]


def is_ensemble(path: str) -> bool:
    """Return whether a file has an ensemble, and not a single network."""
    return archive.kind_of(path) == "ensemble"


def load(path: str) -> tuple[Any, Table]:
    """Return the estimator in a file, and the table that it was fitted to."""
    from ..tabular import load as load_estimator

    try:
        model = load_estimator(path)
    except ModelFileError as error:
        raise TableError(f"{path}: {str(error).removeprefix('path: ')}") from None
    if model._table is None:  # as of a RealMLP estimator
        came = "a file of an estimator's save, which does not name the target"
        advice = "use it in Python, with fastbp.tabular.load"
        raise TableError(f"{path}: expected a model that `fastbp train --best` wrote, got {came}; {advice}")
    return model, model._table


def rows_of(model: Any, frame: DataFrame, unknown: str) -> RawColumns:
    """Return the values of a frame's rows, checked."""
    return model._fitted.columns_of(frame, unknown)


def predicted(model: Any, raw: RawColumns) -> Array:
    """Return probabilities, (n, k), or numbers, (n,)."""
    found: Array = model._in_pieces(raw, model._fitted.predict)
    return found


def answers(model: Any, predictions: Array) -> Array:
    """Return the names of the predicted classes, or the numbers."""
    return predictions if predictions.ndim == 1 else model.classes_[model._decided(predictions)]


def interval(model: Any, table: Table, raw: RawColumns, coverage: float) -> dict[str, Array]:
    """Return the ends of intervals, as columns of predictions."""
    low, high = model._intervals(raw, coverage).T
    return {f"{table.target.name}_low": low, f"{table.target.name}_high": high}


def figures_of(model: Any, table: Table, predictions: Array, y: Array, names: Sequence[str]) -> report.Facts:
    """Return the figures for rows whose target is known.

    Parameters
    ----------
    model, table : an ensemble
    predictions : (n, k) probabilities or (n,) numbers
    y : class numbers, −1 for a class that the model doesn't know, or scaled numbers, from `tables.targets`
    names : metrics
    """
    target = table.target
    if isinstance(target, Numbers):
        return report.of_numbers(_unscaled(target, y), predictions, names)
    decided = model._decided(predictions)
    output = predictions[:, 1:] if predictions.shape[1] == 2 else predictions  # as the outputs of a network
    return report.of_classes(target.categories, y.astype(np.int64), output, names, decided)


def _unscaled(target: Numbers, y: Array) -> Array:
    """Return targets in their own units; unlike predictions, they are not clamped."""
    return replace(target, low=None, high=None).unscaled(y)


def covered(model: Any, table: Table, raw: RawColumns, y: Array, coverage: float) -> float | None:
    """Return the share of targets that lie in their intervals; None for classes."""
    if not isinstance(table.target, Numbers):
        return None
    low, high = model._intervals(raw, coverage).T
    truth = _unscaled(table.target, y)
    return float(((low <= truth) & (truth <= high)).mean())


def coverage_text(told: SearchReport) -> str:
    """Return how many targets lie in their intervals."""
    if told.covered is None:
        return ""
    return "\n" + paragraph(f"The 90 % intervals contain {100 * told.covered:.1f} % of the held-out targets.")


def contributions(model: Any, table: Table, frame: DataFrame, rows: Sequence[int]) -> tuple[Contributions, list[Any]]:
    """Return the contributions to the predictions for rows of a frame, and the predictions."""
    from ..explanation._of_table import targets_of
    from ..explanation._shares import number

    found = model.explain(frame[list(model.feature_names_in_)])
    truth: Sequence[str | None] = targets_of(table, frame) or [None] * len(rows)
    told, answered = [], []
    for one, row, value, of_target in zip(found.told, rows, found.outputs, truth, strict=True):
        text, explained = one.prediction, one.explained
        if isinstance(table.target, Numbers):
            text, explained = number(value), f"The predicted {table.target.name}"
        told.append(replace(one, label=f"row {row}", target=of_target, explained=explained, prediction=text))
        answered.append(text if isinstance(table.target, Categories) else float(value))
    return replace(found, told=tuple(told)), answered


def n_parameters(model: Any) -> int:
    """Return the number of weights of all networks."""
    return sum(member.parameters.size for member in model.members_ if member.family == "network") or 1


def score(model: Any, table: Table, y: Array, metric: str) -> Callable[[RawColumns], list[float]]:
    """Return a function of rows, once or several times, that returns a metric of what is predicted each time.

    Parameters
    ----------
    model, table, y : as in `figures_of`
    metric : its name
    """
    names = (metric,) if isinstance(table.target, Numbers) else ("accuracy", metric)

    def measured(rows: RawColumns) -> list[float]:
        parts = np.split(predicted(model, rows), len(rows) // len(y))
        return [figures_of(model, table, part, y, names)["measured"][metric] for part in parts]

    return measured


def shuffled(
    raw: RawColumns,
    score: Callable[[RawColumns], list[float]],
    sign: int,
    repeats: int,
    seed: int,
    tell: Callable[[int], object],
) -> tuple[float, Array]:
    """Return a metric of rows, and by how much it gets worse for each column and shuffle, (p, repeats).

    Parameters
    ----------
    raw, score : the rows and the metric
    sign : 1 if larger metrics are better, otherwise −1
    repeats, seed : of the shuffles
    tell : called with the number of shuffles that are done since the last call
    """
    from ..tabular import _importance

    before = score(raw)

    def losses(rows: RawColumns) -> list[float]:
        found = before if rows is raw else score(rows)
        tell(0 if rows is raw else len(found))
        return [-sign * value for value in found]

    return before[0], _importance.shuffled(losses, raw, repeats, np.random.default_rng(seed))


def members(model: Any) -> list[dict[str, Any]]:
    """Return the members of the ensemble and their weights, the largest first."""
    order = np.argsort(-model.weights_, kind="stable")
    return [{"name": model.members_[j].name, "weight": float(model.weights_[j])} for j in order]


def about(model: Any) -> str:
    """Return what the ensemble consists of."""
    families = [member.family for member in model.members_]
    parts = [counted(model.n_networks_, "network")] if model.n_networks_ else []
    linear = families.count("linear")
    parts += [counted(linear, "linear model")] if linear else []
    parts += ["a constant"] if "constant" in families else []
    kinds = families.count("network")
    of = f" of {counted(kinds, 'configuration')}" if kinds else ""
    return f"The ensemble has {' and '.join([parts[0] + of, *parts[1:]] if kinds else parts)}."


def information(path: str) -> Answer:
    """Return what the file of an ensemble says."""
    model, table = load(path)
    told = model._report
    results = {
        "model": path,
        "target": target_facts(table),
        "columns": [{"name": name, "kind": kind, "becomes": text} for name, kind, text in table.describe()],
        "metric": model.metric_,
        "members": members(model),
        "networks": model.n_networks_,
        "training": None if told is None else told.record(),
    }
    text = words.columns(table, every=True) + "\n"
    seed = f" The seed was {model.random_state}." if model.random_state is not None else ""
    text += paragraph(f"{about(model)} It was optimized for {model.metric_}.{seed}")
    text += paragraph(f"Members: {listed([member['name'] for member in results['members']])}.") + "\n"
    if told is None:
        return Answer(results, text)
    rows = {"out of fold": told.rows, "held out": told.held_out_rows}
    parts = {
        name: {"rows": rows[name], "measured": told.measured[name], "baseline": told.measured.get("baseline", {})}
        for name in rows
        if told.measured.get(name)
    }
    text += report.text(parts, of_numbers=isinstance(table.target, Numbers)) if parts else ""
    return Answer(results, text + coverage_text(told))
