"""Records that come from files: checks of their fields, and the error for a file that can't be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import _checks


class ModelFileError(ValueError):
    """Raised for a file that a trainer can't be loaded from."""


def refused(got: object, expected: str = "a file that Trainer.save wrote") -> ModelFileError:
    """Return the error for the content of a file."""
    return ModelFileError(_checks.wrong("path", expected, got))


def check_fields(what: str, record: Mapping[str, Any], kinds: Mapping[str, tuple[type, ...]]) -> None:
    """Check that a record has exactly these fields, each with one of its types."""
    if record.keys() != kinds.keys():
        odd = _checks.shown(sorted(record.keys() ^ kinds.keys()))
        advice = "; if another version of fastbp wrote the file, train the model again with this one"
        raise refused(f"one that differs in {odd}{advice}", f"{what} of {', '.join(kinds)}")
    for name, allowed in kinds.items():
        if type(record[name]) not in allowed:  # isinstance would accept True as an int
            expected = " or ".join(kind.__name__ for kind in allowed)
            raise refused(_checks.shown(record[name]), f"{name} as {expected}")
