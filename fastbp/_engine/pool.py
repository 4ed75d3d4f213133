"""Threads that stay ready between calls, so that a call with several threads starts in microseconds.

A worker is a thread in a kernel, which waits for work without Python's lock (`_kernels/workers.py`). If nothing comes
for some 100 µs, it sleeps, and after some seconds it ends. A call takes an idle crew of workers, or starts a new one.
Nobody else has it until the call gives it back, so trainers in several threads don't wait for each other. Workers run
only kernels. They execute no Python code of a call, and hold none of its objects.
"""

from __future__ import annotations

import atexit
import os
from _thread import allocate_lock, start_new_thread
from contextlib import suppress
from ctypes import c_int64
from typing import Any

import numpy as np

from .._kernels.codes import ASLEEP, BOX_NAP_TIME, BOX_SIZE, BOX_SLEEP, ENDS, SLEEPS, SPINS, STATE, STATES, Team
from .._library.library import address_of_entry, any_library
from .._library.slots import Slots
from .layout import aligned_zeros
from .nothing import ALONE
from .team import keep_off, new_meeting, renew, sleep_function, this_core

FIRST = c_int64(0)  # the first thread; ctypes passes it faster than an int
STAY_SECONDS = 5.0  # of sleep, after which a worker ends
END_SECONDS = 0.1  # the longest wait for a worker to end


class Worker:
    """A thread of a crew."""

    def __init__(self, crew: Crew) -> None:
        library = any_library()
        box = aligned_zeros(BOX_SIZE, np.int64)
        box[STATE] = SPINS
        box[[BOX_SLEEP, BOX_NAP_TIME]] = sleep_function()
        self._crew, self._box, self.address = crew, box, box.ctypes.data
        self._serve, self._change = library.serve, library.change
        self._bell, self._over = allocate_lock(), allocate_lock()
        self._bell.acquire()
        self._over.acquire()
        self.thread = start_new_thread(self._live, ())

    def _live(self) -> None:
        """Work, and sleep between calls. The first worker that has slept long ends the crew, unless a call has it."""
        try:
            while not self._serve(self.address, 0):
                while self._box[STATE] == SLEEPS:  # else it has been woken; a ring may be left from before
                    if not self._bell.acquire(timeout=STAY_SECONDS) and self._crew.leaves():
                        return
        finally:
            self._over.release()

    def _changed(self, old: int, new: int) -> bool:
        return bool(self._change(self.address, old * STATES + new))

    def wake(self) -> None:
        """Wake the worker if it sleeps."""
        if self._changed(SLEEPS, SPINS):
            self._ring()

    def _ring(self) -> None:
        with suppress(RuntimeError):  # it has woken on its own, and not yet heard the last ring
            self._bell.release()

    def end(self) -> None:
        """End the worker, which has no work."""
        if not self._changed(SPINS, ENDS) and self._changed(SLEEPS, ENDS):
            self._ring()

    def join(self) -> None:
        """Wait until the worker has ended, but not for long."""
        self._over.acquire(timeout=END_SECONDS)


_idle: dict[int, list[Crew]] = {}  # by the number of threads; the last crew of a list has slept least


class Crew:
    """The caller's thread and some workers, which are there for this caller until it leaves the context.

    Parameters
    ----------
    n_threads : how many threads there should be; fewer if the system starts no more
    """

    def __init__(self, n_threads: int) -> None:
        self._workers: list[Worker] = []
        self.n_threads = 1  # a worker may ask before all are there
        with suppress(RuntimeError, MemoryError):  # the system starts no more threads
            for _ in range(1, n_threads):
                self._workers.append(Worker(self))
        self.n_threads = len(self._workers) + 1
        # What `run_with_workers` reads: the entry and the caller's record, and each worker's box and record
        self._call = (c_int64 * (2 * self.n_threads))()
        self._call[2::2] = [worker.address for worker in self._workers]
        self._run, self._core = any_library().run_with_workers, -1

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        if self.n_threads > 1:
            _idle.setdefault(self.n_threads, []).append(self)

    def run(self, entry: Any, *records: int) -> int:
        """Run an entry in each thread. Return the least of the results.

        records: their addresses, for each thread, the caller's first; or one for all
        """
        n_threads = self.n_threads
        if n_threads == 1:
            return int(entry(records[0], 0))
        call = self._call
        call[0] = address_of_entry(entry)
        for i in range(n_threads):
            call[2 * i + 1] = records[i % len(records)]
        self._keep_off(this_core())
        while (result := self._run(call, n_threads - 1)) == ASLEEP:
            self._core = -1  # the processors that they may use may be others by now
            self._keep_off(this_core())
            for worker in self._workers:
                worker.wake()
        return int(result)

    def _keep_off(self, core: int) -> None:
        """Keep the workers off the core of the caller."""
        if self._core != core:
            for worker in self._workers:
                keep_off(core, worker.thread)
            self._core = core

    def leaves(self) -> bool:
        """End the crew if it is idle. Return whether it was."""
        try:
            _idle[self.n_threads].remove(self)
        except (KeyError, ValueError):
            return False
        self.end()
        return True

    def end(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.end()

    def join(self) -> None:
        """Wait until the workers have ended, but not for long."""
        for worker in self._workers:
            worker.join()


def crew_of(n_threads: int) -> Crew:
    """Return an idle crew, or a new one. If Ctrl-C keeps a crew from its context, its workers sleep for ever."""
    try:
        return _idle[n_threads].pop()
    except (KeyError, IndexError):
        return Crew(n_threads)


def end_idle() -> None:
    """End the crews that are idle: before a fork, which would lose them, and before the process ends."""
    ending = []
    for crews in list(_idle.values()):
        while crews:
            with suppress(IndexError):  # another thread has taken it
                ending.append(crews.pop())
    for crew in ending:
        crew.end()
    for crew in ending:
        crew.join()


atexit.register(end_idle)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=end_idle, after_in_child=_idle.clear)


def by_team(entry: Any, call: Slots, threads: int) -> int:
    """Call an entry in each of so many threads, as a team with one record. Return its result."""
    if threads == 1:
        call.keep("team", ALONE)
        return int(entry(call.address, FIRST))
    with crew_of(threads) as crew:
        team = call.kept("team")
        if team is not None and team.n_threads == crew.n_threads > 1:
            renew(team.meeting)
        else:
            call.keep("team", Team(new_meeting(), 0, crew.n_threads))
        return crew.run(entry, call.address.value or 0)
