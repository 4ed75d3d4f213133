"""The options that name columns: --target, --drop, --features, --id and --type."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from .._files import TableError
from .text import listed

TYPES = ("number", "category", "date", "boolean", "text")
USUAL = "y"  # the target if none is named and there is such a column


@dataclass(frozen=True)
class Choices:
    """What the options say about the columns of a table.

    Attributes
    ----------
    target : the column to predict
    drop, ids : columns that are not inputs; predictions have the ids
    features : the only columns that may be inputs, or None for all
    types : the type of a column, one of TYPES
    """

    target: str
    drop: tuple[str, ...] = ()
    features: tuple[str, ...] | None = None
    ids: tuple[str, ...] = ()
    types: dict[str, str] = field(default_factory=dict)


def named(arguments: Namespace) -> list[str]:
    """Return names of columns that the table must have, as far as they can be known before it is read."""
    return [arguments.target or USUAL]


def choices(arguments: Namespace, columns: Sequence[str], hint: str = "") -> Choices:
    """Check the options against the columns of a table; hint: what is said if there is no such target.

    Raises
    ------
    TableError
        With a line for each problem.
    """
    problems: list[str] = []
    target = arguments.target
    if target is None and USUAL in columns:
        target = USUAL
    if target is None:
        problems.append(f"--target: expected the column to predict, one of {listed(columns, 30)}, got none{hint}")
    elif target not in columns:
        problems.append(_no_column("--target", target, columns) + hint)
    lists = {
        option: _columns_of(f"--{option}", getattr(arguments, name), columns, problems)
        for option, name in (("drop", "drop"), ("features", "features"), ("id", "id"))
    }
    types = _types(arguments.type, columns, problems)
    for option, names in lists.items():
        if target in names:
            problems.append(f"--{option}: expected columns other than the target, got {target!r}")
    for one, other in (("drop", "features"), ("id", "features")):
        for name in lists[one]:
            if name in lists[other]:
                problems.append(f"--{one}: expected columns that --{other} does not name, got {name!r}")
    if problems:
        raise TableError("\n".join(problems))
    features = lists["features"] if arguments.features else None
    return Choices(str(target), lists["drop"], features, lists["id"], types)


def _columns_of(option: str, texts: Sequence[str], columns: Sequence[str], problems: list[str]) -> tuple[str, ...]:
    """Return the columns that an option names. A text is one column, or several that are separated by commas."""
    found: dict[str, None] = {}
    for text in texts:
        for part in [text] if text in columns else text.split(","):
            name = part if part in columns else part.strip()
            if name in columns:
                found[name] = None
            else:
                problems.append(_no_column(option, name, columns))
    return tuple(found)


def _types(texts: Sequence[str], columns: Sequence[str], problems: list[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, equals, kind = text.rpartition("=")
        if not equals:
            problems.append(f"--type: expected COLUMN=TYPE, such as age=number, got {text!r}")
        elif kind not in TYPES:
            near = get_close_matches(kind, TYPES, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            problems.append(f"--type: expected one of {', '.join(TYPES)} after {name}=, got {kind!r}{hint}")
        elif name not in columns:
            problems.append(_no_column("--type", name, columns))
        else:
            found[name] = kind
    return found


def _no_column(option: str, name: str, columns: Sequence[str]) -> str:
    """Return the message about a column that the table doesn't have."""
    by_letters = {column.casefold(): column for column in columns}
    near = get_close_matches(name.casefold(), by_letters, 1)
    if near:
        return f"{option}: expected a column of the table, got {name!r}; did you mean {by_letters[near[0]]!r}?"
    return f"{option}: expected a column of the table, one of {listed(columns, 30)}, got {name!r}"
