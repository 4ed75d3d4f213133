"""Products of wide layers, whose operands don't fit into the first cache.

A is packed first: copied in the order in which tiles read it. For each TALL rows of C, the copy has TALL numbers for
each step, step after step, and room for a register at the end. B is prefetched. Each number of C is a chain of
multiply-adds as in tile.py, with the same bits. `tuning` says how much faster this is.
"""

from .apart import apart
from .blocks import add_outer_product, pack_block, read_block
from .codes import Extent, Factor, Number, Numbers, Operand, Team
from .jit import inlined
from .levels import LINE, REGISTER
from .llvm import at, get, lanes, load, prefetch, put, store
from .shapes import room
from .team import meet, slice_of
from .tile import make_tile, multiply
from .tuning import AHEAD, BESIDE, DEEP, FAR, HEIGHT, LARGE, MANY, TALL, WIDE


@inlined
def is_wide(rows, inner, row, width):
    """Return whether packing pays for a product with so many rows of C and steps, and rows of B so far apart.

    It does if rows of B are FAR apart, or if they are WIDE and A is so LARGE that the first cache doesn't keep it for
    the next columns. It does not for few rows or few steps.
    """
    size = REGISTER // width  # bytes of a number
    far = row * size >= FAR or (row * size >= WIDE and rows * inner * size >= LARGE)
    return rows >= HEIGHT and inner >= MANY and far


room_of = inlined(room)


