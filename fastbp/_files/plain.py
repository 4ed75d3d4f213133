"""CSV files without pandas, whose import takes several times as long as a prediction.

A file is read here if it is plain: there is only one way to read it. All other files are left to pandas, also those
with an error.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .._writing import replacing

ROWS = 1 << 14  # rows that are written at a time
LARGEST = 1 << 20  # bytes; pandas reads larger files faster
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")
DIGITS = 15  # up to so many, Python and pandas read the same float64


def read(path: str, wanted: Sequence[str]) -> dict[str, list[str]] | None:
    """Return the wanted columns of a plain file, by their names, or None if pandas must read it."""
    if os.path.splitext(path)[1] != ".csv" or not os.path.isfile(path) or os.path.getsize(path) > LARGEST:
        return None
    with open(path, encoding="utf-8-sig", newline="") as file:
        try:
            text = file.read()
        except UnicodeDecodeError:
            return None
    text = text.replace("\r\n", "\n").removesuffix("\n")
    if any(sign in text for sign in '"\r\0'):
        return None
    names, *rows = [line.split(",") for line in text.split("\n")]
    if not rows or len(names) < 2 or any(len(row) != len(names) for row in rows):
        return None
    if (
        not all(names)
        or not all(map(_is_plain, names))
        or len(set(names)) < len(names)
        or not set(wanted) <= set(names)
    ):
        return None
    if len(wanted) < 2 and not any(map(_is_word, names)):  # the first line may be numbers
        return None
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names) if name in wanted}
    return columns if all(all(map(_is_plain, cells)) for cells in columns.values()) else None


def _is_plain(cell: str) -> bool:
    """Return whether a cell has no spaces around it, no special characters and no single quote at its start."""
    return cell.isprintable() and cell.strip() == cell and cell[:1] != "'"


def _is_word(name: str) -> bool:
    """Return whether a name can't be a number."""
    return name[0].isalpha() and "inf" not in name.lower()


def numbers_of(cells: Sequence[str]) -> list[float] | None:
    """Return the cells as numbers, or None if one of them isn't a plain number."""
    if not all(NUMBER.fullmatch(cell) and len(cell) <= DIGITS for cell in cells):
        return None
    numbers = list(map(float, cells))
    return None if any(number == 0 and cell[0] == "-" for number, cell in zip(numbers, cells, strict=True)) else numbers


def write(columns: dict[str, Any], file: Any, separator: str = ",") -> None:
    """Write columns of one length to an open file or a path, as pandas does. A crash leaves the old or the new file.

    Parameters
    ----------
    columns : arrays of floats, and arrays or lists of text, by their names
    file : a path, or a stream, which translates line endings itself if its system has others
    separator : the character between two cells
    """
    if isinstance(file, str):
        with replacing(file, text=True) as new:
            _write_rows(new, columns, separator)
    else:
        _write_rows(file, columns, separator)


def _write_rows(file: Any, columns: dict[str, Any], separator: str) -> None:
    writer = csv.writer(file, delimiter=separator, lineterminator="\n")
    writer.writerow(columns)
    for part in parts(columns):
        writer.writerows(zip(*map(_texts, part), strict=True))


def parts(columns: dict[str, Any]) -> Iterator[list[Any]]:
    """Yield some rows of all columns after the other: as texts, they take much more memory."""
    count = len(next(iter(columns.values()), ()))
    for start in range(0, count, ROWS):
        yield [column[start : start + ROWS] for column in columns.values()]


def _texts(column: Any) -> list[str]:
    """Return a column as text, with nothing in place of NaN."""
    if np.asarray(column).dtype.kind != "f":
        return list(column)
    return np.where(np.isnan(column), "", column.astype(str)).tolist()
