"""The SIMD type of the kernels, and other LLVM instructions for which Numba has no name.

A `Vector(dtype, lanes)` is a value: one LLVM vector, which LLVM can compile for any CPU. It is loaded from a 1-D array
or a pointer (`at`) and stored there. It combines by + − × ÷ with vectors of its type, and with plain numbers, which
take its dtype: a literal never widens it. The level's registers hold `REGISTER` bytes, and `part` = 1, 2, 4 asks for
the lanes of a whole register, a half or a quarter. Access to memory has no bounds checks, and negative indices don't
wrap.
"""

import operator

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

from .levels import REGISTER


class Vector(types.Type):
    """The Numba type of `lanes` numbers of one dtype."""

    def __init__(self, dtype, lanes):
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"Vector({dtype}, {lanes})")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """An LLVM vector, in registers as in memory."""

    def __init__(self, dmm, fe_type):
        element = dmm.lookup(fe_type.dtype).get_value_type()
        super().__init__(dmm, fe_type, ir.VectorType(element, fe_type.lanes))


def lanes_of(dtype, part=1):
    """Return how many numbers of a Numba float type make a `part`-th of a register; at least one."""
    return max(REGISTER * 8 // dtype.bitwidth // part, 1)


def _lanes(dtype, part):
    """Return the lanes for `part` as kernels write it: a literal, or a vector with as many lanes."""
    return part.lanes if isinstance(part, Vector) else lanes_of(dtype, part.literal_value)


# Helpers of code generators, which are functions of (context, builder, signature, arguments)


def _integers(vector):
    return ir.VectorType(ir.IntType(vector.dtype.bitwidth), vector.lanes)


def _constant(vector, number, integer=False):
    element = (
        ir.IntType(vector.dtype.bitwidth)
        if integer
        else {32: ir.FloatType(), 64: ir.DoubleType()}[vector.dtype.bitwidth]
    )
    return ir.Constant(ir.VectorType(element, vector.lanes), [ir.Constant(element, number)] * vector.lanes)


def _spread(context, builder, value, source, vector):
    """Return a vector as it is, and a number cast to the vector's dtype, in every lane."""
    if source == vector:
        return value
    number = context.cast(builder, value, source, vector.dtype)
    out = context.get_value_type(vector)
    first = builder.insert_element(ir.Constant(out, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), vector.lanes), None))


def _halves(builder, value):
    """Return the first and the last half of a vector's lanes."""
    count = value.type.count // 2
    lanes = (ir.Constant(ir.VectorType(ir.IntType(32), count), list(range(i, i + count))) for i in (0, count))
    return [builder.shuffle_vector(value, value, half) for half in lanes]


def _joined(builder, first, last):
    """Return the lanes of two vectors of one type, one after the other."""
    count = 2 * first.type.count
    return builder.shuffle_vector(first, last, ir.Constant(ir.VectorType(ir.IntType(32), count), list(range(count))))


def _pointing(builder, pointer, kind):
    """Return the pointer for a load or store of a `kind`. Numba still makes typed pointers, which llvmlite checks."""
    return pointer if pointer.type.is_opaque else builder.bitcast(pointer, kind.as_pointer())


def _load(builder, pointer, kind, align=None):
    return builder.load(_pointing(builder, pointer, kind), align=align, typ=kind)


def _store(builder, value, pointer, align=None):
    builder.store(value, _pointing(builder, pointer, value.type), align=align)


def _behind(builder, pointer, count, kind):
    """Return the place that is `count` times the size of a `kind` behind a pointer."""
    return builder.gep(_pointing(builder, pointer, kind), [count], source_etype=kind)


def _address(context, builder, memory, value, index):
    data = context.make_array(memory)(context, builder, value).data if isinstance(memory, types.Array) else value
    return _behind(builder, data, index, context.get_data_type(memory.dtype))


def _call_llvm(builder, name, out, arguments):
    """Call one of LLVM's own functions, whose full name is `name`, and which returns an `out`."""
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(out, [a.type for a in arguments]), name)
    return builder.call(function, arguments)


def _call(builder, name, out, arguments):
    """Call LLVM's function `name` of numbers or vectors, which returns one of them."""
    suffix = f"{f'v{out.count}' if isinstance(out, ir.VectorType) else ''}f{32 if 'float' in str(out) else 64}"
    return _call_llvm(builder, f"llvm.{name}.{suffix}", out, arguments)


