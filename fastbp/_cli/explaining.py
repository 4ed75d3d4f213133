"""`fastbp explain`: show how a model comes to its predictions for rows of a table."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import tables
from .._files import TableError
from .._files.columns import Categories, Table
from .._writing import replacing
from ..tables._problems import numbered
from ..trainer import Trainer
from . import ensembles
from .answer import Answer
from .files import about, bar_of, check_output, input_names, load_model, read_rows, told_warnings
from .text import counted, width

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..explanation import Contributions, Derivative, Explanation

FORMS = (".html", ".tex", ".txt")  # types of the file of an explanation
MOST = 1000  # rows on a page
FILE = 100  # characters in a line of a file


def explain(arguments: Namespace) -> dict[str, Any]:
    """Explain predictions for rows of a table: how much each column contributes."""
    form = None if arguments.out is None else Path(arguments.out).suffix.lower()
    check_output(arguments)
    if form is not None and form not in FORMS:
        raise TableError(f"--out: expected a file of type {', '.join(FORMS)}, got {arguments.out!r}")
    if ensembles.is_ensemble(arguments.model):
        return _of_ensemble(arguments, form)
    trainer, table = load_model(arguments.model)
    if arguments.weight:
        _check_weight(arguments.weight, trainer)
    samples, rows = _samples(arguments, table, form)
    with about(arguments.data), told_warnings(), numbered(rows):
        X = tables.inputs(table, samples, unknown=arguments.unknown)
    if form == ".html":
        return _page(arguments, trainer, table, samples, X, rows)
    if arguments.steps or arguments.weight or form == ".tex":
        with about(arguments.data), numbered(rows):
            explanation = _steps(arguments, trainer, table, samples, X)
        return _shown_steps(arguments, explanation, rows)
    found, answers = _contributions(trainer, table, samples, X, rows)
    return _shown(arguments, table, samples, found, answers, rows)


def _samples(arguments: Namespace, table: Table, form: str | None) -> tuple[DataFrame, list[int]]:
    """Return the rows to explain, and their numbers."""
    frame = read_rows(arguments, input_names(table))
    rows = _rows(arguments, len(frame))
    if form == ".html" and len(rows) > MOST:
        raise TableError(f"--row: expected at most {MOST:,} rows for a page, got {len(rows):,}")
    return frame.iloc[[row - 1 for row in rows]].reset_index(drop=True), rows


def _of_ensemble(arguments: Namespace, form: str | None) -> dict[str, Any]:
    """Explain predictions of an ensemble, which has no steps of backpropagation to show."""
    if arguments.steps or arguments.weight or form == ".tex":
        option = "--steps" if arguments.steps else "--weight" if arguments.weight else "--out"
        came = f"{arguments.model!r}, which is an ensemble of many networks"
        raise TableError(f"{option}: expected a model of one network to show its backpropagation, got {came}")
    model, table = ensembles.load(arguments.model)
    samples, rows = _samples(arguments, table, form)
    with about(arguments.data), told_warnings(), numbered(rows):
        ensembles.rows_of(model, samples, arguments.unknown)
    with told_warnings(silent=True):
        found, answers = ensembles.contributions(model, table, samples, rows)
    if form == ".html":
        found.to_html(arguments.out)
        results = {"explanation": arguments.out, "rows": rows} | _facts(table, samples, found, answers, rows)
        return Answer(results, f"Wrote {arguments.out}, which explains {counted(len(rows), 'row')}.\n")
    return _shown(arguments, table, samples, found, answers, rows)


def _shown(
    arguments: Namespace, table: Table, samples: DataFrame, found: Contributions, answers: list[Any], rows: list[int]
) -> Answer:
    """Return the contributions as text, or write them to a file."""
    form = arguments.out is not None
    text = found.text(FILE if form else width(), "█" if form else bar_of()) + "\n"
    if form:
        with replacing(arguments.out, text=True) as file:
            file.write(text)
        text = f"Wrote {arguments.out}, which explains {counted(len(rows), 'row')}.\n"
    return Answer({"explanation": arguments.out, "rows": rows} | _facts(table, samples, found, answers, rows), text)


def _contributions(
    trainer: Trainer, table: Table, samples: DataFrame, X: Any, rows: list[int]
) -> tuple[Contributions, list[Any]]:
    """Return the contributions to the predictions, and the predictions."""
    from ..explanation._of_table import contributions_of_rows

    found = contributions_of_rows(trainer, table, samples, X, [f"row {row}" for row in rows])
    return found, tables.answers(table, trainer.predict(X)).tolist()


def _steps(arguments: Namespace, trainer: Trainer, table: Table, samples: DataFrame, X: Any) -> Explanation:
    """Return one step of backpropagation, with the names of the inputs and outputs."""
    from ..explanation import explain as explain_samples

    explanation = explain_samples(trainer, X, tables.targets(table, samples), weight=arguments.weight)
    outputs: tuple[str, ...] = (table.target.name,)
    if isinstance(table.target, Categories):
        outputs = table.target.categories[-table.n_outputs :]  # of two classes, the second one
    return replace(explanation, input_names=table.input_names, output_names=outputs)


def _facts(
    table: Table, samples: DataFrame, found: Contributions, answers: list[Any], rows: list[int]
) -> dict[str, Any]:
    """Return the predictions and the contributions as JSON values."""
    from ..explanation._of_table import targets_of

    predictions = []
    truth: Sequence[str | None] = targets_of(table, samples) or [None] * len(rows)
    for i, (row, told, answer, target) in enumerate(zip(rows, found.told, answers, truth, strict=True)):
        order = np.argsort(-np.abs(found.values[i]), kind="stable")
        predictions.append(
            {
                "row": row,
                "prediction": answer,
                "probabilities": dict(told.probabilities) or None,
                "target": target,
                "explained": told.explained,
                "output": float(found.outputs[i]),
                "baseline_output": float(found.baseline_outputs[i]),
                "contributions": {found.names[j]: float(found.values[i, j]) for j in order},
                "difference": float(found.differences[i]),
            }
        )
    return {"target": table.target.name, "predictions": predictions}


def _page(
    arguments: Namespace, trainer: Trainer, table: Table, samples: DataFrame, X: Any, rows: list[int]
) -> dict[str, Any]:
    """Write the page: the contributions, and the steps if each row has a target."""
    found, answers = _contributions(trainer, table, samples, X, rows)
    explanation, why = None, f"{arguments.data} has no column {table.target.name!r}, the target"
    if table.target.name in samples.columns:
        try:
            with numbered(rows):
                explanation = _steps(arguments, trainer, table, samples, X)
        except TableError as error:
            why = str(error)
    if arguments.weight and explanation is None:
        raise TableError(f"--weight: expected rows with a target, but {why}")
    weight = explanation.gradient(*arguments.weight) if explanation and arguments.weight else None
    found.to_html(arguments.out, explanation)
    place = arguments.out + ("#weight-{}-{}-{}".format(*arguments.weight) if weight else "")
    results = {"explanation": place, "rows": rows} | _facts(table, samples, found, answers, rows)
    text = f"Wrote {arguments.out}, which explains {counted(len(rows), 'row')}.\n"
    text += f"To see the weight, open {place}\n" if weight else ""
    if explanation is None:
        return Answer(results, f"{text}It does not show the steps of backpropagation, because {why}.\n")
    return Answer(results | _step_facts(explanation, weight, len(rows)), text)


def _shown_steps(arguments: Namespace, explanation: Explanation, rows: list[int]) -> dict[str, Any]:
    """Print or write one step of backpropagation, or the paths of one weight."""
    weight = explanation.gradient(*arguments.weight) if arguments.weight else None
    shown = weight or explanation
    results = {"explanation": arguments.out, "rows": rows} | _step_facts(explanation, weight, len(rows))
    if arguments.out is None:
        return Answer(results, shown.text() + "\n")
    with replacing(arguments.out, text=True) as file:
        file.write((shown.latex() if Path(arguments.out).suffix.lower() == ".tex" else shown.text()) + "\n")
    return Answer(results, f"Wrote {arguments.out}, which explains {counted(len(rows), 'row')}.\n")


def _step_facts(explanation: Explanation, weight: Derivative | None, m: int) -> dict[str, Any]:
    """Return what --json says about one step of backpropagation."""
    from ..explanation._html import weight as weight_data

    found: dict[str, Any] = {
        "loss": explanation.J,
        "view": explanation.view,
        "paths": _bounded(explanation.n_paths),
        "derivatives": _bounded(explanation.n_derivatives),
        "kernel_difference": explanation.kernel_difference,
    }
    return found if weight is None else found | {"weight": weight_data(weight, m)}


def _rows(arguments: Namespace, count: int) -> list[int]:
    """Return the numbers of the rows to explain, from 1; count: the number of rows of the table."""
    for span in arguments.row:
        if not 0 < span[0] <= span[-1] <= count:
            came = span[0] if span[0] <= 0 or span[0] > count else span[-1]
            raise TableError(f"--row: expected rows of {arguments.data} from 1 to {count}, got {came}")
    return list(chain.from_iterable(arguments.row))


def _check_weight(asked: tuple[int, int, int], trainer: Trainer) -> None:
    """Check that the network has the weight, before anything is computed."""
    sizes, (l, j, k) = trainer.layer_sizes, asked
    came, least = ",".join(map(str, asked)), 0 if trainer.use_bias else 1
    if not 1 <= l < len(sizes):
        raise TableError(f"--weight: expected L,J,K with a layer L from 1 to {len(sizes) - 1}, got {came}")
    if not 1 <= j <= sizes[l]:
        raise TableError(f"--weight: expected L,J,K with a unit J of layer {l + 1} from 1 to {sizes[l]}, got {came}")
    if not least <= k <= sizes[l - 1]:
        bias = ", or 0 for the bias unit" if trainer.use_bias else ""
        expected = f"L,J,K with a unit K of layer {l} from 1 to {sizes[l - 1]}{bias}"
        raise TableError(f"--weight: expected {expected}, got {came}")


def _bounded(n: int) -> int | float:
    """Return n, or infinity where n is too large for the integers of JSON readers."""
    return n if n < 1 << 63 else math.inf
