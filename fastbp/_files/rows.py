"""The rows of a text table, read by Python's csv module: every file, and the problems of one that isn't regular."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator
from itertools import islice
from typing import IO

from .._checks import wrong
from .._memory_limit import memory_limit
from . import TableError
from .dialects import Dialect
from .sources import Source, text_of

ROWS = 4096  # rows that are taken apart at a time
LONGEST = 1 << 27  # characters of a line
SHOWN = 5  # problems that a message lists
CELL_BYTES = 64  # what a text takes besides its characters
END = "\ue000\ue001\ue000"  # follows the last line: it lies in a cell only if a quotation mark is missing


class Codes(dict[str, int]):
    """The number of each text, in the order in which the texts first come. An empty cell is missing, -1."""

    def __init__(self) -> None:
        super().__init__({"": -1})

    def __missing__(self, text: str) -> int:
        number = self[text] = len(self) - 1
        return number


class Cells:
    """The cells of a text table by column.

    Attributes
    ----------
    codes : for each column, the number of the text in each row
    texts : for each column, its different texts
    n_short : number of rows with fewer cells than there are names; the others are missing
    """

    def __init__(self, n_columns: int) -> None:
        self.codes = [array("i") for _ in range(n_columns)]
        self.known = [Codes() for _ in range(n_columns)]
        self.n_short, self.n_blank, self._texts_bytes = 0, 0, 0
        self.limit = memory_limit()

    @property
    def texts(self) -> list[list[str]]:
        return [list(known)[1:] for known in self.known]

    def add(self, rows: list[list[str]]) -> bool:
        """Add rows. Return False for a row with too many cells."""
        width = len(self.codes)
        if any(len(row) != width for row in rows):
            rows = self._regular(rows)
            if any(len(row) != width for row in rows):
                return False
        for codes, known, cells in zip(self.codes, self.known, zip(*rows, strict=True), strict=False):
            before = len(known)
            codes.extend(map(known.__getitem__, cells))
            if len(known) > before:
                new = islice(reversed(known), len(known) - before)
                self._texts_bytes += sum(map(len, new)) + CELL_BYTES * (len(known) - before)
        needed = self._texts_bytes + sum(codes.itemsize * len(codes) for codes in self.codes)
        if needed > self.limit:
            raise MemoryError(wrong("the table", f"what fits into {int(self.limit):,} bytes of memory", "a larger one"))
        return True

    def _regular(self, rows: list[list[str]]) -> list[list[str]]:
        """Return the rows without blank ones, with missing cells at the end of short ones, and without empty ends."""
        width, regular = len(self.codes), []
        for row in rows:
            if not row or (width > 1 and row == [""]):
                self.n_blank += 1
                continue
            if width == 1:  # a blank line between others is a missing value
                regular += [[""] for _ in range(self.n_blank)]
            self.n_blank = 0
            if len(row) < width:
                self.n_short += 1
            ends_empty = not any(row[width:])
            regular.append((row + [""] * (width - len(row)))[:width] if ends_empty else row)
        return regular


def read(source: Source, dialect: Dialect) -> Cells:
    """Return the cells of a text table.

    Raises
    ------
    TableError
        If rows have too many cells, or for zero bytes and quotation marks without an end: the first five problems with
        their lines, and the number of problems.
    """
    cells = Cells(len(dialect.names))
    with source.opened() as file, text_of(file, dialect.encoding) as text:
        lines = Lines(text, dialect)
        reader = dialect.cutting.reader(lines)
        try:
            if dialect.named:
                next(row for row in reader if any(row))  # the names
            while rows := list(islice(reader, ROWS)):
                at_end = rows[-1] == [END]
                if at_end:
                    rows.pop()
                if (lines.ended and not at_end) or lines.has_zero or not cells.add(rows):
                    raise _problems(source, dialect)
        except (csv.Error, StopIteration):
            raise _problems(source, dialect) from None
    return cells


class Lines:
    """The lines of a text table, and one more at the end."""

    def __init__(self, text: IO[str], dialect: Dialect) -> None:
        self.text, self.dialect = text, dialect
        self.has_zero = self.ended = False
        self.count = 0  # of the lines that were read

    def __iter__(self) -> Iterator[str]:
        while line := self.text.readline(LONGEST):
            self.count += 1
            if len(line) >= LONGEST:
                raise TableError(f"a line is longer than {LONGEST:,} characters; this is not a table")
            if self.count > self.dialect.skipped:
                self.has_zero |= "\0" in line
                yield line
        self.ended = True
        yield END


def _problems(source: Source, dialect: Dialect) -> TableError:
    """Return the error that lists what is wrong with the rows."""
    found, n_rows, n_wide = list[str](), -int(dialect.named), 0
    there_are = "there is" if len(dialect.names) == 1 else "there are"
    what = "name" if dialect.named else "column"
    width, begin = len(dialect.names), dialect.skipped + 1
    with source.opened() as file, text_of(file, dialect.encoding) as text:
        lines = Lines(text, dialect)
        reader = dialect.cutting.reader(lines)
        try:
            for row in reader:
                if lines.has_zero:
                    found.append(f"line {lines.count}: a byte 0, which no text has")
                    lines.has_zero = False
                if lines.ended and row != [END]:
                    found.append(f"line {begin}: a quotation mark that has no end")
                elif any(row[width:]):
                    n_wide += 1
                    found.append(f"line {begin}: {len(row)} cells, but {there_are} {width} {what}{'s' * (width > 1)}")
                n_rows += bool(row) and row != [END]
                begin = lines.count + 1
        except csv.Error as error:
            found.append(f"line {begin}: {error}; a quotation mark may have no end")
    message = summary(found, "lines")
    if n_wide == n_rows > SHOWN:
        message += "\neach row has more cells than there are names; "
        message += "put cells with separators between quotation marks, or name every column"
    return TableError(message)


def summary(found: list[str], of: str) -> str:
    """Return a message that lists problems: the first ones, and how many there are."""
    if len(found) == 1:
        return found[0]
    more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return "\n".join([f"{len(found)} {of} can't be read", *found[:SHOWN], *more])
