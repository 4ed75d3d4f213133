"""The commands `fastbp predict`, `evaluate`, `bench` and `info`.

Each takes parsed arguments and returns its results, by name.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from typing import Any

import numpy as np

from .. import __version__, _checks, _messages, tables
from .._files import TableError
from .._files.columns import Categories, Numbers
from .._files.plain import write
from .._training.measures import penalty
from .files import about, check_output, input_names, inputs_of, load_model, read_inputs, read_table, target_facts


def predict(arguments: Namespace) -> dict[str, Any]:
    """Predict the target for the rows of a table, and write CSV."""
    check_output(arguments)
    trainer, table = load_model(arguments.model)
    target = table.target
    if arguments.probabilities and isinstance(target, Numbers):
        came = f"{arguments.model!r}, which predicts numbers"
        raise TableError(f"--probabilities: expected a model that predicts classes, got {came}")
    X = read_inputs(table, arguments.data)
    output = trainer.predict(X)
    columns: dict[str, Any]
    if isinstance(target, Numbers):
        columns = {target.name: output[:, 0].astype(np.float64) * target.deviation + target.mean}
    else:
        columns = {target.name: np.array(target.categories, object)[trainer.predict_classes(X)]}
        if arguments.probabilities:
            each = np.hstack([1 - output, output]) if table.n_outputs == 1 else output
            more = {f"probability_{name}": each[:, j] for j, name in enumerate(target.categories)}
            if target.name in more:
                came = f"a model whose target has the name {target.name!r}"
                raise TableError(f"--probabilities: expected other names for the new columns, got {came}; omit it")
            columns |= more
    if arguments.json and not arguments.out:
        return {"rows": len(X), "predictions": {name: column.tolist() for name, column in columns.items()}}
    try:
        write(columns, arguments.out or sys.stdout)
    except UnicodeEncodeError as error:
        encoding = getattr(sys.stdout, "encoding", None) or error.encoding  # the error calls many of them charmap
        lacking = f"{error.object[error.start : error.end]!a}"
        came = f"standard output uses the encoding {encoding}, which does not have {lacking}"
        raise TableError(f"{came}; use --out, or set PYTHONIOENCODING=utf-8") from None
    return {"predictions": arguments.out, "rows": len(X)} if arguments.out else {}


def evaluate(arguments: Namespace) -> dict[str, Any]:
    """Evaluate a model on a table with the target."""
    trainer, table = load_model(arguments.model)
    frame = read_table(arguments.data, [*input_names(table), table.target.name])
    X = inputs_of(table, frame, arguments.data)
    with about(arguments.data):
        y = tables.targets(table, frame)
    if isinstance(table.target, Categories):
        measured = trainer.evaluate(X, y, metrics=["accuracy", "f1"])
    else:
        measured = trainer.evaluate(X, y, metrics=["r2", "mae", "rmse"])
    measured["loss"] -= penalty(trainer._state)  # without the penalty, which says nothing about the predictions
    if isinstance(table.target, Numbers):
        for name, power in (("loss", 2), ("mae", 1), ("rmse", 1)):  # from deviations to the target's own units
            measured[name] *= table.target.deviation**power
    return {"rows": len(frame), "target": target_facts(table), "measured": measured}


def bench(arguments: Namespace) -> dict[str, Any]:
    """Time training and prediction on this machine, compared with other installed libraries."""
    import platform

    from .._engine.team import usable_cores
    from ..benchmark import report
    from ..progress import interactive
    from .machine import processor

    _checks.whole("--rounds", arguments.rounds, minimum=1)
    networks = report.QUICK if arguments.quick else report.NETWORKS
    if arguments.sizes:
        networks = tuple((sizes, report.BATCH) for sizes in arguments.sizes)
    if arguments.batch is not None:
        _checks.whole("--batch", arguments.batch, minimum=1)
        networks = tuple((sizes, arguments.batch) for sizes, _ in networks)
    threads = arguments.threads or tuple(dict.fromkeys((1, usable_cores())))
    seconds = report.QUICK_SECONDS if arguments.quick else report.ROUND_SECONDS
    what = report.workloads(networks)
    peers = tuple(dict.fromkeys(arguments.peers))
    needed = report.bytes_of(what, arguments.dtype) * (1 + len(peers)) * len(threads)
    _checks.fits("--sizes", "networks and samples for all peers", needed)
    found: dict[str, Any] = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "dtype": arguments.dtype,
        "threads": list(threads),
        "rounds": arguments.rounds,
    }
    told = _messages.err if interactive() and not arguments.json else lambda _: None
    found |= report.measure(peers, what, threads, arguments.rounds, arguments.dtype, seconds, told)
    if arguments.json:
        return found
    _messages.result(report.table(found) + "\n")
    return {}


def info(_arguments: Namespace) -> dict[str, Any]:
    """Show versions, the processor's level and the files with kernels."""
    from .machine import facts

    return {"fastbp": __version__} | facts()
