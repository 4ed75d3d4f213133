"""A pytest plugin: every array that a kernel is given lies beside a page that nobody may touch.

``SIDE`` says beside which: "end" or "start". A kernel that reads or writes one number beyond an array then ends the
process with SIGSEGV, and pytest's fault handler says in which test. This holds for the entries of the library, whose
records have addresses of guarded copies, for the records themselves, and for the kernels that tests define.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

import numpy as np

from fastbp._kernels import codes
from fastbp._library import slots

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
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        for page in (base, base + PAGE + room):
            if _libc.mprotect(page, PAGE, PROT_NONE):
                raise OSError(ctypes.get_errno(), "mprotect")
        # To the byte: what the engine puts on cache lines is whole cache lines, and so stays on them.
        offset = PAGE + (0 if side == "start" else room - array.nbytes)
        self.array = np.frombuffer(self._memory, array.dtype, array.size, offset).reshape(array.shape)
        self.address = base + offset
        self.calls = 0  # that have it now
        self._original = weakref.ref(array)

    def is_of(self, array: np.ndarray) -> bool:
        return self._original() is array

    def enter(self) -> None:
        """Copy the original, for the first of the calls that have it at once: threads of one team share it."""
        original = self._original()
        if self.calls == 0 and original is not None:
            self.array[...] = original
        self.calls += 1

    def leave(self) -> None:
        """Copy back what kernels changed, after the last of the calls."""
        self.calls -= 1
        original = self._original()
        # An array that is only read may be in memory that is, too.
        if self.calls == 0 and original is not None and self.array.tobytes() != original.tobytes():
            original[...] = self.array


class Guard:
    """The arrays that kernels are given, each with its pages for as long as it lives."""

    def __init__(self, side: str) -> None:
        self.side = side
        self.count = 0  # of arrays that were moved, in all calls
        self._lock = RLock()  # the end of an array can interrupt any line of its thread
        self._of_arrays: dict[int, Pages] = {}  # by id
        self._at: dict[int, Pages] = {}  # by address

    def pages(self, array: Any) -> Pages | None:
        """Return the pages of an array; None if it stays where it is.

        A meeting does, because threads meet there during a call.
        """
        if not isinstance(array, np.ndarray) or not array.flags.c_contiguous or array.ndim == 0:
            return None
        if array.dtype == np.int64 and array.shape == (codes.MEETING_SIZE,):
            return None
        with self._lock:
            known = self._of_arrays.get(id(array))
            if known is None or not known.is_of(array):
                known = self._of_arrays[id(array)] = Pages(array, self.side)
                self._at[known.address] = known
                weakref.finalize(array, self._forget, id(array), known)
            return known

    def _forget(self, key: int, pages: Pages) -> None:
        with self._lock:
            if self._of_arrays.get(key) is pages:
                del self._of_arrays[key]
            self._at.pop(pages.address, None)

    @contextmanager
    def inside(self, moved: Collection[Pages]) -> Iterator[None]:
        """Have the pages hold what the arrays do, in the block, and the reverse after it."""
        with self._lock:
            self.count += len(moved)
            for pages in moved:
                pages.enter()
        try:
            yield
        finally:
            with self._lock:
                for pages in moved:
                    pages.leave()

    def entry(self, function: Callable[[Any, Any], int]) -> Callable[[Any, Any], int]:
        """Return an entry of the library that finds each array of its record beside a page, and the record too."""

        def call(address: Any, number: Any) -> int:
            is_crew = isinstance(address, ctypes.Array)  # its records are those of `Crew.run`
            with self.inside(set() if is_crew else self.arrays(getattr(address, "value", address))):
                return function(address, number)

        call.unguarded = function  # type: ignore[attr-defined]
        return call

    def arrays(self, address: int) -> set[Pages]:
        """Return the pages of a record and of its arrays, or of an array that isn't a record."""
        with self._lock:
            record = self._at.get(address)
            if record is None:
                return set()
            if record.array.dtype != np.int64:  # those of is_finite have no addresses
                return {record}
            return {record, *(self._at[word] for word in record._original().tolist() if word in self._at)}

    def kernel(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a kernel that finds each array among its arguments beside a page."""

        def call(*arguments: Any) -> Any:
            moved: list[Pages] = []
            beside = self._moved(arguments, moved)
            with self.inside(moved):
                return function(*beside)

        return call

    def _moved(self, argument: Any, moved: list[Pages]) -> Any:
        if isinstance(argument, tuple):
            items = [self._moved(item, moved) for item in argument]
            return type(argument)(*items) if hasattr(argument, "_fields") else tuple(items)
        pages = self.pages(argument)
        if pages is None:
            return argument
        moved.append(pages)
        return pages.array


guard = Guard(os.environ.get(SIDE, "end"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.write_line(f"{guard.count} arrays beside a page that nobody may touch")


def _install() -> None:
    """Move what entries and the kernels of tests are given, in this process."""
    real = slots.address_of

    def address_of(array: Any) -> int:
        pages = guard.pages(array) if getattr(array, "size", 0) else None
        return real(array) if pages is None else pages.address

    slots.address_of = address_of  # before others import it
    from fastbp._library import library
    from tests._kernels import compiled

    assert library.address_of is address_of, "fastbp was imported before"
    entry, kernel = library.ENTRY, compiled.kernel
    library.ENTRY = lambda address: guard.entry(entry(address))
    compiled.kernel = lambda function: guard.kernel(kernel(function))
    place = library.address_of_entry
    library.address_of_entry = lambda entry: place(getattr(entry, "unguarded", entry))
    from fastbp._engine import pool, workspace

    run = pool.Crew.run

    def guarded_run(crew: Any, entry: Any, *records: int) -> int:
        ranges = workspace.RangesCall
        calls = [ranges.from_address(at)[2] for at in records] if entry is library.any_library().run_ranges else records
        with guard.inside(set().union(*map(guard.arrays, calls))):
            return run(crew, entry, *records)

    pool.Crew.run = guarded_run  # type: ignore[method-assign]


if SIDE in os.environ:
    _install()
