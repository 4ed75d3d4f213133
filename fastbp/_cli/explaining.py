"""`fastbp explain`: show how a model comes to its predictions for rows of a table."""

from __future__ import annotations

import math
from argparse import Namespace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _messages, tables
from .._files import TableError
from .._writing import replacing
from ..trainer import Trainer
from .files import about, check_output, input_names, load_model, read_table

if TYPE_CHECKING:
    from ..explanation import Derivative, Explanation

FORMS = (".html", ".tex", ".txt")  # types of the file of an explanation


def explain(arguments: Namespace) -> dict[str, Any]:
    """Show one step of backpropagation for rows of a table, with every z, a, δ and ∂J/∂θ."""
    from ..explanation import explain as explain_samples
    from ..explanation._html import is_drawn, weight as weight_data

    form = None if arguments.out is None else Path(arguments.out).suffix.lower()
    check_output(arguments)
    if form is not None and form not in FORMS:
        raise TableError(f"--out: expected a file of type {', '.join(FORMS)}, got {arguments.out!r}")
    trainer, table = load_model(arguments.model)
    if arguments.weight:
        _check_weight(arguments.weight, trainer)
    frame = read_table(arguments.data, [*input_names(table), table.target.name])
    rows = _rows(arguments, len(frame))
    with about(arguments.data):
        samples = frame.iloc[[row - 1 for row in rows]]
        explanation = explain_samples(trainer, tables.inputs(table, samples), tables.targets(table, samples))
    weight = _weight(explanation, arguments.weight) if arguments.weight else None
    place = arguments.out
    if form == ".html":
        if weight and not is_drawn(explanation):
            raise TableError(f"--weight: {arguments.out} has no picture to choose it in; write a .txt, or leave it out")
        explanation.to_html(arguments.out)
        place += "#weight-{}-{}-{}".format(*arguments.weight) if weight else ""
    elif form is not None:
        shown = weight or explanation
        with replacing(arguments.out, text=True) as file:
            file.write((shown.latex() if form == ".tex" else shown.text()) + "\n")
    elif not arguments.json:
        _messages.result((weight or explanation).text() + "\n")
        return {}
    found = {
        "explanation": place,
        "rows": rows,
        "loss": explanation.J,
        "view": explanation.view,
        "paths": _bounded(explanation.n_paths),
        "derivatives": _bounded(explanation.n_derivatives),
        "kernel_difference": explanation.kernel_difference,
    }
    return found | {"weight": weight_data(weight, len(rows))} if weight and arguments.json else found


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


def _weight(explanation: Explanation, asked: tuple[int, int, int]) -> Derivative:
    """Return the derivative by a weight, which small enough explanations have."""
    try:
        return explanation.gradient(*asked)
    except KeyError:
        shown = "-".join(map(str, explanation.sizes))
        came = f"{len(explanation.layers[0].a)} rows of {shown}"
        raise TableError(f"--weight: expected few enough weights and rows to show each, got {came}") from None


def _bounded(n: int) -> int | float:
    """Return n, or infinity where n is too large for the integers of JSON readers."""
    return n if n < 1 << 63 else math.inf
