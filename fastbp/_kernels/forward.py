"""a¹ → zᴸ: the part of one thread, layer by layer, with a meeting after each."""

from .activations import activate
from .codes import Extent, Layer, Operand, Share
from .jit import kernel
from .llvm import HEIGHT, at, lanes
from .team import meet, share, slice_of
from .tile import multiply, transpose


@kernel
def layer_of(plan, l):
    """Row l of the table."""
    t = plan.layers
    return Layer(t[l, 0], t[l, 1], t[l, 2], t[l, 3], t[l, 4], t[l, 5], t[l, 6])


@kernel
def rows_of(work, offset, layer, row):
    """An Operand of what the workspace has of a layer from some row on."""
    return Operand(at(work, offset + row * layer.width), layer.width, 1)


@kernel
def mirror_weights(buffers, layer, above, team):
    """Θˡ in rows of n_l for δΘ: this thread's part of the rows of the stored Θˡ."""
    first, rows = slice_of(layer.n, lanes(buffers.work, 1), team)
    transpose(
        Operand(at(buffers.work, layer.mirror + first), layer.width, 1),
        Operand(at(buffers.parameters, layer.theta + first * above.width), above.width, 1),
        rows,
        above.n,
    )


@kernel
def affine(buffers, a, layer, above, mine):
    """zˡ⁺¹ = aˡ Θˡᵀ + bˡ for this thread's share of zˡ⁺¹; method.md, step 1."""
    theta = at(buffers.parameters, layer.theta + mine.column)
    z = Operand(at(buffers.work, above.a + mine.row * above.width + mine.column), above.width, 1)
    multiply(
        z,
        Operand(at(a.at, mine.row * a.row), a.row, 1),
        Operand(theta, above.width, 1),
        Extent(mine.rows, mine.columns, layer.n),
        Operand(at(theta, layer.n * above.width), 0, 1),
        buffers.parameters.dtype.type(0),
    )
    return z


@kernel
def forward(plan, buffers, x, m, learning, team):
    """From x = a¹ of m samples to zᴸ in the workspace, where each thread has its own rows of it; method.md, step 1.

    `learning` leaves the mirrors of Θ for the way back.
    """
    last = plan.layers.shape[0] - 1
    layer, a = layer_of(plan, 0), x
    for l in range(1, last + 1):
        above = layer_of(plan, l)
        if learning and l > 1:
            mirror_weights(buffers, layer, above, team)
        if l == last:  # by rows, so that the output errors need no meeting
            first, rows = slice_of(m, HEIGHT, team)
            affine(buffers, a, layer, above, Share(first, rows, 0, above.n))
        else:
            mine = share(m, above.n, HEIGHT, lanes(buffers.work, 1), team)
            z = affine(buffers, a, layer, above, mine)
            activate(z, mine.rows, mine.columns, above.activation)
            meet(team)
        layer, a = above, rows_of(buffers.work, above.a, above, 0)
