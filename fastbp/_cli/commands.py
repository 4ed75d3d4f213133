"""The commands of the command line. Each takes parsed arguments and returns its results."""

from __future__ import annotations

import math
import os
import platform
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__, _checks, _messages, distributed, plots, tables
from .._engine.team import usable_cores
from .._files import model as checkpoint
from .._files.cells import TableError
from .._files.columns import Categories, Numbers, Table
from .._files.tables import read, write_csv
from .._kernels.compiling import announced_if
from .._records import ModelFileError
from .._training.measures import measure, penalty
from .._writing import replacing
from ..benchmark import report
from ..callbacks import Callback, Checkpoint, EarlyStopping
from ..explanation._html import is_drawn, weight as weight_data
from ..progress import interactive
from ..trainer import Trainer
from . import machine

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..explanation import Derivative, Explanation

FORMS = (".html", ".tex", ".txt")  # of an explanation


def train(arguments: Namespace) -> dict[str, Any]:
    """Train a model that predicts a table's target from its other columns, and save it."""
    comm = distributed.communicator()
    if comm is not None and comm.Get_rank() > 0:  # the first rank prints and writes
        arguments.quiet, arguments.json, arguments.plot = True, False, None
    _check_place("--out", arguments.out, data=arguments.data)
    if arguments.plot:
        _check_place("--plot", arguments.plot, data=arguments.data, out=arguments.out)
        plots.check_picture("--plot", arguments.plot)
    frame = _read(arguments.data, [arguments.target])
    with _about(arguments.data):
        table = tables.recognise(frame, arguments.target, arguments.task, fill=arguments.missing == "mean")
        X, y = tables.inputs(table, frame), tables.targets(table, frame)
    options = {
        "activation": arguments.activation,
        "loss": table.loss,
        "optimizer": arguments.optimizer,
        "learning_rate": arguments.learning_rate,
        "batch_size": arguments.batch_size,
        "initializer": "glorot",
        "schedule": arguments.schedule,
        "dropout": arguments.dropout,
        "l2": arguments.l2,
        "seed": arguments.seed,
        "n_threads": arguments.threads,
    }
    sizes = (table.n_inputs, *arguments.hidden, table.n_outputs)
    trainer = Trainer(sizes, **options, comm=comm)
    if arguments.resume and os.path.exists(arguments.out):
        trainer = _resumed(arguments, Trainer(sizes, **options), table, comm)
    watchers: list[Callback] = [] if arguments.patience is None else [EarlyStopping(patience=arguments.patience)]
    watchers += [Checkpoint(arguments.out)] if arguments.resume else []
    names = ("accuracy" if isinstance(table.target, Categories) else "r2",)
    fit: dict[str, Any] = {"validation_split": arguments.validation, "metrics": names, "callbacks": watchers}
    shown = interactive() and not arguments.quiet and not arguments.json
    trainer._table = table
    done = trainer.epochs_trained
    with announced_if(not arguments.quiet):
        trainer.fit(X, y, epochs=arguments.epochs, initial_epoch=done, **fit, verbose="auto" if shown else 0)
    if arguments.resume and trainer.history.interrupted:  # return to the last complete epoch, to resume exactly
        there = os.path.exists(arguments.out)
        trainer = _begun(arguments, comm)[0] if there else Trainer(sizes, **options, comm=comm)
        trainer._table, done = table, trainer.epochs_trained
        trainer.fit(X, y, epochs=done, initial_epoch=done, **fit, verbose=0)
        trainer.history.interrupted = True
    history, silent = trainer.history, arguments.quiet and not arguments.json
    trainer.save(arguments.out)
    if arguments.plot:
        plots.save(history.plot(), arguments.plot)
    return {
        "model": arguments.out,
        "rows": len(frame),
        "inputs": table.n_inputs,
        "target": _target(table),
        "parameters": trainer.n_parameters,
        "epochs": len(history.epochs),
        "interrupted": history.interrupted,
        "measured": {} if silent else _measured(trainer, X, y, names, arguments.validation),
    }


