"""Contributions as part of the HTML page: for each sample what is predicted, and a table with bars."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .._terminal import clean
from ._shares import number, remaining, written
from ._told import Part, Shares, Told

CLASSES = 5  # classes whose probabilities are shown
NAME = 80  # the most characters of a name or a cell; a page wraps long ones


def section(shares: Shares) -> str:
    """Return the part of the page that shows the contributions to all samples. The script shows one at a time."""
    average = ""
    if len(shares.told) > 1:
        count = f"{len(shares.told):,} {'rows' if shares.kind == 'column' else 'samples'}"
        table = _table(f"Average contributions to {count}, without signs", shares.averages())
        average = f"<details><summary>Average over the {count}</summary>{table}</details>"
    samples = "".join(_sample(shares, i) for i in range(len(shares.told)))
    return f'<section id="contributions">{average}{samples}<p class="quiet">{escape(remaining(shares))}</p></section>'


def _sample(shares: Shares, i: int) -> str:
    told = shares.told[i]
    heading = f"{_text(told.label)}: {_text(told.prediction)}" if told.prediction else _text(told.label)
    target = "" if told.target is None else f"<p>Target: <b>{_text(told.target) or 'missing'}</b></p>"
    explained = (
        f"<p>{_text(told.explained)} is <b>{number(shares.outputs[i])}</b>. For {escape(shares.baseline_name)} it is "
        f"<b>{number(shares.baseline_outputs[i])}</b>. The {shares.kind}s add up to the difference of "
        f"<b>{written([float(shares.values[i].sum())], sign='+')[0]}</b>:</p>"
    )
    notes = "".join(f"<p>{_text(note)}</p>" for note in told.notes)
    table = _table(f"Contribution of each {shares.kind}", shares.parts(i), "+")
    return (
        f'<article class="told"><h2>{heading}</h2>{_probabilities(told)}{target}{notes}{explained}{table}</article>\n'
    )


def _probabilities(told: Told) -> str:
    """Return the largest probabilities of classes as a table with bars."""
    if not told.probabilities:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{_text(name)}</th><td>{p:.3f}</td><td class="bar">{_bar(p, 100, 0)}</td></tr>'
        for name, p in told.probabilities[:CLASSES]
    )
    left_out = len(told.probabilities) - CLASSES
    more = f'<p class="quiet">and {left_out:,} classes that are less probable</p>' if left_out > 0 else ""
    return f'<table class="shares"><caption>Probability of each class</caption><tbody>{rows}</tbody></table>{more}'


def _table(caption: str, parts: Sequence[Part], sign: str = "") -> str:
    """Return parts as a table with bars, which have two directions if there are negative numbers."""
    longest = max((abs(part.value) for part in parts), default=0) or 1
    is_signed = any(part.value < 0 for part in parts)
    rows = ""
    for part, text in zip(parts, written([part.value for part in parts], sign=sign), strict=True):
        cell = f'<span class="quiet">{_text(part.cell)}</span>' if part.cell else ""
        bar = _bar(part.value / longest, 50, 50) if is_signed else _bar(part.value / longest, 100, 0)
        side = "bar middle" if is_signed else "bar"
        rows += f'<tr><th scope="row">{_text(part.name)}{cell}</th><td>{text}</td><td class="{side}">{bar}</td></tr>'
    return f'<table class="shares"><caption>{escape(caption)}</caption><tbody>{rows}</tbody></table>'


def _bar(length: float, room: float, start: float) -> str:
    """Return a bar; its length, −1 … 1, and the percentages of the cell that it may take and where it starts."""
    side, kind = ("right", "minus") if length < 0 else ("left", "plus")
    return f'<i class="{kind}" style="{side}:{start:g}%;width:{abs(length) * room:.2f}%"></i>'


def _text(text: str) -> str:
    """Return a text from a file as HTML."""
    text = clean(text)
    return escape(text if len(text) <= NAME else text[: NAME - 1] + "…")
