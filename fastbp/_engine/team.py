"""How many threads run a kernel together, on which processors, and the memory by which they meet."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from .._kernels.codes import MEETING_SIZE, NAP_TIME, SLEEP
from .._kernels.tuning import (
    BLOCK,
    LATE,
    LONGEST_REST,
    MEETING_SECONDS,
    MULTIPLICATIONS_PER_SECOND,
    REMEMBERED,
    ROWS_PAY,
    SHORT,
    SOON,
    START_PAYS,
    TARDY,
    TRIAL_SECONDS,
    TRIAL_SHARE,
)
from . import processors

MAX_CORES, WORD = 1024, 8 * ctypes.sizeof(ctypes.c_ulong)  # bits of a C library's cpu_set_t, and of its words
Mask = ctypes.c_ulong * (MAX_CORES // WORD)
_this_core: Any = getattr(processors.libc, "sched_getcpu", None)
_keep_to: Any = getattr(processors.libc, "pthread_setaffinity_np", None)
if _keep_to:
    _keep_to.argtypes = ctypes.c_ulong, ctypes.c_size_t, ctypes.POINTER(ctypes.c_ulong)


@cache
def sleep_function() -> tuple[int, int]:
    """Return the address of a C function by which kernels sleep, and its argument: as short a time as the system can.

    Windows cannot sleep for less than some milliseconds. There, the function only lets other threads run, and the time
    is 0.
    """
    if os.name == "nt":
        function, time = ctypes.WinDLL("kernel32").SwitchToThread, 0  # type: ignore[attr-defined, unused-ignore]
    else:
        function, time = ctypes.CDLL(None).usleep, 10
    return ctypes.cast(function, ctypes.c_void_p).value or 0, time


def new_meeting() -> npt.NDArray[np.int64]:
    """Return the memory by which the threads of a team meet."""
    meeting = np.zeros(MEETING_SIZE, np.int64)
    meeting[[SLEEP, NAP_TIME]] = sleep_function()
    return meeting


def renew(meeting: npt.NDArray[np.int64]) -> None:
    """Make a meeting new again."""
    meeting[:SLEEP] = 0


def usable_cores() -> int:
    """Return the number of processors that this process may use."""
    return max(1, int(min(processors.of_process(), processors.quota())))


def fast_cores() -> int:
    """Return how many of them a team uses by default: a thread on an efficiency core would hold up all others."""
    return int(min(usable_cores(), processors.fast()))


def this_core() -> int:
    """Return the processor on which this thread runs; −1 if the system doesn't tell."""
    return int(_this_core()) if _this_core else -1


