"""What `fastbp train` found: how the training ended, and how good the model is. The model file stores it as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .. import _checks
from .._records import check_fields, refused

ENDINGS = ("running", "patience", "epochs", "interrupted")  # running: written by --resume after an epoch
COUNT, MAYBE = (int,), (int, type(None))
FIELDS = {
    "rows": COUNT,
    "validation_rows": COUNT,
    "without_target": COUNT,
    "epochs": COUNT,
    "patience": MAYBE,
    "class_weight": (str, type(None)),
    "trained": COUNT,
    "best_epoch": MAYBE,
    "best_epochs": (list,),
    "ending": (str,),
    "measured": (dict,),
}


@dataclass(frozen=True)
class TrainingReport:
    """How a training ended.

    Attributes
    ----------
    rows, validation_rows, without_target : numbers of rows that trained, that validated, and that had no target
    epochs : the most epochs
    patience : epochs without improvement after which training stops, or None for never
    class_weight : "balanced" or None
    trained : number of epochs that were trained
    best_epoch : the epoch whose weights the model has, or None for the last one
    best_epochs : those of each network, if the model joins several; 0 for one that was solved in closed form
    ending : one of ENDINGS
    measured : figures of the rows that train, of those that validate, and of the baseline: {part: {name: number}}
    """

    rows: int
    validation_rows: int = 0
    without_target: int = 0
    epochs: int = 0
    patience: int | None = None
    class_weight: str | None = None
    trained: int = 0
    best_epoch: int | None = None
    best_epochs: list[int] = field(default_factory=list)
    ending: str = "running"
    measured: dict[str, dict[str, float]] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> TrainingReport:
        """Create a TrainingReport from a `record` that was read from a file.

        Raises
        ------
        ModelFileError
            If the record is not one that `record` returns.
        """
        check_fields("a report", record, FIELDS)
        for name, kinds in FIELDS.items():
            value = record[name]
            if kinds in (COUNT, MAYBE) and value is not None and not 0 <= value < 1 << 63:
                raise refused(_checks.shown(value), f"{name} as an integer from 0 to 2**63 - 1")
        if not all(type(epoch) is int and 0 <= epoch < 1 << 63 for epoch in record["best_epochs"]):
            raise refused(_checks.shown(record["best_epochs"]), "best_epochs as integers ≥ 0")
        if record["ending"] not in ENDINGS:
            raise refused(_checks.shown(record["ending"]), f"an ending among {', '.join(ENDINGS)}")
        if record["class_weight"] not in (None, "balanced"):
            raise refused(_checks.shown(record["class_weight"]), "class_weight as 'balanced' or null")
        for part, figures in record["measured"].items():
            odd = [figures] if type(figures) is not dict else [v for v in figures.values() if type(v) is not float]
            if odd:
                raise refused(_checks.shown(odd[0]), f"floats as figures of {_checks.shown(part)}")
        return cls(**record)
