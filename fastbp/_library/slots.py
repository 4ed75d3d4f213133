"""The arguments of a kernel in memory: records of addresses and numbers, as `_kernels.calls` describes them."""

from __future__ import annotations

from collections.abc import Iterable
from ctypes import addressof, c_char, c_void_p
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .._kernels.calls import Field, fields_of, slot_of, slots_of


@cache
def leaves_of(kind: Any) -> tuple[Field, ...]:
    """Return the fields of a class of records, and in place of records in it their fields."""
    fields = fields_of(kind)
    return tuple(leaf for field in fields for leaf in (leaves_of(field.record) if field.record else (field,)))


def address_of(array: npt.NDArray[Any]) -> int:
    """Return the address of an array's first number; 0 if there is none."""
    if not array.size:
        return 0
    try:
        # A third of the time of array.ctypes.data
        return addressof(c_char.from_buffer(array))  # type: ignore[arg-type, unused-ignore]
    except (TypeError, ValueError):  # read-only
        return int(array.ctypes.data)


class Slots:
    """The memory of a record.

    Parameters
    ----------
    kind : the class of the record

    Attributes
    ----------
    address : what an entry takes
    integers : memoryview of the slots
    """

    def __init__(self, kind: Any) -> None:
        self._places = {field.name: (slot_of(kind, field.name), field) for field in fields_of(kind)}
        memory = np.zeros(slots_of(kind), np.int64)
        self.address = c_void_p(address_of(memory))  # ctypes passes it faster than an int
        # It sets a number in half of the time that the array needs, and keeps the array.
        self.integers = memoryview(memory)  # type: ignore[arg-type, unused-ignore]
        slots = self.integers.cast("B")
        self._words, self._reals = slots.cast("Q"), slots.cast("d")
        self._written: dict[str, Any] = {}

    def write(self, name: str, value: Any) -> None:
        """Write a field, which may be a record. The caller keeps its arrays alive while kernels use them."""
        self._written.pop(name, None)
        slot, field = self._places[name]
        if field.record:
            self._write(slot, leaves_of(field.record), _flat(value))
        else:
            self._write(slot, (field,), (value,))

    def keep(self, name: str, value: Any) -> None:
        """Write a field, unless the same object was written there last, and keep the object alive."""
        if self._written.get(name) is not value:
            self.write(name, value)
            self._written[name] = value

    def _write(self, slot: int, fields: Iterable[Field], values: Iterable[Any]) -> None:
        integers = self.integers
        for field, value in zip(fields, values, strict=True):
            if field.is_array:
                integers[slot] = address_of(value)
                if field.is_run:
                    slot += 1
                    integers[slot] = value.size
            elif field.scalar == "float64":
                self._reals[slot] = value
            elif field.scalar == "uint64":
                self._words[slot] = value
            else:
                integers[slot] = value
            slot += 1


def _flat(record: Iterable[Any]) -> list[Any]:
    """Return the fields of a record, and in place of records in it their fields."""
    values: list[Any] = []
    for value in record:
        if isinstance(value, tuple):
            values += _flat(value)
        else:
            values.append(value)
    return values
