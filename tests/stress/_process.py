"""A function in a process of its own, so that its limits and its peak of memory are its own too."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable


def in_child(function: Callable[[], int]) -> int:
    """What the function returned, capped at 100; minus the signal if one ended it, 101 for an exception."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 101
        try:
            code = min(function(), 100)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
