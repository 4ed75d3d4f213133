"""`fastbp evaluate`: compare predictions with the target."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from typing import Any

import numpy as np

from .. import tables
from .._files.columns import Categories
from ..tables._problems import numbered
from . import ensembles, fitting, report
from .answer import Answer
from .files import about, input_names, load_model, read_rows, rows_with_target, target_facts, told_warnings
from .fitting import Samples
from .text import paragraph


def evaluate(arguments: Namespace) -> dict[str, Any]:
    """Evaluate a model on a table with the target."""
    of_ensemble = ensembles.is_ensemble(arguments.model)
    model, table = (ensembles.load if of_ensemble else load_model)(arguments.model)
    names = report.metric_names(arguments.metrics, table)
    frame = read_rows(arguments, [*input_names(table), table.target.name])
    with about(arguments.data), told_warnings():
        has_target, left_out = rows_with_target(table, frame)
        without = int((~has_target).sum())
        if without:
            frame = frame[has_target].reset_index(drop=True)
        with numbered(np.flatnonzero(has_target) + 1):
            if of_ensemble:
                raw = ensembles.rows_of(model, frame, arguments.unknown)
            else:
                X = tables.encoded(table, frame, unknown=arguments.unknown)
            y = tables.targets(table, frame, unknown="other")
        new: dict[str, int] = {}
        if isinstance(table.target, Categories):
            series = frame[table.target.name]
            new = dict(Counter(map(str, series[y < 0])).most_common())
        if of_ensemble:
            found = ensembles.figures_of(model, table, ensembles.predicted(model, raw), y, names)
        else:
            found = fitting.figures(model, table, Samples(X, y), names)
    results = {"target": target_facts(table), "without_target": without, "new_classes": new} | found
    text = paragraph(left_out) if left_out else ""
    text += report.unknown_text(new) + ("\n" if text or new else "")
    return Answer(
        results, text + report.text({"this table": found}, of_numbers=not isinstance(table.target, Categories))
    )