def _measured(trainer: Trainer, X: Any, y: Any, names: tuple[str, ...], fraction: float) -> dict[str, float]:
    """Measure the model with its current weights, which are not always those of the last epoch."""
    data = trainer._intake.data("X", X, "y", y, names, warns=False)
    training, validation = trainer._intake.split(data, fraction)
    measured = measure(trainer._state, training, names)
    if validation is not None:
        measured |= {f"val_{name}": value for name, value in measure(trainer._state, validation, names).items()}
    return measured


def _resumed(arguments: Namespace, asked: Trainer, table: Table, comm: Any) -> Trainer:
    """Return the existing model if it fits the arguments."""
    trainer, known = _begun(arguments, comm)
    had, wanted = checkpoint.options_of(trainer._state), checkpoint.options_of(asked._state)
    if arguments.seed is None:
        had["seed"] = wanted["seed"] = None
    differing = [name for name in had if had[name] != wanted[name]]
    if known.record() != table.record():
        differing = ["columns of the table", *differing]
    if differing:
        raise TableError(f"{arguments.out}: to go on, the same {differing[0]} are expected; or another --out")
    return trainer


def _begun(arguments: Namespace, comm: Any) -> tuple[Trainer, Table]:
    """Return the training to continue. Without --patience it gets its last weights, not those of its best epoch."""
    trainer, table = _model(arguments.out, comm)
    if arguments.patience is None:
        for name, state in trainer._state.callback_states:
            if name == EarlyStopping.__name__:
                stopping = EarlyStopping(restore_best_weights=False)
                stopping.load_state_dict(state)
                stopping.on_fit_begin(trainer, 0)
    return trainer, table


def predict(arguments: Namespace) -> dict[str, Any]:
    """Predict the target for the rows of a table, and write CSV."""
    _check_output(arguments)
    trainer, table = _model(arguments.model)
    target = table.target
    if arguments.probabilities and isinstance(target, Numbers):
        came = f"{arguments.model!r}, which predicts numbers"
        raise TableError(f"--probabilities: expected a model that predicts classes, got {came}")
    X = _inputs(table, _read(arguments.data, _names(table)), arguments.data)
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
        write_csv(columns, arguments.out or sys.stdout)
    except UnicodeEncodeError as error:
        encoding = getattr(sys.stdout, "encoding", None) or error.encoding  # the error calls many of them charmap
        lacking = f"{error.object[error.start : error.end]!a}"
        came = f"standard output uses the encoding {encoding}, which does not have {lacking}"
        raise TableError(f"{came}; use --out, or set PYTHONIOENCODING=utf-8") from None
    return {"predictions": arguments.out, "rows": len(X)} if arguments.out else {}


def evaluate(arguments: Namespace) -> dict[str, Any]:
    """Evaluate a model on a table with the target."""
    trainer, table = _model(arguments.model)
    frame = _read(arguments.data, [*_names(table), table.target.name])
    X = _inputs(table, frame, arguments.data)
    with _about(arguments.data):
        y = tables.targets(table, frame)
    if isinstance(table.target, Categories):
        measured = trainer.evaluate(X, y, metrics=["accuracy", "f1"])
    else:
        measured = trainer.evaluate(X, y, metrics=["r2", "mae", "rmse"])
    measured["loss"] -= penalty(trainer._state)  # without the penalty, which says nothing about the predictions
    if isinstance(table.target, Numbers):
        for name, power in (("loss", 2), ("mae", 1), ("rmse", 1)):  # from deviations to the target's own units
            measured[name] *= table.target.deviation**power
    return {"rows": len(frame), "target": _target(table), "measured": measured}


