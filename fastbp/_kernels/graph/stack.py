"""Numbers on the stack, and copies between them and columns of matrices."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..jit import inlined
from ..levels import LINE, REGISTER
from ..llvm import at, get, lanes, put
from .places import clear

LANES = REGISTER // 4  # at most, of a vector of any dtype


@intrinsic(prefer_literal=True)
def on_stack(typing, memory, count):
    """Return a pointer to `count` numbers, a constant, of the memory's dtype. They last until the caller returns."""

    def generate(context, builder, signature, args):
        kind = context.get_value_type(memory.dtype)
        with builder.goto_entry_block():
            place = builder.alloca(kind, size=ir.Constant(ir.IntType(64), count.literal_value))
        place.align = LINE
        return place

    return types.CPointer(memory.dtype)(memory, count), generate


@inlined
def read_column(net, target, source, row, count):
    """Copy count numbers, at least one, which are `row` apart, to a run, and zeros up to the end of its last vector."""
    clear(net, at(target, (count - 1) // lanes(target, 1) * lanes(target, 1)), 1)
    for r in range(count):
        put(target, r, get(source, r * row))


@inlined
def write_number(memory, i, number, adds):
    """Store a number as element i, or add it to the element."""
    put(memory, i, get(memory, i) + number if adds else number)
