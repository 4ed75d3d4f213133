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
from .files import about, check_output, input_names, load_model, read_rows, told_warnings
from .text import listed

if TYPE_CHECKING:
    from pandas import Series

Array = npt.NDArray[Any]


def predict(arguments: Namespace) -> dict[str, Any]:
    """Predict the target for the rows of a table."""
    if arguments.out == "-":
        arguments.out = None
    check_output(arguments)
    if arguments.out is not None:
        with about("--out"):
            type_of(arguments.out)
    trainer, table = load_model(arguments.model)
    if arguments.probabilities and not isinstance(table.target, Categories):
        came = f"{arguments.model!r}, which predicts numbers"
        raise TableError(f"--probabilities: expected a model that predicts classes, got {came}")
    with told_warnings():
        X, ids = _read(table, arguments)
        output = trainer.predict(X) if isinstance(X, np.ndarray) else X.through(trainer.predict)
        columns = _columns(table, output, ids, probabilities=arguments.probabilities)
    if arguments.json and not arguments.out:
        return {"rows": len(X), "predictions": {name: np.asarray(column).tolist() for name, column in columns.items()}}
    _write(columns, arguments.out)
    return {"predictions": arguments.out, "rows": len(X)} if arguments.out else {}


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
        encoding = tables.encoded(table, frame, unknown=arguments.unknown)
        missing = [name for name in table.ids if name not in frame.columns]
        if missing:
            lacks = f"the table has no column {listed(missing)}, which the model was trained with as --id"
            _messages.warn(f"{lacks}; the predictions are without it")
        ids = {name: _values(frame[name]) for name in table.ids if name in frame.columns}
    return encoding, ids


def _values(series: Series[Any]) -> list[Any]:
    """Return the values of a column as they are in the file: integers, or texts; "" for missing ones."""
    if series.dtype.kind in "iu" and not series.isna().any():
        return series.tolist()
    texts = iter(texts_in(series[~series.isna()]))
    return [next(texts) if there else "" for there in series.notna()]


def _columns(table: Table, output: Array, ids: Mapping[str, Any], *, probabilities: bool) -> dict[str, Any]:
    """Return the columns of the predictions: the ids, the target, and the probability of each class."""
    target = table.target
    columns = dict(ids) | {target.name: tables.answers(table, output)}
    more: dict[str, Any] = {}
    if probabilities and isinstance(target, Categories):
        each = np.hstack([1 - output, output]) if table.n_outputs == 1 else output
        more = {f"probability_{name}": each[:, j] for j, name in enumerate(target.categories)}
        if taken := [name for name in more if name in columns]:
            came = f"a model whose target or --id has the name {taken[0]!r}"
            raise TableError(f"--probabilities: expected other names for the new columns, got {came}; omit it")
    return columns | more


def _write(columns: Mapping[str, Sequence[Any]], out: str | None) -> None:
    try:
        write(dict(columns), out or sys.stdout)
    except UnicodeEncodeError as error:
        encoding = getattr(sys.stdout, "encoding", None) or error.encoding  # the error calls many of them charmap
        lacking = f"{error.object[error.start : error.end]!a}"
        came = f"standard output uses the encoding {encoding}, which does not have {lacking}"
        raise TableError(f"{came}; use --out, or set PYTHONIOENCODING=utf-8") from None
