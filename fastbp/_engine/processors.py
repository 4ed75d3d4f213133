"""How many processors this process may use: what the system, its container and the user say."""

from __future__ import annotations

import ctypes
import math
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

ROOT = "/"
libc: Any = ctypes.PyDLL(None) if os.name == "posix" else None  # PyDLL keeps Python's lock


def allowed() -> set[int]:
    """Return the processors that this thread may run on; an empty set if the system or a sandbox doesn't tell."""
    with suppress(AttributeError, OSError):
        return os.sched_getaffinity(0)
    return set()


def of_process() -> int:
    """Return how many processors this process may run on, or PYTHON_CPU_COUNT, also before Python 3.13."""
    with suppress(OSError):  # from 3.13 on, with -X cpu_count
        if count := getattr(os, "process_cpu_count", int)():
            return int(count)
    told = os.environ.get("PYTHON_CPU_COUNT", "")
    if told.isdecimal() and int(told):
        return int(told)
    return len(allowed()) or os.cpu_count() or 1


@cache
def quota() -> float:
    """Return the CPU quota of this process's control groups, in processors, rounded up; infinity if there is none.

    A team that is larger would use up its time early in each period, and then stand still. The files are read once.
    """
    shares = []
    with suppress(OSError, ValueError):
        for folder in _control_groups():
            with suppress(OSError, ValueError, ZeroDivisionError):  # "max" and −1 mean no limit
                if os.path.exists(path := f"{folder}/cpu.max"):
                    limit, period = _text(path).split()
                else:
                    limit, period = _text(f"{folder}/cpu.cfs_quota_us"), _text(f"{folder}/cpu.cfs_period_us")
                if (share := int(limit) / int(period)) > 0:
                    shares.append(math.ceil(share))
    return min(shares, default=math.inf)


def _control_groups() -> Iterator[str]:
    """Yield the folders of the process's control groups, of version 1 and 2, and of all groups that these are in."""
    mounted = os.path.join(ROOT, "sys/fs/cgroup")
    for line in _text(os.path.join(ROOT, "proc/self/cgroup")).splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        group = os.path.normpath("/" + group.lstrip("/"))  # outside of its namespace, a path begins with /..
        while True:
            for mount in (controllers, "cpu") if controllers else ("", "unified"):
                yield os.path.join(mounted, mount) + group
            if group == "/":
                break
            group = os.path.dirname(group)


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


@cache
def fast() -> float:
    """Return the number of performance cores of a processor from Apple; infinity for others."""
    ask = getattr(libc, "sysctlbyname", None) if sys.platform == "darwin" else None
    if ask is None:
        return math.inf
    count = ctypes.c_int()
    size = ctypes.c_size_t(ctypes.sizeof(count))
    failed = ask(b"hw.perflevel0.logicalcpu", ctypes.byref(count), ctypes.byref(size), None, ctypes.c_size_t(0))
    return math.inf if failed or count.value < 1 else count.value
