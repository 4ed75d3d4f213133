"""A network is trained by one thread at a time."""

from __future__ import annotations

import os
from threading import Lock


class Turn:
    """The context of a training: a network has only one at a time.

    Raises
    ------
    RuntimeError
        If another thread trains the network, or the call comes from a callback of its training.
    """

    def __init__(self) -> None:
        self._lock, self._process = Lock(), os.getpid()

    def __enter__(self) -> None:
        if self._process != os.getpid():  # before a fork, the parent may have been training
            self._lock, self._process = Lock(), os.getpid()
        if not self._lock.acquire(blocking=False):
            where = "in another thread or by the fit that called this callback"
            raise RuntimeError(f"this Trainer is already being trained, {where}")

    def __exit__(self, *_: object) -> None:
        self._lock.release()
