"""The multiply-add peak: GFLOP/s of fused multiply-adds in registers, on one core and on several cores at once.

    python -m bench.peak [--dtype float32] [--threads 1 2]

No program is faster at the same clock frequency. `where.py` and `compare.py` compare matrix products with it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from threading import Barrier
from time import perf_counter
from typing import Any

import numpy as np

from fastbp._kernels.levels import LEVEL
from fastbp._library.build import TRIPLES
from fastbp._library.image import piece_of
from fastbp._library.library import ENTRY
from fastbp._library.memory import executable

SUMS = 24 if LEVEL.registers == 32 else 12  # independent sums, more than multiply-adds are in flight
STEPS = 200_000  # of a turn, about a millisecond
SECONDS, ROUNDS = 0.02, 12  # the best of these counts, because others may compute on these cores
FUNCTION = """
define i64 @peak(ptr %numbers, i64 %steps) {{
start:
  %x = load {vector}, ptr %numbers, align 4
  br label %loop
loop:
  %step = phi i64 [ 0, %start ], [ %next, %loop ]
{sums}
{products}
  %next = add i64 %step, 1
  %more = icmp slt i64 %next, %steps
  br i1 %more, label %loop, label %end
end:
{stores}
  ret i64 0
}}
declare {vector} @llvm.fma.{kind}({vector}, {vector}, {vector})
"""


def allowed_cores() -> list[int]:
    """Return the processors that this process may use, in order; none if the system doesn't tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def keep_to(cores: Sequence[int]) -> None:
    """Keep this thread to some processors, if there are any and the system allows it."""
    if cores:
        with suppress(OSError):
            os.sched_setaffinity(0, cores)


@cache
def _entry(dtype: str) -> Any:
    """Compile the loop of multiply-adds, and return it as a function of an address and a number of steps."""
    from llvmlite import binding

    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    lanes, number = LEVEL.register // np.dtype(dtype).itemsize, {"float32": "float", "float64": "double"}[dtype]
    vector, kind = f"<{lanes} x {number}>", f"v{lanes}f{8 * np.dtype(dtype).itemsize}"
    lines = {
        "sums": "  %a{i} = phi {v} [ %x, %start ], [ %b{i}, %loop ]",
        "products": "  %b{i} = call {v} @llvm.fma.{kind}({v} %x, {v} %x, {v} %a{i})",
        "stores": "  store volatile {v} %b{i}, ptr %numbers, align 4",
    }
    parts = {
        name: "\n".join(line.format(i=i, v=vector, kind=kind) for i in range(SUMS)) for name, line in lines.items()
    }
    module = binding.parse_assembly(FUNCTION.format(vector=vector, kind=kind, **parts))
    machine = binding.Target.from_triple(TRIPLES[sys.platform, LEVEL.machine]).create_target_machine(
        cpu=LEVEL.cpu, features=LEVEL.features, opt=3, reloc="pic", codemodel="small"
    )
    module.triple, module.data_layout = TRIPLES[sys.platform, LEVEL.machine], str(machine.target_data)
    image = piece_of(machine.emit_object(module), ["peak"]).image
    return ENTRY(executable(image.code) + image.entries["peak"])


@cache
def peak(dtype: str = "float32", threads: int = 1) -> float:
    """Return the GFLOP/s of so many threads together, each on a core of its own: the best of a few rounds."""
    entry, itemsize = _entry(dtype), np.dtype(dtype).itemsize
    flop, barrier = 2.0 * SUMS * (LEVEL.register // itemsize) * STEPS, Barrier(threads)

    def rate(thread: int) -> float:
        keep_to(cores[thread : thread + 1])
        numbers, turns = np.full(LEVEL.register // itemsize, 1e-3, dtype), 0
        barrier.wait()
        started = perf_counter()
        while (passed := perf_counter() - started) < SECONDS:
            entry(numbers.ctypes.data, STEPS)
            turns += 1
        return turns * flop / passed * 1e-9

    cores = allowed_cores()
    with ThreadPoolExecutor(threads) as pool:
        return max(sum(pool.map(rate, range(threads))) for _ in range(ROUNDS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", nargs="+", choices=("float32", "float64"), default=("float32", "float64"))
    parser.add_argument("--threads", nargs="+", type=int, default=sorted({1, os.cpu_count() or 1}))
    options = parser.parse_args()
    for dtype in options.dtype:
        for threads in options.threads:
            print(f"{dtype}, {threads} thread{'s' * (threads > 1)}: {peak(dtype, threads):.0f} GFLOP/s")


if __name__ == "__main__":
    main()
