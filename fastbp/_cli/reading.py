"""The table of `fastbp train`: which rows have a target, and what its columns become."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import tables
from .._files import TableError
from .._files.columns import Categories, Table
from ..tables._cells import MARKS
from ..tables._problems import numbered
from . import words
from .choices import Choices, choices, named
from .files import about, header_hint, read_table, rows_with_target
from .text import listed

if TYPE_CHECKING:
    from pandas import DataFrame

Array = npt.NDArray[Any]

NAMES = {"none", "nil", "unknown", "unk"}  # of MARKS, those that often are classes


@dataclass(frozen=True)
class Found:
    """A table that was read.

    Attributes
    ----------
    frame : the rows that have a target
    choices : what the options say about columns
    table : what each column becomes
    numbers : (n,) the number of each row in the file, from 1
    without_target : number of rows that are left out
    left_out : a sentence about them, or ""
    """

    frame: DataFrame
    choices: Choices
    table: Table
    numbers: Array
    without_target: int
    left_out: str

    def about(self, data: str, notes: Sequence[str] = ()) -> str:
        """Return what is said about the table. data: its path; notes: about its columns."""
        columns = len(self.frame.columns)
        text = words.head(data, self.frame.attrs, len(self.frame), columns, self.without_target, self.left_out)
        text += words.columns(self.table) + words.advice()
        return text + "".join("\n" + words.note(note) for note in [*_marks(self.table), *notes]) + "\n"


def found(arguments: Namespace) -> Found:
    """Read the table, and decide what each column becomes."""
    frame = read_table(arguments, named(arguments))
    with about(arguments.data):
        hint = "" if named(arguments)[0] in frame.columns else header_hint(frame, arguments)
        chosen = choices(arguments, list(frame.columns), hint)
        if chosen.target in frame.attrs["renamed"].values():
            raise TableError(f"two columns are called {chosen.target!r}, the target; rename one or remove it")
        task = tables.task_of(arguments.task, chosen.types.get(chosen.target, ""))
        has_target, left_out = rows_with_target(chosen.target, frame, task)
        if not has_target.all():
            frame = frame[has_target].reset_index(drop=True)  # which keeps attrs
        rows = np.flatnonzero(has_target) + 1
        with numbered(rows):
            table = recognised(arguments, chosen, frame)
    return Found(frame, chosen, table, rows, int((~has_target).sum()), left_out)


def recognised(arguments: Namespace, chosen: Choices, frame: DataFrame) -> Table:
    """Return what each column of a frame becomes."""
    return tables.recognise(
        frame,
        chosen.target,
        arguments.task,
        drop=chosen.drop,
        features=chosen.features,
        ids=chosen.ids,
        types=chosen.types,
        missing=arguments.missing,
    )


def _marks(table: Table) -> list[str]:
    """Return a note about classes whose names may stand for a missing target, such as ?."""
    classes = table.target.categories if isinstance(table.target, Categories) else ()
    marks = [name for name in classes if name.strip().lower() in MARKS - NAMES]
    if not marks:
        return []
    are = "is a class" if len(marks) == 1 else "are classes"
    return [f"{listed(marks)} {are} of {table.target.name!r}; if the target is missing there, remove these rows."]
