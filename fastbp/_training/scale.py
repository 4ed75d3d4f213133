"""The warning about inputs and targets that are far from unit scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks, _messages
from .._kernels import codes
from .._names import Names
from .state import State

Array = npt.NDArray[Any]

# Five tables, 64 units of tanh: little is lost up to a root mean square of about 10, much at 30, or training diverges.
# Below 1, little is lost down to 0.1, and much at 0.03.
LARGEST, SMALLEST = 20.0, 0.03
ROWS, NUMBERS = 1000, 1 << 20  # most rows and numbers to look at


def warn_of_scale(state: State, names: Names, data: codes.Data) -> None:
    """Warn in a trainer's first fit if a column of X or y is far from unit scale."""
    if state.epochs_trained or state.standardize or (state.ranks is not None and state.ranks.rank > 0):
        return
    if state.network.n_numbers:
        _warn("X", data.X[:, : state.network.n_numbers], names.features)
    if state.scales_targets:
        _warn("y", data.targets, names.targets)


def _warn(argument: str, values: Array, names: Sequence[str] | None) -> None:
    """Warn if a column has a root mean square above LARGEST, or if all values are below SMALLEST but not 0."""
    most = max(1, min(ROWS, NUMBERS // values.shape[1]))
    some = values if len(values) <= most else values[:: -(-len(values) // most)]
    low, high = some.min(), some.max()
    size = max(high, -low)
    if SMALLEST <= size <= LARGEST or size == 0:
        return
    if size < SMALLEST:
        found = f"all values of {argument} lie between {low:.4g} and {high:.4g}"
    else:
        squares = np.sqrt(np.mean(np.square(some, dtype=np.float64), axis=0))
        j = int(squares.argmax())
        if squares[j] <= LARGEST:
            return
        name = "" if names is None else f" ({names[j]!r})"
        found = f"{argument}[:, {j}]{name} has values from about {some[:, j].min():.4g} to {some[:, j].max():.4g}"
    advice = "networks learn best from values of about −1 to 1, so pass standardize=True to Trainer, or scale"
    _messages.warn(f"{found}; {advice} {argument} yourself", UserWarning, stacklevel=_checks.level_outside())
