"""The arguments of a kernel in memory: records of addresses and numbers, as `_kernels.calls` describes them."""

from __future__ import annotations

from collections.abc import Iterable
from ctypes import addressof, c_char, c_void_p
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .._kernels.calls import Field, fields_of, slot_of, slots_of

ARRAY, RUN, WHOLE, WORD, REAL = range(5)  # what a field has in its first slot; a run has its size in the next one


@cache
def leaves_of(field: Field) -> tuple[tuple[int, int], ...]:
    """Return the slot, from the field's own on, and the kind of each number of a field, which may be a record."""
    if not field.record:
        if field.is_array:
            return ((0, RUN if field.is_run else ARRAY),)
        return ((0, {"float64": REAL, "uint64": WORD}.get(field.scalar, WHOLE)),)
    leaves, first = [], 0
    for part in fields_of(field.record):
        leaves += [(first + slot, kind) for slot, kind in leaves_of(part)]
        first += part.slots
    return tuple(leaves)


@cache
def places_of(kind: Any) -> dict[str, tuple[int, tuple[tuple[int, int], ...]]]:
    """Return the slot in which each field of a class of records begins, and its `leaves_of`."""
    return {field.name: (slot_of(kind, field.name), leaves_of(field)) for field in fields_of(kind)}


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
        self._places = places_of(kind)
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
        first, leaves = self._places[name]
        integers = self.integers
        for (place, kind), number in zip(leaves, _flat(value) if isinstance(value, tuple) else (value,), strict=True):
            slot = first + place
            if kind <= RUN:
                size = number.size
                integers[slot] = address_of(number) if size else 0
                if kind == RUN:
                    integers[slot + 1] = size
            elif kind == REAL:
                self._reals[slot] = number
            elif kind == WORD:
                self._words[slot] = number
            else:
                integers[slot] = number

    def keep(self, name: str, value: Any) -> None:
        """Write a field, unless the same object was written there last, and keep the object alive."""
        if self._written.get(name) is not value:
            self.write(name, value)
            self._written[name] = value

    def kept(self, name: str) -> Any:
        """Return the object that `keep` wrote last, or None."""
        return self._written.get(name)

    def place(self, name: str) -> int:
        """Return the slot in which a field begins."""
        return self._places[name][0]

    def copy_from(self, other: Slots, name: str) -> None:
        """Copy the fields of another record of this class, from one field on."""
        self._written.clear()
        self.integers[self.place(name) :] = other.integers[self.place(name) :]


def _flat(record: Iterable[Any]) -> list[Any]:
    """Return the fields of a record, and in place of records in it their fields."""
    values: list[Any] = []
    for value in record:
        if isinstance(value, tuple):
            values += _flat(value)
        else:
            values.append(value)
    return values
