"""How a text table is written: its encoding, its separator and its line of names."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO

from . import TableError
from .cutting import SEPARATORS, SPACES, WIDE, Cutting, escaped_in, quotation_mark
from .sources import Source

BLOCK = 1 << 20  # bytes that are read at a time
SAMPLE = 1 << 16  # bytes by which the separator is recognized; more if a row is longer
LARGEST_SAMPLE = 1 << 26
LEAST = 0.5  # the least share of rows that fit to a separator
MOST = 0.9  # the share of rows that fit to one that hardly fails
ROWS = 200  # rows of the sample that are compared
HINT = re.compile(r"sep=([^\r\n])\r?\n?")  # the first line of some files that Excel writes and reads
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins with the mark of UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
ESCAPED = re.compile(rb'\\"[^,;\t|\r\n"]')  # a quotation mark in a cell
DOUBLED = re.compile(rb'[^,;\t|\r\n\\ ]""[^,;\t|\r\n]')
DECIMAL = re.compile(r"[+-]?[0-9]*[.,][0-9]+(?:[eE][+-]?[0-9]+)?|-[0-9]+")  # what names no row
UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")  # bytes that Windows-1252 leaves open


@dataclass(frozen=True)
class Dialect:
    """How a text table is written.

    Attributes
    ----------
    encoding : the name of its encoding in Python
    cutting : how lines are divided into cells
    names : the cells of the line of names, without spaces around them; "" for a column without a name
    skipped : number of lines before the names
    titled : whether there is text in them
    plain : whether the file is UTF-8 whose cells every reader of CSV files reads in the same way
    quoted : whether there are quotation marks
    row_bytes : the mean length of a row in the sample
    named : whether there is a line of names; otherwise they are column_1, column_2 …
    """

    encoding: str
    cutting: Cutting
    names: tuple[str, ...]
    skipped: int
    titled: bool
    plain: bool
    quoted: bool
    row_bytes: int
    named: bool = True


@dataclass
class Scan:
    """What a pass over the bytes of a file finds."""

    is_utf8: bool = True
    undefined: bool = False
    quoted: bool = False
    escaped: bool = False  # \\" in cells
    doubled: bool = False  # "" in cells
    odd: bool = False  # zero bytes, a carriage return on its own, or spaces beside a quotation mark


def dialect_of(source: Source, wanted: Collection[str] = (), *, named: bool = True) -> Dialect:
    """Return how a text table is written.

    Parameters
    ----------
    source : the file
    wanted : names of needed columns; a separator that leads to them is preferred
    named : whether there is a line of names
    """
    mark = _encoding_of(source.start)
    found = _scan(source) if mark in ("", "utf-8-sig") else Scan(odd=True)
    encoding = mark or ("utf-8" if found.is_utf8 else "latin-1" if found.undefined else "cp1252")
    if mark == "utf-8-sig" and not found.is_utf8:
        encoding = "latin-1" if found.undefined else "cp1252"
    size = SAMPLE
    while True:
        text, whole = _sample(source, encoding, size)
        if whole or size >= LARGEST_SAMPLE or text.count("\n") + text.count("\r") > 2:
            break
        size *= 4
    hint = HINT.match(text)
    lines = text[hint.end() :] if hint else text
    first = lines.splitlines()[: None if whole else -1][:ROWS]
    quote = '"' if found.quoted else quotation_mark(first)
    escaped = found.escaped and not found.doubled if quote == '"' else escaped_in(first, quote)
    cutting = Cutting(hint[1] if hint else ",", quote, "\\" if escaped else "")
    if not hint:
        cutting = replace(cutting, separator=_separator(lines, whole, wanted, source.suffix, cutting))
    rows, skipped, titled = _rows(lines, cutting, whole)
    if not rows:
        raise TableError("the file is empty")
    names, skipped = _names(rows) if named else _numbered(rows), skipped + bool(hint)
    regular = len(rows[0]) == len(names) > 1 and cutting == Cutting(cutting.separator) and not skipped
    plain = found.is_utf8 and not found.odd and regular and cutting.separator not in (SPACES, WIDE)
    row_bytes = len(lines) // max(1, lines.count("\n"))
    return Dialect(encoding, cutting, names, skipped, titled, plain, found.quoted, row_bytes, named)


def _encoding_of(start: bytes) -> str:
    """Return the encoding of a file that begins so, if its first bytes tell it.

    UTF-16 has a zero byte beside every Latin letter.
    """
    even, odd = start[0::2], start[1::2]
    if mark := next((name for begin, name in MARKS.items() if start.startswith(begin)), ""):
        return mark
    if len(start) > 8 and odd.count(0) > 0.8 * len(odd) and not even.count(0):
        return "utf-16-le"
    return "utf-16-be" if len(start) > 8 and even.count(0) > 0.8 * len(even) and not odd.count(0) else ""


def has_wide_letters(start: bytes) -> bool:
    """Return whether a file that begins so is text in UTF-16 or UTF-32."""
    return _encoding_of(start)[:6] in ("utf-16", "utf-32")


def _scan(source: Source) -> Scan:
    """Read the whole file once. This takes a twentieth of the time of reading its cells."""
    found, decoder = Scan(), codecs.getincrementaldecoder("utf-8")()
    spaced = re.compile(rb'[,;\t|\r\n] +"|[,;\t|\r\n]" ')
    with source.opened() as file:
        for block in _blocks(file):
            if found.is_utf8:
                try:
                    decoder.decode(block)
                except UnicodeDecodeError:
                    found.is_utf8 = False
            if not found.is_utf8:
                found.undefined |= bool(UNDEFINED.search(block))
            found.odd |= b"\0" in block or block.count(b"\r") != block.count(b"\r\n")
            if b'"' in block:
                found.quoted = True
                found.odd |= bool(spaced.search(block))
                found.escaped |= bool(ESCAPED.search(block))
                found.doubled |= bool(DOUBLED.search(block))
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        found.is_utf8 = False
    return found


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield blocks that end with a line, if lines are shorter than a block."""
    rest = b""
    while block := file.read(BLOCK):
        cut = block.rfind(b"\n") + 1 or (0 if len(rest) < BLOCK else len(block))
        if cut:
            yield rest + block[:cut]
            rest = block[cut:]
        else:
            rest += block
    if rest:
        yield rest


