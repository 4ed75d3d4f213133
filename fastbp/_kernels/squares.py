"""Vectors that are square matrices: SIDE × SIDE numbers, row by row, and the products of such squares.

`across` repeats SIDE numbers from memory in every row of a square, and `down` in every column. With these, A Bᵀ or A B
takes SIDE multiply-adds. A vector may also be several squares, for as many groups of samples. Their instructions
overlap, whereas those for one square wait for each other.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .llvm import Vector, _behind, _call, _first, _halves, _load, _masked, _store
from .shapes import SIDE, beside

LANES = range(SIDE * SIDE)
TRANSPOSED = [lane % SIDE * SIDE + lane // SIDE for lane in LANES]


def _row(memory):
    return Vector(memory.dtype, SIDE)


def _count(memory, several):
    """Return 1, or how many squares are processed side by side."""
    return beside(memory.dtype.bitwidth // 8) if several.literal_value else 1


def _squares(memory, count=1):
    return Vector(memory.dtype, SIDE * SIDE * count)


def _shuffled(builder, value, lanes, other=None):
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes))
    return builder.shuffle_vector(value, value if other is None else other, mask)


def _beside(builder, squares):
    """Join squares to one vector, of which LLVM keeps each square in a register of its own."""
    while len(squares) > 1:
        pairs = zip(squares[::2], squares[1::2], strict=True)
        squares = [_shuffled(builder, a, range(2 * a.type.count), b) for a, b in pairs]
    return squares[0]


def _apart(builder, value):
    """Return the squares that are side by side in a vector."""
    starts = range(0, value.type.count, SIDE * SIDE)
    return [_shuffled(builder, value, [start + lane for lane in LANES]) for start in starts]


def _places(builder, i, step, count):
    """Return where `count` squares begin, which are `step` numbers apart."""
    return [builder.add(i, builder.mul(step, step.type(g))) for g in range(count)]


def _place(context, builder, pointer, offset, vector):
    return _behind(builder, pointer, offset, context.get_value_type(vector.dtype))


def _load_row(context, builder, pointer, offset, vector):
    place = _place(context, builder, pointer, offset, vector)
    return _load(builder, place, context.get_value_type(vector), align=vector.dtype.bitwidth // 8)


def _stacked(builder, rows):
    halves = [_shuffled(builder, rows[i], range(2 * SIDE), rows[i + 1]) for i in (0, 2)]
    return _shuffled(builder, halves[0], LANES, halves[1])


def _product(builder, total, a, rows):
    """Return total + A B, with each row of B repeated in every row.

    The multiply-adds are two chains of two, because tiny networks wait for such chains.
    """
    count = total.type.count // a.type.count
    columns = [_shuffled(builder, a, [lane // SIDE * SIDE + c for lane in LANES]) for c in range(SIDE)]
    columns = [_beside(builder, [column] * count) for column in columns]
    other = builder.fmul(columns[2], rows[2])
    total = _call(builder, "fmuladd", total.type, (columns[0], rows[0], total))
    total = _call(builder, "fmuladd", total.type, (columns[1], rows[1], total))
    other = _call(builder, "fmuladd", total.type, (columns[3], rows[3], other))
    return builder.fadd(total, other)


@intrinsic(prefer_literal=True)
def across(typing, memory, i, step, several):
    """Return one or several squares with the same SIDE numbers in every row: from element i on, and each `step` on."""
    count = _count(memory, several)

    def generate(context, builder, signature, args):
        places = _places(builder, *args[1:3], count)
        rows = [_load_row(context, builder, args[0], place, _row(memory)) for place in places]
        return _beside(builder, [_shuffled(builder, row, [lane % SIDE for lane in LANES]) for row in rows])

    return _squares(memory, count)(memory, types.intp, types.intp, several), generate


@intrinsic(prefer_literal=True)
def down(typing, memory, i, several):
    """Return one or several squares with SIDE numbers from element i on in every column."""
    count = _count(memory, several)

    def generate(context, builder, signature, args):
        row = _load_row(context, builder, *args[:2], _row(memory))
        return _beside(builder, [_shuffled(builder, row, [lane // SIDE for lane in LANES])] * count)

    return _squares(memory, count)(memory, types.intp, several), generate


@intrinsic
def load_row(typing, memory, i, count):
    """Return a row whose first `count` numbers are loaded from element i on. The others are 0."""
    vector = _row(memory)

    def generate(context, builder, signature, args):
        zero = ir.Constant(context.get_value_type(vector), None)
        pointer = _place(context, builder, args[0], args[1], vector)
        return _masked(context, builder, "load", vector, pointer, [_first(builder, vector, args[2]), zero])

    return vector(memory, types.intp, types.int32), generate


@intrinsic
def columns_of(typing, a, b, c, d):
    """Return the square with these four rows as its columns."""

    def generate(context, builder, signature, args):
        return _shuffled(builder, _stacked(builder, args), TRANSPOSED)

    return Vector(a.dtype, SIDE * SIDE)(a, b, c, d), generate


@intrinsic
def load_square(typing, memory, i):
    """Return the square from element i on."""

    def generate(context, builder, signature, args):
        return _load_row(context, builder, *args, _squares(memory))

    return _squares(memory)(memory, types.intp), generate


@intrinsic(prefer_literal=True)
def load_squares(typing, memory, i, step, several):
    """Return one square, or several that begin `step` elements apart."""
    count = _count(memory, several)

    def generate(context, builder, signature, args):
        places = _places(builder, *args[1:3], count)
        return _beside(builder, [_load_row(context, builder, args[0], place, _squares(memory)) for place in places])

    return _squares(memory, count)(memory, types.intp, types.intp, several), generate


@intrinsic
def store_squares(typing, memory, i, step, squares):
    """Store squares, each `step` elements behind the one before."""

    def generate(context, builder, signature, args):
        apart = _apart(builder, args[3])
        for place, square in zip(_places(builder, *args[1:3], len(apart)), apart, strict=True):
            pointer = _place(context, builder, args[0], place, _squares(memory))
            _store(builder, square, pointer, align=memory.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(memory, types.intp, types.intp, squares), generate


@intrinsic
def load_rows(typing, memory, row, count):
    """Return the first `count` of SIDE rows that are `row` numbers apart. The other rows repeat the last one."""

    def generate(context, builder, signature, args):
        pointer, row, count = args
        last, rows = builder.sub(count, count.type(1)), []
        for r in range(SIDE):
            inside = builder.icmp_signed("<", count.type(r), last)
            offset = builder.mul(row, builder.select(inside, count.type(r), last))
            rows.append(_load_row(context, builder, pointer, offset, _row(memory)))
        return _stacked(builder, rows)

    return _squares(memory)(memory, types.intp, types.intp), generate


@intrinsic
def store_rows(typing, memory, row, count, square):
    """Store the first `count` rows, `row` numbers apart."""

    def generate(context, builder, signature, args):
        pointer, row, count, value = args
        for r in range(SIDE):
            part = _shuffled(builder, value, range(r * SIDE, (r + 1) * SIDE))
            with builder.if_then(builder.icmp_signed(">", count, count.type(r)), likely=True):
                place = _place(context, builder, pointer, builder.mul(row, row.type(r)), _row(memory))
                _store(builder, part, place, align=memory.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(memory, types.intp, types.intp, square), generate


@intrinsic
def add_product(typing, total, a, b):
    """Return total + A Bᵀ of a square A, for each of the squares of b."""

    def generate(context, builder, signature, args):
        value, a_value, b_value = args
        columns = [[lane % SIDE * SIDE + c for lane in LANES] for c in range(SIDE)]
        apart = _apart(builder, b_value)
        rows = [_beside(builder, [_shuffled(builder, square, lanes) for square in apart]) for lanes in columns]
        return _product(builder, value, a_value, rows)

    return total(total, a, b), generate


@intrinsic
def add_product_of_rows(typing, total, a, memory, i):
    """Return total + A B, with B from element i on, because its rows are cheaper from memory than from a register."""

    def generate(context, builder, signature, args):
        value, a_value, pointer, i = args
        places = [builder.add(i, i.type(c * SIDE)) for c in range(SIDE)]
        rows = [_load_row(context, builder, pointer, place, _row(memory)) for place in places]
        rows = [_shuffled(builder, row, [lane % SIDE for lane in LANES]) for row in rows]
        return _product(builder, value, a_value, rows)

    return total(total, a, memory, types.intp), generate


@intrinsic
def transposed(typing, x):
    """Return the transpose of each square."""

    def generate(context, builder, signature, args):
        return _beside(builder, [_shuffled(builder, square, TRANSPOSED) for square in _apart(builder, args[0])])

    return x(x), generate


@intrinsic
def sums_of_lanes(typing, a, b, c, d):
    """Return a row of four numbers: the sums of the lanes of four vectors, each added in one fixed order."""

    def generate(context, builder, signature, args):
        values = list(args)
        while values[0].type.count > SIDE:
            values = [builder.fadd(*_halves(builder, value)) for value in values]
        while values[0].type.count < SIDE:
            count = values[0].type.count
            values = [_shuffled(builder, v, range(2 * count), ir.Constant(v.type, None)) for v in values]
        for low, high in (((0, 4, 1, 5), (2, 6, 3, 7)), ((0, 1, 4, 5), (2, 3, 6, 7))):
            values = [
                builder.fadd(_shuffled(builder, x, low, y), _shuffled(builder, x, high, y))
                for x, y in zip(values[::2], values[1::2], strict=True)
            ]
        return values[0]

    return Vector(a.dtype, SIDE)(a, b, c, d), generate


@intrinsic
def joined(typing, x):
    """Return the sum of the squares of a vector."""

    def generate(context, builder, signature, args):
        value = args[0]
        while value.type.count > SIDE * SIDE:
            value = builder.fadd(*_halves(builder, value))
        return value

    return _squares(x)(x), generate


def _over_columns(combine, doc):
    def combined(typing, x):
        def generate(context, builder, signature, args):
            value = args[0]
            for distance in (SIDE * 2, SIDE):
                turned = _shuffled(builder, value, [(lane + distance) % (SIDE * SIDE) for lane in LANES])
                value = combine(builder, value, turned)
            return value

        return x(x), generate

    combined.__doc__ = doc
    return intrinsic(combined)


column_sums = _over_columns(
    lambda builder, a, b: builder.fadd(a, b), "Return the sum of each column, in all places of the column."
)
column_maxima = _over_columns(
    lambda builder, a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b),
    "Return the largest number of each column, in all places of the column.",
)


def _numbers(of_lane, doc):
    def typer(typing, memory):
        vector = memory if isinstance(memory, Vector) else _squares(memory)

        def generate(context, builder, signature, args):
            return ir.Constant(context.get_value_type(vector), [float(of_lane(lane)) for lane in range(vector.lanes)])

        return vector(memory), generate

    typer.__doc__ = doc
    return intrinsic(typer)


row_numbers = _numbers(lambda lane: lane // SIDE % SIDE, "Return a square with the number of the row in each place.")
column_numbers = _numbers(
    lambda lane: lane % SIDE + lane // (SIDE * SIDE) * SIDE,
    "Return squares with the number of the column in each place, counted through all squares.",
)
zeros = _numbers(lambda lane: 0, "Return a square of zeros.")
