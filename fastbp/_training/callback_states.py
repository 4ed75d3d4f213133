"""Collect, restore and save the states of callbacks, so that a training can continue."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._records import check_fields, refused
from ..callbacks import Callback, Checkpoint

Array = npt.NDArray[Any]
CallbackState = tuple[str, dict[str, Any]]  # the name of a callback's class, and what its state_dict returned

RECORD = {"callback": (str,), "values": (dict,), "arrays": (dict,)}
MAX_DIMENSIONS = 32


def gathered(callbacks: Sequence[Callback]) -> list[CallbackState]:
    """Return the states of the callbacks that have one."""
    states = [(type(callback).__name__, callback.state_dict()) for callback in callbacks]
    return [(name, state) for name, state in states if state]


def with_states_first(callbacks: Sequence[Callback]) -> list[Callback]:
    """Return the callbacks in order, but move those with a state before the first Checkpoint.

    Its file then has their states after the epoch. Other callbacks behind a Checkpoint stay there and can use its file.
    """
    first = next((i for i, callback in enumerate(callbacks) if isinstance(callback, Checkpoint)), len(callbacks))
    stateful = [callback for callback in callbacks[first:] if _has_state(callback)]
    others = [callback for callback in callbacks[first:] if not _has_state(callback)]
    return [*callbacks[:first], *stateful, *others]


def _has_state(callback: Callback) -> bool:
    return type(callback).state_dict is not Callback.state_dict and not isinstance(callback, Checkpoint)


def give_back(states: Sequence[CallbackState], callbacks: Sequence[Callback]) -> None:
    """Restore the callbacks: the first of a class gets the first state of that class, and so on."""
    known: dict[tuple[str, int], dict[str, Any]] = {}
    count = Counter[str]()
    for name, state in states:
        known[name, count[name]] = state
        count[name] += 1
    seen = Counter[str]()
    for callback in callbacks:
        name = type(callback).__name__
        if (name, seen[name]) in known:
            callback.load_state_dict(known[name, seen[name]])
        seen[name] += 1


def to_file(states: Sequence[CallbackState], dtype: np.dtype[Any]) -> tuple[list[dict[str, Any]], Array]:
    """Return records for the file's header, and the numbers of all arrays in one vector."""
    import json

    records, parts = [], []
    for name, state in states:
        arrays = {key: value for key, value in state.items() if _is_arrays(value)}
        values = {key: value for key, value in state.items() if key not in arrays}
        try:
            json.dumps(values)
        except (TypeError, ValueError, OverflowError) as error:
            expected = "values that JSON can store, and lists of arrays"
            raise TypeError(_checks.wrong(f"{name}.state_dict", expected, error)) from None
        for key, items in arrays.items():
            for array in items:
                if array.dtype != dtype:
                    raise TypeError(
                        _checks.wrong(f"{name}.state_dict", f"arrays of {dtype}", f"{key} of {array.dtype}")
                    )
                _checks.finite(f"{name}.state_dict", array.ravel())
                parts.append(array.ravel())
        shapes = {key: [list(array.shape) for array in items] for key, items in arrays.items()}
        records.append({"callback": name, "values": values, "arrays": shapes})
    return records, np.concatenate(parts) if parts else np.empty(0, dtype)


def _is_arrays(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, np.ndarray) for item in value)


def count_of(records: Any) -> int:
    """Return how many numbers the records need. Records that `to_file` cannot have made raise a ModelFileError."""
    total = 0
    for record in records:
        if type(record) is not dict:
            raise refused(_checks.shown(record), "a record of each callback")
        check_fields("a record of a callback", record, RECORD)
        for shapes in record["arrays"].values():
            if type(shapes) is not list or not all(map(_is_shape, shapes)):
                raise refused(_checks.shown(shapes), "lists of shapes as a callback's arrays")
            total += sum(map(math.prod, shapes))
    return total


def _is_shape(value: Any) -> bool:
    return (
        type(value) is list and len(value) <= MAX_DIMENSIONS and all(type(n) is int and 0 <= n < 1 << 63 for n in value)
    )


def from_file(records: Sequence[dict[str, Any]], numbers: Array) -> list[CallbackState]:
    """Return the states that `to_file` was given, from records that `count_of` has checked."""
    states, start = [], 0
    for record in records:
        state = dict(record["values"])
        for key, shapes in record["arrays"].items():
            state[key] = []
            for shape in shapes:
                stop = start + math.prod(shape)
                state[key].append(numbers[start:stop].reshape(shape))
                start = stop
        states.append((record["callback"], state))
    return states
