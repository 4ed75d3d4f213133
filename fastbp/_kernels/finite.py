"""Whether numbers are finite, at the speed of memory."""

import math

import numpy as np

from .bits import total
from .jit import inner
from .llvm import get, lanes, load, number_of, splat


@inner
def run_is_finite(x, count):
    """Return whether count numbers behind a pointer are all finite. If not, 0 · x is NaN, and so is the sum."""
    width = lanes(x, 1)
    whole = count // (4 * width) * (4 * width)
    a = b = c = d = splat(number_of(x, 0), 1)
    for i in range(0, whole, 4 * width):
        a = a + load(x, i, 1) * 0
        b = b + load(x, i + width, 1) * 0
        c = c + load(x, i + 2 * width, 1) * 0
        d = d + load(x, i + 3 * width, 1) * 0
    rest = np.float64(total((a + b) + (c + d)))
    for i in range(whole, count):
        rest += get(x, i) * 0
    return not math.isnan(rest)
