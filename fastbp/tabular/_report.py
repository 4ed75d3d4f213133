"""What the command line found out about an ensemble. The model file stores it as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .. import _checks
from .._records import check_fields, refused

FIELDS: dict[str, tuple[type, ...]] = {
    "rows": (int,),
    "held_out_rows": (int,),
    "without_target": (int,),
    "seconds": (float,),
    "covered": (float, type(None)),
    "measured": (dict,),
}


@dataclass(frozen=True)
class SearchReport:
    """How good an ensemble is.

    Attributes
    ----------
    rows, held_out_rows, without_target : numbers of rows that train, that are held out, and that have no target
    seconds : that the search took
    covered : the share of the held-out targets that lie in their 90 % intervals; None for classes or without such rows
    measured : figures of out-of-fold predictions, of held-out rows, and of the baseline: {part: {name: number}}
    """

    rows: int
    held_out_rows: int
    without_target: int
    seconds: float
    covered: float | None = None
    measured: dict[str, dict[str, float]] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> SearchReport:
        """Return the report of a `record` from a file.

        Raises
        ------
        ModelFileError
            If `record` can't have made it.
        """
        check_fields("a report", record, FIELDS)
        for name in (name for name, kinds in FIELDS.items() if kinds == (int,)):
            if not 0 <= record[name] < 1 << 63:
                raise refused(_checks.shown(record[name]), f"{name} as an integer from 0 to 2**63 - 1")
        for part, figures in record["measured"].items():
            if type(figures) is not dict or not all(type(value) is float for value in figures.values()):
                raise refused(_checks.shown(figures), f"floats as figures of {_checks.shown(part)}")
        return cls(**record)
