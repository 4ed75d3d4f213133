"""Spellings of a value: the name of a class, and one text for all spellings of a category."""

from __future__ import annotations

import re

WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]*)(\.0*)?")  # an integer, possibly written as a float
FLOAT = re.compile(r"[+-]?[0-9](\.[0-9]*)?[eE][+-]?[0-9]{1,3}")  # a float as NumPy's savetxt writes it
CLOCK = re.compile(r"(.* \d\d:\d\d:\d\d)(?:\.0*|(\.\d*[1-9])0*)?")  # a date or a number of days, and a time
EXACT = 1 << 53  # above this, float64 cannot represent every integer


def label(text: str) -> str:
    """Return the name of an integer class: 1 for 1.0 and 1.00e+00, but 007 and +1 unchanged.

    A float from 2⁵³ on keeps its text, because several integers have the same float.
    """
    text = text.strip()
    if not (WHOLE.fullmatch(text) or FLOAT.fullmatch(text)) or (text.lstrip("+-").isdecimal() and text != "-0"):
        return text
    number = float(text)
    return str(int(number)) if number.is_integer() and abs(number) < EXACT else text


def same(text: str) -> str:
    """Return the same text for all spellings of a value: 1, 1.0 and +1; true and True; a day and its midnight."""
    text = label(text)
    if clock := CLOCK.fullmatch(text):
        return clock[1] + clock[2] if clock[2] else clock[1].removesuffix(" 00:00:00")
    if text.lower() in ("true", "false"):
        return text.capitalize()
    return text[1:] if text[0:1] == "+" and WHOLE.fullmatch(text) else text
