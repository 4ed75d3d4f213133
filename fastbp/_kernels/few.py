"""The product for few rows of A, such as one sample: C ← s + A B, with the bits of tile.py.

It reads B row by row, as it lies in memory, which is faster than reading two vectors of each row.
"""

from .apart import apart
from .codes import Extent, Operand
from .jit import inlined
from .llvm import at, fma, get, lanes, load, prefetch, store
from .tuning import BROAD, FEW

STEPS = 16  # rows of B at a time: 1.1 times as fast as 8 for two threads with 512 columns each


@inlined
def is_few(rows, columns, width):
    """Return whether so few rows of C, of so many columns, are faster without tiles."""
    return rows <= FEW and columns >= BROAD * width


@inlined
def four(a, k):
    """Return four numbers of a row of A."""
    return get(a, k), get(a, k + 1), get(a, k + 2), get(a, k + 3)


@inlined
def plus_four(x, numbers, b, row):
    """Return x + the products of four numbers and vectors, which are rows of B, in their order."""
    x = fma(numbers[0], load(b, 0, 1), x)
    x = fma(numbers[1], load(b, row, 1), x)
    x = fma(numbers[2], load(b, 2 * row, 1), x)
    return fma(numbers[3], load(b, 3 * row, 1), x)


@inlined
def add_products(c, a, b, row, columns):
    """Add to a row of C the products of STEPS numbers of A and rows of B, in their order."""
    first, second, third, fourth = four(a, 0), four(a, 4), four(a, 8), four(a, 12)
    for j in range(0, columns, lanes(c, 1)):
        x, place = load(c, j, 1), at(b, j)
        x = plus_four(x, first, place, row)
        x = plus_four(x, second, at(place, 4 * row), row)
        x = plus_four(x, third, at(place, 8 * row), row)
        store(c, j, plus_four(x, fourth, at(place, 12 * row), row))


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
