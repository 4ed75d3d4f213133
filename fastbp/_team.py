"""Threads that enter one kernel together, and how many of them there may be."""

from __future__ import annotations

import ctypes
import os
from _thread import LockType, allocate_lock, start_new_thread
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import copy_context
from functools import lru_cache
from itertools import pairwise, repeat
from time import sleep
from typing import Any

MULTIPLICATIONS_PER_SECOND = 4.5e10  # of one core, in float32, for the medium sizes of the benchmarks
MEETING_SECONDS = 3e-7  # of a meeting, for each thread that takes part
START_PAYS = 3e-4  # seconds of work that are worth starting threads for
REMEMBERED = 5  # calls of each number of threads, of which the median counts: one that was disturbed changes nothing
TRIAL_SECONDS = 4e-3  # that a trial of the other number of threads may take, by arithmetic
SOON, LATE = 0.05, 0.25  # seconds of training between two trials: at first, and once they have failed clearly
TRIAL_SHARE = 0.05  # of all time that trials may take
SHORT = 3e-4  # seconds below which a call says nothing about speed
WAIT_SECONDS = 1e-3  # between two looks whether the threads have ended, after Ctrl-C
ROWS_PAY = 1e7  # multiplications, about 0.2 ms, that are worth another thread's start

MAX_CORES, WORD = 1024, 8 * ctypes.sizeof(ctypes.c_ulong)  # bits of a C library's cpu_set_t, and of its words
Mask = ctypes.c_ulong * (MAX_CORES // WORD)
_libc = ctypes.PyDLL(None) if os.name == "posix" else None  # which keeps Python's lock
_this_core: Any = getattr(_libc, "sched_getcpu", None)
_keep_to: Any = getattr(_libc, "pthread_setaffinity_np", None)
if _keep_to:
    _keep_to.argtypes = ctypes.c_ulong, ctypes.c_size_t, ctypes.POINTER(ctypes.c_ulong)


def usable_cores() -> int:
    """Return the number of processors that this process may run on."""
    return len(_allowed()) or os.cpu_count() or 1


def _allowed() -> set[int]:
    """Return the processors that this thread may run on; an empty set if the system or a sandbox doesn't tell."""
    with suppress(AttributeError, OSError):
        return os.sched_getaffinity(0)
    return set()


def other_cores() -> ctypes.Array[ctypes.c_ulong] | None:
    """Those that this thread may run on and doesn't run on now; None where there are none, or the system won't say."""
    if not (_this_core and _keep_to):
        return None
    cores = _allowed() - {_this_core()}
    if not cores or max(cores) >= MAX_CORES:
        return None
    mask = Mask()
    for core in cores:
        mask[core // WORD] |= 1 << core % WORD
    return mask


def keep_to_share(i: int, count: int) -> None:
    """Keep this thread, the i-th of `count`, to its share of the processors, where there are as many and Linux helps.

    Threads that often wait for Python's lock are otherwise woken on the core of whoever lets it go.
    """
    cores = sorted(_allowed())
    if count <= len(cores):
        with suppress(AttributeError, OSError):  # only for speed; a sandbox may forbid it
            os.sched_setaffinity(0, cores[i::count])


def run_together(call: Callable[[int], Any], n_threads: int, abandon: Callable[[], None]) -> Any:
    """Call call(0) here and call(1) … call(n_threads − 1) in threads of their own, all at once.

    They last as long as the call: nothing is left that a fork could miss or that two trainers could compete for. This
    thread goes on without a pause, where threading.Thread would wait for the others to begin, and keeps them off its
    core: left to itself Linux now and then puts two on one core, where each waits for the other's turn to end, until
    it balances its load some 50 ms later.

    Parameters
    ----------
    call : a function of the thread's number, which runs a kernel
    n_threads : at least 1
    abandon : tells all threads to end; called if one of the calls raises an exception, such as KeyboardInterrupt

    Returns
    -------
    What call(0) returned. No thread is left then, nor when Ctrl-C comes while this one waits for the others.

    Raises
    ------
    BaseException
        The exception of call(0), or else the first exception of another thread.
    """
    if n_threads == 1:
        return call(0)
    cores, gate = other_cores(), allocate_lock()
    ends = [allocate_lock() for _ in range(1, n_threads)]
    contexts = [copy_context() for _ in ends]
    started: list[int] = []
    ended: list[int] = []
    errors: list[BaseException] = []

    def run(thread: int, end: LockType) -> None:
        try:
            with gate:
                pass
            contexts[thread - 1].run(call, thread)
        except BaseException as error:  # the caller must get any error
            errors.append(error)
            abandon()
        finally:
            ended.append(thread)
            end.release()

    try:
        with gate:  # a thread that has ended must not be told where to run
            for end in ends:
                end.acquire()
            # In one step of Python, so that Ctrl-C can't come between a thread's start and the note of it.
            started.extend(map(start_new_thread, repeat(run), enumerate(ends, 1)))
            if cores:
                for identity in started:
                    _keep_to(identity, ctypes.sizeof(cores), cores)
        result = call(0)
    except BaseException:
        abandon()
        raise
    finally:
        try:
            for end, _ in zip(ends, started, strict=False):
                end.acquire()
        except BaseException:  # Ctrl-C; whether the lock was taken before it came, nobody knows
            while len(ended) < len(started):
                with suppress(KeyboardInterrupt):
                    sleep(WAIT_SECONDS)
            raise
    if errors:
        try:
            raise errors[0]
        finally:
            errors.clear()  # otherwise its traceback would keep the thread's objects alive
    return result


class TeamSize:
    """How many threads train one network together: one, or a team.

    Any number gives the same bits, so speed alone decides. A first guess comes from arithmetic: a batch takes its
    multiplications' time over the threads, and its meetings a time that grows with the team. From then on the clock
    decides, since a busy machine may make meetings slow at any time.

    Parameters
    ----------
    sizes : n_1 … n_L
    m : samples in a block
    itemsize : bytes of a number
    n_threads : the team's size, no more than there are processors; or "auto": what the arithmetic says
    """

    def __init__(self, sizes: Sequence[int], m: int, itemsize: int, n_threads: int | str) -> None:
        products = [n * n_next for n, n_next in pairwise(sizes)]
        self.alone = m * (2 * products[0] + 3 * sum(products[1:])) / MULTIPLICATIONS_PER_SECOND * itemsize / 4
        meetings = 2 * len(products) * MEETING_SECONDS
        everything = {n: self.alone / n + (meetings * n if n > 1 else 0) for n in range(1, usable_cores() + 1)}
        best = min(everything, key=everything.__getitem__)
        self.team = best if n_threads == "auto" else min(int(n_threads), usable_cores())
        # A block's seconds, by arithmetic and the last that were measured, for each number of threads
        self.expected = {n: everything[n] for n in {1, self.team}}
        if self.team != best:  # asked for: to be tried first
            self.expected[self.team] = 0.5 * self.alone
        self.paces: dict[int, deque[float]] = {n: deque(maxlen=REMEMBERED) for n in self.expected}
        self.on_trial, self.since_trial, self.patience = False, 0.0, SOON

    def pace(self, threads: int) -> float:
        """Seconds of a block; by arithmetic and the other's pace before there are any."""
        measured = sorted(self.paces[threads])
        if measured:
            return measured[(len(measured) - 1) // 2]
        slower = max((self.pace(n) / self.expected[n] for n, paces in self.paces.items() if paces), default=1.0)
        return self.expected[threads] * slower

    def choose(self, blocks: int) -> tuple[int, int]:
        """The number of threads for a call of so many blocks, and how many of those it should do."""
        self.on_trial = False
        if self.team == 1 or blocks * self.alone < START_PAYS:
            return 1, blocks
        threads, other = sorted({1, self.team}, key=self.pace)
        if all(self.paces.values()):
            if self.since_trial < self.patience:
                return threads, blocks
            self.on_trial, threads = True, other
        elif self.paces[threads]:  # what isn't measured yet is next
            threads = other
        return threads, min(blocks, 1 + int(TRIAL_SECONDS / self.alone))

    def record(self, threads: int, blocks: int, seconds: float) -> None:
        """Remember how long a call took; short ones say nothing."""
        self.since_trial += seconds
        if seconds >= SHORT:
            if self.on_trial:  # the past has served
                self.paces[threads].clear()
            self.paces[threads].append(seconds / blocks)
        if self.on_trial:
            clearly = self.pace(threads) > 1.2 * min(map(self.pace, self.paces))
            patience = min(2 * self.patience, LATE) if clearly else SOON
            self.since_trial, self.patience = 0.0, max(patience, seconds / TRIAL_SHARE)


@lru_cache(maxsize=256)
def team_size(sizes: tuple[int, ...], m: int, itemsize: int, n_threads: int | str) -> TeamSize:
    """What is known of such networks in this process, whoever trained them."""
    return TeamSize(sizes, m, itemsize, n_threads)


def rows_team_size(n_threads: int | str, multiplications: int, blocks: int) -> int:
    """How many threads go over blocks of rows, each its own: no more than there are blocks, and as many as pay."""
    threads = usable_cores() if n_threads == "auto" else min(int(n_threads), usable_cores())
    return max(1, min(threads, blocks, 1 + int(multiplications / ROWS_PAY)))
