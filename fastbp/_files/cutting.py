"""How the lines of a text table are divided into cells."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

SPACES, WIDE = " ", "  "  # separators that stand for any number of spaces, and for two or more
SEPARATORS = {
    **{",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"},
    **{SPACES: "spaces", WIDE: "two or more spaces"},
}
GAP = re.compile(r" *\t *| {2,}")
MARKS = {"'": "single quotes", '"': "quotation marks"}
QUOTED = r"(?:(?<=^)|(?<={0})) *'(?:[^'\\]|\\.|'')*' *(?={0}|$)"  # a cell in single quotes
SHARE = 0.9  # of the rows that have such cells, where single quotes are quotation marks


@dataclass(frozen=True)
class Cutting:
    """What divides a line into cells.

    Attributes
    ----------
    separator : the character between two cells, SPACES or WIDE
    quote : the character before and after a cell that may contain separators
    escape : the character before a quotation mark in such a cell; "" if two quotation marks stand for one
    """

    separator: str
    quote: str = '"'
    escape: str = ""

    def reader(self, lines: Iterable[str]) -> Any:
        """Return the csv.reader of lines. Zero bytes are left out."""
        return csv.reader(
            map(self._prepared, lines),
            delimiter="\t" if self.separator == WIDE else self.separator,
            quotechar=self.quote,
            escapechar=self.escape or None,
            skipinitialspace=True,
        )

    def _prepared(self, line: str) -> str:
        line = line.replace("\0", "")
        if self.separator == SPACES:
            return line.replace("\t", " ")
        if self.separator == WIDE:
            cells = line.rstrip("\r\n")
            return GAP.sub("\t", cells.strip(" ")) + line[len(cells) :]
        return line


def quotation_mark(lines: list[str]) -> str:
    """Return the quotation mark of lines that have no '"': a single quote if most of them have cells between two."""
    body = [line for line in lines[1:] if line.strip()]
    for separator in map(re.escape, ",;\t|"):
        quoted, begins = re.compile(QUOTED.format(separator)), re.compile(f"(?:^|{separator})'")
        rests = [rest for rest, count in (quoted.subn("", line) for line in body) if count]
        if body and len(rests) >= SHARE * len(body) and not any(map(begins.search, rests)):
            return "'"
    return '"'


def escaped_in(lines: Iterable[str], quote: str) -> bool:
    """Return whether backslashes stand before quotation marks in cells."""
    pattern = re.compile(rf"\\{quote}[^,;\t|\r\n{quote}]")
    return any(map(pattern.search, lines))
