"""What becomes of each column of a table."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .._checks import one_of, shown
from .._files import TableError
from .._files.columns import Categories, Column, Dates, Numbers, Table
from .._files.dates import PARTS, parts_of
from .._files.spellings import EXACT
from . import _dates, _names, _numbers, _ranks, _statistics
from ._cells import Array, Cells, Flags, trimmed
from ._numbers import Reading
from ._problems import Problems, check_columns, listed
from ._target import number_in, recognised_target, targets

if TYPE_CHECKING:
    from pandas import DataFrame

NAMED = 250  # the most categories of a column that have an input each
OF_MANY = 30  # those that have one in a column with more: each of the others says little, and all of them take long
RARE, FREQUENT = 3, 10  # rows; rarer categories share an input. If too many have 3 rows, those of less than 10 share it
RARE_YEARS = 0.05  # the share of rows in other years, below which the year is no input
MISSING = ("indicator", "mean", "refuse")
TYPES = ("number", "category", "date", "boolean", "text")
ZEROS = re.compile(r"\s*[+-]?0[0-9]+\s*")  # an integer with leading zeros, such as a postal code


@dataclass(frozen=True)
class Rules:
    """How columns are recognised.

    Attributes
    ----------
    missing : one of MISSING
    types : kinds that the user chose, by the names of their columns
    named : whether the names of columns say something about them
    ranks : whether columns of many different numbers get their ranks as a second input
    """

    missing: str
    types: Mapping[str, str]
    named: bool = True
    ranks: bool = True


class LeftOut(Exception):
    """The reason why a column becomes no input."""


def recognise(
    frame: DataFrame,
    target: str,
    task: str = "auto",
    *,
    drop: Collection[str] = (),
    features: Collection[str] | None = None,
    ids: Collection[str] = (),
    types: Mapping[str, str] | None = None,
    missing: str = "indicator",
) -> Table:
    """Return how each column becomes numbers.

    Parameters
    ----------
    frame : pandas.DataFrame
        Column names are strings. Every row has a target; `with_target` tells which rows do.
    target : str
        Name of the column to predict.
    task : {"auto", "classes", "numbers"}
        What the target is. "auto" treats text, and at most 20 different integers, as classes.
    drop : collection of str
        Columns that become no inputs.
    features : collection of str, optional
        The only columns that become inputs. By default all that say something about a new row.
    ids : collection of str
        Columns that name a row: they become no inputs, and `fastbp predict` writes them beside its predictions.
    types : mapping of str, optional
        The kinds of some columns: "number", "category", "date", "boolean" or "text", which becomes no input.
    missing : {"indicator", "mean", "refuse"}
        What a missing input becomes: a category of its own, and the mean with an input that says so; the mean, or the
        most frequent category; or an error.

    Returns
    -------
    table : Table
        Its columns, `describe()` for people, and `record()` for files.
    """
    names, kinds = list(frame.columns), dict(types or {})
    problems = Problems()
    check_columns(names, [target])
    asked = Asked(target, drop, features, ids, kinds)
    _check_asked(names, asked, missing, problems)
    with problems.collected():
        goal = recognised_target(trimmed(frame[target]), task_of(task, kinds.get(target, "")))
    columns, left_out = _inputs(frame, asked, missing, problems)
    problems.check()
    if not columns:
        raise TableError(_nothing_left(left_out, target))
    table = Table(columns, goal, tuple(left_out.items()), tuple(n for n in names if n in ids), tuple(names))
    return _statistics.added(table, frame, targets(table, frame))


@dataclass(frozen=True)
class Asked:
    """What the user says about columns: the arguments of `recognise`; a target of "" is none of the columns."""

    target: str = ""
    drop: Collection[str] = ()
    features: Collection[str] | None = None
    ids: Collection[str] = ()
    types: Mapping[str, str] = field(default_factory=dict)


def recognise_inputs(
    frame: DataFrame, *, drop: Collection[str] = (), types: Mapping[str, str] | None = None
) -> tuple[tuple[Column, ...], dict[str, str]]:
    """Return how each column of a frame without a target becomes numbers, and why the others are left out.

    The arguments are those of `recognise`. No column has ranks or mean targets. If no column is useful, there is none.
    """
    problems, asked = Problems(), Asked(drop=drop, types=dict(types or {}))
    _check_asked(list(frame.columns), asked, "indicator", problems)
    found = _inputs(frame, asked, "indicator", problems)
    problems.check()
    return found


def _check_asked(names: Sequence[str], asked: Asked, missing: str, problems: Problems) -> None:
    """Refuse columns that the frame doesn't have, and unknown options."""
    one_of("missing", missing, MISSING)
    for option, given in (
        ("drop", asked.drop),
        ("features", asked.features or ()),
        ("ids", asked.ids),
        ("types", asked.types),
    ):
        with problems.collected():
            _check_names(option, given, names, asked.target)
    for kind in asked.types.values():
        one_of("types", kind, TYPES)


