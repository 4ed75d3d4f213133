"""Threads that enter one kernel together, and how many of them there may be."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from threading import Thread
from typing import Any

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


def team_size(n_threads: int | str, m: int, sizes: Sequence[int]) -> int:
    """How many threads train on batches of m samples together: as many as asked for, or as many as pay."""
    if n_threads != "auto":
        return int(n_threads)
    return usable_cores()


def rows_team_size(n_threads: int | str, multiplications: int, blocks: int) -> int:
    """How many threads go over blocks of rows, each its own: no more than there are blocks, and as many as pay."""
    threads = usable_cores() if n_threads == "auto" else int(n_threads)
    return max(1, min(threads, blocks, 1 + int(multiplications / ROWS_PAY)))