def _sample(source: Source, encoding: str, size: int) -> tuple[str, bool]:
    """Return the beginning of the file as text, and whether it is the whole file."""
    with source.opened() as file:
        data = file.read(size)
        whole = not file.read(1)
    return codecs.getincrementaldecoder(encoding)("replace").decode(data, final=whole), whole


def _rows(text: str, cutting: Cutting, whole: bool) -> tuple[list[list[str]], int, bool]:
    """Return the first rows of a sample that aren't empty, from the names on.

    Returns
    -------
    rows : none if they can't be read so
    skipped : number of lines before the names
    titled : whether there is text in them
    """
    rows, starts, start = list[list[str]](), list[int](), 0
    lines = io.StringIO(text, newline="")  # str.splitlines would end a line at other characters, too
    reader = cutting.reader(lines)
    try:
        for row in reader:
            if any(row):
                rows.append(row)
                starts.append(start)
            start = reader.line_num
            if len(rows) > ROWS:
                break
        else:
            if not whole:  # the last one may be cut
                del rows[-1:]
    except csv.Error:
        pass
    place = _place_of_names(rows)
    return rows[place:], starts[place] if rows else 0, place > 0


def _place_of_names(rows: list[list[str]]) -> int:
    """Return the place of the first row that isn't a title, which has less than half as many cells as the others."""
    widths = [max(i for i, cell in enumerate(row) if cell) + 1 for row in rows]
    usual = sorted(widths)[len(widths) // 2] if widths else 0
    return next((i for i, width in enumerate(widths) if 2 * width >= usual), 0)


def _separator(text: str, whole: bool, wanted: Collection[str], suffix: str, cutting: Cutting) -> str:
    """Return the separator under which most rows have as many cells as the first."""
    best, top = "", (False, False, False, 0.0, 0)
    for separator in SEPARATORS:
        rows, _, titled = _rows(text, replace(cutting, separator=separator), whole)
        if not rows or len(rows[0]) < 2:
            continue
        names, body = _names(rows), rows[1:]
        width = len(names)
        fit = sum(len(row) >= width and not any(row[width:]) for row in body)
        share = fit / len(body) if body else 1.0
        has_wanted = bool(wanted) and set(wanted) <= set(names)
        if share < LEAST and not has_wanted:
            continue
        if separator in (SPACES, WIDE) and (top[3] >= LEAST or share < 1 or (suffix == ".csv" and not has_wanted)):
            continue  # spaces are part of many texts
        score = (has_wanted, not titled, share >= MOST, share, width)
        if score > top:
            best, top = separator, score
    return best or ","


def _numbered(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return names for as many columns as most rows have."""
    width = Counter(map(len, rows)).most_common(1)[0][0]
    return tuple(f"column_{place + 1}" for place in range(width))


def _names(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the names of the columns in the first row.

    Some programs write a separator after every row, and R's write.table writes no name for the column of row names,
    which are all different and seldom decimal numbers.
    """
    names, body = [name.strip() for name in rows[0]], rows[1:]
    while len(names) > 1 and not names[-1] and not any(any(row[len(names) - 1 :]) for row in body):
        names.pop()
    if body and all(len(row) == len(names) + 1 for row in body) and any(row[-1] for row in body):
        firsts = [row[0].strip() for row in body]
        if len(set(firsts)) == len(firsts) and not any(map(DECIMAL.fullmatch, firsts)):
            names.insert(0, "")
    return tuple(names)
