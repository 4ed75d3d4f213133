"""The memory for kernel calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._kernels import codes
from .._kernels.calls import EvaluateCall, slot_of
from .._kernels.tasks import Program
from .._library.slots import Slots, address_of
from .program import program

Array = np.ndarray[Any, np.dtype[Any]]

# Slots in which a prediction differs from the one before
X_SLOT, N_SLOT = slot_of(EvaluateCall, "data", "X"), slot_of(EvaluateCall, "data", "n")
STOP_SLOT = slot_of(EvaluateCall, "stop")


class Workspace:
    """The memory for a kernel call, with the machine that describes it.

    Parameters
    ----------
    rows : the most rows of a block
    machine : the network and the memory
    """

    def __init__(self, rows: int, machine: codes.Machine) -> None:
        self.rows, self.machine = rows, machine
        self._programs: dict[int, Program] = {}  # by the number of samples in a batch
        self._calls: dict[Any, Slots] = {}
        self._prediction: Slots | None = None
        self._output: Any = None

    def prediction(self, X: Array) -> tuple[Any, Array]:
        """Return the address of the arguments for a prediction of up to `rows` rows, and the output, for a copy.

        Only what differs from the prediction before is written.
        """
        call, output, n = self._prediction, self._output, len(X)
        if call is None:
            machine = self.machine
            output = self._output = np.empty((self.rows, machine.layers[-codes.LAYER_FIELDS]), machine.parameters.dtype)
            call = self._prediction = Slots(EvaluateCall)
            for name, value in (("machine", machine), ("block", self.rows), ("output", output)):
                call.write(name, value)
        integers = call.integers
        integers[X_SLOT] = address_of(X)
        integers[N_SLOT] = integers[STOP_SLOT] = n
        return call.address, output[:n]

    def program(self, m: int) -> Program:
        """Return small.py's tasks for a batch of m samples, which are made only once."""
        if m not in self._programs:
            self._programs[m] = program(self.machine, m, self.machine.parameters.itemsize)
        return self._programs[m]

    def call(self, kind: Any) -> Slots:
        """Return the memory of the arguments of an entry, which has the machine already."""
        slots = self._calls.get(kind)
        if slots is None:
            slots = self._calls[kind] = Slots(kind)
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
