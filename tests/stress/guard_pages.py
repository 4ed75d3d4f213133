"""Every index in every kernel is inside its array: the kernels' tests with each array beside a page nobody may touch.

    python -m tests.stress.guard_pages

Two passes: the end of each array touches such a page; its start does. Before each, a kernel that reads one number too
far must be caught, and an entry of the library whose record says that an array is one number longer than it is.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.stress._guarding import SIDE

ROOT = Path(__file__).parent.parent.parent
TESTS = ("tests/_kernels", "tests/test_engine.py")
SIDES = ("end", "start")
TOO_FAR = {"end": 3, "start": -1}
READ = """
import numpy as np
from tests.stress import _guarding
from tests._kernels.compiled import kernel
from fastbp._kernels import llvm
get = kernel(lambda array, i: llvm.get(array, i))
print(get(np.ones(3), 0) + get(np.ones(3), 2), flush=True)
get(np.ones(3), {index})
"""
REORDER = """
import numpy as np
from tests.stress import _guarding
from fastbp._kernels.calls import ReorderCall
from fastbp._library.library import library
from fastbp._library.slots import Slots
call, order, random = Slots(ReorderCall), np.zeros(7, np.int64), np.ones(1, np.uint64)
call.write("order", order)
call.write("random", random)
library("float32").reorder(call.address, 0)
print(sorted(order.tolist()) == list(range(7)) and int(random[0]) != 1, flush=True)
call.integers[1] += {more}
call.integers[0] -= {before}
library("float32").reorder(call.address, 0)
"""


def python(arguments: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """A process from the project's root."""
    environment = {**os.environ, "PYTHONFAULTHANDLER": "1", **environment}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def is_caught(side: str) -> bool:
    """Whether reading or writing one number too far ends a process, and reading the first and the last doesn't."""
    at_end = side == "end"
    ways = (
        (READ.format(index=TOO_FAR[side]), "2.0\n"),
        (REORDER.format(more=int(at_end), before=0 if at_end else 8), "True\n"),
    )
    processes = [(python(["-c", code], **{SIDE: side}), printed) for code, printed in ways]
    return all(done.stdout == printed and done.returncode == -signal.SIGSEGV for done, printed in processes)


def run(side: str, tests: Sequence[str] = TESTS) -> int:
    """One pass over the tests; 0, or what pytest ended with."""
    if not is_caught(side):
        print(f"{side}: a kernel that goes too far isn't caught")
        return 1
    pytest = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    process = python([*pytest, "-p", "tests.stress._guarding", *tests], **{SIDE: side})
    lines = process.stdout.splitlines()
    print(f"{side}: {'; '.join(lines[-2:])}")
    if process.returncode == -signal.SIGSEGV:
        print(f"{side}: SIGSEGV\n{process.stderr}")
    elif process.returncode:
        print(process.stdout[process.stdout.find("FAILURES") :], process.stderr, sep="\n")
    sys.stdout.flush()
    return process.returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES)
    options = parser.parse_args()
    failed = [side for side in options.sides if run(side)]
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
