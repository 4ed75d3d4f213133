"""Kernels are compiled into their callers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from fastbp._library.build import SETTINGS

# An object file has the names of its functions.
CODE = """
import sys
from numba import types
from fastbp._kernels import jit
from fastbp._library.build import machine_code

for how in ("inner", "inlined"):

    @getattr(jit, how)
    def shifted(x):
        return 3 * x + 1

    @jit.c_function(types.int64(types.CPointer(types.int64), types.int64))
    def twice(record, thread):
        return shifted(shifted(record[0]) + thread)

    code = machine_code([("twice", twice)], sys.platform)
    assert b"twice" in code
    print(how, b"shifted" in code)
"""


def test_a_small_kernel_is_a_part_of_its_caller():
    """In a process as those that build."""
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **SETTINGS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["inner", "False", "inlined", "False"]
