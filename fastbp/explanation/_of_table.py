"""Contributions of the columns of a table, in the table's own words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import tables
from .._files.cells import missing_in, texts_in
from .._files.columns import Categories, Column, Numbers, Table
from .._terminal import shortened
from ..tables._cells import cells_of
from ..tables._numbers import read
from ..trainer import Trainer
from ._contributions import Contributions, explained, grouped
from ._integrals import Answer
from ._shares import number
from ._told import Told

if TYPE_CHECKING:
    from pandas import DataFrame, Series

Array = npt.NDArray[Any]

ABSENT = "missing"
NAME = 40  # characters of a class, and of the target's name
LONG = 10  # characters of a number from which on it is rounded
MEAN = "the mean of the training rows"


def contributions_of_rows(
    trainer: Trainer, table: Table, frame: DataFrame, X: Array, labels: Sequence[str]
) -> Contributions:
    """Return the contributions of each column to what is predicted for some rows, from the mean of the training rows.

    Parameters
    ----------
    trainer, table : a model that `fastbp train` wrote
    frame : the rows
    X : their inputs, (m, n_1)
    labels : what the rows are called
    """
    output = trainer.predict(X)
    answers, target, start = tables.answers(table, output), table.target, table.baseline
    if isinstance(target, Categories):
        chosen = np.array([target.codes[name] for name in answers], np.int64)
        is_single = table.n_outputs == 1
        units, signs = (
            (np.zeros_like(chosen), np.where(chosen == 1, 1.0, -1.0)) if is_single else (chosen, np.ones(len(X)))
        )
        values, outputs, baselines = explained(trainer, X, start, units, signs)
        each = np.hstack([1 - output, output]) if is_single else output
        told = _of_classes(target, labels, answers, each)
    else:
        chosen = np.zeros(len(X), np.int64)
        values, outputs, baselines = explained(trainer, X, start, chosen, np.ones(len(X)), _answer(target))
        told = _of_numbers(target, labels, answers, outputs)
    cells = zip(*(cell_texts(column, frame[column.name]) for column in table.columns), strict=True)
    truth: Sequence[str | None] = targets_of(table, frame) or [None] * len(told)
    if isinstance(target, Numbers):
        truth = _as_predicted(target, frame, truth)
    full = [
        Told(one.label, one.explained, row, one.prediction, one.probabilities, of_target, one.notes)
        for one, row, of_target in zip(told, cells, truth, strict=True)
    ]
    sums = grouped(values, table.slices)
    return Contributions(tuple(table.slices), sums, outputs, baselines, chosen, tuple(full), "column", MEAN)


def _answer(target: Numbers) -> Answer:
    """Return a function of a, the output, that returns the number in the target's units, and its derivative by a."""

    def answer(a: Array) -> tuple[Array, Array]:
        return a * target.deviation + target.mean, np.full_like(a, target.deviation)

    return answer


def _of_classes(target: Categories, labels: Sequence[str], answers: Array, probabilities: Array) -> list[Told]:
    """Return the predicted classes and the probabilities of all classes, the predicted one first."""
    found = []
    for label, name, row in zip(labels, answers, probabilities, strict=True):
        order = sorted(range(len(row)), key=lambda k: (-row[k], target.categories[k] != name))
        ranked = tuple((target.categories[k], float(row[k])) for k in order)
        found.append(Told(label, f"The probability of {shortened(str(name), NAME)}", (), str(name), ranked))
    return found


def _of_numbers(target: Numbers, labels: Sequence[str], answers: Array, outputs: Array) -> list[Told]:
    """Return the predicted numbers. They are within the range of training, which contributions don't know of."""
    found, name = [], shortened(target.name, NAME) + _unit(target)
    for label, answer, value in zip(labels, answers, outputs, strict=True):
        given, shown = number(value), number(answer)
        is_limited = target.low is not None and target.high is not None and not target.low <= value <= target.high
        if not is_limited or given == shown:
            found.append(Told(label, f"The predicted {name}", (), given))
            continue
        side = "less" if value < answer else "more"
        note = (
            f"The network gives {given}, which is {side} than any training row has, and so the prediction is {shown}."
        )
        note += f" The contributions explain {given}."
        found.append(Told(label, f"The network's {name}", (), shown, notes=(note,)))
    return found


def _unit(target: Numbers) -> str:
    """Return the unit of a target, in brackets."""
    unit = "days" if target.spelling == "duration" else target.unit
    return f" (in {unit})" if unit else ""


def _as_predicted(target: Numbers, frame: DataFrame, texts: Sequence[str | None]) -> list[str | None]:
    """Return the targets as predictions are written: without a unit, in the same spelling. Other text stays."""
    if target.name not in frame.columns:
        return list(texts)
    cells = cells_of(frame[target.name])
    values = np.append(read(cells, target.spelling, target.unit), np.nan)[cells.codes]  # the code of missing is -1
    found = []
    for text, value in zip(texts, values, strict=True):
        is_plain = text is None or target.spelling == "plain" or not math.isfinite(value)
        found.append((text and _rounded(text)) if is_plain else number(value, 6))
    return found


def cell_texts(column: Column, series: Series[Any]) -> list[str]:
    """Return the cells of a column as text, numbers with few digits."""
    texts = _texts(series)
    return list(map(_rounded, texts)) if isinstance(column, Numbers) else texts


def targets_of(table: Table, frame: DataFrame) -> list[str] | None:
    """Return the targets as text, "" for a missing one; classes by the names that the model has for them.

    None if the frame has no column of the target.
    """
    if table.target.name not in frame.columns:
        return None
    texts = _texts(frame[table.target.name], "")
    return [tables.label(text) for text in texts] if isinstance(table.target, Categories) else texts


def _rounded(text: str) -> str:
    """Return a long number with six digits; any other text as it is."""
    if len(text) <= LONG:
        return text
    try:
        return number(float(text), 6)
    except ValueError:
        return text


def _texts(series: Series[Any], absent: str = ABSENT) -> list[str]:
    """Return the cells of a column as text."""
    missing = missing_in(series)
    texts = iter(texts_in(series[~missing]))
    return [absent if gone else str(next(texts)) for gone in missing]
