"""a¹ → zᴸ: the part of one thread, layer by layer, with a meeting after each."""

from .activations import activate
from .addresses import layer_of, rows_of
from .codes import LEAKY_RELU, Extent, Operand, Share
from .dropout import drop_out
from .jit import inlined
from .llvm import at, get, lanes
from .mirrors import leads, mirror_weights
from .team import draw, meet, part, share, slice_of, tickets_of
from .tuning import HEIGHT, TALL
from .wide import is_wide, multiply_rows, pack_rows


@inlined
def affine(net, a, layer, above, mine, packed):
    """zˡ⁺¹ = aˡ Θˡᵀ + bˡ for this thread's share of zˡ⁺¹, with aˡ as it is or packed; method.md, step 1."""
    theta = at(net.parameters, layer.theta + mine.column)
    z = Operand(at(net.work, above.a + mine.row * above.width + mine.column), above.width, 1)
    weights, extent = Operand(theta, above.width, 1), Extent(mine.rows, mine.columns, layer.n)
    bias = Operand(at(theta, layer.n * above.width), 0, 1)
    multiply_rows(net, z, a, mine.row, weights, extent, bias, packed)
    return z


@inlined
def activate_share(net, z, layer, mine, number, dropping):
    """zˡ → aˡ for this thread's share of layer l, and f′(zˡ) where it is kept; without the units that are dropped."""
    slope = at(net.work, layer.slope + mine.row * layer.width + mine.column)
    rate = get(net.dropout, number - 1) if dropping.active else 0.0
    activate(z, slope, mine.rows, mine.columns, layer.activation, layer.activation >= LEAKY_RELU or rate > 0)
    if rate > 0:
        place = Share(dropping.row + mine.row, mine.rows, mine.column, mine.columns)
        drop_out(z, slope, place, layer.n, rate, dropping.batch, number, dropping.seed)


@inlined
def forward(net, x, m, learning, current, dropping, team):
    """From x = a¹ of m samples to zᴸ in the workspace, where each thread has its own rows of it; method.md, step 1.

    `learning` leaves the mirrors of Θ for the way back, which are `current` after a step that they led. dropping:
    Dropping, which samples go without which units.
    """
    last = net.depth - 1
    layer, a = layer_of(net, 0), x
    width = lanes(net.work, 1)
    for l in range(1, last + 1):
        above = layer_of(net, l)
        if learning and l > 1 and not (current and leads(layer, above, width)):
            mirror_weights(net, layer, above, team)
        packed = is_wide(m, layer.n, above.width, width)
        if packed:
            pack_rows(at(net.work, net.packed), a, m, layer.n, team)
            meet(team)
        height = TALL if packed else HEIGHT
        by_rows = l == last and not packed  # so that the output errors need no meeting
        tickets = 0 if by_rows else tickets_of(above.n, layer.n * above.width, width, team)
        ticket = draw(team) if tickets > 0 else 0
        while ticket < max(tickets, 1):
            if tickets > 0:
                mine = part(m, above.n, height, width, ticket, team)
            elif by_rows:
                first, rows = slice_of(m, height, team)
                mine = Share(first, rows, 0, above.n)
            else:
                mine = share(m, above.n, height, width, team)
            z = affine(net, a, layer, above, mine, packed)
            if l < last:
                activate_share(net, z, above, mine, l + 1, dropping)
            ticket = draw(team) if tickets > 0 else 1
        if not by_rows:
            meet(team)
        layer, a = above, rows_of(net.work, above.a, above, 0)
