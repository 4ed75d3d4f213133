"""Contributions and importances as text: aligned tables with bars, for a terminal of any width."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .._terminal import clean, padded, shortened, width_of
from ._told import Shares, Told

BAR = "█"
FEWEST = 8  # the fewest characters for a bar; in narrower windows there are no bars
MOST_DECIMALS = 7
CELL = 19  # characters of a cell, such as a date with a time
FIRST = 3  # the most contributions that the line of a sample names
NAME = 24  # characters of a name there
CLASS = 40  # characters of a class
CLASSES = 4  # classes whose probabilities are named


class Line(NamedTuple):
    """A line of a table with bars: a name, a text beside it, the number as text, and the length of the bar, −1 … 1.

    A line whose length is None has no bar.
    """

    name: str
    cell: str
    number: str
    length: float | None = None


def decimals(largest: float, digits: int) -> int:
    """Return the decimals with which numbers up to this one have the digits that matter."""
    return digits - 1 - math.floor(math.log10(largest)) if largest else digits


def number(value: float, digits: int = 4) -> str:
    """Return a number with some significant digits, and all digits before the decimal point."""
    size = abs(value)
    if size and not 1e-4 <= size < 1e9:
        return f"{value:.{digits - 1}g}"
    return f"{value + 0.0:.{max(0, decimals(size, digits))}f}"


def written(values: Sequence[float], digits: int = 3, sign: str = "") -> list[str]:
    """Return numbers with the same decimals, so that the largest has some significant digits."""
    places = decimals(max(map(abs, values), default=0.0), digits)
    form = f"{sign}.{digits - 1}e" if places > MOST_DECIMALS else f"{sign}.{max(0, places)}f"
    texts = [f"{value:{form}}" for value in values]
    return [f"{0.0:{form}}" if float(text) == 0 else text for text in texts]  # 0 for −0


def wrapped(text: str, width: int) -> str:
    """Return a text in lines of at most this width."""
    return textwrap.fill(text, width, break_on_hyphens=False, break_long_words=False)


def bars(lines: Sequence[Line], width: int, bar: str) -> list[str]:
    """Return lines of text. If there are negative numbers, their bars go left and the others right."""
    if not lines:
        return []
    is_signed = any((line.length or 0) < 0 for line in lines)
    names = [shortened(line.name, max(12, int(0.35 * width))) for line in lines]
    cells = [shortened(line.cell, max(CELL, int(0.2 * width))) for line in lines]
    columns = [names, *([cells] if any(cells) else []), [line.number for line in lines]]
    widths = [max(map(width_of, column)) for column in columns]
    left = width - sum(widths) - 2 * len(widths) - 3
    room = min(left // 2 if is_signed else left, 24)
    texts = []
    for line, *row in zip(lines, *columns, strict=True):
        last = len(row) - 1
        text = "  ".join(padded(cell, w, right=j == last) for j, (cell, w) in enumerate(zip(row, widths, strict=True)))
        texts.append(f"  {text}  {_bar(line.length, room, bar, is_signed=is_signed)}".rstrip())
    return texts


def _bar(length: float | None, room: int, bar: str, *, is_signed: bool) -> str:
    if length is None or room < FEWEST / (1 + is_signed):
        return ""
    drawn = bar * round(abs(length) * room)
    if not is_signed:
        return drawn
    left, right = (drawn, "") if length < 0 else ("", drawn)
    return f"{left:>{room}}{'│' if bar == BAR else '|'}{right}"


def text(shares: Shares, width: int, bar: str) -> str:
    """Return a table for one sample; for several, their averages, and a line for each."""
    if len(shares.told) == 1:
        return sample(shares, 0, width, bar)
    return "\n\n".join(
        [_averages(shares, width, bar), "\n".join(_line(shares, i, width) for i in range(len(shares.told)))]
    )


def sample(shares: Shares, i: int, width: int, bar: str) -> str:
    """Return what is predicted for a sample, and its contributions as a table with bars."""
    parts, told = shares.parts(i), shares.told[i]
    longest = max((abs(part.value) for part in parts), default=0) or 1
    *numbers, total = written([*(part.value for part in parts), float(shares.values[i].sum())], sign="+")
    lines = [Line(p.name, p.cell, text, p.value / longest) for p, text in zip(parts, numbers, strict=True)]
    return "\n".join(
        [
            *heading(told),
            "",
            *(wrapped(clean(note), width) + "\n" for note in told.notes),
            wrapped(sentence(shares, i), width),
            "",
            *bars([*lines, Line("sum", "", total)], width, bar),
        ]
    )


def heading(told: Told) -> list[str]:
    """Return what is predicted for a sample, and its target."""
    words = [f"{told.label}: {shortened(told.prediction, CLASS)}" if told.prediction else told.label]
    if told.probabilities:
        words[0] += f" with probability {told.probabilities[0][1]:.3f}"
        words += [f"{shortened(name, CLASS)} {p:.3f}" for name, p in told.probabilities[1:CLASSES]]
        if len(told.probabilities) > CLASSES:
            words.append("…")
    first, *others = words
    lines = [first + (f" ({', '.join(others)})" if others else "")]
    if told.target is not None:
        lines.append(f"target: {shortened(told.target, CLASS) or 'missing'}")
    return lines


def sentence(shares: Shares, i: int) -> str:
    """Return the output that is explained and that of the baseline."""
    told = shares.told[i]
    return (
        f"{clean(told.explained)} is {number(shares.outputs[i])}. For {shares.baseline_name} it is "
        f"{number(shares.baseline_outputs[i])}. Contributions of the {shares.kind}s to the difference:"
    )


def remaining(shares: Shares) -> str:
    """Return how far the sums of contributions are from the differences of outputs."""
    return f"The sums differ from the differences of the outputs by at most {np.abs(shares.differences).max():.1g}."


def _averages(shares: Shares, width: int, bar: str) -> str:
    parts = shares.averages()
    longest = max((part.value for part in parts), default=0) or 1
    numbers = written([part.value for part in parts], digits=4)
    lines = [Line(p.name, "", text, p.value / longest) for p, text in zip(parts, numbers, strict=True)]
    what = "rows" if shares.kind == "column" else "samples"
    head = f"Average contributions to {len(shares.told):,} {what}, without signs:"
    return "\n".join([head, "", *bars(lines, width, bar)])


def _line(shares: Shares, i: int, width: int) -> str:
    """Return a sample in one line, with as many of its largest contributions as there is room for."""
    told = shares.told[i]
    target = "" if told.target is None else f" (target {shortened(told.target, CLASS) or 'missing'})"
    predicted = shortened(told.prediction, CLASS) or clean(told.explained)
    value = f" {told.probabilities[0][1]:.3f}" if told.probabilities else ""
    if not told.prediction:
        value = f" {number(shares.outputs[i])}"
    text = f"{told.label}: {predicted}{value}{target}"
    parts = shares.parts(i)[:FIRST]
    for j, (part, size) in enumerate(zip(parts, written([part.value for part in parts], sign="+"), strict=True)):
        more = f"{', ' if j else ': '}{shortened(part.name, NAME)} {size}"
        if j and width_of(text + more) > width:
            break
        text += more
    return text
