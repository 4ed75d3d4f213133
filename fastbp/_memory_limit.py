"""How much memory this process may use."""

from __future__ import annotations

import math
import os
from contextlib import suppress


def memory_limit() -> float:
    """Return the bytes that this process may use: the least of free memory, container limit and process limit."""
    limits: list[float] = [math.inf]
    with suppress(AttributeError, ValueError, OSError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(OSError), open("/proc/meminfo") as file:
        free = dict(line.split(":") for line in file if line.startswith(("MemAvailable", "SwapFree")))
        limits.append(1024 * sum(int(number.split()[0]) for number in free.values()))
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(ValueError, OSError), open(path) as file:  # "max" means no limit
            limits.append(int(file.read()))
    with suppress(ImportError):
        import resource

        addresses = resource.getrlimit(resource.RLIMIT_AS)[0]
        if addresses != resource.RLIM_INFINITY:
            limits.append(addresses)
    return min(limits)