# Memory


@intrinsic
def at(typing, memory, i):
    """Return a pointer to element i of a 1-D array, or to the i-th element behind a pointer."""

    def generate(context, builder, signature, args):
        return _address(context, builder, signature.args[0], *args)

    return types.CPointer(memory.dtype)(memory, types.intp), generate


@intrinsic
def get(typing, memory, i):
    """Return element i of a 1-D array or behind a pointer."""

    def generate(context, builder, signature, args):
        place = _address(context, builder, signature.args[0], *args)
        return _load(builder, place, context.get_value_type(memory.dtype))

    return memory.dtype(memory, types.intp), generate


@intrinsic
def record(typing, kind, memory, i):
    """Return the numbers from element i on as a named tuple of that class."""
    fields = len(kind.instance_class._fields)
    out = types.NamedUniTuple(memory.dtype, fields, kind.instance_class)

    def generate(context, builder, signature, args):
        number = context.get_value_type(memory.dtype)
        first = _address(context, builder, signature.args[1], *args[1:])
        places = (_behind(builder, first, ir.Constant(ir.IntType(64), f), number) for f in range(fields))
        return context.make_tuple(builder, out, [_load(builder, place, number) for place in places])

    return out(kind, memory, types.intp), generate


@intrinsic
def put(typing, memory, i, number):
    """Store a number, cast to the memory's dtype, as element i."""

    def generate(context, builder, signature, args):
        _store(builder, args[2], _address(context, builder, signature.args[0], *args[:2]))
        return context.get_dummy_value()

    return types.none(memory, types.intp, memory.dtype), generate


@intrinsic
def number_of(typing, memory, number):
    """Return a number, cast to the dtype of an array or pointer."""

    def generate(context, builder, signature, args):
        return context.cast(builder, args[1], number, memory.dtype)

    return memory.dtype(memory, number), generate


@intrinsic(prefer_literal=True)
def lanes(typing, memory, part):
    """Return how many numbers `load(memory, i, part)` reads. LLVM sees a constant."""
    count = _lanes(memory.dtype, part)
    return types.intp(memory, part), lambda context, builder, signature, args: ir.Constant(ir.IntType(64), count)


