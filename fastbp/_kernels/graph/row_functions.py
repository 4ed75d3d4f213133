"""The user's own loss of rows. The base kernels call it like a loss of outputs (foreign.py)."""

from functools import cache
from typing import Any

from numba import carray, literal_unroll, types
from numba.extending import overload

from ..foreign import NAN
from ..jit import c_function


def store_scaled(errors, gradient, scale):
    """Store the numbers of a gradient, an array or a tuple, times a factor."""


@overload(store_scaled)
def _store_scaled(errors, gradient, scale):
    def of_tuple(errors, gradient, scale):
        i = 0
        for derivative in literal_unroll(gradient):  # whose types may differ
            errors[i] = derivative * scale
            i += 1

    def of_array(errors, gradient, scale):
        for i in range(len(gradient)):
            errors[i] = gradient[i] * scale

    return of_tuple if isinstance(gradient, types.BaseTuple) else of_array


@cache  # also keeps the machine code alive
def compiled_row_loss(formula, dtype, n_targets):
    """Return a C function that computes a loss: it stores δ for a row and returns the loss.

    Parameters
    ----------
    formula : compiled function of outputs and targets, arrays, which returns the loss and its gradient by the outputs
    dtype : name of the dtype
    n_targets : how many numbers of a row of targets are targets
    """
    pointer = types.CPointer(getattr(types, dtype))

    @c_function(types.float64(pointer, pointer, pointer, types.intp, types.float64))
    def loss(a, y, delta, count, scale):
        outputs, targets, errors = carray(a, count), carray(y, n_targets), carray(delta, count)
        for i in range(count):
            errors[i] = NAN  # it stays if the formula raises an error, or returns another number of derivatives
        value, gradient = formula(outputs, targets)
        if len(gradient) == count:
            store_scaled(errors, gradient, scale)
        return value

    return loss


def row_loss_address(formula: Any, dtype: str, n_targets: int) -> int:
    """Return the address of the compiled loss of rows in this process."""
    return compiled_row_loss(formula, dtype, n_targets).address
