"""The product for few rows of A, such as one sample: C ← s + A B, with the bits of tile.py.

It reads B row by row, as it lies in memory, which is faster than reading two vectors of each row.
"""

from .apart import apart
from .codes import Extent, Operand
from .jit import inlined
from .llvm import at, fma, get, lanes, load, prefetch, store
from .tuning import BROAD, FEW

STEPS = 8  # rows of B at a time


@inlined
def is_few(rows, columns, width):
    """Return whether so few rows of C, of so many columns, are faster without tiles."""
    return rows <= FEW and columns >= BROAD * width


@inlined
def add_products(c, a, b, row, columns):
    """Add to a row of C the products of STEPS numbers of A and rows of B, in their order."""
    a0, a1, a2, a3 = get(a, 0), get(a, 1), get(a, 2), get(a, 3)
    a4, a5, a6, a7 = get(a, 4), get(a, 5), get(a, 6), get(a, 7)
    for j in range(0, columns, lanes(c, 1)):
        first = at(b, j)
        fifth = at(first, 4 * row)
        x = fma(a0, load(first, 0, 1), load(c, j, 1))
        x = fma(a1, load(first, row, 1), x)
        x = fma(a2, load(first, 2 * row, 1), x)
        x = fma(a3, load(first, 3 * row, 1), x)
        x = fma(a4, load(fifth, 0, 1), x)
        x = fma(a5, load(fifth, row, 1), x)
        x = fma(a6, load(fifth, 2 * row, 1), x)
        store(c, j, fma(a7, load(fifth, 3 * row, 1), x))


@apart
def multiply_few(c: Operand, a: Operand, b: Operand, extent: Extent, start: Operand):
    """C ← s + A B, as `tile.multiply` with η = 0, for A in rows."""
    width, columns = lanes(c.at, 1), extent.columns
    for i in range(extent.rows):
        for k in range(0, extent.inner, width):  # another thread has written some of A
            prefetch(a.at, i * a.row + k)
        for j in range(0, columns, width):
            store(c.at, i * c.row + j, load(start.at, j, 1))
    whole = extent.inner // STEPS * STEPS
    for k in range(0, whole, STEPS):
        for i in range(extent.rows):
            add_products(at(c.at, i * c.row), at(a.at, i * a.row + k), at(b.at, k * b.row), b.row, columns)
    for k in range(whole, extent.inner):
        for i in range(extent.rows):
            row, factor = at(c.at, i * c.row), get(a.at, i * a.row + k)
            for j in range(0, columns, width):
                store(row, j, fma(factor, load(b.at, k * b.row + j, 1), load(row, j, 1)))
