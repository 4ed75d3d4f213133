"""One process builds, the others wait for it.

A lock ends with the process that holds it, however that ends. On a file system without locks, each process builds. This
is slower but does no harm: each writes a whole file, and all write the same bytes.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic, sleep

PAUSE = 0.05  # seconds between two attempts
PATIENCE = 180.0  # seconds, after which a process builds too: the one with the lock may be stopped

_of_threads: dict[str, threading.Lock] = {}  # by name, because locks of files are between processes only

if hasattr(os, "register_at_fork"):  # a thread that holds one isn't there in a forked child
    os.register_at_fork(after_in_child=_of_threads.clear)


@contextmanager
def alone(name: str, folder: str | None) -> Iterator[None]:
    """Let one thread of one process into the block at a time.

    Parameters
    ----------
    name : what it is for
    folder : where the file to lock is, or None if there is no folder; the threads of a process wait all the same
    """
    deadline = monotonic() + PATIENCE
    threads = _of_threads.setdefault(name, threading.Lock())
    has_lock = _wait(lambda: threads.acquire(blocking=False), deadline)
    try:
        file = _opened(folder, name)
        try:
            if file is not None:
                _wait(lambda: _locked(file), deadline)
            yield
        finally:
            if file is not None:
                os.close(file)  # and unlocks it
    finally:
        if has_lock:
            threads.release()


def _wait(attempt: Callable[[], bool], deadline: float) -> bool:
    """Attempt it until it succeeds or it is too late; return whether it succeeded."""
    while not attempt():
        if monotonic() > deadline:
            return False
        sleep(PAUSE)
    return True


def _opened(folder: str | None, name: str) -> int | None:
    """Return the open file, or None if it can't be made. Other users can't open it, so they can't lock it."""
    if folder is not None:
        with suppress(OSError):
            return os.open(os.path.join(folder, f"{name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    return None


def _locked(file: int) -> bool:
    """Return False if another process has the lock; True if this one has it now, or if the file system has no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True