def keep_off(core: int, thread: int) -> None:
    """Keep a thread on any processor that this thread may use except one, or on that one if there is no other.

    Linux sometimes puts two threads on one core. They take turns there until it balances the load about 50 ms later.
    Elsewhere, this does nothing.
    """
    allowed = processors.allowed()
    cores = allowed - {core} or allowed
    if core < 0 or not (_keep_to and cores) or max(cores) >= MAX_CORES:
        return
    mask = Mask()
    for other in cores:
        mask[other // WORD] |= 1 << other % WORD
    _keep_to(thread, ctypes.sizeof(mask), mask)


def keep_to_share(i: int, count: int) -> None:
    """Keep this thread, the i-th of `count`, to its share of the processors, if there are enough and on Linux.

    Otherwise, threads that often wait for Python's lock are woken on the core of the thread that releases it.
    """
    cores = sorted(processors.allowed())
    if count <= len(cores):
        keep_to(cores[i::count])


def keep_to(cores: Collection[int]) -> None:
    """Keep this thread to some processors, on Linux."""
    with suppress(AttributeError, OSError):  # only for speed; a sandbox may forbid it
        os.sched_setaffinity(0, cores)


class TeamSize:
    """How many threads train a network together: one, or a team.

    Results are bit-identical for any number, so only speed matters. The first choice is an estimate: a batch takes the
    time of its multiplications divided by the threads, plus the time of its meetings, which grows with the team. Later
    calls are timed, because a busy machine can make meetings slow at any time.

    Parameters
    ----------
    sizes : n_1 … n_L
    m : number of samples in a block
    itemsize : number of bytes per number
    n_threads : the size of the team, at most the number of processors; or "auto" for the estimated best
    parts : how many parts of a block are computed apart; if there are several, a team has no more threads than parts
    """

    def __init__(self, sizes: Sequence[int], m: int, itemsize: int, n_threads: int | str, parts: int = 1) -> None:
        most = parts if parts > 1 else usable_cores()
        products = [n * n_next for n, n_next in pairwise(sizes)]
        self.alone = m * (2 * products[0] + 3 * sum(products[1:])) / MULTIPLICATIONS_PER_SECOND * itemsize / 4
        meetings = 2 * len(products) * MEETING_SECONDS
        everything = {n: self.alone / n + (meetings * n if n > 1 else 0) for n in range(1, usable_cores() + 1)}
        best = min(range(1, min(most, fast_cores()) + 1), key=everything.__getitem__)
        self.team = best if n_threads == "auto" else min(int(n_threads), most, usable_cores())
        # Seconds per block, for each number of threads: the estimate, and the last measurements
        self.expected = {n: everything[n] for n in {1, self.team}}
        if self.team != best:  # the caller's number is tried first
            self.expected[self.team] = 0.5 * self.alone
        # Tuples, which are replaced as a whole, because trainers in several threads share this object
        self.paces: dict[int, tuple[float, ...]] = dict.fromkeys(self.expected, ())
        self.on_trial, self.since_trial, self.patience = False, 0.0, SOON

    def pace(self, threads: int) -> float:
        """Return the seconds per block; before any measurement, from the estimate and the other number's speed."""
        measured = sorted(self.paces[threads])
        if measured:
            return measured[(len(measured) - 1) // 2]
        slower = max((self.pace(n) / self.expected[n] for n, paces in self.paces.items() if paces), default=1.0)
        return self.expected[threads] * slower

    def choose(self, blocks: int) -> tuple[int, int]:
        """Return the number of threads for a call with so many blocks, and how many blocks it should do."""
        self.on_trial = False
        if self.team == 1 or blocks * self.alone < START_PAYS:
            return 1, blocks
        threads, other = sorted({1, self.team}, key=self.pace)
        if all(self.paces.values()):
            if self.since_trial < self.patience:
                return threads, blocks
            self.on_trial, threads = True, other
        elif self.paces[threads]:  # try a number that isn't measured yet
            threads = other
        return threads, min(blocks, 1 + int(TRIAL_SECONDS / self.alone))

    def record(self, threads: int, blocks: int, seconds: float) -> None:
        """Store the time of a call. Calls that are too short are ignored."""
        self.since_trial += seconds
        if seconds >= SHORT:
            older = () if self.on_trial else self.paces[threads]  # after a trial, they are outdated
            self.paces[threads] = (*older, seconds / blocks)[-REMEMBERED:]
        if self.on_trial:
            clearly = self.pace(threads) > 1.2 * min(map(self.pace, self.paces))
            patience = min(2 * self.patience, LATE) if clearly else SOON
            self.since_trial, self.patience = 0.0, max(patience, seconds / TRIAL_SHARE)


@lru_cache(maxsize=256)
def team_size(sizes: tuple[int, ...], m: int, itemsize: int, n_threads: int | str, parts: int = 1) -> TeamSize:
    """Return the TeamSize for such networks, which all trainers of this process share."""
    return TeamSize(sizes, m, itemsize, n_threads, parts)


def rows_team_size(n_threads: int | str, multiplications: int, blocks: int) -> int:
    """Return how many threads go over separate blocks of rows: as many as pay, and at most one per block."""
    most = min(blocks, 1 + int(multiplications / ROWS_PAY))
    if most <= 1:
        return 1
    return min(most, fast_cores() if n_threads == "auto" else min(int(n_threads), usable_cores()))


def rows_of_range(n: int, threads: int, unit: int) -> int:
    """Return how many rows threads take at a time: at most a block, in whole units, so that all take equally many."""
    most = BLOCK // unit * unit
    ranges = -(-n // (most * threads)) * threads
    return min(-(-n // (ranges * unit)) * unit, most)


class Rest:
    """A time in which one thread predicts few rows, because several were late.

    They meet after each layer. On a busy machine, each may wait for another that doesn't run. Each late prediction
    makes the next rest twice as long, and one in time makes it short again.
    """

    def __init__(self) -> None:
        self._seconds, self._until = LATE, 0.0

    def lasts(self, now: float) -> bool:
        """Return whether there is a rest now."""
        return now < self._until

    def record(self, ended: float, seconds: float) -> None:
        """Store the time of a prediction by several threads. seconds: for each of its multiplications."""
        if seconds * MULTIPLICATIONS_PER_SECOND > TARDY:
            self._until = ended + self._seconds
            self._seconds = min(2 * self._seconds, LONGEST_REST)
        else:
            self._seconds = LATE
