"""Checks of the fields of a column, which come from a file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from .. import _checks
from .._records import refused


def duplicates(names: Sequence[str]) -> list[str]:
    """Return the names that occur more than once."""
    return [name for name, count in Counter(names).items() if count > 1]


def with_defaults(kind: Any, record: dict[str, Any], earlier: tuple[str, ...]) -> dict[str, Any]:
    """Return the record with the defaults of the newer fields that an earlier version did not have."""
    if not {"kind", *earlier} <= record.keys():
        return record
    return {field.name: field.default for field in fields(kind) if field.name not in earlier} | record


def arguments(record: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a checked record, lists as tuples."""
    return {name: _tuples(value) for name, value in record.items() if name != "kind"}


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def are_finite(numbers: Any, count: int, above: float = -math.inf) -> bool:
    """Return whether these are so many finite floats above a number."""
    good = len(numbers) == count and all(type(number) is float for number in numbers)
    return good and all(math.isfinite(number) and number > above for number in numbers)


def check_range(record: dict[str, Any]) -> None:
    low, high = record["low"], record["high"]
    if low is None and high is None:
        return
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)) or low > high:
        raise refused(f"{low}, {high}", f"a finite range of {_checks.shown(record['name'])}")


def check_word(record: dict[str, Any], field: str, words: Sequence[str]) -> None:
    if record[field] not in words:
        raise refused(_checks.shown(record[field]), f"{field} among {', '.join(words)}")
