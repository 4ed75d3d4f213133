"""Mirrors: copies of Θˡ in rows of n_l, as the method writes it, for l = 2 … L − 1. Parameters have rows of n_{l+1}."""

from .codes import Extent, Operand
from .jit import inlined, inner
from .llvm import at, lanes, number_of, splat, store_first
from .team import slice_of_lines
from .tile import multiply, transpose
from .tuning import MIRROR_SAVES


@inner
def leads(layer, above, width):
    """Return whether a step of plain SGD moves the mirror, and the parameters are copied from it.

    It does if the products of the mirror need at least a fifth fewer registers: rows of 10 leave 6 of 16 lanes empty.
    """
    registers = above.n * ((layer.n + width - 1) // width)
    others = layer.n * ((above.n + width - 1) // width)
    return layer.n >= width and MIRROR_SAVES * registers <= (MIRROR_SAVES - 1) * others


@inlined
def mirror_weights(net, layer, above, team):
    """Copy Θˡ to the mirror: this thread's part of its columns."""
    first, columns = slice_of_lines(layer.n, lanes(net.work, 1), team)
    transpose(
        Operand(at(net.work, layer.mirror + first), layer.width, 1),
        Operand(at(net.parameters, layer.theta + first * above.width), above.width, 1),
        columns,
        above.n,
        above.width,
    )


@inlined
def descend_mirror(net, layer, above, m, eta, team):
    """Θˡ ← Θˡ − η (δˡ⁺¹)ᵀ aˡ for m samples in the mirror, then in the parameters: this thread's part of its columns."""
    width = lanes(net.work, 1)
    first, columns = slice_of_lines(layer.n, width, team)
    mirror = Operand(at(net.work, layer.mirror + first), layer.width, 1)
    multiply(
        mirror,
        Operand(at(net.work, above.delta), 1, above.width),
        Operand(at(net.work, layer.a + first), layer.width, 1),
        Extent(above.n, columns, m),
        Operand(at(net.work, net.zeros), 0, 0),
        eta,
        0,
    )
    if columns % width > 0:  # the padding of aˡ is f(0), but the padding of δˡ must be 0
        for j in range(above.n):
            store_first(mirror.at, j * layer.width + columns, splat(number_of(net.work, 0), 1), width - columns % width)
    transpose(
        Operand(at(net.parameters, layer.theta + first * above.width), above.width, 1),
        mirror,
        min(max(above.n, width), above.width),  # whole squares if Θˡ has room; rows without an output are 0 in both
        columns,
        columns,
    )
