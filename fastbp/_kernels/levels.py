"""The processor levels for which there are kernels, and the level of this process.

A level is a set of instructions that LLVM may use: x86-64-v2, -v3 and -v4 are those of the psABI for x86-64
(https://gitlab.com/x86-psABIs/x86-64-ABI). The level decides the size of vectors, and with it how parameters are
padded. This module imports no Numba, because a process that finds its kernels doesn't need it. It asks llvmlite for the
processor only on systems other than Linux, macOS and Windows.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import NamedTuple


class Level(NamedTuple):
    """A processor level."""

    name: str
    machine: str  # x86_64 or aarch64
    cpu: str  # LLVM's name of the processor
    features: str  # LLVM's list of features beside those of the processor
    register: int  # bytes of a vector register
    registers: int  # how many there are
    line: int  # bytes of a cache line, or of the pair of lines that threads must not share


LEVELS = {
    level.name: level
    for level in (  # for each machine in ascending order
        Level("x86-64", "x86_64", "x86-64", "", 16, 16, 64),
        Level("x86-64-v2", "x86_64", "x86-64-v2", "", 16, 16, 64),
        Level("x86-64-v3", "x86_64", "x86-64-v3", "", 32, 16, 64),
        Level("x86-64-v4", "x86_64", "x86-64-v4", "", 64, 32, 64),
        Level("arm64", "aarch64", "generic", "+neon", 16, 32, 128),  # Apple's lines have 128 bytes, others' 64
    )
}

MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "x64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}

# What each level of x86-64 needs beside the one before, by Linux's names
V2 = {"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"}
V3 = {"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"}
V4 = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
NEEDS = (("x86-64-v2", V2), ("x86-64-v3", V3), ("x86-64-v4", V4))

BLOCK_OF_CPUINFO = 1 << 16  # bytes; the description of one processor is much shorter

# macOS: which sysctl tells of which instructions. Some instructions have no sysctl, but every Mac with SSE4.2 has them.
SYSCTLS = {
    "hw.optional.sse4_2": {"sse4_2", "sse4_1", "ssse3", "pni", "popcnt", "cx16", "lahf_lm"},
    "hw.optional.avx1_0": {"avx"},
    "hw.optional.avx2_0": {"avx2", "abm", "movbe"},
    "hw.optional.bmi1": {"bmi1"},
    "hw.optional.bmi2": {"bmi2"},
    "hw.optional.f16c": {"f16c"},
    "hw.optional.fma": {"fma"},
    **{f"hw.optional.{name}": {name} for name in V4},
}

# Windows: the numbers that IsProcessorFeaturePresent takes. It has none for most instructions of V3 and V4, but every
# processor for Windows 10 with AVX2 or AVX-512 has them.
WINDOWS_FEATURES = {
    14: {"cx16", "lahf_lm"},
    38: {"sse4_2", "sse4_1", "ssse3", "pni", "popcnt"},
    40: V3,
    41: V4,
}

# LLVM's names where they differ from Linux's
LLVM_NAMES = {"sse3": "pni", "sse4.1": "sse4_1", "sse4.2": "sse4_2", "bmi": "bmi1", "lzcnt": "abm", "sahf": "lahf_lm"}


def this_machine() -> str:
    """Return x86_64 or aarch64, whatever the system calls it; for others, the system's word.

    On Windows, the interpreter is asked, because x86-64 programs run on ARM as well.
    """
    if os.name == "nt":
        words = sys.version.lower()
        name = "aarch64" if "arm64" in words else "x86_64" if "amd64" in words else "x86"
    else:
        name = os.uname().machine.lower()
    return MACHINES.get(name, name)


def _linux_flags() -> set[str] | None:
    """Return the flags of the first processor; None if the system doesn't tell."""
    text = b""
    try:
        with open("/proc/cpuinfo", "rb", buffering=0) as file:
            while len(text) < BLOCK_OF_CPUINFO and b"\n\n" not in text:
                more = file.read(4096)
                if not more:
                    break
                text += more
    except OSError:
        return None
    for line in text.partition(b"\n\n")[0].decode(errors="replace").splitlines():
        name, _, words = line.partition(":")
        if name.strip() == "flags":
            return set(words.split())
    return None


def _macos_flags() -> set[str] | None:
    try:
        ask = ctypes.CDLL(None).sysctlbyname
    except (AttributeError, OSError):
        return None
    flags = set()
    for name, told in SYSCTLS.items():
        value, size = ctypes.c_int64(0), ctypes.c_size_t(8)  # the system writes 4 or 8 bytes, the lowest ones first
        if ask(name.encode(), ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0)) == 0 and value.value:
            flags |= told
    return flags


def _windows_flags() -> set[str] | None:
    try:
        ask = ctypes.WinDLL("kernel32").IsProcessorFeaturePresent  # type: ignore[attr-defined, unused-ignore]
    except (AttributeError, OSError):
        return None
    return {flag for number, told in WINDOWS_FEATURES.items() if ask(number) for flag in told}


def _llvm_flags() -> set[str]:
    from llvmlite import binding

    return {LLVM_NAMES.get(name, name) for name, present in binding.get_host_cpu_features().items() if present}


def _flags() -> set[str]:
    """Return the names of the instructions that this processor and its system have."""
    ask = {"linux": _linux_flags, "darwin": _macos_flags, "win32": _windows_flags}.get(sys.platform)
    flags = ask() if ask else None
    return _llvm_flags() if flags is None else flags


def best_level() -> Level:
    """Return the best level that this processor has.

    Raises
    ------
    ImportError
        If it is no 64-bit x86 or ARM processor.
    """
    machine = this_machine()
    if machine == "aarch64" and sys.maxsize > 2**32:
        return LEVELS["arm64"]
    if machine != "x86_64" or sys.maxsize < 2**32:
        raise ImportError(f"fastbp needs a 64-bit Python on x86-64 or arm64, but this one is for {machine}")
    flags, best = _flags(), LEVELS["x86-64"]
    for name, needed in NEEDS:
        if not needed <= flags:
            break
        best = LEVELS[name]
    return best


def chosen_level() -> Level:
    """Return the level of this process: that of FASTBP_LEVEL if it is set, else the best one.

    FASTBP_BUILD_LEVEL is set in processes that build kernels, perhaps for another machine.
    """
    building = os.environ.get("FASTBP_BUILD_LEVEL")
    if building:
        return LEVELS[building]
    best, asked = best_level(), os.environ.get("FASTBP_LEVEL")
    if not asked:
        return best
    names = [name for name, level in LEVELS.items() if level.machine == best.machine]
    possible = names[: names.index(best.name) + 1]
    if asked not in possible:
        raise ValueError(f"FASTBP_LEVEL must be one of {', '.join(possible)} on this machine, but it is {asked!r}")
    return LEVELS[asked]


LEVEL = chosen_level()
BUILDING = "FASTBP_BUILD_LEVEL" in os.environ  # whether this process builds kernels
REGISTER = LEVEL.register
LINE = LEVEL.line
AVX512 = LEVEL.name == "x86-64-v4"
