"""The arguments of the kernels' entries: records of addresses and numbers, one in each slot of 64 bits.

An entry is a function of C, `int64 entry(int64 *record, int64 thread)`. Python writes a record with `_library.slots`,
and a kernel reads it with `records.read`. Both follow the fields of the classes below.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple, get_type_hints

from . import codes, tasks


class TrainCall(NamedTuple):
    """What `train` and `update` read."""

    machine: codes.Machine
    data: codes.Data
    step: codes.Step
    memory: codes.Memory
    progress: codes.Progress
    watch: codes.Watch
    team: codes.Team
    budget: int
    rate: float  # of an update
    weight: float
    penalty: codes.Reals  # (1,) an update stores it there


class EvaluateCall(NamedTuple):
    """What `evaluate` reads."""

    machine: codes.Machine
    data: codes.Data
    start: int
    stop: int
    block: int
    output: codes.NumberRun
    losses: codes.RealRun
    team: codes.Team


class TinyCall(NamedTuple):
    """What `train_tiny` reads."""

    machine: codes.Machine
    program: tasks.Program
    online: tasks.Online
    data: codes.Data
    step: codes.Step
    memory: codes.Memory
    progress: codes.Progress  # for many networks, `train_tiny` writes those of each into the call
    watch: codes.Watch
    many: codes.Many  # without rates, there is one network
    budget: int


class ReorderCall(NamedTuple):
    """What `reorder` reads."""

    order: codes.IntegerRun
    random: codes.Words


class Field(NamedTuple):
    """A field of a record."""

    name: str
    scalar: str  # "int64", "uint64", "float64", "bool" or "number"; "" for a record
    is_array: bool = False
    is_run: bool = False
    record: Any = None  # the class

    @property
    def slots(self) -> int:
        """How many slots it takes."""
        return slots_of(self.record) if self.record else 1 + self.is_run


SCALARS = {int: "int64", float: "float64", bool: "bool"}


@cache
def fields_of(kind: Any) -> tuple[Field, ...]:
    """Return the fields of a class of records, or the arguments of a function."""
    fields = []
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if hasattr(hint, "_fields"):
            fields.append(Field(name, "", record=hint))
            continue
        scalar, *run = getattr(hint, "__metadata__", (SCALARS.get(hint),))
        is_array = getattr(hint, "__origin__", int) not in SCALARS
        fields.append(Field(name, scalar, is_array, bool(run)))
    return tuple(fields)


@cache
def slots_of(kind: Any) -> int:
    """Return how many slots a record takes."""
    return sum(field.slots for field in fields_of(kind))


def slot_of(kind: Any, *path: str) -> int:
    """Return the slot in which a field begins. path: the names of the records that contain it, then its own."""
    slot = 0
    for field in fields_of(kind):
        if field.name == path[0]:
            return slot + (slot_of(field.record, *path[1:]) if path[1:] else 0)
        slot += field.slots
    raise KeyError(path[0])
