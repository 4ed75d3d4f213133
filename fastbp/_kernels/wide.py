"""Products of wide layers, whose operands don't fit into the first cache.

A is packed first: copied in the order in which tiles read it. For each TALL rows of C, the copy has TALL numbers for
each step, step after step, and room for a register at the end. B is prefetched. Each number of C is a chain of
multiply-adds as in tile.py, with the same bits. `tuning` says how much faster this is.
"""

from .apart import apart
from .blocks import add_outer_product, pack_block, read_block
from .codes import Ask, Extent, Factor, Number, Numbers, Operand, Team
from .jit import inlined
from .levels import LINE, REGISTER
from .llvm import at, get, lanes, load, prefetch, put, store
from .shapes import room
from .team import meet, slice_of
from .tile import make_tile, multiply
from .tuning import AHEAD, ALONE, BESIDE, DEEP, FAR, HEIGHT, LARGE, MANY, PACKERS, PART_VECTORS, TALL, WIDE


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


@inlined
def prefetch_vectors(place):
    """Prefetch two vectors."""
    prefetch(place, 0)
    if 2 * REGISTER > LINE:
        prefetch(place, lanes(place, 1))


def make_packed_steps(rows):
    """Make the steps of a tile over packed A, of two vectors. start: an Operand of rows, or of one for all.

    They read A in another way than those of tile.py, and prefetch other operands: first the tile's rows of C if they
    are read, then `ask.rows` rows of B for other tiles, and then rows of B some steps ahead.
    """

    @inlined
    def steps(c, a, b, inner, start, eta, ask):
        block = read_block(start.at, start.row, rows, 2, 1)
        early = min(rows, inner) if eta != 0 else 0
        for k in range(early):  # one row in a step, because the processor can wait for some 16 lines at once
            prefetch(c.at, k * c.row)
            prefetch(c.at, k * c.row + lanes(c.at, 1))
            block = add_outer_product(block, at(a.at, k * TALL), 1, at(b.at, k * b.row), rows)
        late = min(early + ask.rows, inner)
        for k in range(early, late):
            prefetch_vectors(at(ask.at, (k - early) * ask.row))
            block = add_outer_product(block, at(a.at, k * TALL), 1, at(b.at, k * b.row), rows)
        for k in range(late, inner):
            prefetch_vectors(at(b.at, (k + AHEAD) * b.row))
            block = add_outer_product(block, at(a.at, k * TALL), 1, at(b.at, k * b.row), rows)
        return block

    return steps


tall_tile, high_tile = (make_tile(rows, 2, 1, make_packed_steps(rows)) for rows in (TALL, HEIGHT))


@inlined
def steps_of(inner, eta):
    """Return how many steps tiles take at a time: an even share, for which the rows of B stay in the cache."""
    parts = (inner + DEEP - 1) // DEEP if eta == 0 else 1
    return (inner + parts - 1) // parts


@inlined
def needed_next(b, j, k, steps, extent, beyond):
    """Return the rows of B that are needed after `steps` rows from row k on of the columns from j on, as an Ask."""
    below = k + steps
    if below < extent.inner:
        return Ask(at(b.at, below * b.row + j), b.row, min(steps, extent.inner - below))
    right = 2 * lanes(b.at, 1)
    right = right if j + right < extent.columns else beyond
    return Ask(at(b.at, j + right), b.row, steps if right > 0 else 0)


@inlined
def multiply_block(c, a, b, inner, start, eta, tall, tiles, room, soon):
    """Multiply a block of B, of two vectors and some steps, by the first `tall` tiles of A, and perhaps a lower one.

    soon: the rows of the next block, an Ask. Each tile prefetches its share, so that few are on their way at once.
    """
    rows = (soon.rows + tiles - 1) // max(tiles, 1)
    for i in range(tiles):
        c_i, a_i = Operand(at(c.at, i * TALL * c.row), c.row, 1), Operand(at(a, i * room), 1, TALL)
        ask = Ask(at(soon.at, i * rows * soon.row), soon.row, max(min(rows, soon.rows - i * rows), 0))
        begin = start if start.row == 0 else c_i
        if i < tall:
            tall_tile(c_i, a_i, b, inner, begin, eta, ask)
        else:
            high_tile(c_i, a_i, b, inner, begin, eta, ask)