@intrinsic(prefer_literal=True)
def load(typing, memory, i, part):
    """Return the vector that starts at element i. It need not be aligned."""
    vector = Vector(memory.dtype, _lanes(memory.dtype, part))

    def generate(context, builder, signature, args):
        pointer = _address(context, builder, signature.args[0], *args[:2])
        return _load(builder, pointer, context.get_value_type(vector), align=vector.dtype.bitwidth // 8)

    return vector(memory, types.intp, part), generate


def _first(builder, vector, count):
    """Return the mask of a vector's first lanes."""
    index = ir.VectorType(ir.IntType(32), vector.lanes)
    count = builder.insert_element(ir.Constant(index, ir.Undefined), count, ir.Constant(ir.IntType(32), 0))
    count = builder.shuffle_vector(count, count, ir.Constant(index, None))
    return builder.icmp_signed("<", ir.Constant(index, list(range(vector.lanes))), count)


def _masked(context, builder, name, vector, pointer, arguments):
    kind = context.get_value_type(vector)
    align, place = ir.Constant(ir.IntType(32), vector.dtype.bitwidth // 8), _pointing(builder, pointer, kind)
    if name == "load":
        out, arguments = kind, [place, align, *arguments]
    else:
        out, arguments = ir.VoidType(), [arguments[0], place, align, arguments[1]]
    return _call_llvm(builder, f"llvm.masked.{name}.v{vector.lanes}f{vector.dtype.bitwidth}.p0", out, arguments)


@intrinsic
def load_first(typing, memory, i, count):
    """Return the full vector whose first `count` lanes are loaded from element i on. The others are 0."""
    vector = Vector(memory.dtype, lanes_of(memory.dtype))

    def generate(context, builder, signature, args):
        pointer = _address(context, builder, signature.args[0], *args[:2])
        zero = ir.Constant(context.get_value_type(vector), None)
        return _masked(context, builder, "load", vector, pointer, [_first(builder, vector, args[2]), zero])

    return vector(memory, types.intp, types.int32), generate


@intrinsic
def store_first(typing, memory, i, vector, count):
    """Store the first `count` lanes from element i on."""

    def generate(context, builder, signature, args):
        pointer = _address(context, builder, signature.args[0], *args[:2])
        _masked(context, builder, "store", vector, pointer, [args[2], _first(builder, vector, args[3])])
        return context.get_dummy_value()

    return types.none(memory, types.intp, vector, types.int32), generate


@intrinsic
def store(typing, memory, i, vector):
    """Store a vector from element i on."""

    def generate(context, builder, signature, args):
        pointer = _address(context, builder, signature.args[0], *args[:2])
        _store(builder, args[2], pointer, align=vector.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(memory, types.intp, vector), generate


@intrinsic
def prefetch(typing, memory, i):
    """Ask for the cache line of element i, which is read soon. The address may be anywhere."""

    def generate(context, builder, signature, args):
        place = _pointing(builder, _address(context, builder, signature.args[0], *args), ir.IntType(8))
        to_read, into_all_caches, data = (ir.Constant(ir.IntType(32), value) for value in (0, 3, 1))
        _call_llvm(builder, "llvm.prefetch.p0", ir.VoidType(), [place, to_read, into_all_caches, data])
        return context.get_dummy_value()

    return types.none(memory, types.intp), generate


@intrinsic(prefer_literal=True)
def splat(typing, number, part):
    """Return a vector with a number in every lane."""
    vector = Vector(number.dtype if hasattr(number, "dtype") else number, _lanes(number, part))

    def generate(context, builder, signature, args):
        return _spread(context, builder, args[0], number, vector)

    return vector(number, part), generate


@intrinsic(prefer_literal=True)
def ramp(typing, memory, part):
    """Return a vector of the memory's dtype with 0, 1, 2 … in its lanes."""
    vector = Vector(memory.dtype, _lanes(memory.dtype, part))

    def generate(context, builder, signature, args):
        return ir.Constant(context.get_value_type(vector), [float(lane) for lane in range(vector.lanes)])

    return vector(memory, part), generate


# Arithmetic


def _operator(op, instruction, arity=2):
    @type_callable(op)
    def typer_of(context):
        def unary(a):
            return a if isinstance(a, Vector) else None

        def binary(a, b):
            vector = a if isinstance(a, Vector) else b
            fits = isinstance(vector, Vector) and all(t == vector or isinstance(t, types.Number) for t in (a, b))
            return vector if fits else None

        return unary if arity == 1 else binary

    def generate(context, builder, signature, args):
        values = (
            _spread(context, builder, v, t, signature.return_type) for v, t in zip(args, signature.args, strict=True)
        )
        return getattr(builder, instruction)(*values)

    for kinds in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)) if arity == 2 else ((Vector,),):
        lower_builtin(op, *kinds)(generate)


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")
_operator(operator.truediv, "fdiv")
_operator(operator.neg, "fneg", arity=1)


@intrinsic
def fma(typing, a, b, c):
    """Return a × b + c of vectors or numbers, with one rounding if the level has the instruction."""
    out = next((t for t in (a, b, c) if isinstance(t, Vector)), c)

    def generate(context, builder, signature, args):
        if isinstance(out, Vector):
            args = [_spread(context, builder, v, t, out) for v, t in zip(args, (a, b, c), strict=True)]
        else:
            args = [context.cast(builder, v, t, out) for v, t in zip(args, (a, b, c), strict=True)]
        return _call(builder, "fmuladd", args[0].type, args)

    return out(a, b, c), generate


def _unary(name, doc):
    def typer(typing, x):
        def generate(context, builder, signature, args):
            return _call(builder, name, args[0].type, args)

        return x(x), generate

    typer.__name__, typer.__doc__ = name, doc
    return intrinsic(typer)


absolute = _unary("fabs", "|x|.")
square_root = _unary("sqrt", "√x.")


def _choice(comparison, doc):
    def typer(typing, a, b, x, y):
        out = next(t for t in (a, b, x, y) if isinstance(t, Vector))

        def generate(context, builder, signature, args):
            a, b, x, y = (_spread(context, builder, v, t, out) for v, t in zip(args, signature.args, strict=True))
            return builder.select(builder.fcmp_ordered(comparison, a, b), x, y)

        return out(a, b, x, y), generate

    typer.__doc__ = doc
    return intrinsic(typer)


where_less = _choice("<", "Return x where a < b, else y. A NaN is not less.")
where_equal = _choice("==", "Return x where a = b, else y. A NaN is not equal.")
