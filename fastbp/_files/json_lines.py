"""Tables in JSON: an object for each row, on lines or in one list."""

from __future__ import annotations

import codecs
import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import shown, wrong
from .._memory_limit import memory_limit
from . import TableError
from .rows import LONGEST, summary
from .sources import Source, text_of

if TYPE_CHECKING:
    from pandas import DataFrame

LARGER = 4  # bytes of memory for a byte of JSON, at the least
POINTER = 8  # bytes of a value in a list
ENCODING = "utf-8-sig"
EXPECTED = "a list of objects, one for each row, or an object on each line"
INTEGERS = np.iinfo(np.int64)


def read(source: Source, _wanted: Collection[str] = ()) -> DataFrame:
    """Return the table in JSON lines, or in a JSON list of objects.

    A value keeps its type. An object in a row becomes columns with names such as `address.city`, and a list becomes
    its JSON text. A name that a row doesn't have is a missing value.

    Raises
    ------
    TableError
        If it isn't JSON, or if lines aren't objects: the first five with their numbers, and how many they are.
    """
    import pandas

    try:
        columns, n = _columns(
            _records(source)
            if source.start.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"[", b"")
            else _lines(source)
        )
    except UnicodeDecodeError as error:
        raise TableError(f"expected JSON in UTF-8: {error}") from None
    typed = {place: _typed(*item) for place, item in enumerate(columns.items())}
    frame = pandas.DataFrame(typed, index=range(n))
    frame.columns = pandas.Index(list(columns), dtype=object)
    return frame


def _lines(source: Source) -> Iterator[dict[str, Any]]:
    """Yield the objects of JSON lines; those of the whole file where its only object lies on several lines."""
    found, first, limit, count, taken = list[str](), dict[str, Any](), memory_limit(), 0, 0
    with source.opened() as file, text_of(file, ENCODING) as text:
        while line := text.readline(LONGEST):
            count, taken = count + 1, taken + LARGER * len(line)
            if taken > limit:
                raise _too_large(limit)
            if count == 1 and line.strip() == "{":
                yield from _records(source)
                return
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                found.append(f"line {count}: not JSON: {error}")
                continue
            if not isinstance(record, dict):
                found.append(f'line {count}: expected an object such as {{"x": 1}}, got {shown(record)}')
                continue
            if count == 1 and _is_columns(record):  # or a first row of lists
                first = record
                continue
            if first:
                yield first
                first = {}
            yield record
    if found:
        raise TableError(summary(found, "lines"))
    yield from _rows(first)


def _records(source: Source) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON list, or the rows of an object of columns."""
    limit = memory_limit()
    with source.opened() as file, text_of(file, ENCODING) as text:
        whole = text.read(int(min(limit // LARGER, 1 << 62)))
        if text.read(1):
            raise _too_large(limit)
    try:
        records = json.loads(whole)
    except (ValueError, RecursionError) as error:
        raise TableError(f"this is not JSON: {error}") from None
    if isinstance(records, dict) and _is_columns(records):
        records = list(_rows(records))
    if not isinstance(records, list):
        raise TableError(wrong("JSON", EXPECTED, shown(records)))
    found = [f"object {i + 1}: got {shown(each)}" for i, each in enumerate(records) if not isinstance(each, dict)]
    if found:
        raise TableError(f"expected {EXPECTED}\n{summary(found, 'objects')}")
    yield from records


def _too_large(limit: float) -> MemoryError:
    return MemoryError(wrong("the table", f"what fits into {int(limit):,} bytes of memory", "a larger one"))


def _is_columns(record: dict[str, Any]) -> bool:
    """Return whether an object holds columns, as pandas' to_json writes them, and not a row."""
    values = list(record.values())
    if all(isinstance(value, dict) for value in values):
        return len({tuple(value) for value in values}) == 1
    return all(isinstance(value, list) for value in values) and len({len(value) for value in values}) == 1


def _rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of an object of columns, or of one such as {"data": [{"x": 1}, {"x": 2}]}."""
    columns = [list(value.values()) if isinstance(value, dict) else value for value in record.values()]
    if len(columns) == 1 and all(isinstance(row, dict) for row in columns[0]):
        yield from columns[0]
        return
    for row in zip(*columns, strict=True):
        yield dict(zip(record, row, strict=True))


def _columns(records: Iterable[dict[str, Any]]) -> tuple[dict[str, list[Any]], int]:
    """Return the values by name, and the number of rows."""
    columns, n, limit = dict[str, list[Any]](), 0, memory_limit()
    for record in records:
        for name, value in _flat(record):
            if name not in columns and POINTER * n * len(columns) > limit:
                raise _too_large(limit)
            values = columns.setdefault(name, [])
            if len(values) <= n:  # otherwise the row has the name twice, as "a.b" and as a name in "a"
                values += [None] * (n - len(values))
                values.append(value)
        n += 1
    for values in columns.values():
        values.extend([None] * (n - len(values)))
    return columns, n


def _flat(record: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of an object with their names, those in objects with the names of these before them."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def _typed(name: str, values: list[Any]) -> Any:
    """Return a column in the dtype of its values."""
    import pandas

    kinds = {type(value) for value in values} - {type(None)}
    has_none = None in values
    if kinds == {str}:
        known: dict[str, int] = {}
        codes = [-1 if value is None else known.setdefault(value, len(known)) for value in values]
        try:
            return pandas.Categorical.from_codes(codes, pandas.Index(list(known), dtype="str"))
        except UnicodeEncodeError as error:
            raise TableError(f"column {name!r} has half of a surrogate pair, which is no character: {error}") from None
    if kinds == {bool}:
        return pandas.array(values, dtype="boolean") if has_none else np.array(values, bool)
    if kinds == {int} and all(INTEGERS.min <= value <= INTEGERS.max for value in values if value is not None):
        return pandas.array(values, dtype="Int64") if has_none else np.array(values, np.int64)
    if kinds and kinds <= {int, float}:
        with suppress(OverflowError):  # an integer above 10³⁰⁸
            return np.array([np.nan if value is None else value for value in values], np.float64)
    return pandas.Series(values, dtype=object)
