"""The processor's level is the best that the system tells of, on each system, and can be chosen."""

import builtins
import ctypes
import io
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from fastbp._kernels import levels
from fastbp._kernels.levels import LEVELS, NEEDS, V2, V3, V4, best_level, chosen_level

SETS = {"x86-64": set(), "x86-64-v2": V2, "x86-64-v3": V2 | V3, "x86-64-v4": V2 | V3 | V4}
OTHERS = {"fpu", "sse2", "aes", "avx_vnni"}


@pytest.fixture(autouse=True)
def not_chosen(monkeypatch):
    """Take the reader's own choice away."""
    monkeypatch.delenv("FASTBP_LEVEL", raising=False)
    monkeypatch.delenv("FASTBP_BUILD_LEVEL", raising=False)


def system(monkeypatch, platform, machine="x86_64"):
    """Let the process believe that it runs elsewhere."""
    monkeypatch.setattr(sys, "platform", platform)
    if platform == "win32":
        monkeypatch.setattr(levels, "os", SimpleNamespace(name="nt", environ=os.environ))
        monkeypatch.setattr(sys, "version", f"3.13.1 (main) [MSC v.1942 64 bit ({machine})]")
    else:
        monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine=machine))


def cpuinfo(monkeypatch, text):
    """Let /proc/cpuinfo have this text, or be missing."""
    read = []

    class File(io.BytesIO):
        def read(self, size=-1):
            read.append(super().read(min(size, 512)))
            return read[-1]

    def opened(path, *args, **kwargs):
        if path != "/proc/cpuinfo":
            return ordinary(path, *args, **kwargs)
        if text is None:
            raise FileNotFoundError(path)
        return File(text.encode())

    ordinary = builtins.open
    monkeypatch.setattr(builtins, "open", opened)
    return read


def block(flags):
    return f"processor\t: 0\nmodel name\t: A processor: with flags\nflags\t\t: {' '.join(sorted(flags))}\nbugs\t\t:\n\n"


@pytest.mark.parametrize("name", SETS)
def test_linux(name, monkeypatch):
    system(monkeypatch, "linux")
    cpuinfo(monkeypatch, block(SETS[name] | OTHERS) + block(set()))
    assert best_level() == LEVELS[name]


@pytest.mark.parametrize("flag", sorted(V2 | V3 | V4))
def test_one_missing_instruction_means_a_lower_level(flag, monkeypatch):
    system(monkeypatch, "linux")
    cpuinfo(monkeypatch, block((V2 | V3 | V4) - {flag}))
    below = {name: better for better, (name, needed) in zip(SETS, NEEDS, strict=False) if flag in needed}
    assert best_level().name in below.values()


def test_only_the_first_processor_is_read(monkeypatch):
    system(monkeypatch, "linux")
    read = cpuinfo(monkeypatch, block(SETS["x86-64-v3"]) * 200)
    assert best_level().name == "x86-64-v3"
    assert len(b"".join(read)) <= 1024


@pytest.mark.parametrize("text", [None, "", "processor\t: 0\n\n"])
def test_llvm_is_asked_if_linux_does_not_tell(text, monkeypatch):
    from llvmlite import binding

    llvm = {"sse4.2", "sse4.1", "sse3", "ssse3", "popcnt", "cx16", "sahf", "lzcnt", "bmi"} | V3 - {"abm", "bmi1"}
    told = dict.fromkeys(V4, False) | dict.fromkeys(llvm, True)
    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: told)
    system(monkeypatch, "linux")
    cpuinfo(monkeypatch, text)
    assert best_level().name == "x86-64-v3"


def test_llvm_is_asked_on_other_systems(monkeypatch):
    from llvmlite import binding

    monkeypatch.setattr(binding, "get_host_cpu_features", dict)
    system(monkeypatch, "freebsd14")
    assert best_level().name == "x86-64"


def test_this_processor_has_the_level_that_llvm_finds():
    """LLVM executes the processor's own instruction that tells."""
    if levels.this_machine() == "x86_64":
        assert levels._flags() & (V2 | V3 | V4) == levels._llvm_flags() & (V2 | V3 | V4)
    assert best_level().machine == levels.this_machine()


