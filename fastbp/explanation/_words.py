"""Texts from files, such as column names, made fit for a table in a terminal or for a page."""

from __future__ import annotations

import unicodedata


def width_of(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def clean(text: str) -> str:
    """Return the text in one line, with escapes in place of characters that could control a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in " ".join(text.split()))


def shortened(text: str, width: int) -> str:
    """Return the text, `clean` and with … in place of its end if it is too wide."""
    text = clean(text)
    if width_of(text) <= width:
        return text
    while width_of(text) > width - 1:
        text = text[:-1]
    return text + "…"


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Return the text with spaces behind it, or before it."""
    spaces = " " * (width - width_of(text))
    return spaces + text if right else text + spaces
