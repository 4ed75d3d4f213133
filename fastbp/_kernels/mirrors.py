"""Mirrors: Θˡ as the method writes it, rows of n_l, beside the parameters' rows of n_{l+1}; for l = 2 … L − 1."""

from .codes import Extent, Operand
from .jit import inlined, inner
from .llvm import at, lanes, number_of, splat, store_first
from .team import slice_of
from .tile import multiply, transpose
from .tuning import MIRROR_SAVES


@inner
def leads(layer, above, width):
    """Whether the mirror is what a step of plain SGD moves, and the parameters follow.

    It is where its products fill at least a fifth less registers: those of 64 by 10 leave 6 lanes of 16 empty.
    """
    registers = above.n * ((layer.n + width - 1) // width)
    others = layer.n * ((above.n + width - 1) // width)
    return layer.n >= width and MIRROR_SAVES * registers <= (MIRROR_SAVES - 1) * others


@inlined
def mirror_weights(net, layer, above, team):
    """Θˡ into the mirror: this thread's part of its columns."""
    first, columns = slice_of(layer.n, lanes(net.work, 1), team)
    transpose(
        Operand(at(net.work, layer.mirror + first), layer.width, 1),
        Operand(at(net.parameters, layer.theta + first * above.width), above.width, 1),
        columns,
        above.n,
        above.width,
    )


@inlined
def descend_mirror(net, layer, above, m, eta, team):
    """Θˡ ← Θˡ − η (δˡ⁺¹)ᵀ aˡ of m samples in the mirror, then in the parameters: this thread's part of its columns."""
    width = lanes(net.work, 1)
    first, columns = slice_of(layer.n, width, team)
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
    if columns % width > 0:  # beside aˡ is what f makes of 0, and beside δˡ there must be 0
        for j in range(above.n):
            store_first(mirror.at, j * layer.width + columns, splat(number_of(net.work, 0), 1), width - columns % width)
    transpose(
        Operand(at(net.parameters, layer.theta + first * above.width), above.width, 1),
        mirror,
        min(max(above.n, width), above.width),  # whole squares, if Θˡ has room; rows of no output are 0 in both
        columns,
        columns,
    )
