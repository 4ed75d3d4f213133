"""Builds kernels: Numba compiles them to LLVM's intermediate language, and LLVM compiles this for any level.

Each part is built in a process of its own. They use all processors, and neither Numba's settings nor the user's
environment change the result. `python -m fastbp._library.build float32 training linux network` writes one part, a
pickled Piece, to standard output.
"""

from __future__ import annotations

import gc
import os
import pickle
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from subprocess import DEVNULL, PIPE
from threading import Lock
from typing import Any

from .._kernels import levels
from .._kernels.codes import APART
from .._kernels.levels import BUILDING, LEVELS, this_machine
from .image import Piece, joined, piece_of
from .kernel_file import Image

# What each process compiles: entries, and modules with kernels that are apart. The longest part is first, so that all
# end at nearly the same time.
PARTS = {
    "network": (
        "tiny finite",
        "activations forward",
        "training",
        "tile wide few",
        "updates backward",
        "predicting standing",
    ),
    "graph": (
        "training",
        "activations finite",
        "passes",
        "evaluating row_losses",
        "tile wide",
        "backward affine",
        "simple step",
        "norms",
        "inputs periodic standing",
    ),
}
FINITE = "finite"  # for both dtypes, with the kernels of each
TRIPLES = {  # ELF on every system: image.py reads nothing else
    ("linux", "x86_64"): "x86_64-unknown-linux-gnu",
    ("linux", "aarch64"): "aarch64-unknown-linux-gnu",
    ("darwin", "x86_64"): "x86_64-apple-darwin-elf",
    ("darwin", "aarch64"): "arm64-apple-darwin-elf",
    ("win32", "x86_64"): "x86_64-pc-windows-msvc-elf",
    ("win32", "aarch64"): "aarch64-pc-windows-msvc-elf",
}
WRAPPED = "cfunc."  # begins the name of Numba's wrapper, which is left out because it calls Python
# Numba's functions store a result, and an exception if there is one. Kernels raise none; if one did, −1 would stay.
ENTRY = """
declare i32 @"{kernel}"(ptr, ptr, ptr, i64)

define i64 @{name}(ptr %record, i64 %thread) {{
  %result = alloca i64
  %exception = alloca ptr
  store i64 -1, ptr %result
{before}
  %status = call i32 @"{kernel}"(ptr %result, ptr %exception, ptr %record, i64 %thread)
{after}
  %value = load i64, ptr %result
  ret i64 %value
}}
"""
# In a kernel, the processor takes subnormal numbers as 0. They are too small to change a weight, but an overfitted
# network is full of them, and processors compute with them many times more slowly. By machine: what is declared, and
# what is done before and after the kernel. The numbers are the bits FTZ and DAZ of x86, and FZ of ARM.
FLUSHING = {
    "x86_64": (
        "declare void @llvm.x86.sse.stmxcsr(ptr)\ndeclare void @llvm.x86.sse.ldmxcsr(ptr)",
        """  %mode = alloca i32
  %flushing = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %mode)
  %old = load i32, ptr %mode
  %new = or i32 %old, 32832
  store i32 %new, ptr %flushing
  call void @llvm.x86.sse.ldmxcsr(ptr %flushing)""",
        "  call void @llvm.x86.sse.ldmxcsr(ptr %mode)",
    ),
    "aarch64": (
        "declare i64 @llvm.aarch64.get.fpcr()\ndeclare void @llvm.aarch64.set.fpcr(i64)",
        """  %old = call i64 @llvm.aarch64.get.fpcr()
  %new = or i64 %old, 16777216
  call void @llvm.aarch64.set.fpcr(i64 %new)""",
        "  call void @llvm.aarch64.set.fpcr(i64 %old)",
    ),
}
DEFINITION = re.compile(r'^(define [^\n]*?@"?([^"(\n]+)"?\([^\n]*) \{$', re.MULTILINE)
MARK = b"\0kernels\0"  # before the result, because a user's sitecustomize may print something
SETTINGS = {"NUMBA_OPT": "0", "NUMBA_LOOP_VECTORIZE": "0"}  # LLVM optimizes once, when a part is complete

# Python's variables that say where it finds modules. Python's other variables and Numba's are not handed on.
PLACES = {"PYTHONHOME", "PYTHONPLATLIBDIR", "PYTHONUSERBASE", "PYTHONNOUSERSITE"}
PLACES |= {"PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE"}


class BuildError(RuntimeError):
    """The kernels can't be built. The message says why, and what to do."""


def build(dtype: str, level: str, system: str = sys.platform, kernels: str = "network") -> Image:
    """Build the kernels of a dtype for a level and a system. kernels: "network" or "graph", as in `store.Kind`.

    Raises
    ------
    BuildError
        If the compilation fails; the message has what it wrote. If there is nothing to compile with, it says so.
    """
    image = joined(pieces(dtype, level, system, kernels))
    entries = {name: place for name, place in image.entries.items() if not name.startswith(APART)}
    return Image(image.code, entries)


def pieces(dtype: str, level: str, system: str = sys.platform, kernels: str = "network") -> list[Piece]:
    """Build the parts of the kernels that `build` joins. bench/where.py reads from them where each function is."""
    _check_tools()
    command = [sys.executable, "-m", f"{__package__}.build", dtype]
    outputs = _outputs([[*command, part, system, kernels] for part in PARTS[kernels]], _environment(level))
    return [pickle.loads(output.partition(MARK)[2]) for output in outputs]


