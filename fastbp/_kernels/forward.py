"""a¹ → zᴸ: the part of one thread. The threads meet after each layer."""

from .activations import activate
from .apart import apart
from .codes import LEAKY_RELU, Division, Dropping, Extent, Machine, Operand, Share, Team
from .dropout import drop_out
from .few import is_few, multiply_few
from .jit import inlined
from .llvm import at, get, lanes, number_of
from .mirrors import leads, mirror_weights
from .records import layer_of, rows_of
from .team import division, division_by_rows, first_share, keeps_rows, meet, next_share
from .tuning import HEIGHT
from .wide import is_wide, multiply_rows, ready_rows


@inlined
def affine(net, a, layer, above, mine):
    """zˡ⁺¹ = aˡ Θˡᵀ + bˡ for this thread's share of zˡ⁺¹, with aˡ as a Factor; method.md, step 1."""
    theta = at(net.parameters, layer.theta + mine.column)
    z = Operand(at(net.work, above.a + mine.row * above.width + mine.column), above.width, 1)
    weights, extent = Operand(theta, above.width, 1), Extent(mine.rows, mine.columns, layer.n)
    bias = Operand(at(theta, layer.n * above.width), 0, 1)
    if not a.packed and is_few(mine.rows, mine.columns, lanes(net.work, 1)):
        multiply_few(z, Operand(at(a.at, mine.row * a.row), a.row, 1), weights, extent, bias)
    else:
        multiply_rows(net, z, a, mine.row, weights, extent, bias, number_of(net.work, 0), 0)
    return z


@inlined
def activate_share(net, z, layer, mine, number, dropping):
    """zˡ → aˡ for this thread's share of layer l. Units are dropped, and f′(zˡ) is stored if the way back needs it."""
    slope = at(net.work, layer.slope + mine.row * layer.width + mine.column)
    rate = get(net.dropout, number - 1) if dropping.active else 0.0
    activate(z, slope, mine.rows, mine.columns, layer.activation, layer.activation >= LEAKY_RELU or rate > 0)
    if rate > 0:
        place = Share(dropping.row + mine.row, mine.rows, mine.column, mine.columns)
        drop_out(z, slope, place, layer.n, rate, dropping.batch, number, dropping.seed)


@apart
def forward(net: Machine, x: Operand, m: int, learning: bool, current: bool, dropping: Dropping, team: Team):
    """Go from x = a¹ of m samples to zᴸ in the workspace, of which each thread has its own rows; method.md, step 1.

    If `learning`, the mirrors of Θ that the way back needs are made. Those that lead are `current` after a step.
    dropping: Dropping, the place of the block from which dropout draws.
    """
    last, width = net.depth - 1, lanes(net.work, 1)
    layer, a, whole = layer_of(net, 0), x, True  # whole: this thread has computed whole rows of a
    for l in range(1, last + 1):
        above = layer_of(net, l)
        keeps = l > 1 and keeps_rows(m, layer, above, width, team)
        if learning and l > 1 and not (current if leads(layer, above, width) else keeps):
            mirror_weights(net, layer, above, team)
        by_rows = keeps or (l == last and not is_wide(m, layer.n, above.width, width))
        if l > 1 and not (whole and by_rows):
            meet(team)
        ready = ready_rows(net, a, m, layer.n, above.width, team)
        if by_rows:
            cut = division_by_rows(m, above.n, width)
        elif is_few(m, above.n // team.n_threads, width):
            cut = Division(m, above.n, HEIGHT, width, 0, False)  # without tickets, because the product reads long rows
        else:
            cut = division(m, above.n, layer.n * above.width, ready.packed, width, team)
        more, mine = first_share(cut, team)
        while more:
            z = affine(net, ready, layer, above, mine)
            if l < last:
                activate_share(net, z, above, mine, l + 1, dropping)
            more, mine = next_share(cut, team)
        whole = by_rows
        layer, a = above, rows_of(net.work, above.a, above, 0)
    if not whole:
        meet(team)
