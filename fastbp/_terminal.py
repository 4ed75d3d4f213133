"""Texts from files, such as column names, made fit for a table in a terminal or for a page."""

from __future__ import annotations

import unicodedata

LONGEST = 8  # characters that are looked at for each column: accents and repeated spaces take none


def width_of(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def clean(text: str) -> str:
    """Return the text in one line, with escapes in place of characters that could control a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in " ".join(text.split()))


def shortened(text: str, width: int) -> str:
    """Return the text, `clean` and with … in place of its end if it is too wide."""
    first = clean(text[: LONGEST * width])
    if width_of(first) <= width and len(text) <= LONGEST * width:
        return first
    while width_of(first) > width - 1:
        first = first[:-1]
    return first + "…"


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Return the text with spaces behind it, or before it."""
    spaces = " " * max(0, width - width_of(text))
    return spaces + text if right else text + spaces