def _check_tools() -> None:
    """Refuse to build where that can't work, or where the processes would not be Python and start the program anew."""
    if BUILDING or getattr(sys, "frozen", False) or not sys.executable:
        raise BuildError(
            "fastbp has no kernels for this processor, and this program has no Python to build them with; run "
            "`python -m fastbp.warmup --into package` before you freeze it, and include fastbp's data files"
        )
    if find_spec("numba") is None:
        raise BuildError(
            "fastbp has no kernels for this processor, and Numba, which builds them, isn't installed; install numba, "
            "or a wheel of fastbp, which has kernels"
        )


def _environment(level: str) -> dict[str, str]:
    """Return the environment of processes that build, without the user's variables that could change the result."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "PYTHON")) or name in PLACES
    }
    environment |= SETTINGS | {"FASTBP_BUILD_LEVEL": level, "PYTHONHASHSEED": "0", "PYTHONSAFEPATH": "1"}
    if LEVELS[level].machine == this_machine():  # Numba makes code that is thrown away, but must know the instructions
        environment |= {"NUMBA_CPU_NAME": LEVELS[level].cpu, "NUMBA_CPU_FEATURES": LEVELS[level].features}
    # Not the folder of the user's program: its modules may have names of others that Numba imports.
    foreign = {_absolute("."), *(os.path.dirname(_absolute(program)) for program in sys.argv[:1])} - {_home()}
    paths = [_absolute(path) for path in sys.path if path]
    return environment | {"PYTHONPATH": os.pathsep.join(path for path in paths if path not in foreign)}


def _absolute(path: str) -> str:
    try:
        return os.path.abspath(path)
    except OSError:  # the current folder is gone
        return path


def _home() -> str:
    """Return the folder, or the archive, in which fastbp lies."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _outputs(commands: list[list[str]], environment: dict[str, str]) -> list[bytes]:
    """Run processes, as many at a time as there are processors, and return what they write. An error ends all."""
    running: list[subprocess.Popen[bytes]] = []
    starts, ended = Lock(), False
    home = _home() if os.path.isdir(_home()) else os.path.dirname(_home())  # where Numba finds no settings of the user

    def output(command: list[str]) -> bytes:
        with starts:
            if ended:
                return b""
            process = subprocess.Popen(command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment, cwd=home)
            running.append(process)
        written, errors = process.communicate()
        if process.returncode:
            raise BuildError(f"fastbp could not build its kernels:\n{errors.decode(errors='replace')}")
        return written

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            return [future.result() for future in [pool.submit(output, command) for command in commands]]
        except BaseException:  # Ctrl-C, too
            with starts:
                ended = True
                for process in running:
                    process.kill()
            raise


def part_of(dtype: str, part: str, system: str, kernels: str) -> Piece:
    """Build a part of the kernels in this process, for the level in its environment."""
    import numpy as np

    entries = import_module(".graph.entries" if kernels == "graph" else ".entries", levels.__package__)
    functions = [
        (f"{name}_{kind}" if which == FINITE else name, function)
        for which in part.split()
        for kind in (("float32", "float64") if which == FINITE else (dtype,))
        for name, function in entries.compiled(which, np.dtype(kind).type)
    ]
    return piece_of(machine_code(functions, system), [name for name, _ in functions])


def _marked(text: str, kernel: str, attribute: str) -> str:
    """Return a module with an attribute for a kernel, and `alwaysinline` for the functions that are to be inlined.

    In the text, because llvmlite before 0.48 gives attributes to a function's result.
    """
    from .._kernels.jit import INLINED

    def mark(definition: re.Match[str]) -> str:
        head, name = definition.groups()
        added = attribute if name == kernel else "alwaysinline" if INLINED in name else ""
        return f"{head} {added} {{"

    return DEFINITION.sub(mark, text)


def _entry(name: str, kernel: str, machine: str) -> str:
    """Return the text of an entry, which calls a kernel."""
    declared, before, after = FLUSHING[machine]
    return declared + ENTRY.format(name=name, kernel=kernel, before=before, after=after)


def machine_code(functions: list[tuple[str, Any]], system: str) -> bytes:
    """Return an object file with functions of C that Numba has compiled, under the given names."""
    from llvmlite import binding

    from .._kernels.atomics import PAUSE_DEFINITION
    from .._kernels.levels import LEVEL

    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    triple = TRIPLES[system, LEVEL.machine]
    machine = binding.Target.from_triple(triple).create_target_machine(
        cpu=LEVEL.cpu, features=LEVEL.features, opt=3, reloc="pic", codemodel="small"
    )
    whole = binding.parse_assembly(PAUSE_DEFINITION)
    for name, function in functions:
        kernel = function.native_name.removeprefix(WRAPPED)
        apart = name.startswith(APART)
        module = binding.parse_assembly(
            _marked(function.inspect_llvm(), kernel, "noinline" if apart else "alwaysinline")
        )
        if apart:
            module.get_function(kernel).name = name
        else:
            module.link_in(binding.parse_assembly(_entry(name, kernel, LEVEL.machine)))
        for thing in (*module.functions, *module.global_variables):
            if not thing.is_declaration and thing.name != name:
                thing.linkage = "internal"
        whole.link_in(module)
    whole.triple, whole.data_layout = triple, str(machine.target_data)
    tuning = binding.create_pipeline_tuning_options(speed_level=3)
    if functions[0][0].startswith("train_tiny"):
        tuning.loop_unrolling = False  # loops with a few rounds; preparing for more takes longer than they do
    builder = binding.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(whole, builder)
    return machine.emit_object(whole)


if __name__ == "__main__":
    gc.disable()  # a process that ends soon needs no search for cycles
    sys.stdout.buffer.write(MARK + pickle.dumps(part_of(*sys.argv[1:5])))
