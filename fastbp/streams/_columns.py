"""Columns by name: those that the user chose for a Stream of Parquet or Arrow data, and those of a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _names, _pyarrow
from .._checks import is_sequence, typed, wrong
from ._pieces import Chunk

Array = npt.NDArray[Any]


class Selection(NamedTuple):
    """The columns that the user chose for X, y and the sample weights."""

    target: str | tuple[str, ...]  # one name makes y (n,), several make it (n, n_L)
    features: tuple[str, ...] | None  # None: all other columns
    weight: str | None

    @classmethod
    def checked(cls, target: Any, features: Any, weight: Any) -> Selection:
        """Return the names after checking that each is a text and occurs once."""
        expected = "a column name, or several"
        targets = _texts("target", [target] if isinstance(target, str) else target, expected)
        chosen = None if features is None else _texts("features", features, "column names")
        if weight is not None:
            _texts("sample_weight", [weight], "a column name")
        everything = _all(chosen or (), targets, weight)
        if repeated := [name for name in everything if everything.count(name) > 1]:
            raise ValueError(wrong("features", "each column once, in X or in y", f"{repeated[0]!r} twice"))
        return cls(target if isinstance(target, str) else targets, chosen, weight)

    def within(self, schema: Any, where: str, first: Columns | None = None) -> Columns:
        """Return these columns of a file or table, which must hold numbers; compare them with the first file's."""
        targets = _several(self.target)
        others = {*targets, self.weight} | _names.index_columns(schema)
        features = self.features or tuple(name for name in schema.names if name not in others)
        extra: list[str] = []
        if first is not None:
            extra, features = [name for name in features if name not in first.features], first.features
        if not features:
            raise ValueError(wrong(where, f"a column for X besides {', '.join(map(repr, targets))}", "none"))
        widths = []
        for name in _all(features, targets, self.weight):
            count = schema.names.count(name)
            if not count:
                raise ValueError(_pyarrow.no_column(where, name, schema.names, first.where if first else ""))
            if count > 1:
                raise ValueError(wrong(where, f"one column {name!r}", f"{count} columns of that name"))
            widths.append(_pyarrow.width(schema, name, where))
            if first is not None:
                first.check_width(name, widths[-1], where)
        if first is not None and extra:
            came = f"also {', '.join(map(repr, extra))}; use features= to choose the columns of X"
            raise ValueError(wrong(where, f"the columns of {first.where}", came))
        return Columns(features, self.target, self.weight, where, tuple(widths))


class Columns(NamedTuple):
    """The columns of one file or table that become X, y and the weights."""

    features: tuple[str, ...]
    target: str | tuple[str, ...]
    weight: str | None
    where: str
    widths: tuple[int, ...] = ()  # for each of `names`: 0 for numbers, k for lists of k numbers; () in old pickles

    @property
    def names(self) -> list[str]:
        """Names of all columns that are read."""
        return _all(self.features, self.target, self.weight)

    def width(self, name: str) -> int:
        """Return the width of a column, as in `widths`."""
        return self.widths[self.names.index(name)]

    def check_width(self, name: str, width: int, where: str) -> None:
        """Refuse a column whose width in another file differs."""
        if width != self.width(name):
            expected = f"{_shown_width(self.width(name))}, as in {self.where}"
            raise ValueError(wrong(f"{where}, column {name!r}", expected, _shown_width(width)))

    def labels(self, name: str) -> list[str]:
        """Return the names of the columns of X or y that a column becomes."""
        width = self.width(name)
        return [f"{name}[{i}]" for i in range(width)] if width else [name]

    def ordered(self, labels: Sequence[str]) -> Columns:
        """Return the columns with the features in the order of these labels, if they are the same columns."""
        firsts = {self.labels(name)[0]: name for name in self.features}
        features = tuple(firsts[label] for label in labels if label in firsts)
        if {label for name in self.features for label in self.labels(name)} != set(labels):
            return self
        swapped = self._replace(features=features)
        return swapped._replace(widths=tuple(map(self.width, swapped.names)))

    def chunk(self, batch: Any, place: str) -> tuple[str, Chunk]:
        """Return X, y and optional weights of a record batch at a place in the file, and its name for messages."""
        where = self.where + place

        def numbers(name: str) -> Array:
            return _pyarrow.numbers(batch.column(name), f"{where}, column {name!r}")

        def matrix(names: Sequence[str]) -> Array:
            return np.hstack([numbers(name).reshape(batch.num_rows, -1) for name in names])

        y = numbers(self.target) if isinstance(self.target, str) else matrix(self.target)
        weight = () if self.weight is None else (numbers(self.weight),)
        return where, (matrix(self.features), y, *weight)


def _several(target: str | tuple[str, ...]) -> tuple[str, ...]:
    return (target,) if isinstance(target, str) else target


def _all(features: tuple[str, ...], target: str | tuple[str, ...], weight: str | None) -> list[str]:
    return [*features, *_several(target), *([] if weight is None else [weight])]


def _shown_width(width: int) -> str:
    return f"lists of {width} numbers" if width else "numbers"


def _texts(argument: str, value: Any, expected: str) -> tuple[str, ...]:
    texts = tuple(value) if is_sequence(value) else ()
    if not texts or not all(isinstance(text, str) for text in texts):
        odd = [name for name in texts or [value] if not isinstance(name, str)]
        is_number = bool(odd) and hasattr(odd[0], "__index__")
        hint = f"; column names in files are strings, so write {str(odd[0])!r}" if is_number else ""
        raise TypeError(wrong(argument, expected, typed(value) + hint))
    return texts
