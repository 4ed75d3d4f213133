"""A pytest plugin: every array that a kernel is given lies beside a page that nobody may touch.

``SIDE`` says beside which: "end" or "start". A kernel that reads or writes one number beyond an array then ends the
process with SIGSEGV, and pytest's fault handler says in which test.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from threading import Lock
from typing import Any, ClassVar

import numpy as np

from fastbp import _checks
from fastbp._kernels import codes, epoch, jit, small

SIDE = "FASTBP_GUARDED_SIDE"
PAGE = mmap.PAGESIZE

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
PROT_NONE = 0


class Pages:
    """A copy of a C-contiguous array between two pages that can't be touched, at the end or the start of what can."""

    def __init__(self, array: np.ndarray, side: str) -> None:
        room = -(-max(array.nbytes, 1) // PAGE) * PAGE
        self._memory = mmap.mmap(-1, room + 2 * PAGE)
        self._handle = (ctypes.c_char * len(self._memory)).from_buffer(self._memory)
        base = ctypes.addressof(self._handle)
        for page in (base, base + PAGE + room):
            if _libc.mprotect(page, PAGE, PROT_NONE):
                raise OSError(ctypes.get_errno(), "mprotect")
        # To the byte: what the engine puts on cache lines is whole cache lines, and so stays on them.
        offset = PAGE + (0 if side == "start" else room - array.nbytes)
        self.array = np.frombuffer(self._memory, array.dtype, array.size, offset).reshape(array.shape)
        self.array[...] = array

    def write_back(self, array: np.ndarray) -> None:
        """What a kernel changed."""
        if self.array.tobytes() != array.tobytes():  # an array that is only read may be in memory that is, too
            array[...] = self.array


class Guarded:
    """A kernel whose arrays are moved for the time of a call; threads of one team share them."""

    # By the array's id: its pages, and how many calls have them.
    inside: ClassVar[dict[int, tuple[Pages, int, np.ndarray]]] = {}
    lock = Lock()
    count = 0  # of arrays that were moved, in all calls

    def __init__(self, kernel: Any, side: str) -> None:
        self._kernel, self._side = kernel, side

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernel, name)

    def __call__(self, *arguments: Any) -> Any:
        entered: list[np.ndarray] = []
        try:
            moved = [self._move(argument, entered) for argument in arguments]
            return self._kernel(*moved)
        finally:
            for array in entered:
                self._leave(array)

    def _move(self, argument: Any, entered: list[np.ndarray]) -> Any:
        if isinstance(argument, codes.Team):  # where others meet it, and may abandon it, during the call
            return argument
        if isinstance(argument, tuple):
            items = [self._move(item, entered) for item in argument]
            return type(argument)(*items) if hasattr(argument, "_fields") else tuple(items)
        if not isinstance(argument, np.ndarray) or not argument.flags.c_contiguous:
            return argument
        with self.lock:
            pages, calls, _ = self.inside.get(id(argument)) or (Pages(argument, self._side), 0, argument)
            self.inside[id(argument)] = pages, calls + 1, argument
            entered.append(argument)
            Guarded.count += 1
        return pages.array

    def _leave(self, array: np.ndarray) -> None:
        with self.lock:
            pages, calls, _ = self.inside[id(array)]
            if calls > 1:
                self.inside[id(array)] = pages, calls - 1, array
            else:
                pages.write_back(array)
                del self.inside[id(array)]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.write_line(f"{Guarded.count} arrays beside a page that nobody may touch")


if SIDE in os.environ:
    side, kernel = os.environ[SIDE], jit.kernel
    jit.kernel = lambda function: Guarded(kernel(function), side)  # those that tests define
    for module, name in ((epoch, "train"), (epoch, "evaluate"), (small, "train"), (_checks, "is_finite")):
        setattr(module, name, Guarded(getattr(module, name), side))
