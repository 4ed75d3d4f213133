"""The files of a command: read tables and models, and check where the command may write."""

from __future__ import annotations

import os
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import is_zipfile

from .. import _checks, _messages, tables
from .._files import TableError
from .._files.columns import Categories, Table
from .._records import ModelFileError
from ..tables._problems import check_columns
from ..trainer import Trainer
from .text import counted

if TYPE_CHECKING:
    from pandas import DataFrame, Series


FIRST = "; name the model first, then the table"


def read_table(arguments: Namespace, wanted: list[str]) -> DataFrame:
    """Read the table of a command; wanted: names of columns that it should have."""
    from .._files.tables import read

    with about(arguments.data):
        return read(arguments.data, wanted, named=not arguments.no_header)


def read_rows(arguments: Namespace, wanted: list[str]) -> DataFrame:
    """Read the table of a command; wanted: names of columns that it must have."""
    frame = read_table(arguments, wanted)
    with about(arguments.data):
        try:
            check_columns(frame.columns, wanted)
        except TableError as error:
            raise TableError(f"{error}{header_hint(frame, arguments)}") from None
    return frame


def header_hint(frame: DataFrame, arguments: Namespace) -> str:
    """Return what to do if the names of the columns look like data, or ""."""
    if arguments.no_header or not any(_is_a_value(name, frame[name]) for name in frame.columns):
        return ""
    return "; the first line looks like data: if it has no names, use --no-header"


def _is_a_value(name: str, column: Series[Any]) -> bool:
    """Return whether the name of a column of text is one of its values, or a number as they are."""
    texts = set(column.cat.categories) if column.dtype == "category" else set()
    return name in texts or (bool(texts) and _is_number(name) and all(map(_is_number, texts)))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def rows_with_target(goal: Table | str, frame: DataFrame, task: str = "auto") -> tuple[Any, str]:
    """Return which rows have a target, (n,) of bool, and a sentence about the others, or "".

    Parameters
    ----------
    goal : a model's table, or the name of the target
    frame : the rows
    task : what the target is, if only its name is given
    """
    known, texts = tables.target_rows(goal, frame, task)
    if not known.any():
        name = goal if isinstance(goal, str) else goal.target.name
        expected = "a number" if texts else "a value"
        came = f"none: {texts}" if texts else "none"
        raise TableError(f"column {name!r}, the target: expected {expected} in some row, got {came}")
    if known.all():
        return known, ""
    n = int((~known).sum())
    are = "is" if n == 1 else "are"
    return known, f"{counted(n, 'row')} without a target {are} left out{f': {texts}' if texts else ''}."


def input_names(table: Table) -> list[str]:
    """Return the names of the columns that become inputs."""
    return [column.name for column in table.columns]


def load_trainer(path: str, comm: Any = None, advice: str = FIRST) -> Trainer:
    """Return the trainer in a file; advice: what to do if this is no model."""
    try:
        return Trainer.load(path, comm=comm)
    except ModelFileError as error:
        if not is_zipfile(path):
            came = f"a file of another type{advice}"
            raise TableError(f"{path}: expected a model that `fastbp train` wrote, got {came}") from None
        text = str(error).removeprefix("path: ")
        again = "if another version of fastbp wrote this model, train it again with this one"
        raise TableError(f"{path}: {text}; {again}") from None


def load_model(path: str, comm: Any = None, advice: str = FIRST) -> tuple[Trainer, Table]:
    """Return a trainer and the table that it was trained on; advice: what to do if this is no model."""
    trainer = load_trainer(path, comm, advice)
    if trainer._table is None:
        came = "a file of Trainer.save, which has no column names; use it in Python, with Trainer.load"
        raise TableError(f"{path}: expected a model that `fastbp train` wrote, got {came}")
    return trainer, trainer._table


def target_facts(table: Table) -> dict[str, Any]:
    """Return the name of the target and its classes, as a command prints them."""
    classes = list(table.target.categories) if isinstance(table.target, Categories) else None
    return {"name": table.target.name, "classes": classes}


def check_place(option: str, path: str, **others: str) -> None:
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


def check_output(arguments: Namespace) -> None:
    """Check that a command can write its output: to a file that is not one of its inputs, or to standard output."""
    if arguments.out is not None:
        check_place("--out", arguments.out, model=arguments.model, data=arguments.data)
    elif sys.stdout is None:
        raise TableError("--out: expected a file, because standard output is closed, got none")


def default_place(data: str) -> str:
    """Return the path of a table's model: iris.model.npz, in the current folder, for tables/iris.csv.gz."""
    name = "model" if data == "-" else f"{Path(data).name.split('.')[0] or 'table'}.model"
    return f"{name}.npz"


@contextmanager
def told_interruption(arguments: Namespace) -> Iterator[None]:
    """Let Ctrl-C before there is a model to write say so."""
    before = _stamp(arguments.out)
    try:
        yield
    except KeyboardInterrupt:
        after, text = _stamp(arguments.out), "interrupted before there was a model to write"
        if after != before:
            text = f"interrupted before the report; {arguments.out} has the model"
        elif after is not None:
            text += f"; {arguments.out} is as it was"
        raise KeyboardInterrupt(text) from None


def _stamp(path: str) -> int | None:
    """Return when a file was written, or None if there is none."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


@contextmanager
def about(path: str) -> Iterator[None]:
    """Put the file's name before the messages about its table, a line each."""
    try:
        yield
    except TableError as error:
        name = "standard input" if path == "-" else path
        lines = [f"--type: {line[7:]}" if line.startswith("types: ") else line for line in str(error).splitlines()]
        raise TableError("\n".join(f"{name}: {line}" for line in lines)) from None


@contextmanager
def told_warnings(*, silent: bool = False) -> Iterator[None]:
    """Print each warning in a line on standard error, or nothing."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        if not silent:
            for line in str(message).splitlines():
                _messages.err(f"fastbp: warning: {' '.join(line.split())}\n")

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield


def bar_of() -> str:
    """Return the character of bars: a block if standard output has it."""
    try:
        "█".encode(getattr(sys.stdout, "encoding", None) or "utf-8")  # a StringIO has none
    except (UnicodeEncodeError, LookupError):
        return "#"
    return "█"
