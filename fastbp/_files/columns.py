"""The columns of a model's table: how each becomes numbers and back. The model file stores them as JSON."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from .. import _checks
from .._records import check_fields, refused

WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]*)(\.0*)?")  # an integer, possibly written as a float
FLOAT = re.compile(r"[+-]?[0-9](\.[0-9]*)?[eE][+-]?[0-9]{1,3}")  # a float as NumPy's savetxt writes it
CLOCK = re.compile(r"(.* \d\d:\d\d:\d\d)(?:\.0*|(\.\d*[1-9])0*)?")  # a date or a number of days, and a time
EXACT = 1 << 53  # above this, float64 cannot represent every integer


def label(text: str) -> str:
    """Return the name of an integer class: 1 for 1.0 and 1.00e+00, but 007 and +1 unchanged.

    A float from 2⁵³ on keeps its text, because several integers have the same float.
    """
    text = text.strip()
    if not (WHOLE.fullmatch(text) or FLOAT.fullmatch(text)) or (text.lstrip("+-").isdecimal() and text != "-0"):
        return text
    number = float(text)
    return str(int(number)) if number.is_integer() and abs(number) < EXACT else text


def same(text: str) -> str:
    """Return the same text for all spellings of a value: 1, 1.0 and +1; true and True; a day and its midnight."""
    text = label(text)
    if clock := CLOCK.fullmatch(text):
        return clock[1] + clock[2] if clock[2] else clock[1].removesuffix(" 00:00:00")
    if text.lower() in ("true", "false"):
        return text.capitalize()
    return text[1:] if text[0:1] == "+" and WHOLE.fullmatch(text) else text


@dataclass(frozen=True)
class Numbers:
    """A column of numbers, scaled to mean 0 and standard deviation 1.

    Attributes
    ----------
    name : name of the column
    mean, deviation : before scaling; a constant column has the deviation 1
    fill : whether a missing number is replaced by the mean, instead of refused
    """

    name: str
    mean: float
    deviation: float
    fill: bool

    @property
    def width(self) -> int:
        """Number of inputs that the column becomes."""
        return 1

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Numbers:
        """Return the column in a record from a file, as in `Table.from_record`."""
        kinds = {"kind": (str,), "name": (str,), "mean": (float,), "deviation": (float,), "fill": (bool,)}
        check_fields("a column", record, kinds)
        name, mean, deviation = record["name"], record["mean"], record["deviation"]
        if not math.isfinite(mean) or not 0 < deviation < math.inf:
            raise refused(f"{mean}, {deviation}", f"a finite mean and a deviation > 0 of {_checks.shown(name)}")
        return cls(name, mean, deviation, record["fill"])


@dataclass(frozen=True)
class Categories:
    """A column of categories, one-hot encoded.

    Attributes
    ----------
    name : name of the column
    categories : each category once, as text
    fill : the category that replaces a missing one; None refuses missing ones
    """

    name: str
    categories: tuple[str, ...]
    fill: str | None

    @property
    def width(self) -> int:
        """Number of inputs that the column becomes."""
        return len(self.categories)

    @cached_property
    def codes(self) -> dict[str, int]:
        """The number of each category."""
        return {category: i for i, category in enumerate(self.categories)}

    @cached_property
    def _others(self) -> dict[str, int]:
        """The number of each category by `same`, if no other category has the same value."""
        shared = Counter(map(same, self.categories))
        return {same(text): i for text, i in self.codes.items() if shared[same(text)] == 1}

    def code(self, text: str) -> int:
        """Return the number of a category in any spelling of its value, or -1 if there is no such category."""
        return self.codes[text] if text in self.codes else self._others.get(same(text), -1)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Categories:
        """Return the column in a record from a file, as in `Table.from_record`."""
        kinds = {"kind": (str,), "name": (str,), "categories": (list,), "fill": (str, type(None))}
        check_fields("a column", record, kinds)
        name, categories, fill = record["name"], record["categories"], record["fill"]
        texts = all(type(category) is str for category in categories)
        if not texts or not 0 < len(categories) == len(set(categories)):
            raise refused(_checks.shown(categories), f"different texts as categories of {_checks.shown(name)}")
        if fill is not None and fill not in categories:
            raise refused(_checks.shown(fill), f"a fill among the categories of {_checks.shown(name)}")
        return cls(name, tuple(categories), fill)


Column = Numbers | Categories
KINDS: dict[str, type[Column]] = {"numbers": Numbers, "categories": Categories}


@dataclass(frozen=True)
class Table:
    """The columns that become a network's inputs, in order, and the column that it predicts."""

    columns: tuple[Column, ...]
    target: Column

    @property
    def n_inputs(self) -> int:
        """n_1 of a network for this table."""
        return sum(column.width for column in self.columns)

    @property
    def n_outputs(self) -> int:
        """n_L of a network for this table; two classes share one output."""
        return 1 if self.target.width == 2 else self.target.width

    @property
    def loss(self) -> str:
        """The loss for the target."""
        if isinstance(self.target, Numbers):
            return "squared_error"
        return "binary_cross_entropy" if self.n_outputs == 1 else "cross_entropy"

    def record(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return {"columns": [_record(column) for column in self.columns], "target": _record(self.target)}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Table:
        """Create a Table from a `record` that was read from a file.

        Raises
        ------
        ModelFileError
            If the record is not one that `record` returns.
        """
        check_fields("a table", record, {"columns": (list,), "target": (dict,)})
        table = cls(tuple(_column(column) for column in record["columns"]), _column(record["target"]))
        if repeated := duplicates([column.name for column in (*table.columns, table.target)]):
            raise refused(f"two called {_checks.shown(repeated[0])}", "columns of different names")
        if isinstance(table.target, Categories) and table.target.width < 2:
            raise refused("one", "two or more categories of the target")
        return table


def duplicates(names: Sequence[str]) -> list[str]:
    """Return the names that occur more than once."""
    return [name for name, count in Counter(names).items() if count > 1]


def _record(column: Column) -> dict[str, Any]:
    kind = next(name for name, kind in KINDS.items() if type(column) is kind)
    return {"kind": kind} | asdict(column)


def _column(record: Any) -> Column:
    kind = record.get("kind") if type(record) is dict else None
    if type(kind) is not str or kind not in KINDS:
        raise refused(_checks.shown(record), f"a column of a kind among {', '.join(KINDS)}")
    return KINDS[kind].from_record(record)
