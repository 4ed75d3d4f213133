"""The memory for kernel calls."""

from __future__ import annotations

from collections import deque
from ctypes import c_int64
from typing import Any, NamedTuple

import numpy as np

from .._kernels import codes
from .._kernels.calls import EvaluateCall
from .._kernels.tasks import Program
from .._kernels.tuning import BLOCK
from .._library.slots import Slots
from .program import program

Array = np.ndarray[Any, np.dtype[Any]]

FIRST = c_int64(0)  # the first thread; ctypes passes it faster than an int


class Prediction(NamedTuple):
    """The arguments of the latest prediction, for the next one of as many rows."""

    call: Slots
    address: Any
    X: Array
    output: Array


class Workspace:
    """The memory for a kernel call, with the machine that describes it.

    Parameters
    ----------
    rows : the most rows of a block
    machine : the network and the memory
    parts : how many parts of a block have memory of their own
    """

    def __init__(self, rows: int, machine: codes.Machine, parts: int = 1) -> None:
        self.rows, self.machine, self.parts = rows, machine, parts
        self._programs: dict[int, Program] = {}  # by the number of samples in a batch
        self._calls: dict[Any, Slots] = {}
        self._prediction: Prediction | None = None

    def predict(self, X: Array, evaluate: Any) -> Array | None:
        """Return the output for up to `rows` rows of X, by the entry `evaluate`; None if X isn't finite.

        The arguments are those of the prediction before, if it had as many rows.
        """
        known = self._prediction
        if known is None or len(known.X) != len(X):
            known = self._prediction = self._new_prediction(len(X))
        known.X[...] = X  # takes a third of the time of finding the address of X
        return known.output.copy() if evaluate(known.address, FIRST) else None

    def _new_prediction(self, n: int) -> Prediction:
        call, machine = self._new_call(EvaluateCall), self.machine
        nothing: Any = np.empty(0)
        sizes = machine.layers[:: codes.LAYER_FIELDS]
        X, output = (np.empty((n, size), machine.parameters.dtype) for size in (sizes[0], sizes[-1]))
        data = codes.Data(X, nothing, nothing, nothing, nothing, float(n), False, n)
        for name, value in (("data", data), ("stop", n), ("block", n), ("output", output)):
            call.write(name, value)
        return Prediction(call, call.address, X, output)

    def program(self, m: int) -> Program:
        """Return small.py's tasks for a batch of m samples, which are made only once."""
        if m not in self._programs:
            self._programs[m] = program(self.machine, m, self.machine.parameters.itemsize)
        return self._programs[m]

    def call(self, kind: Any) -> Slots:
        """Return the memory of the arguments of an entry, which has the machine already."""
        slots = self._calls.get(kind)
        if slots is None:
            slots = self._new_call(kind)
            self._calls[kind] = slots  # whole, also if Ctrl-C came before
        return slots

    def for_ranges(self, kernel: Any, kind: Any, fields: dict[str, Any], starts: deque[int], count: int) -> bool:
        """Call a kernel for ranges of `count` rows until nothing is left. Return whether X is finite there.

        fields: of the call, except the rows. starts: of the ranges, from which other threads may take some, too.
        """
        slots, n, finite = self.call(kind), fields["data"].n, True
        slots.write("block", BLOCK)
        for name, value in fields.items():
            slots.write(name, value)
        while starts:
            try:
                start = starts.popleft()
            except IndexError:  # another thread took the last one
                break
            slots.write("start", start)
            slots.write("stop", min(start + count, n))
            finite = bool(kernel(slots.address, 0)) and finite
        return finite

    def _new_call(self, kind: Any) -> Slots:
        slots = Slots(kind)
        slots.write("machine", self.machine)
        return slots


class Lent:
    """The context in which a workspace is used. It goes back to the list of idle ones."""

    def __init__(self, workspace: Workspace, idle: list[Workspace]) -> None:
        self._workspace, self._idle = workspace, idle

    def __enter__(self) -> Workspace:
        return self._workspace

    def __exit__(self, *_: object) -> None:
        self._idle.append(self._workspace)
