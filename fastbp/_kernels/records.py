"""How kernels read records: the arguments of an entry, layers, and rows of samples."""

from functools import cache

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .calls import fields_of
from .codes import LAYER_FIELDS, Layer, Operand, Run
from .jit import inlined, inner
from .llvm import at, get, record


@cache
def record_type(kind, number):
    """Return the Numba type of a record of a class, for networks of a Numba float type."""
    return types.BaseTuple.from_types([field_type(field, number) for field in fields_of(kind)], kind)


def field_type(field, number):
    """Return the Numba type of a field."""
    if field.record:
        return record_type(field.record, number)
    scalar = (
        number
        if field.scalar == "number"
        else types.boolean
        if field.scalar == "bool"
        else getattr(types, field.scalar)
    )
    if not field.is_array:
        return scalar
    pointer = types.CPointer(scalar)
    return types.BaseTuple.from_types([pointer, types.int64], Run) if field.is_run else pointer


def _read(context, builder, kind, number, call, slot):
    """Return the LLVM value of a record that starts in a slot, and the slot behind it."""
    values = []
    for field in fields_of(kind):
        numba_type = field_type(field, number)
        if field.record:
            value, slot = _read(context, builder, field.record, number, call, slot)
        elif field.is_run:
            parts = [_slot(context, builder, part, call, slot + i) for i, part in enumerate(numba_type.types)]
            value, slot = context.make_tuple(builder, numba_type, parts), slot + 2
        else:
            value, slot = _slot(context, builder, numba_type, call, slot), slot + 1
        values.append(value)
    return context.make_tuple(builder, record_type(kind, number), values), slot


def _slot(context, builder, numba_type, call, slot):
    place = builder.gep(call, [ir.Constant(ir.IntType(64), slot)], source_etype=ir.IntType(64))
    if numba_type == types.boolean:
        return builder.icmp_unsigned("!=", builder.load(place, typ=ir.IntType(64)), ir.Constant(ir.IntType(64), 0))
    kind = context.get_value_type(numba_type)
    if not place.type.is_opaque:
        place = builder.bitcast(place, kind.as_pointer())
    return builder.load(place, typ=kind)


@intrinsic
def read(typing, kind, number, call):
    """Return the record of a class that lies in a call's slots. number: np.float32 or np.float64."""
    cls, dtype = kind.instance_class, number.dtype

    def generate(context, builder, signature, args):
        return _read(context, builder, cls, dtype, args[2], 0)[0]

    return record_type(cls, dtype)(kind, number, call), generate


@inlined
def sample(rows, i):
    """Return the row of the i-th sample in the epoch's order, or of the last sample if i is too large."""
    entries = rows.order.size
    return get(rows.order.at, min(i, entries - 1)) if entries > 0 else min(i, rows.n - 1)


@inner
def layer_of(net, l):
    """Return layer l. In all kernels, net is a Machine."""
    return record(Layer, net.layers, l * LAYER_FIELDS)


@inner
def rows_of(work, offset, layer, row):
    """Return an Operand: the rows of a layer in the workspace, from some row on."""
    return Operand(at(work, offset + row * layer.width), layer.width, 1)
