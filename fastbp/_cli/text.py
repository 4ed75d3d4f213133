"""Text for a terminal: aligned tables, and lines that are not too long."""

from __future__ import annotations

import math
import shutil
import textwrap
from collections.abc import Sequence

from .._terminal import padded, shortened, width_of
from ..progress import number_text

NARROWEST, WIDEST = 60, 120  # columns of text; a file or a pipe gets 80


def width() -> int:
    """Return how many characters a line may have."""
    return min(max(shutil.get_terminal_size((80, 24)).columns, NARROWEST), WIDEST)


def aligned(rows: Sequence[Sequence[str]], *, numbers_from: int = 1, indent: str = "") -> str:
    """Return rows of cells as lines of columns.

    Parameters
    ----------
    rows : all of the same length; the first is usually the names of the columns
    numbers_from : the first column that is aligned to the right
    indent : text before each line
    """
    sizes = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [padded(cell, sizes[j], right=j >= numbers_from) for j, cell in enumerate(row)]
        lines.append((indent + "  ".join(cells)).rstrip() + "\n")
    return "".join(lines)


def described(rows: Sequence[tuple[str, str, str]], heads: tuple[str, str, str]) -> str:
    """Return a table whose last column is prose, which is wrapped to the width of the terminal."""
    whole = width()
    names = [heads[0], *(shortened(name, whole // 3) for name, _, _ in rows)]
    kinds = [heads[1], *(kind for _, kind, _ in rows)]
    sizes = max(map(width_of, names)), max(map(width_of, kinds))
    start = sum(sizes) + 4
    lines = []
    for name, kind, words in zip(names, kinds, [heads[2], *(words for _, _, words in rows)], strict=True):
        parts = textwrap.wrap(words, max(20, whole - start), break_on_hyphens=False) or [""]
        lines.append(f"{padded(name, sizes[0])}  {padded(kind, sizes[1])}  {parts[0]}".rstrip())
        lines += [" " * start + part for part in parts[1:]]
    return "".join(line + "\n" for line in lines)


def paragraph(text: str) -> str:
    """Return a text in lines of the terminal's width."""
    return textwrap.fill(text, width(), break_on_hyphens=False, break_long_words=False) + "\n"


def figure(value: float) -> str:
    """Format a measure: four decimals, fewer for large numbers."""
    if math.isnan(value):
        return "-"
    if abs(value) < 100:
        return "0" if value == 0 else number_text(value)
    return f"{value:.1f}" if abs(value) < 1e9 else f"{value:.4g}"


def counted(n: int, word: str, several: str = "") -> str:
    """Return a number and a word: 1 row, 2 rows, 12,000 rows."""
    return f"{n:,} {word if n == 1 else several or word + 's'}"


def listed(names: Sequence[str], most: int = 10) -> str:
    """Return the first names in quotes, and how many more there are."""
    return ", ".join(map(repr, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")
