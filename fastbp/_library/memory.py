"""Machine code in executable memory, for the rest of the process.

The code is copied while the memory is writable, and the memory is executable afterwards: never both at once, which
many systems refuse. The processor's instruction cache must not hold what was in the memory before. Linux takes care of
this when it makes a page executable. macOS and Windows have a function for it.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import sys
from contextlib import suppress
from typing import Any

FAILED = ctypes.c_void_p(-1).value  # what mmap of C returns
MAP_JIT = 0x800  # of macOS
COMMIT_AND_RESERVE, READ_WRITE, EXECUTE_READ = 0x3000, 0x04, 0x20  # of Windows

ADVICE = (
    "fastbp's kernels are machine code, but this process may not execute new code; to allow it, turn off deny_execmem "
    "(SELinux), MemoryDenyWriteExecute (systemd) or ProhibitDynamicCode (Windows), or sign the program with the "
    "entitlement com.apple.security.cs.allow-jit (macOS)"
)


def executable(code: bytes) -> int:
    """Return the address of a copy of the code that can be called. It stays there for the life of the process.

    Raises
    ------
    OSError
        If the system gives no memory, or doesn't let it be executed.
    """
    if sys.platform == "win32":
        return _on_windows(code, ctypes.WinDLL("kernel32", use_last_error=True))
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin" and os.uname().machine == "arm64":
        return _on_apple_silicon(code, libc)
    return _on_posix(code, libc)


def _on_posix(code: bytes, libc: Any) -> int:
    """Copy into new memory, and make it executable. If that is refused, map the code as a file in memory."""
    address = _map(libc, len(code), mmap.PROT_READ | mmap.PROT_WRITE)
    ctypes.memmove(address, code, len(code))
    protect = libc.mprotect
    protect.argtypes, protect.restype = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int), ctypes.c_int
    if protect(address, len(code), mmap.PROT_READ | mmap.PROT_EXEC) == 0:
        return address
    refused = ctypes.get_errno()
    _unmap(libc, address, len(code))
    with suppress(OSError, AttributeError):  # only Linux has such files, and it may refuse them, too
        return _of_a_file(code, libc)
    raise _error(refused)


def _of_a_file(code: bytes, libc: Any) -> int:
    """Map a file that exists only in memory, as a program maps a library. MemoryDenyWriteExecute allows this."""
    file = os.memfd_create("fastbp", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(file), "wb") as writer:
            writer.write(code)
        return _map(libc, len(code), mmap.PROT_READ | mmap.PROT_EXEC, file=file)
    finally:
        os.close(file)


def _on_apple_silicon(code: bytes, libc: Any) -> int:
    """Copy into memory that each thread sees either as writable or as executable: Apple's way for compilers.

    A program with the entitlement allow-unsigned-executable-memory in place of allow-jit uses the way of other systems.
    """
    try:
        address = _map(libc, len(code), mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC, MAP_JIT)
    except OSError:
        address = _on_posix(code, libc)
    else:
        protect = libc.pthread_jit_write_protect_np
        protect.argtypes, protect.restype = (ctypes.c_int,), None
        protect(0)
        try:
            ctypes.memmove(address, code, len(code))
        finally:
            protect(1)
    invalidate = libc.sys_icache_invalidate
    invalidate.argtypes, invalidate.restype = (ctypes.c_void_p, ctypes.c_size_t), None
    invalidate(address, len(code))
    return address


def _on_windows(code: bytes, kernel32: Any) -> int:
    """Copy into new memory, and make it executable."""
    pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32
    allocate, protect, flush = kernel32.VirtualAlloc, kernel32.VirtualProtect, kernel32.FlushInstructionCache
    process = kernel32.GetCurrentProcess
    allocate.argtypes, allocate.restype = (pointer, size, number, number), pointer
    protect.argtypes, protect.restype = (pointer, size, number, ctypes.POINTER(number)), ctypes.c_int
    process.argtypes, process.restype = (), pointer
    flush.argtypes, flush.restype = (pointer, pointer, size), ctypes.c_int
    address = allocate(None, len(code), COMMIT_AND_RESERVE, READ_WRITE)
    if not address:
        raise MemoryError("Windows gives no memory for fastbp's kernels")
    ctypes.memmove(address, code, len(code))
    if not protect(address, len(code), EXECUTE_READ, ctypes.byref(number())):
        raise OSError(errno.EACCES, ADVICE)
    flush(process(), address, len(code))
    return int(address)


def _map(libc: Any, size: int, protection: int, flags: int = 0, *, file: int = -1) -> int:
    """Return the address of new memory, anonymous unless a file is given."""
    call = libc.mmap
    call.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64)
    call.restype = ctypes.c_void_p
    flags |= mmap.MAP_PRIVATE | (mmap.MAP_ANON if file == -1 else 0)
    address = call(None, size, protection, flags, file, 0)
    if address is None or address == FAILED:
        raise _error(ctypes.get_errno())
    return int(address)


def _unmap(libc: Any, address: int, size: int) -> None:
    call = libc.munmap
    call.argtypes, call.restype = (ctypes.c_void_p, ctypes.c_size_t), ctypes.c_int
    call(address, size)


def _error(number: int) -> OSError:
    """Return the error to raise: what the system says, and if it forbids something, what to do."""
    advice = f"; {ADVICE}" if number in (errno.EACCES, errno.EPERM) else ""
    return OSError(number, f"{os.strerror(number)}{advice}")
