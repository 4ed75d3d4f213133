"""Samples of the program counter: at which instructions the threads of this process spend their time.

Linux interrupts each processor thousands of times in a second and notes where its thread is. This needs no counter in
the processor, so it works in virtual machines, too. `where.py` uses it.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import struct
import sys
from typing import NamedTuple

CALLS = {"x86_64": 298, "aarch64": 241}  # Linux's number of perf_event_open
SOFTWARE, CPU_CLOCK = 1, 0  # the event: time that a thread computes
ADDRESS, THREAD = 1, 2  # what a sample has
DISABLED, INHERIT, EXCLUDE_KERNEL, EXCLUDE_HYPERVISOR, FREQUENCY = 1 << 0, 1 << 1, 1 << 5, 1 << 6, 1 << 10  # flags
ENABLE, DISABLE = 0x2400, 0x2401  # requests for ioctl
SAMPLE = 9  # the kind of a record
ATTRIBUTES = struct.Struct("<IIQQQQQ80x")  # struct perf_event_attr: its kind, its size, …; zero from `wakeup_events` on
HEAD, TAIL = 1024, 1032  # places in the first page: how far Linux has written, and how far we have read
PAGES = 128  # of a buffer: half a megabyte, the most that Linux gives to a user without privileges


class Sample(NamedTuple):
    """A thread at an instruction."""

    address: int
    thread: int


class Sampler:
    """Samples of the thread that makes it, and of all threads that start later. In a with statement, it takes samples.

    Parameters
    ----------
    frequency : how many samples to take in a second of computing

    Raises
    ------
    OSError
        If the system has no samples, or doesn't give them to this process.
    """

    def __init__(self, frequency: int = 4000) -> None:
        if sys.platform != "linux":
            raise OSError("samples of the program counter need Linux")
        self._libc = ctypes.CDLL(None, use_errno=True)
        flags = DISABLED | INHERIT | EXCLUDE_KERNEL | EXCLUDE_HYPERVISOR | FREQUENCY
        event = ATTRIBUTES.pack(SOFTWARE, ATTRIBUTES.size, CPU_CLOCK, frequency, ADDRESS | THREAD, 0, flags)
        self._buffers = []
        for processor in range(os.cpu_count() or 1):
            file = self._libc.syscall(CALLS[platform.machine()], event, 0, processor, -1, 0)
            if file < 0:
                number = ctypes.get_errno()
                raise OSError(number, f"Linux takes no samples of the program counter: {os.strerror(number)}")
            self._buffers.append((file, mmap.mmap(file, (1 + PAGES) * mmap.PAGESIZE)))

    def __enter__(self) -> Sampler:
        self._request(ENABLE)
        return self

    def __exit__(self, *_: object) -> None:
        self._request(DISABLE)

    def _request(self, request: int) -> None:
        for file, _ in self._buffers:
            if self._libc.ioctl(file, request, 0):
                raise OSError(ctypes.get_errno(), "Linux doesn't switch the samples")

    def samples(self) -> list[Sample]:
        """Return the samples since the last call. A buffer that is full takes no more: ask every few seconds."""
        found = []
        for _, buffer in self._buffers:
            head, place = struct.unpack_from("<QQ", buffer, HEAD)
            ring = buffer[mmap.PAGESIZE :]
            while place < head:
                at = place % len(ring)
                record = ring[at : at + 24] + ring[: max(0, at + 24 - len(ring))]
                kind, _, length, address, _, thread = struct.unpack_from("<IHHQII", record)
                if kind == SAMPLE:
                    found.append(Sample(address, thread))
                place += length
            struct.pack_into("<Q", buffer, TAIL, head)
        return found
