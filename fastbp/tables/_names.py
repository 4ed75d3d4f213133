"""Columns that say nothing about a new row: identifiers, text, and counts of rows."""

from __future__ import annotations

import re

import numpy as np

from ._cells import Array, Cells

MANY = 20  # from so many rows on, a column whose values are all different is an identifier
LONG = 30  # characters, on average, of text rather than categories
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
LAST = {"id", "ids", "uuid", "guid", "rowid", "rownames", "rownum", "idx"}  # of the words of a name
WHOLE = {
    "index",
    "row",
    "key",
    "no",
    "nr",
    "s.no",
    "s.no.",
    "#",
    "unnamed: 0",
    "column_1",
    "obs",
    "serial",
    "rownumber",
}
JOINED = re.compile(
    r"(customer|user|order|row|product|item|patient|passenger|employee|client|account|transaction|session|case|record|"
    r"sample|student|loan|member|person|object|house|listing|host|policy|claim|ticket|booking|invoice|subject|unique)_?id",
    re.IGNORECASE,
)
CLOCKS = {
    "time",
    "t",
    "day",
    "days",
    "date",
    "year",
    "month",
    "week",
    "period",
    "quarter",
    "hour",
    "trend",
    "age",
    "dose",
}


def is_id_name(name: str) -> bool:
    """Return whether a column is called like an identifier."""
    words = [word.lower() for word in WORDS.findall(name)]
    return name.strip().lower() in WHOLE or bool(JOINED.fullmatch(name.strip())) or (bool(words) and words[-1] in LAST)


def counted(cells: Cells, numbers: Array, *, named: bool = True) -> str:
    """Return why a column of numbers is an identifier, or ""; named: whether its name says something about it."""
    n = len(cells)
    if n <= MANY or len(cells.values) < n or not _are_whole(numbers):
        return ""
    if named and is_id_name(cells.name):
        return "an identifier: each row has a different integer"
    in_order = numbers[cells.codes]
    steps = bool((np.diff(in_order) == 1).all()) and in_order[0] in (0, 1)
    words = [word.lower() for word in WORDS.findall(cells.name)]
    return "an identifier: it counts the rows" if steps and not CLOCKS.intersection(words) else ""


def names_things(cells: Cells, numbers: Array) -> bool:
    """Return whether integers are the names of things, by the name of their column, and repeat."""
    return is_id_name(cells.name) and len(cells.values) < int((cells.codes >= 0).sum()) and _are_whole(numbers)


def text_reason(cells: Cells) -> str:
    """Return why a column of texts is no column of categories, or ""."""
    n, distinct = int((cells.codes >= 0).sum()), len(cells.values)
    if n <= MANY:
        return ""
    if distinct == n:
        return "an identifier or text: each row has a different value"
    length = float(np.dot(list(map(len, cells.texts)), cells.counts) / n)
    if distinct > n / 2 and length > LONG:
        return f"text: {distinct:,} different values in {n:,} rows"
    return f"text or an identifier: {distinct:,} different values in {n:,} rows" if distinct > 0.9 * n else ""


def _are_whole(numbers: Array) -> bool:
    return bool(len(numbers)) and bool(np.isfinite(numbers).all()) and bool((numbers == np.round(numbers)).all())
