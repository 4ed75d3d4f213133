"""Threads that enter one kernel together, and how many of them there may be."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from threading import Thread
from typing import Any

MULTIPLICATIONS_PER_SECOND = 4.5e10  # of one core, in the middle of the sizes in docs/design.md
MEETING_SECONDS = 3e-7  # of a meeting, for each thread that takes part
START_PAYS = 3e-4  # seconds of work that are worth starting threads for
FIRST_TRIAL, LAST_TRIAL = 8, 512  # calls until the other number of threads is tried again
TRIAL_SECONDS = 5e-3  # that a trial may take, by arithmetic
SHORT = 1e-3  # seconds below which a call says nothing about speed
ROWS_PAY = 1e7  # multiplications, about 0.2 ms, that are worth another thread's start


def usable_cores() -> int:
    """How many processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_together(call: Callable[[int], Any], n_threads: int, abandon: Callable[[], None]) -> Any:
    """Call call(0) here and call(1) … call(n_threads − 1) in threads of their own, all at once.

    They last as long as the call: nothing is left that a fork could miss or that two trainers could compete for.

    Parameters
    ----------
    call : a function of the thread's number, which runs a kernel
    n_threads : at least 1
    abandon : tells the other threads to end, when call(0) ends early, by Ctrl-C or anything else

    Returns
    -------
    What call(0) returned.
    """
    if n_threads == 1:
        return call(0)
    others = [Thread(target=call, args=(thread,), daemon=True) for thread in range(1, n_threads)]
    try:
        for other in others:
            other.start()
        return call(0)
    except BaseException:
        abandon()
        raise
    finally:
        for other in others:
            if other.ident is not None:
                other.join()


class TeamSize:
    """How many threads train one network together: one, or a team.

    Any number gives the same bits, so speed alone decides. A first guess comes from arithmetic: a batch takes its
    multiplications' time over the threads, and its meetings a time that grows with the team. From then on the clock
    decides, since a busy machine may make meetings slow at any time.

    Parameters
    ----------
    sizes : n_1 … n_L
    m : samples in a block
    n_threads : the team's size, no more than there are processors; or "auto": what the arithmetic says
    """

    def __init__(self, sizes: Sequence[int], m: int, n_threads: int | str) -> None:
        products = [n * n_next for n, n_next in pairwise(sizes)]
        self.alone = m * (2 * products[0] + 3 * sum(products[1:])) / MULTIPLICATIONS_PER_SECOND
        meetings = 2 * len(products) * MEETING_SECONDS
        # A block's seconds by number of threads: at first by arithmetic, then as measured.
        expected = {n: self.alone / n + (meetings * n if n > 1 else 0) for n in range(1, usable_cores() + 1)}
        best = min(expected, key=expected.__getitem__)
        self.team = best if n_threads == "auto" else min(int(n_threads), usable_cores())
        self.seconds = {n: expected[n] for n in {1, self.team}}
        if self.team != best:  # asked for: to be tried first
            self.seconds[self.team] = 0.5 * self.alone
        self.calls, self.next_trial, self.patience = 0, FIRST_TRIAL, FIRST_TRIAL
        self.on_trial = False

    def choose(self, blocks: int) -> tuple[int, int]:
        """The number of threads for a call of so many blocks, and how many of those it should do."""
        if self.team == 1 or blocks * self.alone < START_PAYS:
            return 1, blocks
        self.calls += 1
        best = min(self.seconds, key=self.seconds.__getitem__)
        self.on_trial = self.calls >= self.next_trial
        if not self.on_trial:
            return best, blocks
        return (1 if best != 1 else self.team), min(blocks, 1 + int(TRIAL_SECONDS / self.alone))

    def record(self, threads: int, blocks: int, seconds: float) -> None:
        """Remember how long a call took; the last ones count most, and short ones not at all."""
        if seconds < SHORT:
            return
        paces, pace = self.seconds, seconds / blocks
        if not self.on_trial:
            paces[threads] = 0.5 * (paces[threads] + pace)
            return
        failed = pace > 1.2 * min(paces.values())
        self.patience = min(2 * self.patience, LAST_TRIAL) if failed else FIRST_TRIAL
        self.next_trial = self.calls + self.patience  # the clearer it failed, the later the next
        paces[threads] = pace


def rows_team_size(n_threads: int | str, multiplications: int, blocks: int) -> int:
    """How many threads go over blocks of rows, each its own: no more than there are blocks, and as many as pay."""
    threads = usable_cores() if n_threads == "auto" else min(int(n_threads), usable_cores())
    return max(1, min(threads, blocks, 1 + int(multiplications / ROWS_PAY)))
