"""The matrix product by register tiles: C ← s + A B, or C ← C − η(s + A B), with the same row s for all rows of C.

A is read one number at a time, with any strides. B and C are read in whole vectors along their rows. Each number of C
is one chain of multiply-adds in the order of the inner index, whichever tile it is in. So the division of rows and
columns among tiles and threads changes no bit. Long rows have an odd number of cache lines (`layout.padded`), so that
the numbers of a column don't compete for the same places in the cache.
"""

from .apart import apart
from .blocks import (
    add_outer_product,
    copies_of_row,
    hidden,
    multiples,
    read_block,
    scaled_sum,
    transpose_square,
    write_block,
)
from .codes import Extent, Number, Operand
from .jit import inlined, inner
from .levels import REGISTER
from .llvm import at, fma, get, lanes, load, load_first, number_of, prefetch, put, splat, store_first
from .tuning import FAR, HEIGHT, LOW, MIDDLE, TALL


def make_steps(rows, vectors, part):
    """Make the steps of a tile over A as it lies in memory. They return the sums, `rows` rows of `vectors` vectors."""
    asks = vectors == 2 and rows > 2  # lower tiles are limited by their loads already

    @inlined
    def steps(c, a, b, inner, start, eta, ahead):
        block, column, rows_of_a = copies_of_row(start, rows, vectors, part), a.at, multiples(a.at, a.row)
        for k in range(inner):
            block = add_outer_product(block, column, rows_of_a, at(b.at, k * b.row), rows)
            if asks:
                prefetch(column, ahead)
            column = hidden(at(column, a.step))  # otherwise LLVM moves a pointer for each row
        return block

    return steps


def make_tile(rows, vectors, part, steps):
    """Make the product for C of `rows` rows of `vectors` vectors, each a `part`-th of a register.

    steps : start + A B for these rows and columns, from `make_steps`, or from wide.py for packed A
    """

    @inner
    def tile(c, a, b, inner, start, eta, ahead):
        block, rows_of_c = steps(c, a, b, inner, start, eta, ahead), multiples(c.at, c.row)
        if eta != 0:
            block = scaled_sum(-eta, block, read_block(c.at, rows_of_c, rows, vectors, part))
        write_block(c.at, rows_of_c, block, rows)

    return tile


def make_panel(vectors, part):
    """Make the product for all rows of `vectors` vectors of columns."""
    two, heights = vectors == 2, {1, 2, HEIGHT} | ({TALL, MIDDLE, LOW} if vectors == 2 else set())
    tiles = {rows: make_tile(rows, vectors, part, make_steps(rows, vectors, part)) for rows in sorted(heights)}
    high, pair, single = tiles[HEIGHT], tiles[2], tiles[1]
    tall, middle, low = (tiles.get(rows, high) for rows in (TALL, MIDDLE, LOW))

    @inlined
    def panel(c, a, b, extent, start, eta, ahead):
        i = 0
        while i < extent.rows:
            left = extent.rows - i
            c_i = Operand(at(c.at, i * c.row), c.row, 1)
            a_i = Operand(at(a.at, i * a.row), a.row, a.step)
            if two and left >= TALL:
                tall(c_i, a_i, b, extent.inner, start, eta, ahead)
                i += TALL
            elif two and left >= MIDDLE:
                middle(c_i, a_i, b, extent.inner, start, eta, ahead)
                i += MIDDLE
            elif left >= HEIGHT:
                high(c_i, a_i, b, extent.inner, start, eta, ahead)
                i += HEIGHT
            elif two and left >= LOW:
                low(c_i, a_i, b, extent.inner, start, eta, ahead)
                i += LOW
            elif left >= 2:
                pair(c_i, a_i, b, extent.inner, start, eta, ahead)
                i += 2
            else:
                single(c_i, a_i, b, extent.inner, start, eta, ahead)
                i += 1

    return panel


double, full, half, quarter = make_panel(2, 1), make_panel(1, 1), make_panel(1, 2), make_panel(1, 4)


@apart
def multiply(c: Operand, a: Operand, b: Operand, extent: Extent, start: Operand, eta: Number, ahead: int):
    """C ← s + A B if η is 0, else C ← C − η(s + A B), with the bits of a product followed by an update.

    Parameters
    ----------
    c : Operand of (rows, columns); written, and read if η ≠ 0. It overlaps none of the others.
        Rows are padded as by `layout.padded`. The padding of C stays, or becomes that of s + A B: 0 if theirs is 0.
    a : Operand of (rows, inner), in rows or in columns; read
    b : Operand of (inner, columns), padded like c; read
    extent : Extent
        The three sizes, columns without padding.
    start : Operand of (1, columns), padded like c; read
        The row s. A step of 0 instead of 1 repeats its first two vectors, which is for zeros.
    eta : number of the dtype of c
    ahead : int
        How many numbers behind A another matrix is that is needed soon. It is prefetched while A is read; 0 if none.
    """
    width = lanes(c.at, 1)
    for j in range(0, extent.columns, 2 * width):
        left = extent.columns - j
        c_j = Operand(at(c.at, j), c.row, 1)
        b_j = Operand(at(b.at, j), b.row, 1)
        start_j = at(start.at, j * start.step)
        if j > 0:  # it was prefetched with the first columns
            ahead = 0
        if left > width:
            double(c_j, a, b_j, extent, start_j, eta, ahead)
        elif left > lanes(c.at, 2):
            full(c_j, a, b_j, extent, start_j, eta, ahead)
        elif left > lanes(c.at, 4):
            half(c_j, a, b_j, extent, start_j, eta, ahead)
        else:
            quarter(c_j, a, b_j, extent, start_j, eta, ahead)


@inner
def sum_rows(c, b, rows, columns, eta):
    """C ← the sum of the rows of B if η is 0, else C ← C − η times it. C is one row, and its padding stays.

    Four sums are added in one fixed order. A single sum would have to wait for the addition of each row.
    """
    for j in range(0, columns, lanes(c, 1)):
        first = second = third = fourth = splat(number_of(c, 0), 1)
        left = rows % 4
        for s in range(left):
            first = first + load(b.at, s * b.row + j, 1)
        for s in range(left, rows, 4):
            place = at(b.at, s * b.row + j)
            first = first + load(place, 0, 1)
            second = second + load(place, b.row, 1)
            third = third + load(place, 2 * b.row, 1)
            fourth = fourth + load(place, 3 * b.row, 1)
        total, count = (first + second) + (third + fourth), columns - j
        if eta != 0:
            total = fma(-eta, total, load_first(c, j, count))
        store_first(c, j, total, count)


@apart
def transpose(c: Operand, a: Operand, rows: int, columns: int, room: int):
    """C ← Aᵀ for A of (rows, columns). Both are Operands with step 1 and padded rows.

    Numbers beyond `rows` in the rows of C stay as they are, because the squares at the last rows of A overlap their
    neighbours. So do the squares at the last columns of A if C has no room for a whole register of them.

    room : how many rows of C may be written; rows beyond `columns` get the padding of A
    """
    width = lanes(c.at, 1)
    if rows < width or room < width or a.row < width:
        for i in range(rows):
            for j in range(columns):
                put(c.at, j * c.row + i, get(a.at, i * a.row + j))
    else:
        for top in range(0, rows, width):
            i = min(top, rows - width)
            for side in range(0, columns, width):
                j = min(side, room - width)
                if c.row * (REGISTER // width) >= FAR:
                    for r in range(width):
                        prefetch(c.at, (j + width + r) * c.row + i)
                transpose_square(at(c.at, j * c.row + i), c.row, at(a.at, i * a.row + j), a.row)
