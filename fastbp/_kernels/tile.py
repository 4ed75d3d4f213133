"""The register tile, the matrix product of the house: C ← s + A B, or C ← C − η(s + A B) with s one row for all.

A is read one number at a time, with free strides; B and C by whole vectors along their rows. Each number of C is one
chain of multiply-adds in the order of the inner index, whichever tile it falls in: how rows and columns are shared out
among tiles and threads changes no bit. Rows of an odd number of cache lines (`_layout.padded`) keep columns apart.
"""

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
from .codes import Operand
from .jit import apart, inlined, inner
from .llvm import at, fma, get, lanes, load, load_first, number_of, prefetch, put, splat, store_first
from .tuning import FAR, HEIGHT, LOW, MIDDLE, TALL


def make_tile(rows, vectors, part):
    """Make the product for C of `rows` rows of `vectors` vectors, each a `part`-th of a register."""
    asks = vectors == 2 and rows > 2  # others wait for their loads already

    @inner
    def tile(c, a, b, inner, start, eta, ahead):
        block, column, rows_of_a = copies_of_row(start, rows, vectors, part), a.at, multiples(a.at, a.row)
        for k in range(inner):
            block = add_outer_product(block, column, rows_of_a, at(b.at, k * b.row), rows)
            if asks:
                prefetch(column, ahead)
            column = hidden(at(column, a.step))  # or LLVM would move a pointer for each row
        rows_of_c = multiples(c.at, c.row)
        if eta != 0:
            block = scaled_sum(-eta, block, read_block(c.at, rows_of_c, rows, vectors, part))
        write_block(c.at, rows_of_c, block, rows)

    return tile


def make_panel(vectors, part):
    """Make the product for all rows of `vectors` vectors of columns."""
    high, pair, single = (make_tile(rows, vectors, part) for rows in (HEIGHT, 2, 1))
    two = vectors == 2
    tall, low = (make_tile(rows, vectors, part) if two and rows > 2 else pair for rows in (TALL, LOW))
    middle = make_tile(MIDDLE, vectors, part) if two else high

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
def multiply(c, a, b, extent, start, eta, ahead):
    """C ← s + A B when η is 0; else C ← C − η(s + A B), with the bits of the former followed by the latter.

    Parameters
    ----------
    c : Operand of (rows, columns); read and written, apart from the others; what it holds counts when η ≠ 0
        Rows padded as by `_layout.padded`. Padding of C stays, or becomes that of s + A B: zero, if all of it was.
    a : Operand of (rows, inner), in rows or in columns; read
    b : Operand of (inner, columns), padded as c; read
    extent : Extent
        The three sizes, columns without their padding.
    start : Operand of (1, columns), padded as c; read
        The row s. Step 0 instead of 1 repeats its first two vectors: for zeros.
    eta : number of the dtype of c
    ahead : int
        How many numbers behind A another matrix lies that is read soon, and asked for while this one is; 0 if none.
    """
    width = lanes(c.at, 1)
    for j in range(0, extent.columns, 2 * width):
        left = extent.columns - j
        c_j = Operand(at(c.at, j), c.row, 1)
        b_j = Operand(at(b.at, j), b.row, 1)
        start_j = at(start.at, j * start.step)
        if j > 0:  # the first columns have asked for all of it
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
    """C, one row, ← the sum of the rows of B when η is 0; else C ← C − η times it. What lies beside C's columns stays.

    Four sums at a time, in one order: a single one would wait for itself at each row.
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
def transpose(c, a, rows, columns, room):
    """C ← Aᵀ, of A (rows, columns); both Operands with step 1 and padded rows.

    The numbers of C's rows beyond `rows` stay as they are: squares at A's last rows overlap their neighbours. So do
    those at A's last columns where C has no room for a whole register of them.

    room : C's rows that may be written; those beyond `columns` get A's padding
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
                if c.row >= FAR * width:
                    for r in range(width):
                        prefetch(c.at, (j + width + r) * c.row + i)
                transpose_square(at(c.at, j * c.row + i), c.row, at(a.at, i * a.row + j), a.row)
