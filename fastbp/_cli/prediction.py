"""`fastbp predict`: predict the target for the rows of a table."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import _messages, tables
from .._files import TableError, plain
from .._files.cells import texts_in
from .._files.columns import Categories, Table
from .._files.writing import type_of, write
from . import ensembles
from .files import about, check_output, input_names, load_model, read_rows, told_warnings
from .text import listed

if TYPE_CHECKING:
    from pandas import DataFrame, Series

Array = npt.NDArray[Any]


def predict(arguments: Namespace) -> dict[str, Any]:
    """Predict the target for the rows of a table."""
    if arguments.out == "-":
        arguments.out = None
    check_output(arguments)
    if arguments.out is not None:
        with about("--out"):
            type_of(arguments.out)
    n, columns = (_of_ensemble if ensembles.is_ensemble(arguments.model) else _of_network)(arguments)
    if arguments.json and not arguments.out:
        return {"rows": n, "predictions": {name: np.asarray(column).tolist() for name, column in columns.items()}}
    _write(columns, arguments.out)
    return {"predictions": arguments.out, "rows": n} if arguments.out else {}


def _of_network(arguments: Namespace) -> tuple[int, dict[str, Any]]:
    """Return the number of rows, and the columns of a network's predictions."""
    trainer, table = load_model(arguments.model)
    _check_options(arguments, table)
    if arguments.interval is not None:
        raise TableError("--interval: expected a model of fastbp train --best, got one of a single network")
    with told_warnings():
        X, ids = _read(table, arguments)
        output = trainer.predict(X) if isinstance(X, np.ndarray) else X.through(trainer.predict)
        each = np.hstack([1 - output, output]) if table.n_outputs == 1 else output
        return len(X), _columns(table, tables.answers(table, output), each, ids, arguments)


def _of_ensemble(arguments: Namespace) -> tuple[int, dict[str, Any]]:
    """Return the number of rows, and the columns of an ensemble's predictions."""
    model, table = ensembles.load(arguments.model)
    _check_options(arguments, table)
    with told_warnings():
        frame = read_rows(arguments, input_names(table))
        with about(arguments.data):
            raw, ids = ensembles.rows_of(model, frame, arguments.unknown), _ids(table, frame)
        found = ensembles.predicted(model, raw)
        columns = _columns(table, ensembles.answers(model, found), found, ids, arguments)
        if arguments.interval is not None:
            columns = _with(columns, ensembles.interval(model, table, raw, arguments.interval), "--interval")
    return len(frame), columns


def _check_options(arguments: Namespace, table: Table) -> None:
    """Refuse options that are for another kind of target."""
    is_class = isinstance(table.target, Categories)
    if arguments.probabilities and not is_class:
        came = f"{arguments.model!r}, which predicts numbers"
        raise TableError(f"--probabilities: expected a model that predicts classes, got {came}")
    if arguments.interval is not None:
        if is_class:
            came = f"{arguments.model!r}, which predicts classes; use --probabilities"
            raise TableError(f"--interval: expected a model that predicts numbers, got {came}")
        if not 0 < arguments.interval < 1:
            raise TableError(f"--interval: expected a share in (0, 1), such as 0.9, got {arguments.interval:g}")


def _read(table: Table, arguments: Namespace) -> tuple[Array | tables.Encoding, dict[str, Any]]:
    """Return X of a file, and its columns that identify the rows."""
    wanted, path = input_names(table), arguments.data
    cells = None if path == "-" or arguments.no_header else plain.read(path, [*wanted, *table.ids])
    if cells is not None:
        X = tables.plain_inputs(table, cells)
        if X is not None:
            return X, {name: cells[name] for name in table.ids}
    frame = read_rows(arguments, wanted)
    with about(path):
        return tables.encoded(table, frame, unknown=arguments.unknown), _ids(table, frame)


def _ids(table: Table, frame: DataFrame) -> dict[str, Any]:
    """Return the columns that identify the rows. Warn of those that the frame does not have."""
    missing = [name for name in table.ids if name not in frame.columns]
    if missing:
        lacks = f"the table has no column {listed(missing)}, which the model was trained with as --id"
        _messages.warn(f"{lacks}; the predictions are without it")
    return {name: _values(frame[name]) for name in table.ids if name in frame.columns}


def _values(series: Series[Any]) -> list[Any]:
    """Return the values of a column as they are in the file: integers, or texts; "" for missing ones."""
    if series.dtype.kind in "iu" and not series.isna().any():
        return series.tolist()
    texts = iter(texts_in(series[~series.isna()]))
    return [next(texts) if there else "" for there in series.notna()]


def _columns(table: Table, answers: Any, each: Array, ids: Mapping[str, Any], arguments: Namespace) -> dict[str, Any]:
    """Return the columns of the predictions: the ids, the target, and the probability of each class."""
    target = table.target
    columns = dict(ids) | {target.name: answers}
    if not arguments.probabilities or not isinstance(target, Categories):
        return columns
    more = {f"probability_{name}": each[:, j] for j, name in enumerate(target.categories)}
    return _with(columns, more, "--probabilities")


def _with(columns: dict[str, Any], more: dict[str, Any], option: str) -> dict[str, Any]:
    """Return the columns, with more of other names."""
    if taken := [name for name in more if name in columns]:
        came = f"a model whose target or --id has the name {taken[0]!r}"
        raise TableError(f"{option}: expected other names for the new columns, got {came}; omit it")
    return columns | more


def _write(columns: Mapping[str, Sequence[Any]], out: str | None) -> None:
    try:
        write(dict(columns), out or sys.stdout)
    except UnicodeEncodeError as error:
        encoding = getattr(sys.stdout, "encoding", None) or error.encoding  # the error calls many of them charmap
        lacking = f"{error.object[error.start : error.end]!a}"
        came = f"standard output uses the encoding {encoding}, which does not have {lacking}"
        raise TableError(f"{came}; use --out, or set PYTHONIOENCODING=utf-8") from None