def _inputs(
    frame: DataFrame, asked: Asked, missing: str, problems: Problems
) -> tuple[tuple[Column, ...], dict[str, str]]:
    """Return the columns that become inputs, and why the others are left out."""
    names = list(frame.columns)
    columns, left_out = list[Column](), dict[str, str]()
    are_named = names != [f"column_{place + 1}" for place in range(len(names))]
    rules = Rules(missing, asked.types, are_named, ranks=bool(asked.target))
    counted: dict[str, Cells] = {}
    for name in [name for name in names if name != asked.target and name not in asked.ids]:
        if why := _unwanted(name, asked.drop, asked.features, asked.types):
            left_out[name] = why
            continue
        try:
            with problems.collected():
                columns.append(_recognised(cells := trimmed(frame[name]), rules))
        except LeftOut as reason:
            left_out[name] = str(reason)
            if "counts the rows" in left_out[name]:
                counted[name] = cells
    if not columns and counted:  # it says something, if nothing else does
        columns = [_scaled(cells, Reading(cells.plain), rules) for cells in counted.values()]
        left_out = {name: why for name, why in left_out.items() if name not in counted}
    return tuple(columns), left_out


def task_of(task: str, kind: str) -> str:
    """Return what the target is, if its column has a kind that the user chose."""
    return {"number": "numbers", "category": "classes", "boolean": "classes"}.get(kind, task)


