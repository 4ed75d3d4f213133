"""The memory for kernel calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._kernels import codes
from .._kernels.calls import EvaluateCall, slot_of
from .._kernels.tasks import Program
from .._kernels.tuning import BLOCK
from .._library.slots import Slots, address_of
from .program import program

Array = np.ndarray[Any, np.dtype[Any]]

# Slots in which a prediction differs from the one before
X_SLOT, N_SLOT = slot_of(EvaluateCall, "data", "X"), slot_of(EvaluateCall, "data", "n")
STOP_SLOT, OUTPUT_SLOT = slot_of(EvaluateCall, "stop"), slot_of(EvaluateCall, "output")


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

    def prediction(self, X: Array, output: Array) -> int:
        """Return the address of the arguments for a prediction, up to BLOCK rows. Only what differs is written."""
        call = self._prediction
        if call is None:
            call = self._prediction = Slots(EvaluateCall)
            call.write("machine", self.machine)
            call.write("block", BLOCK)
        integers = call.integers
        integers[X_SLOT] = address_of(X)
        integers[N_SLOT] = integers[STOP_SLOT] = len(X)
        integers[OUTPUT_SLOT] = address_of(output)
        integers[OUTPUT_SLOT + 1] = output.size
        return call.address

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
