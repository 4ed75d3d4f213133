"""Machine code becomes executable on each system, and where that is forbidden, the error says what to do."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from fastbp._library import memory

# mov eax, edi; add rax, 42; ret and add x0, x0, #42; ret
ADD_42 = {"x86_64": b"\x89\xf8\x48\x83\xc0\x2a\xc3", "aarch64": b"\x00\xa8\x00\x91\xc0\x03\x5f\xd6"}
CODE = ADD_42[{"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine())]

posix = pytest.mark.skipif(os.name != "posix", reason="calls POSIX's functions")


def call(address: int, number: int) -> int:
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(address)(number)


class Library:
    """Stands for a system's library: functions that are listed in the order of their calls with their arguments."""

    def __init__(self, **functions):
        self.calls, self.kept = [], []
        for name, function in functions.items():
            setattr(self, name, self._recorded(name, function))

    def _recorded(self, name, function):
        def recorded(*arguments):
            self.calls.append((name, *arguments))
            return function(*arguments)

        return recorded

    def memory(self, size: int) -> int:
        buffer = ctypes.create_string_buffer(size)
        self.kept.append(buffer)
        return ctypes.addressof(buffer)

    @property
    def names(self):
        return [name for name, *_ in self.calls]


def refusing(number: int, answer: int = -1):
    """Return a function of C that fails with this errno."""

    def fail(*_):
        ctypes.set_errno(number)
        return answer

    return fail


def real(name: str):
    return lambda *arguments: getattr(ctypes.CDLL(None, use_errno=True), name)(*map(wide, arguments))


def wide(argument):
    return ctypes.c_size_t(argument) if isinstance(argument, int) and argument > 2**31 else argument


def test_code_runs_and_stays():
    first, second = memory.executable(CODE), memory.executable(CODE + bytes(10_000))
    assert first != second
    assert first % 4096 == second % 4096 == 0
    assert [call(first, 8), call(second, 9), call(first, 10)] == [50, 51, 52]


@posix
def test_memory_is_never_writable_and_executable():
    libc = Library(
        mmap=lambda _, size, *rest: libc.memory(size), mprotect=lambda *_: 0, munmap=lambda *_: pytest.fail("unmapped")
    )
    address = memory._on_posix(CODE, libc)
    (_, _, size, protection, flags, file, _), (_, protected, protected_size, executable) = libc.calls
    assert (protection, executable) == (mmap.PROT_READ | mmap.PROT_WRITE, mmap.PROT_READ | mmap.PROT_EXEC)
    assert flags == mmap.MAP_PRIVATE | mmap.MAP_ANON
    assert (address, size, file) == (protected, protected_size, -1)
    assert ctypes.string_at(address, len(CODE)) == CODE


