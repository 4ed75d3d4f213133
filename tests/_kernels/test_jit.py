"""Which kernels are compiled into their callers, and which stay functions of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from fastbp._kernels.levels import LEVEL
from fastbp._library.build import SETTINGS

# An object file has the names of its functions.
CODE = """
import sys
from numba import types
from fastbp._kernels import jit
from fastbp._kernels.apart import apart
from fastbp._kernels.codes import Number
from fastbp._library.build import machine_code

for how in (apart, jit.inner, jit.inlined):

    @how
    def shifted(x: Number) -> Number:
        return 3 * x + 1

    @jit.c_function(types.int64(types.CPointer(types.int64), types.int64))
    def twice(record, thread):
        return int(shifted(shifted(float(record[0])) + thread))

    code = machine_code([("twice", twice)], sys.platform)
    assert b"twice" in code
    print(how.__name__, b"shifted" in code)
"""


def test_what_is_apart_is_called_and_everything_else_is_a_part_of_its_caller():
    """In a process as those that build."""
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **SETTINGS, "FASTBP_BUILD_LEVEL": LEVEL.name},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["apart", "True", "inner", "False", "inlined", "False"]