def _check_names(option: str, given: Collection[str], names: Sequence[str], target: str) -> None:
    """Refuse names that the frame doesn't have, and the target among inputs."""
    from difflib import get_close_matches

    for name in given:
        if name not in names:
            near = get_close_matches(name, names, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TableError(f"{option}: expected columns of the table, got {name!r}{hint}; it has {listed(names)}")
        if name == target and option != "types":
            raise TableError(f"{option}: expected columns besides the target, got {name!r}")


def _unwanted(name: str, drop: Collection[str], features: Collection[str] | None, kinds: Mapping[str, str]) -> str:
    """Return why the user wants no input from a column, or ""."""
    if name in drop:
        return "you dropped it"
    if features is not None and name not in features:
        return "it is not among the features that you chose"
    return "you called it text" if kinds.get(name) == "text" else ""


def _nothing_left(left_out: Mapping[str, str], target: str) -> str:
    lines = [f"expected a column besides {target!r} to predict it from, got none"]
    lines += [f"column {name!r} is left out: {why}" for name, why in left_out.items()]
    useful = [name for name, why in left_out.items() if why.startswith(("an identifier", "text"))]
    lines += [f"types: to use a column nevertheless, give it a type, such as {name}=category" for name in useful[:1]]
    return "\n".join(lines)


def _recognised(cells: Cells, rules: Rules) -> Column:
    """Return a column that becomes inputs, or raise LeftOut."""
    kind = rules.types.get(cells.name, "")
    if cells.nested is not None:
        raise LeftOut(f"its values are neither numbers nor text, but of type {type(cells.nested).__name__}")
    if not len(cells.values) or cells.null.all():
        raise LeftOut("it has no values")
    _refuse_constant(cells, rules)
    if kind:
        return _forced(cells, kind, rules)
    zeros = _has_leading_zeros(cells)
    if not zeros and (dates := _dates.compact(cells)):
        return _dated(cells, dates, rules)
    if not zeros and (numbers := _numbers.recognise(cells)):
        if why := _names.counted(cells, numbers.numbers, named=rules.named):
            raise LeftOut(why)
        is_name = rules.named and _names.names_things(cells, numbers.numbers)
        if not is_name and not _are_rounded(cells, numbers.numbers):
            return _scaled(cells, numbers, rules)
    elif dates := _dates.recognise(cells):
        return _dated(cells, dates, rules)
    elif numbers := _numbers.durations(cells):
        return _scaled(cells, numbers, rules)
    if why := _names.text_reason(cells):
        raise LeftOut(why)
    return _categories(cells, rules)


def _forced(cells: Cells, kind: str, rules: Rules) -> Column:
    """Return a column of the kind that the user chose."""
    if kind == "number":
        if numbers := _numbers.recognise(cells, forced=True) or _numbers.durations(cells, forced=True):
            return _scaled(cells, numbers, rules)
    elif kind == "date":
        if dates := _dates.compact(cells) or _dates.recognise(cells, forced=True):
            return _dated(cells, dates, rules)
    elif kind == "category" or int((~cells.null).sum()) == 2:
        return _categories(cells, rules)
    examples = listed(cells.texts[~cells.null][:3])
    expected = "two different values" if kind == "boolean" else f"{kind}s"
    advice = "choose another type, or leave the choice to fastbp"
    raise TableError(f"types: expected {expected} in column {cells.name!r}, got {examples}; {advice}")


def _refuse_constant(cells: Cells, rules: Rules) -> None:
    """Leave out a column with one value, unless it is missing in some rows, which may say something."""
    present = ~cells.null
    if int(present.sum()) == 1:
        gaps = not cells.rows(present).all()
        if not gaps or rules.missing != "indicator":
            which = " that has a value" if gaps else ""
            raise LeftOut(f"it is {shown(cells.texts[present][0])} in every row{which}")


def _has_leading_zeros(cells: Cells) -> bool:
    """Return whether there are texts such as 007, which make a column one of names, such as postal codes."""
    if cells.values.dtype.kind in "iufbmM":
        return False
    return any(map(ZEROS.fullmatch, cells.texts))


def _are_rounded(cells: Cells, numbers: Array) -> bool:
    """Return whether different integers are equal in float64."""
    large = np.abs(numbers) > EXACT
    if not large.any() or cells.values.dtype.kind == "f":
        return False
    integers = {int(text) for text in cells.texts[large] if text.strip().lstrip("+-").isdecimal()}
    return len(integers) > len(set(map(float, integers)))


def _weights(cells: Cells, known: Flags) -> tuple[Array, bool]:
    """Return the number of rows of each known value, and whether other rows are missing."""
    return cells.counts[known], int(cells.counts[known].sum()) < len(cells)


def _scaled(cells: Cells, reading: Reading, rules: Rules) -> Numbers:
    """Return a column of scaled numbers."""
    numbers, note = _numbers.without_infinity(cells, reading)
    known = ~np.isnan(numbers)
    counts, gaps = _weights(cells, known)
    found = numbers[known]
    if not len(found):
        raise LeftOut("it has no finite numbers")
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(np.average(found, weights=counts))
        deviation = float(np.sqrt(np.average((found - mean) ** 2, weights=counts)))
    if not math.isfinite(mean) or not math.isfinite(deviation):
        raise LeftOut("its numbers are too large to be scaled; divide them by a constant")
    indicator = gaps and rules.missing == "indicator"
    if not deviation > 1e-12 * abs(mean):
        if len(np.unique(found)) > 1:
            raise LeftOut(f"its numbers {_numbers.too_close(found, mean, deviation)}")
        if not indicator:
            raise LeftOut(f"it is {found[0]:g} in every row")
        deviation = 1.0
    fill, lenient = rules.missing != "refuse", rules.missing == "indicator" and not gaps
    knots, scores = _ranks.knots_of(found, counts) if rules.ranks else ((), ())
    low, high = float(found.min()), float(found.max())
    return Numbers(
        *(cells.name, mean, deviation, fill, indicator),
        *(reading.spelling, reading.unit, low, high),
        knots=knots,
        scores=scores,
        lenient=lenient,
        note=note,
    )


def _dated(cells: Cells, reading: Reading, rules: Rules) -> Dates:
    """Return a column of dates, with the parts that vary."""
    days, note = _numbers.without_infinity(cells, reading)
    known = ~np.isnan(days)
    counts, gaps = _weights(cells, known)
    found = days[known]
    parts = _varying(found, counts, ("hour",) if _dates.is_clock(reading.spelling) else PARTS)
    if not parts:
        raise LeftOut(f"it is {shown(cells.texts[known][0])} in every row")
    raw = parts_of(found, parts)
    means = np.average(raw, axis=0, weights=counts)
    deviations = np.sqrt(np.average((raw - means) ** 2, axis=0, weights=counts))
    deviations[deviations < 1e-9] = 1.0
    return Dates(
        *(cells.name, reading.spelling, parts, tuple(means.tolist()), tuple(deviations.tolist())),
        fill=rules.missing != "refuse",
        indicator=gaps and rules.missing == "indicator",
        low=float(found.min()),
        high=float(found.max()),
        lenient=rules.missing == "indicator" and not gaps,
        note=note,
    )


def _varying(days: Array, counts: Array, parts: Sequence[str]) -> tuple[str, ...]:
    """Return the parts that differ between dates.

    Where the day of the month doesn't differ, as in 2020-01, the weekday means nothing. A year is no input if nearly
    all rows have the same.
    """
    found = [part for part in parts if np.ptp(parts_of(days, [part]), axis=0).max() > 1e-9]
    years = parts_of(days, ["year"])[:, 0]
    shares = np.bincount((years - years.min()).astype(np.int64), counts) / counts.sum()
    if "weekday" in found and "day" not in found:
        found.remove("weekday")
    if "year" in found and len(found) > 1 and shares.max() > 1 - RARE_YEARS:
        found.remove("year")
    return tuple(found)


def _categories(cells: Cells, rules: Rules) -> Categories:
    """Return a column of categories: the frequent ones by name, the others together."""
    present = np.flatnonzero(~cells.null)
    counts = cells.counts[present]
    texts = list(cells.texts[present])
    by_count = np.argsort(-counts, kind="stable")
    least = min(RARE, max(1, len(cells) // 50))
    enough = (int((counts >= rows).sum()) for rows in (least, FREQUENT))
    named = max(1, next((n for n in enough if n <= NAMED), OF_MANY))
    if len(texts) == named + 1 <= NAMED:
        named += 1
    frequent = sorted((texts[i] for i in by_count[:named]), key=lambda text: (number_in(text), text))
    others = tuple(texts[i] for i in by_count[named:])
    rows = dict(zip(texts, counts.tolist(), strict=True))
    gone = len(cells) - int(counts.sum())
    absent = gone > 0 and rules.missing == "indicator"
    return Categories(
        name=cells.name,
        categories=tuple(frequent),
        fill=texts[by_count[0]] if rules.missing == "mean" else None,
        others=others,
        absent=absent,
        single=len(texts) == 2 or len(texts) == 1,
        counts=(*(rows[text] for text in frequent), int(counts[by_count[named:]].sum()), gone),
        lenient=rules.missing == "indicator" and not absent,
    )
