"""Every index in every kernel is inside its array: the kernels' tests with each array beside a page nobody may touch.

    python -m tests.stress.guard_pages

Three passes: the end of each array touches such a page; its start does; and Numba itself checks the indices of arrays
(NUMBA_BOUNDSCHECK, in a cache of its own), which knows of each dimension. Before the first two a kernel that reads one
number too far must be caught.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.stress._guarding import SIDE

ROOT = Path(__file__).parent.parent.parent
TESTS = ("tests/_kernels", "tests/test_engine.py")
PASSES = ("end", "start", "bounds")
TOO_FAR = {"end": 3, "start": -1}
READ = """
import numpy as np
from tests.stress import _guarding
from fastbp._kernels import jit, llvm
get = jit.kernel(lambda array, i: llvm.get(array, i))
print(get(np.ones(3), 0) + get(np.ones(3), 2), flush=True)
get(np.ones(3), {index})
"""


def python(arguments: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """A process from the project's root."""
    environment = {**os.environ, "PYTHONFAULTHANDLER": "1", **environment}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def is_caught(side: str) -> bool:
    """Whether reading one number too far ends a process, and reading the first and the last doesn't."""
    process = python(["-c", READ.format(index=TOO_FAR[side])], **{SIDE: side})
    return process.stdout == "2.0\n" and process.returncode == -signal.SIGSEGV


def run(which: str, tests: Sequence[str] = TESTS) -> int:
    """One pass over the tests; 0, or what pytest ended with."""
    pytest = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    if which == "bounds":
        with tempfile.TemporaryDirectory() as cache:
            process = python([*pytest, "--timeout=600", *tests], NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=cache)
    elif not is_caught(which):
        print(f"{which}: a kernel that reads too far isn't caught")
        return 1
    else:
        process = python([*pytest, "-p", "tests.stress._guarding", *tests], **{SIDE: which})
    lines = process.stdout.splitlines()
    print(f"{which}: {'; '.join(lines[-2:])}")
    if process.returncode == -signal.SIGSEGV:
        print(f"{which}: SIGSEGV\n{process.stderr}")
    elif process.returncode:
        print(process.stdout[process.stdout.find("FAILURES") :], process.stderr, sep="\n")
    sys.stdout.flush()
    return process.returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", nargs="+", choices=PASSES, default=PASSES)
    options = parser.parse_args()
    failed = [which for which in options.passes if run(which)]
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
