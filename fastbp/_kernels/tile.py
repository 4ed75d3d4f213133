"""The register tile, the only matrix product in the house: C ← s + A B, or C ← C − η(s + A B) with s one row for all.

A is read one number at a time, with free strides; B and C by whole vectors along their rows. Each number of C is one
chain of multiply-adds in the order of the inner index, whichever tile it falls in: how rows and columns are shared out
among tiles and threads changes no bit. Where rows of B are far apart C waits in memory, as exactly as in registers,
for the next DEEP steps. Rows of an odd number of cache lines (`_layout.padded`) keep columns apart.
"""

from .blocks import add_outer_product, copies_of_row, read_block, scaled_sum, transpose_square, write_block
from .codes import Operand
from .jit import inlined, inner
from .llvm import HEIGHT, REGISTER, at, get, lanes, prefetch, put

TALL, MIDDLE, LOW = HEIGHT * 3 // 2, HEIGHT * 5 // 4, HEIGHT // 2  # rows of the other tiles of two vectors

# Rows of wide layers lie half a page apart and more, and no hardware sees them coming: asked for 8 steps ahead the
# products of 1024 × 1024 are 1.1 to 1.5 times as fast, where a register is a cache line; narrow rows lose a sixth.
AHEAD = 8 if REGISTER == 64 else 0
FAR_APART = 32  # registers in a row of B
LONG_ENOUGH = 64  # steps
# Rows of B, each on a page of its own, whose addresses the processor still knows (in its TLB) when the next rows of C
# ask for them: products of 2048 × 2048 are 1.2 to 1.3 times as fast.
DEEP = 512


def make_tile(rows, vectors, part, asks=False):
    """Make the product for C of `rows` rows of `vectors` vectors, each a `part`-th of a register.

    asks : whether what a step wants of Aᵀ and B is asked for AHEAD of it, and C, if it is read
    """

    @inner
    def tile(c, a, b, inner, start, eta):
        if asks and eta != 0:
            for r in range(rows):
                prefetch(c.at, r * c.row)
                prefetch(c.at, r * c.row + lanes(c.at, 1))
        block = copies_of_row(start, rows, vectors, part)
        for k in range(inner):
            if asks:
                prefetch(a.at, (k + AHEAD) * a.step)
                prefetch(b.at, (k + AHEAD) * b.row)
                prefetch(b.at, (k + AHEAD) * b.row + lanes(b.at, 1))
            block = add_outer_product(block, at(a.at, k * a.step), a.row, at(b.at, k * b.row), rows)
        if eta != 0:
            block = scaled_sum(-eta, block, read_block(c.at, c.row, rows, vectors, part))
        write_block(c.at, c.row, block, rows)

    return tile


@inner
def tall_far(c, a, b, inner, start, goes_on):
    """C ← s + A B, or C + A B, for TALL rows of two vectors; B is asked for, A's numbers follow one another."""
    block = read_block(c.at, c.row, TALL, 2, 1) if goes_on else copies_of_row(start, TALL, 2, 1)
    for k in range(inner):
        prefetch(b.at, (k + AHEAD) * b.row)
        prefetch(b.at, (k + AHEAD) * b.row + lanes(b.at, 1))
        block = add_outer_product(block, at(a.at, k * a.step), a.row, at(b.at, k * b.row), TALL)
    write_block(c.at, c.row, block, TALL)


@inner
def tall_rows(c, a, b, extent, start):
    """C ← s + A B for two vectors of columns, in TALL rows each, DEEP steps at a time; how many rows. Of some steps."""
    whole = extent.rows // TALL * TALL
    for k in range(0, extent.inner, DEEP):
        b_k = Operand(at(b.at, k * b.row), b.row, 1)
        for i in range(0, whole, TALL):
            c_i = Operand(at(c.at, i * c.row), c.row, 1)
            a_i = Operand(at(a.at, i * a.row + k * a.step), a.row, a.step)
            tall_far(c_i, a_i, b_k, min(extent.inner - k, DEEP), start, k > 0)
    return whole


def make_panel(vectors, part):
    """Make the product for all rows of `vectors` vectors of columns."""
    high, pair, single = (make_tile(rows, vectors, part) for rows in (HEIGHT, 2, 1))
    two = vectors == 2
    tall, low = (make_tile(rows, vectors, part) if two and rows > 2 else pair for rows in (TALL, LOW))
    middle = make_tile(MIDDLE, vectors, part) if two else high
    asks = two and AHEAD > 0
    high_far = make_tile(HEIGHT, vectors, part, True) if asks else high

    @inlined
    def panel(c, a, b, extent, start, eta):
        # Of a transposed A a step's numbers are neighbours: TALL of them often lie in two lines, HEIGHT in one.
        far = asks and b.row >= FAR_APART * lanes(b.at, 1) and extent.inner >= LONG_ENOUGH
        i = tall_rows(c, a, b, extent, start) if far and a.step == 1 and eta == 0 else 0
        while i < extent.rows:
            left = extent.rows - i
            c_i = Operand(at(c.at, i * c.row), c.row, 1)
            a_i = Operand(at(a.at, i * a.row), a.row, a.step)
            if two and left >= TALL and not far:
                tall(c_i, a_i, b, extent.inner, start, eta)
                i += TALL
            elif two and left >= MIDDLE and not far:
                middle(c_i, a_i, b, extent.inner, start, eta)
                i += MIDDLE
            elif left >= HEIGHT:
                if far:
                    high_far(c_i, a_i, b, extent.inner, start, eta)
                else:
                    high(c_i, a_i, b, extent.inner, start, eta)
                i += HEIGHT
            elif two and left >= LOW:
                low(c_i, a_i, b, extent.inner, start, eta)
                i += LOW
            elif left >= 2:
                pair(c_i, a_i, b, extent.inner, start, eta)
                i += 2
            else:
                single(c_i, a_i, b, extent.inner, start, eta)
                i += 1

    return panel


double, full, half, quarter = make_panel(2, 1), make_panel(1, 1), make_panel(1, 2), make_panel(1, 4)


@inner
def multiply(c, a, b, extent, start, eta):
    """C ← s + A B when η is 0; else C ← C − η(s + A B), with the bits of the former followed by the latter.

    Parameters
    ----------
    c : Operand of (rows, columns), step 1; read and written, apart from the others; what it holds counts when η ≠ 0
        Rows padded as by `_layout.padded`. Padding of C stays, or becomes that of s + A B: zero, if all of it was.
    a : Operand of (rows, inner); read
    b : Operand of (inner, columns), step 1, padded as c; read
    extent : Extent
        The three sizes, columns without their padding.
    start : Operand of (1, columns), padded as c; read
        The row s. Step 0 instead of 1 repeats its first two vectors: for zeros.
    eta : number of the dtype of c
    """
    width = lanes(c.at, 1)
    for j in range(0, extent.columns, 2 * width):
        left = extent.columns - j
        c_j = Operand(at(c.at, j), c.row, 1)
        b_j = Operand(at(b.at, j), b.row, 1)
        start_j = at(start.at, j * start.step)
        if left > width:
            double(c_j, a, b_j, extent, start_j, eta)
        elif left > lanes(c.at, 2):
            full(c_j, a, b_j, extent, start_j, eta)
        elif left > lanes(c.at, 4):
            half(c_j, a, b_j, extent, start_j, eta)
        else:
            quarter(c_j, a, b_j, extent, start_j, eta)


@inner
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
                transpose_square(at(c.at, j * c.row + i), c.row, at(a.at, i * a.row + j), a.row)
