"""The user's own loss: it is compiled once, as a loop over outputs, which kernels call by its address."""

from functools import cache
from typing import Any

from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

from .jit import c_function

NAN = float("nan")


@cache  # also keeps the machine code alive
def compiled_loss(formula, dtype):
    """Return a C function that computes a loss: it stores δ for a row and returns Σ ℓ.

    The arguments of the C function are pointers to a, y and δ of a row, how many numbers they have, and a factor for δ.

    Parameters
    ----------
    formula : compiled function of an output and its target, which returns the loss and its derivative by the output
    dtype : name of the dtype
    """
    pointer = types.CPointer(getattr(types, dtype))

    @c_function(types.float64(pointer, pointer, pointer, types.intp, types.float64))
    def loss(a, y, delta, count, scale):
        outputs, targets, errors = carray(a, count), carray(y, count), carray(delta, count)
        total = 0.0
        for i in range(count):
            errors[i] = NAN  # it stays if the formula raises an error
        for i in range(count):
            value, derivative = formula(outputs[i], targets[i])
            total += value
            errors[i] = derivative * scale
        return total

    return loss


def loss_address(formula: Any, dtype: str) -> int:
    """Return the address of the compiled loop of a loss in this process."""
    return compiled_loss(formula, dtype).address


@intrinsic
def call_loss(typing, address, a, y, delta, count, scale):
    """Call the function that compiled_loss returned, by its address."""

    def generate(context, builder, signature, args):
        pointers = [args[1].type, args[2].type, args[3].type]
        kind = ir.FunctionType(ir.DoubleType(), [*pointers, ir.IntType(64), ir.DoubleType()])
        # A typed pointer, because llvmlite finds the type of a called function in its pointer only.
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])

    return types.float64(types.intp, a, y, delta, types.intp, types.float64), generate