@inlined
def multiply_left(c, packed, b, first, extent, start, eta, room):
    """Multiply B by the rows of A from `first` on."""
    i = first
    while i < extent.rows:
        left = min(extent.rows - i, TALL - i % TALL)
        c_i, a_i = Operand(at(c.at, i * c.row), c.row, 1), at(packed, i // TALL * room + i % TALL)
        multiply(c_i, Operand(a_i, 1, TALL), b, Extent(left, extent.columns, extent.inner), start, eta, 0)
        i += left


@apart
def multiply_wide(c: Operand, packed: Numbers, b: Operand, extent: Extent, start: Operand, eta: Number, beyond: int):
    """C ← s + A B if η is 0, else C ← C − η(s + A B), like `tile.multiply`, which does the rows that are left.

    If η is 0, tiles do some steps at a time, and C is in memory in between, with the same bits as in registers. While
    tiles use a block of B, they prefetch the next one. beyond: how many numbers behind the last columns of B are those
    that the thread probably needs next; 0 if none.
    """
    width = lanes(c.at, 1)
    room, steps = room_of(extent.inner, width), steps_of(extent.inner, eta)
    for j in range(0, extent.columns, 2 * width):
        columns = min(extent.columns - j, 2 * width)
        c_j, begin = Operand(at(c.at, j), c.row, 1), Operand(at(start.at, j * start.step), 0, start.step)
        tall = extent.rows // TALL if columns > width else 0
        tiles = tall + (1 if columns > width and extent.rows - tall * TALL >= HEIGHT else 0)
        for s in range((extent.inner + steps - 1) // steps):
            k = s * steps
            some, b_k = min(extent.inner - k, steps), Operand(at(b.at, k * b.row + j), b.row, 1)
            soon = needed_next(b, j, k, steps, extent, beyond)
            first, a_k = begin if k == 0 else c_j, at(packed, k * TALL)
            multiply_block(c_j, a_k, b_k, some, first, eta, tall, tiles, room, soon)
        done, rest = tall * TALL + (HEIGHT if tiles > tall else 0), Extent(extent.rows, columns, extent.inner)
        multiply_left(c_j, packed, Operand(at(b.at, j), b.row, 1), done, rest, begin, eta, room)


@inlined
def beyond_tickets(net, team):
    """Return how far the columns of a thread's next ticket are from those of its ticket, if threads draw in turns."""
    return PART_VECTORS * lanes(net.work, 1) * (team.n_threads if team.n_threads > 1 else 0)


@inlined
def packing_team(net, rows, inner, team):
    """Return the team that packs A: this thread alone if A is small, because a meeting takes longer, or all."""
    width = lanes(net.work, 1)
    size = (rows + TALL - 1) // TALL * room_of(inner, width) * (REGISTER // width)
    return Team(team.meeting, 0, 1) if team.n_threads <= PACKERS and size <= ALONE else team


@inlined
def place_of_packed(net, packers, team):
    """Return where A is packed: by a thread alone in a place of its own, which no other product uses, or by all."""
    most = ALONE // (REGISTER // lanes(net.work, 1))
    alone = packers.n_threads < team.n_threads
    return at(net.work, net.packed + (team.thread if alone else PACKERS) * most)


@inlined
def ready_rows(net, a, rows, inner, row, team):
    """Return A, of (rows, inner) in rows, as a Factor: packed if that pays. row: how far apart rows of B lie."""
    if not is_wide(rows, inner, row, lanes(net.work, 1)):
        return Factor(a.at, a.row, 1, False, False, 0)
    packers = packing_team(net, rows, inner, team)
    packed = place_of_packed(net, packers, team)
    pack_rows(packed, a, rows, inner, packers)
    meet(packers)
    return Factor(packed, 1, TALL, True, packers.n_threads > 1, beyond_tickets(net, team))


@inlined
def ready_columns(net, a, rows, inner, row, team):
    """Return A, of (rows, inner) in rows of its transpose, as a Factor, like `ready_rows`."""
    if not is_wide(rows, inner, row, lanes(net.work, 1)):
        return Factor(a.at, 1, a.row, False, False, 0)
    packers = packing_team(net, rows, inner, team)
    packed = place_of_packed(net, packers, team)
    pack_columns(packed, a, rows, inner, packers)
    meet(packers)
    return Factor(packed, 1, TALL, True, packers.n_threads > 1, beyond_tickets(net, team))


@inlined
def multiply_rows(net, c, a, row, b, extent, start, eta, ahead):
    """C ← s + A B or C ← C − η(s + A B), as `tile.multiply`, for the rows of a Factor A from `row` on."""
    if a.packed:
        ticket = PART_VECTORS * lanes(net.work, 1)
        beyond = a.beyond if extent.columns == ticket else 0
        packed = at(a.at, row // TALL * room_of(extent.inner, lanes(net.work, 1)))
        multiply_wide(c, packed, b, extent, start, eta, beyond)
    else:
        multiply(c, Operand(at(a.at, row * a.row), a.row, a.step), b, extent, start, eta, ahead)
