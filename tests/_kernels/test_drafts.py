"""Which kernels are compiled into their callers, and which stay functions of their own."""

from __future__ import annotations

import re

import pytest
from numba import njit

from fastbp._kernels.jit import OPTIONS, apart, inlined, inner


@pytest.mark.parametrize(("how", "called"), [(apart, True), (inner, False), (inlined, False)])
def test_what_is_apart_is_called_and_everything_else_is_a_part_of_its_caller(how, called):
    @how
    def shifted(x):
        return 3 * x + 1

    @njit(**OPTIONS)
    def twice(x):
        return shifted(shifted(x))

    assert twice(2.0) == 22
    (optimized,) = twice.inspect_llvm().values()
    assert bool(re.search(r"\bcall\b.*shifted", optimized)) == called