def explain(arguments: Namespace) -> dict[str, Any]:
    """Show one step of backpropagation for rows of a table, with every z, a, δ and ∂J/∂θ."""
    from ..explanation import explain as explain_samples

    form = None if arguments.out is None else Path(arguments.out).suffix.lower()
    _check_output(arguments)
    if form is not None and form not in FORMS:
        raise TableError(f"--out: expected a file of type {', '.join(FORMS)}, got {arguments.out!r}")
    trainer, table = _model(arguments.model)
    if arguments.weight:
        _check_weight(arguments.weight, trainer)
    frame = _read(arguments.data, [*_names(table), table.target.name])
    for part in arguments.row:
        if not 0 < part[0] <= part[-1] <= len(frame):
            came = part[0] if part[0] <= 0 or part[0] > len(frame) else part[-1]
            raise TableError(f"--row: expected rows of {arguments.data} from 1 to {len(frame)}, got {came}")
    rows = list(chain.from_iterable(arguments.row))
    with _about(arguments.data):
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
        part = weight or explanation
        with replacing(arguments.out, text=True) as file:
            file.write((part.latex() if form == ".tex" else part.text()) + "\n")
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
    try:
        return explanation.gradient(*asked)
    except KeyError:
        shown = "-".join(map(str, explanation.sizes))
        came = f"{len(explanation.layers[0].a)} rows of {shown}"
        raise TableError(f"--weight: expected few enough weights and rows to show each, got {came}") from None


def _bounded(n: int) -> int | float:
    """Infinite where readers of JSON have no integers any more."""
    return n if n < 1 << 63 else math.inf


def bench(arguments: Namespace) -> dict[str, Any]:
    """Time training and prediction on this machine, compared with other installed libraries."""
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
        "processor": machine.processor(),
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
    """Show versions, processor features and the cache of compiled kernels."""
    return {"fastbp": __version__} | machine.facts()


def _read(path: str, wanted: list[str]) -> DataFrame:
    with _about(path):
        return read(path, wanted)


def _names(table: Table) -> list[str]:
    """Return the names of the columns that become inputs."""
    return [column.name for column in table.columns]


def _inputs(table: Table, frame: DataFrame, path: str) -> Any:
    with _about(path):
        return tables.inputs(table, frame)


def _model(path: str, comm: Any = None) -> tuple[Trainer, Table]:
    """Return a trainer and the table that it was trained on."""
    try:
        trainer = Trainer.load(path, comm=comm)
    except ModelFileError as error:
        raise TableError(f"{path}: {str(error).removeprefix('path: ')}") from None
    if trainer._table is None:
        came = "a file of Trainer.save, which has no column names"
        raise TableError(f"{path}: expected a model that `fastbp train` wrote, got {came}")
    return trainer, trainer._table


def _target(table: Table) -> dict[str, Any]:
    classes = list(table.target.categories) if isinstance(table.target, Categories) else None
    return {"name": table.target.name, "classes": classes}


def _check_place(option: str, path: str, **others: str) -> None:
    """Check before training that a file can be written, and that it is not another file of the command.

    Parameters
    ----------
    option : the option that names the file
    path : path of the file
    **others : paths of the other files by their role: "data", "model", or an option without its dashes
    """
    if not Path(path).resolve().parent.is_dir():
        raise TableError(f"{option}: expected a file in an existing folder, got {path!r}; create the folder first")
    _checks.file_to_write(option, path)
    for what, other in others.items():
        if _is_same_file(path, other):
            role = f"the {what}" if what in ("data", "model") else f"--{what}"
            raise TableError(f"{option}: expected a file other than {role}, got {path!r}, which is {other!r}")


def _is_same_file(a: str, b: str) -> bool:
    """Return whether two paths lead to the same file, even if it doesn't exist yet, or whether a is in the folder b."""
    if os.path.exists(a) and os.path.exists(b) and os.path.samefile(a, b):
        return True
    place, other = (Path(os.path.normcase(os.path.realpath(path))) for path in (a, b))
    return place == other or (other in place.parents and other.suffix.lower() == ".parquet")


def _check_output(arguments: Namespace) -> None:
    """Check that a command can write its output: to a file that is not one of its inputs, or to standard output."""
    if arguments.out is not None:
        _check_place("--out", arguments.out, model=arguments.model, data=arguments.data)
    elif sys.stdout is None:
        raise TableError("--out: expected a file, because standard output is closed, got none")


@contextmanager
def _about(path: str) -> Iterator[None]:
    """Put the file's name before the messages about its table."""
    try:
        yield
    except TableError as error:
        raise TableError(f"{path}: {error}") from None