@pytest.mark.parametrize(("words", "name"), [(4, "x86-64"), (5, "x86-64-v2"), (11, "x86-64-v3"), (16, "x86-64-v4")])
def test_macos(words, name, monkeypatch):
    """Newer processors have more."""
    order = ["x86_64", "floatingpoint", "mmx", "sse", "sse4_2", "avx1_0", "avx2_0", "bmi1", "bmi2", "f16c", "fma"]
    order += sorted(V4)
    present = {f"hw.optional.{word}".encode() for word in order[:words]}

    def sysctlbyname(name, value, size, new, new_size):
        if name not in levels_asked:
            return -1
        value._obj.value = int(name in present)
        return 0

    levels_asked = {name.encode() for name in levels.SYSCTLS}
    system(monkeypatch, "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(sysctlbyname=sysctlbyname))
    assert best_level().name == name


def test_apple_silicon(monkeypatch):
    system(monkeypatch, "darwin", "arm64")
    assert best_level() == LEVELS["arm64"]


@pytest.mark.parametrize(
    ("features", "name"),
    [(set(), "x86-64"), ({14, 38}, "x86-64-v2"), ({14, 38, 39, 40}, "x86-64-v3"), ({14, 38, 40, 41}, "x86-64-v4")],
)
def test_windows(features, name, monkeypatch):
    kernel32 = SimpleNamespace(IsProcessorFeaturePresent=lambda number: int(number in features))
    monkeypatch.setattr(ctypes, "WinDLL", lambda name: kernel32, raising=False)
    system(monkeypatch, "win32", "AMD64")
    assert best_level().name == name


@pytest.mark.parametrize(
    ("platform", "machine"), [("linux", "aarch64"), ("linux", "arm64"), ("win32", "ARM64"), ("darwin", "arm64")]
)
def test_every_name_of_arm(platform, machine, monkeypatch):
    """Otherwise, tiles would have the rows of a processor with half the registers."""
    system(monkeypatch, platform, machine)
    assert best_level() == LEVELS["arm64"]
    assert best_level().registers == 32


@pytest.mark.parametrize(("platform", "machine"), [("linux", "riscv64"), ("linux", "i686"), ("win32", "Intel")])
def test_other_machines_are_refused_with_their_name(platform, machine, monkeypatch):
    system(monkeypatch, platform, machine)
    with pytest.raises(ImportError, match=f"this one is for {'x86' if platform == 'win32' else machine}"):
        best_level()


def test_a_python_of_32_bits_is_refused(monkeypatch):
    system(monkeypatch, "linux")
    monkeypatch.setattr(sys, "maxsize", 2**31 - 1)
    with pytest.raises(ImportError, match="64-bit Python"):
        best_level()


class TestChoice:
    @pytest.mark.parametrize("name", ["x86-64", "x86-64-v2", "x86-64-v3"])
    def test_a_lower_level(self, name, monkeypatch):
        system(monkeypatch, "linux")
        cpuinfo(monkeypatch, block(SETS["x86-64-v3"]))
        monkeypatch.setenv("FASTBP_LEVEL", name)
        assert chosen_level() == LEVELS[name]

    @pytest.mark.parametrize("name", ["x86-64-v4", "arm64", "avx2"])
    def test_one_that_this_processor_lacks(self, name, monkeypatch):
        system(monkeypatch, "linux")
        cpuinfo(monkeypatch, block(SETS["x86-64-v3"]))
        monkeypatch.setenv("FASTBP_LEVEL", name)
        possible = r"x86-64, x86-64-v2, x86-64-v3 on this machine, but it is '" + name
        with pytest.raises(ValueError, match=possible):
            chosen_level()

    @pytest.mark.parametrize("name", LEVELS)
    def test_a_build_may_be_for_any_processor(self, name, monkeypatch):
        monkeypatch.setenv("FASTBP_BUILD_LEVEL", name)
        assert chosen_level() == LEVELS[name]

    def test_an_empty_choice_is_none(self, monkeypatch):
        monkeypatch.setenv("FASTBP_LEVEL", "")
        assert chosen_level() == best_level()


def test_the_level_is_chosen_without_numba():
    code = "import importlib.util as u, sys; s = u.spec_from_file_location('levels', sys.argv[1]); "
    code += "m = u.module_from_spec(s); s.loader.exec_module(m); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, levels.__file__], capture_output=True, text=True, check=True)
    assert not {"numba", "llvmlite", "numpy"} & set(done.stdout.split())
