"""How much memory this process may use, and memory that it no longer needs."""

from __future__ import annotations

import ctypes
import math
import os
from contextlib import suppress

M_MMAP_THRESHOLD = -3  # of glibc's malloc.h
LARGE = 1 << 18  # bytes


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


def return_memory() -> None:
    """Return memory that is free to the operating system.

    glibc keeps what lies below a block in use: 18 MB after reading a table of 31 MB.
    """
    with suppress(AttributeError, OSError, TypeError):  # not glibc; Windows has no library of this name
        ctypes.CDLL(None).malloc_trim(0)


def return_large_blocks() -> None:
    """Let this process return each large block of memory to the operating system when it is freed.

    glibc does so at first, and then keeps blocks as large as one that was freed: training on a table of 31 MB would
    take 20 MB more. This is for programs, not for libraries: it is so for other packages in the process, too.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)