@inlined
def packed_rows(net, row, inner):
    """Return where packed A begins from some row on, which is a multiple of TALL."""
    return at(net.work, net.packed + row // TALL * room_of(inner, lanes(net.work, 1)))


@apart
def pack_rows(packed: Numbers, a: Operand, rows: int, inner: int, team: Team):
    """Pack this thread's share of A, of (rows, inner) in rows."""
    width = lanes(packed, 1)
    first, count = slice_of(rows, TALL, team)
    for i in range(first, first + count, TALL):
        out, source = at(packed, i // TALL * room_of(inner, width)), at(a.at, i * a.row)
        done = inner // width * width if rows - i >= TALL else 0
        for k in range(0, done, width):
            pack_block(at(out, k * TALL), at(source, k), a.row, TALL)
        for k in range(done, inner):
            for r in range(min(TALL, rows - i)):
                put(out, k * TALL + r, get(source, r * a.row + k))


@apart
def pack_columns(packed: Numbers, a: Operand, rows: int, inner: int, team: Team):
    """Pack this thread's share of A, of (rows, inner) in rows of its transpose, as for ∂J/∂Θ."""
    width = lanes(packed, 1)
    room, reach = room_of(inner, width), (TALL + width - 1) // width * width
    first, count = slice_of(rows, BESIDE * TALL, team)
    for start in range(first, first + count, BESIDE * TALL):
        stop = min(start + BESIDE * TALL, rows)
        tiles = max(
            0, min(stop - start, rows - start - reach + TALL) // TALL
        )  # those for which whole vectors can be read
        out = at(packed, start // TALL * room)
        for k in range(inner):
            source, target = at(a.at, k * a.row + start), at(out, k * TALL)
            for r in range(0, stop - start, width):
                prefetch(source, AHEAD * a.row + r)
            for t in range(tiles):
                for r in range(0, TALL, width):
                    store(target, t * room + r, load(source, t * TALL + r, 1))
        for i in range(start + tiles * TALL, stop, TALL):
            for k in range(inner):
                for r in range(min(TALL, rows - i)):
                    put(packed, i // TALL * room + k * TALL + r, get(a.at, k * a.row + i + r))


def make_packed_steps(rows):
    """Make the steps of a tile over packed A, of two vectors. start: an Operand of rows, or of one for all.

    They read A in another way than those of tile.py, and prefetch other operands.
    """

    @inlined
    def steps(c, a, b, inner, start, eta, ahead):
        block = read_block(start.at, start.row, rows, 2, 1)
        early = min(rows, inner) if eta != 0 else 0
        for k in range(early):  # one row of C in a step, because the processor can wait for some 16 lines at once
            prefetch(c.at, k * c.row)
            prefetch(c.at, k * c.row + lanes(c.at, 1))
            block = add_outer_product(block, at(a.at, k * TALL), 1, at(b.at, k * b.row), rows)
        for k in range(early, inner):
            prefetch(b.at, (k + AHEAD) * b.row)
            if 2 * REGISTER > LINE:
                prefetch(b.at, (k + AHEAD) * b.row + lanes(b.at, 1))
            block = add_outer_product(block, at(a.at, k * TALL), 1, at(b.at, k * b.row), rows)
        return block

    return steps


tall_tile, high_tile = (make_tile(rows, 2, 1, make_packed_steps(rows)) for rows in (TALL, HEIGHT))


@inlined
def steps_of(inner, eta):
    """Return how many steps tiles take at a time: an even share, for which the rows of B stay in the cache."""
    parts = (inner + DEEP - 1) // DEEP if eta == 0 else 1
    return (inner + parts - 1) // parts


@apart
def multiply_wide(c: Operand, packed: Numbers, b: Operand, extent: Extent, start: Operand, eta: Number):
    """C ← s + A B if η is 0, else C ← C − η(s + A B), like `tile.multiply`, which does the rows that are left.

    If η is 0, tiles do some steps at a time, and C is in memory in between, with the same bits as in registers.
    """
    width = lanes(c.at, 1)
    room, steps = room_of(extent.inner, width), steps_of(extent.inner, eta)
    for j in range(0, extent.columns, 2 * width):
        columns = min(extent.columns - j, 2 * width)
        begin = Operand(at(start.at, j * start.step), 0, start.step)
        tall = extent.rows // TALL * TALL if columns > width else 0
        high = columns > width and extent.rows - tall >= HEIGHT
        for s in range((extent.inner + steps - 1) // steps):
            k = s * steps
            some, b_k = min(extent.inner - k, steps), Operand(at(b.at, k * b.row + j), b.row, 1)
            for i in range(0, tall, TALL):
                c_i = Operand(at(c.at, i * c.row + j), c.row, 1)
                a_i = Operand(at(packed, i // TALL * room + k * TALL), 1, TALL)
                tall_tile(c_i, a_i, b_k, some, c_i if k > 0 else begin, eta, 0)
            if high:
                c_i = Operand(at(c.at, tall * c.row + j), c.row, 1)
                a_i = Operand(at(packed, tall // TALL * room + k * TALL), 1, TALL)
                high_tile(c_i, a_i, b_k, some, c_i if k > 0 else begin, eta, 0)
        i = tall + (HEIGHT if high else 0)
        while i < extent.rows:
            left = min(extent.rows - i, TALL - i % TALL)
            multiply(
                Operand(at(c.at, i * c.row + j), c.row, 1),
                Operand(at(packed, i // TALL * room + i % TALL), 1, TALL),
                Operand(at(b.at, j), b.row, 1),
                Extent(left, columns, extent.inner),
                begin,
                eta,
                0,
            )
            i += left


@inlined
def ready_rows(net, a, rows, inner, row, team):
    """Return A, of (rows, inner) in rows, as a Factor: packed if that pays. row: how far apart rows of B lie."""
    packed = is_wide(rows, inner, row, lanes(net.work, 1))
    if packed:
        pack_rows(at(net.work, net.packed), a, rows, inner, team)
        meet(team)
    return Factor(a.at, a.row, 1, packed)


@inlined
def ready_columns(net, a, rows, inner, row, team):
    """Return A, of (rows, inner) in rows of its transpose, as a Factor, like `ready_rows`."""
    packed = is_wide(rows, inner, row, lanes(net.work, 1))
    if packed:
        pack_columns(at(net.work, net.packed), a, rows, inner, team)
        meet(team)
    return Factor(a.at, 1, a.row, packed)


@inlined
def multiply_rows(net, c, a, row, b, extent, start, eta, ahead):
    """C ← s + A B or C ← C − η(s + A B), as `tile.multiply`, for the rows of a Factor A from `row` on."""
    if a.packed:
        multiply_wide(c, packed_rows(net, row, extent.inner), b, extent, start, eta)
    else:
        multiply(c, Operand(at(a.at, row * a.row), a.row, a.step), b, extent, start, eta, ahead)