def without_executable_data() -> Library:
    """Return a libc that lets no data become executable, as for a service with MemoryDenyWriteExecute."""

    def map_(_, size, protection, flags, file, offset):
        function = ctypes.CDLL(None, use_errno=True).mmap
        function.restype = ctypes.c_void_p
        return function(None, ctypes.c_size_t(size), protection, flags, file, ctypes.c_int64(offset))

    return Library(mmap=map_, mprotect=refusing(errno.EACCES), munmap=real("munmap"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has files in memory")
def test_where_data_may_not_be_executed_the_code_is_a_file():
    libc = without_executable_data()
    assert call(memory._on_posix(CODE, libc), 8) == 50
    assert libc.names == ["mmap", "mprotect", "munmap", "mmap"]


MDWE = """
import ctypes, sys
libc = ctypes.CDLL(None)
if libc.prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, since Linux 6.3
    sys.exit(77)
from fastbp._library import memory
code = bytes.fromhex(sys.argv[1])
print(ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(memory.executable(code))(8))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of Linux")
def test_code_runs_in_a_process_that_may_not_execute_data():
    done = subprocess.run([sys.executable, "-c", MDWE, CODE.hex()], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) in [(0, "50"), (77, "")], done.stderr


@posix
@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_an_error_says_what_forbids_it(monkeypatch, number):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    libc = without_executable_data()
    libc.mprotect = refusing(number)
    with pytest.raises(OSError, match=r"deny_execmem.*MemoryDenyWriteExecute") as caught:
        memory._on_posix(CODE, libc)
    assert caught.value.errno == number
    assert libc.names[-1] == "munmap"


@posix
def test_no_memory_is_an_error_too():
    libc = Library(mmap=refusing(errno.ENOMEM, memory.FAILED))
    with pytest.raises(OSError, match=os.strerror(errno.ENOMEM)) as caught:
        memory._on_posix(CODE, libc)
    assert "SELinux" not in str(caught.value)


def as_apple_silicon(monkeypatch, libc):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="arm64"), raising=False)
    monkeypatch.setattr(ctypes, "CDLL", lambda name, use_errno: libc)


@posix
def test_on_apple_silicon_a_thread_writes_and_then_executes(monkeypatch):
    seen = []
    libc = Library(
        mmap=lambda _, size, *rest: libc.memory(size),
        pthread_jit_write_protect_np=lambda protected: seen.append(ctypes.string_at(libc.kept[0], len(CODE))),
        sys_icache_invalidate=lambda *_: None,
    )
    as_apple_silicon(monkeypatch, libc)
    address = memory.executable(CODE)
    assert seen == [bytes(len(CODE)), CODE]
    protection, flags = libc.calls[0][3:5]
    assert protection == mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    assert flags == mmap.MAP_PRIVATE | mmap.MAP_ANON | 0x800
    assert libc.calls[1:] == [
        ("pthread_jit_write_protect_np", 0),
        ("pthread_jit_write_protect_np", 1),
        ("sys_icache_invalidate", address, len(CODE)),
    ]


@posix
def test_on_apple_silicon_without_apples_memory_it_is_as_elsewhere(monkeypatch):
    libc = Library(
        mmap=lambda _, size, protection, flags, *rest: memory.FAILED if flags & 0x800 else libc.memory(size),
        mprotect=lambda *_: 0,
        sys_icache_invalidate=lambda *_: None,
    )
    as_apple_silicon(monkeypatch, libc)
    address = memory.executable(CODE)
    assert libc.names == ["mmap", "mmap", "mprotect", "sys_icache_invalidate"]
    assert ctypes.string_at(address, len(CODE)) == CODE


def as_windows(monkeypatch, kernel32):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "WinDLL", lambda name, use_last_error: {"kernel32": kernel32}[name], raising=False)


def test_on_windows_the_instruction_cache_is_flushed(monkeypatch):
    kernel32 = Library(
        VirtualAlloc=lambda _, size, *rest: kernel32.memory(size),
        VirtualProtect=lambda *_: 1,
        GetCurrentProcess=lambda: -1,
        FlushInstructionCache=lambda *_: 1,
    )
    as_windows(monkeypatch, kernel32)
    address = memory.executable(CODE)
    assert ctypes.string_at(address, len(CODE)) == CODE
    (_, *allocation), (_, *protection), _, (_, *flushed) = kernel32.calls
    assert allocation == [None, len(CODE), 0x3000, 4]  # MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE
    assert protection[:3] == [address, len(CODE), 0x20]  # PAGE_EXECUTE_READ
    assert flushed == [-1, address, len(CODE)]
    assert kernel32.names == ["VirtualAlloc", "VirtualProtect", "GetCurrentProcess", "FlushInstructionCache"]


def test_on_windows_a_policy_against_it_is_named(monkeypatch):
    kernel32 = Library(
        VirtualAlloc=lambda _, size, *rest: kernel32.memory(size),
        VirtualProtect=lambda *_: 0,
        GetCurrentProcess=lambda: -1,
        FlushInstructionCache=lambda *_: 1,
    )
    as_windows(monkeypatch, kernel32)
    with pytest.raises(OSError, match="ProhibitDynamicCode"):
        memory.executable(CODE)
    kernel32.VirtualAlloc = lambda *_: None
    with pytest.raises(MemoryError, match="kernels"):
        memory.executable(CODE)
