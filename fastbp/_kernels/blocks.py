"""Blocks of vectors in registers: tuples of rows × vectors, row by row.

The code generator writes out each vector. LLVM did not unroll loops over 16 vectors and kept them in memory, which took
45 times as long.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .llvm import Vector, _behind, _call, _load, _spread, _store, lanes_of
from .tuning import TALL

ODD = range(1, TALL, 2)  # multiples of a row


def _offset(builder, pointer, step, factor, kind):
    return _behind(builder, pointer, builder.mul(step, ir.Constant(step.type, factor)), kind)


def _rows(builder, pointer, apart, count, kind):
    """Return where rows of numbers of a kind begin: they are so many numbers apart, or as `multiples` says."""
    if not isinstance(apart.type, ir.ArrayType):
        return [_offset(builder, pointer, apart, r, kind) for r in range(count)]
    places = [pointer]
    for r in range(1, count):
        doubled = (r & -r).bit_length() - 1
        odd = builder.extract_value(apart, ((r >> doubled) - 1) // 2)
        bytes_apart = builder.mul(odd, odd.type(1 << doubled))
        places.append(_behind(builder, pointer, bytes_apart, ir.IntType(8)))
    return places


def _vector_behind(builder, pointer, vector, v):
    """Return where vector number v of a row begins. vector: its LLVM type."""
    return _behind(builder, pointer, ir.Constant(ir.IntType(64), v * vector.count), vector.element)


def _load_vector(context, builder, pointer, vector, v):
    kind = context.get_value_type(vector)
    return _load(builder, _vector_behind(builder, pointer, kind, v), kind, align=vector.dtype.bitwidth // 8)


def _block_type(memory, rows, vectors, part):
    vector = Vector(memory.dtype, lanes_of(memory.dtype, part.literal_value))
    return types.UniTuple(vector, rows.literal_value * vectors.literal_value)


@intrinsic
def hidden(typing, number):
    """Return the same number or pointer, about which LLVM then knows nothing."""

    def generate(context, builder, signature, args):
        return _hidden(builder, args[0])

    return number(number), generate


def _hidden(builder, value):
    return builder.call(ir.InlineAsm(ir.FunctionType(value.type, [value.type]), "", "=r,0"), [value])


@intrinsic
def multiples(typing, memory, row):
    """Return odd multiples of the bytes of a row, for the rows of a block.

    With these, one pointer serves for all rows, because addresses are computed within loads. Otherwise LLVM keeps one
    pointer for each row and moves them all in each step.
    """
    kind, size = types.UniTuple(types.intp, len(ODD)), memory.dtype.bitwidth // 8

    def generate(context, builder, signature, args):
        row = args[1]
        return context.make_tuple(builder, kind, [_hidden(builder, builder.mul(row, row.type(m * size))) for m in ODD])

    return kind(memory, types.intp), generate


@intrinsic(prefer_literal=True)
def read_block(typing, memory, apart, rows, vectors, part):
    """Return the block whose rows are so many numbers apart, or as `multiples` says."""
    block = _block_type(memory, rows, vectors, part)

    def generate(context, builder, signature, args):
        starts = _rows(builder, args[0], args[1], rows.literal_value, context.get_value_type(memory.dtype))
        places = [(start, v) for start in starts for v in range(vectors.literal_value)]
        return context.make_tuple(
            builder, block, [_load_vector(context, builder, start, block.dtype, v) for start, v in places]
        )

    return block(memory, apart, rows, vectors, part), generate


@intrinsic(prefer_literal=True)
def copies_of_row(typing, memory, rows, vectors, part):
    """Return the block whose rows all equal the one in memory."""
    block = _block_type(memory, rows, vectors, part)

    def generate(context, builder, signature, args):
        row = [_load_vector(context, builder, args[0], block.dtype, v) for v in range(vectors.literal_value)]
        return context.make_tuple(builder, block, row * rows.literal_value)

    return block(memory, rows, vectors, part), generate


@intrinsic(prefer_literal=True)
def write_block(typing, memory, apart, block, rows):
    """Store the block in rows, which are apart as in `read_block`."""
    count, vector = block.count // rows.literal_value, block.dtype

    def generate(context, builder, signature, args):
        starts = _rows(builder, args[0], args[1], rows.literal_value, context.get_value_type(memory.dtype))
        for i in range(block.count):
            value = builder.extract_value(args[2], i)
            place = _vector_behind(builder, starts[i // count], value.type, i % count)
            _store(builder, value, place, align=vector.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(memory, apart, block, rows), generate


@intrinsic(prefer_literal=True)
def add_outer_product(typing, block, a, apart, b, rows):
    """Return block[r, v] + a_r × b[v] for every vector of the block. The a_r are apart as in `read_block`."""
    count, vector = block.count // rows.literal_value, block.dtype

    def generate(context, builder, signature, args):
        held, a, apart, b, _ = args
        b = [_load_vector(context, builder, b, vector, v) for v in range(count)]
        out, kind = [], context.get_value_type(vector.dtype)
        for r, place in enumerate(_rows(builder, a, apart, rows.literal_value, kind)):
            number = _spread(context, builder, _load(builder, place, kind), vector.dtype, vector)
            out += [
                _call(builder, "fmuladd", b[v].type, (number, b[v], builder.extract_value(held, r * count + v)))
                for v in range(count)
            ]
        return context.make_tuple(builder, block, out)

    return block(block, a, apart, b, rows), generate


@intrinsic
def scaled_sum(typing, factor, x, y):
    """Return factor × x + y for two blocks."""

    def generate(context, builder, signature, args):
        number = _spread(context, builder, args[0], factor, x.dtype)
        return context.make_tuple(
            builder,
            x,
            [
                _call(
                    builder,
                    "fmuladd",
                    number.type,
                    (number, builder.extract_value(args[1], i), builder.extract_value(args[2], i)),
                )
                for i in range(x.count)
            ],
        )

    return x(factor, x, y), generate


def _interleaved(step, count, upper):
    """Return the lanes of the upper or lower row of two when blocks of `step` lanes transpose.

    The lanes of the second row count from `count` on.
    """
    if upper:
        return [lane + (count if lane & step else step) for lane in range(count)]
    return [lane + (count - step if lane & step else 0) for lane in range(count)]


def _transposed(builder, square):
    """Return the transpose of as many vectors as they have lanes."""
    square, count = list(square), len(square)
    step = count // 2
    while step:
        masks = [
            ir.Constant(ir.VectorType(ir.IntType(32), count), _interleaved(step, count, upper)) for upper in (0, 1)
        ]
        for i in (i for i in range(count) if not i & step):
            square[i], square[i + step] = (builder.shuffle_vector(square[i], square[i + step], mask) for mask in masks)
        step //= 2
    return square


@intrinsic
def transpose_square(typing, target, target_row, source, source_row):
    """Store the transpose of a square of a full vector's size. Rows are `…_row` numbers apart."""
    vector = Vector(source.dtype, lanes_of(source.dtype))

    def generate(context, builder, signature, args):
        kind = context.get_value_type(vector.dtype)
        rows = (_offset(builder, args[2], args[3], r, kind) for r in range(vector.lanes))
        square = _transposed(builder, [_load_vector(context, builder, row, vector, 0) for row in rows])
        for r, row in enumerate(square):
            _store(builder, row, _offset(builder, args[0], args[1], r, kind), align=vector.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(target, types.intp, source, types.intp), generate


@intrinsic(prefer_literal=True)
def pack_block(typing, target, source, source_row, rows):
    """Read a vector from each of some rows, and store them by columns: `rows` numbers for each column.

    Whole vectors are stored, so that the last of them reach beyond the columns.
    """
    vector, height = Vector(source.dtype, lanes_of(source.dtype)), rows.literal_value

    def generate(context, builder, signature, args):
        nothing, kind = ir.Constant(context.get_value_type(vector), None), context.get_value_type(vector.dtype)
        # The order is from the last rows to the first, and from the first column to the last. So what a vector has too
        # much is overwritten.
        for first in reversed(range(0, height, vector.lanes)):
            square = [
                nothing
                if r >= height
                else _load_vector(context, builder, _offset(builder, args[1], args[2], r, kind), vector, 0)
                for r in range(first, first + vector.lanes)
            ]
            for k, column in enumerate(_transposed(builder, square)):
                place = _behind(builder, args[0], ir.Constant(ir.IntType(64), k * height + first), kind)
                _store(builder, column, place, align=vector.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(target, source, types.intp, rows), generate
