"""The columns of a model's table. The model file stores them as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .. import _checks
from .._records import check_fields, refused
from .categories import Categories
from .dates import Dates
from .fields import duplicates
from .numbers import Array, Numbers
from .spellings import EXACT, label, same

__all__ = ["EXACT", "KINDS", "Categories", "Column", "Dates", "Numbers", "Table", "duplicates", "label", "same"]

Column = Numbers | Categories | Dates
KINDS: dict[str, type[Numbers] | type[Categories] | type[Dates]] = {
    "numbers": Numbers,
    "categories": Categories,
    "dates": Dates,
}
SHOWN = {Numbers: "number", Categories: "category", Dates: "date"}  # as --type and `types` take them
BOOLEANS = ({"true", "false"}, {"yes", "no"}, {"y", "n"}, {"t", "f"})


@dataclass(frozen=True)
class Table:
    """The columns that become a network's inputs, in order, and the column that it predicts.

    Attributes
    ----------
    columns : the columns that become inputs, in the order of the file
    target : the column that the network predicts
    left_out : the name of each column that becomes no input, and why
    ids : the names of columns that predictions keep
    order : the names of all columns of the file
    """

    columns: tuple[Column, ...]
    target: Numbers | Categories
    left_out: tuple[tuple[str, str], ...] = ()
    ids: tuple[str, ...] = ()
    order: tuple[str, ...] = ()

    @property
    def n_inputs(self) -> int:
        """n_1 of a network for this table."""
        return sum(column.width for column in self.columns)

    @property
    def n_outputs(self) -> int:
        """n_L of a network for this table; two classes share one output."""
        if isinstance(self.target, Numbers):
            return 1
        return 1 if len(self.target.categories) == 2 else len(self.target.categories)

    @property
    def loss(self) -> str:
        """The loss for the target."""
        if isinstance(self.target, Numbers):
            return "squared_error"
        return "binary_cross_entropy" if self.n_outputs == 1 else "cross_entropy"

    @property
    def slices(self) -> dict[str, slice]:
        """The columns of X that each column of the table becomes."""
        found, start = {}, 0
        for column in self.columns:
            found[column.name] = slice(start, start + column.width)
            start += column.width
        return found

    @property
    def input_names(self) -> tuple[str, ...]:
        """One text for each input, such as `colour = red`."""
        return tuple(name for column in self.columns for name in column.input_names)

    @property
    def baseline(self) -> Array:
        """The (n_1,) inputs of a row that says nothing: the means of training."""
        return np.concatenate([column.baseline for column in self.columns])

    def describe(self) -> list[tuple[str, str, str]]:
        """Return the name, the kind and a few words for each column of the file, in its order."""
        about = {name: ("left out", why) for name, why in self.left_out}
        about |= dict.fromkeys(self.ids, ("id", "kept in predictions"))
        about |= {column.name: (_kind(column), column.words) for column in self.columns}
        if isinstance(self.target, Numbers):
            about[self.target.name] = ("target", f"numbers, {self.target.words}")
        else:
            about[self.target.name] = ("target", self.target.described("class", "classes"))
        return [(name, *about[name]) for name in self.order or about]

    def record(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return {
            "columns": [column_record(column) for column in self.columns],
            "target": column_record(self.target),
            "left_out": [list(pair) for pair in self.left_out],
            "ids": list(self.ids),
            "order": list(self.order),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Table:
        """Create a Table from a `record` that was read from a file.

        Raises
        ------
        ModelFileError
            If the record is not one that `record` returns.
        """
        if record.keys() == {"columns", "target"}:  # of an earlier version
            record = record | {"left_out": [], "ids": [], "order": []}
        kinds: dict[str, tuple[type, ...]] = {"columns": (list,), "target": (dict,)}
        check_fields("a table", record, kinds | {"left_out": (list,), "ids": (list,), "order": (list,)})
        columns, target = tuple(map(column_of, record["columns"])), column_of(record["target"])
        pairs, ids, order = record["left_out"], record["ids"], record["order"]
        if not all(isinstance(pair, list) and len(pair) == 2 and _texts(pair) for pair in pairs):
            raise refused(_checks.shown(pairs), "names and reasons of columns that are left out")
        if not _texts(ids) or not _texts(order):
            raise refused(_checks.shown([*ids, *order]), "texts as names of columns")
        named = [column.name for column in (*columns, target)]
        every = [*named, *(name for name, _ in pairs), *ids]
        if repeated := duplicates(every):
            raise refused(f"two called {_checks.shown(repeated[0])}", "columns of different names")
        if order and sorted(order) != sorted(every):
            raise refused(_checks.shown(order), "the names of all columns, each once")
        if not columns or isinstance(target, Dates):
            raise refused("none" if not columns else "dates", "columns, and a target of numbers or classes")
        if isinstance(target, Categories) and len(target.categories) < 2:
            raise refused("one", "two or more categories of the target")
        return cls(columns, target, tuple((name, why) for name, why in pairs), tuple(ids), tuple(order))


def _texts(values: list[Any]) -> bool:
    return all(type(value) is str for value in values)


def _kind(column: Column) -> str:
    """Return the kind of a column, for people."""
    if isinstance(column, Categories) and {text.lower() for text in column.categories} in BOOLEANS:
        return "boolean"
    return SHOWN[type(column)]


def column_record(column: Column) -> dict[str, Any]:
    """Return all fields of a column as JSON values."""
    kind = next(name for name, kind in KINDS.items() if type(column) is kind)
    return {"kind": kind} | asdict(column)


def column_of(record: Any) -> Any:
    """Return the column in a record that was read from a file.

    Raises
    ------
    ModelFileError
        If the record is not one that `column_record` returns.
    """
    kind = record.get("kind") if type(record) is dict else None
    if type(kind) is not str or kind not in KINDS:
        raise refused(_checks.shown(record), f"a column of a kind among {', '.join(KINDS)}")
    return KINDS[kind].from_record(record)
