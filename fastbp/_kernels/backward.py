"""zᴸ → δᴸ → δ² and the gradients, or the update itself: the part of one thread."""

from .activations import activate_output, multiply_by_derivative
from .addresses import layer_of, rows_of
from .codes import KEPT, LEAKY_RELU, Extent, Operand, Outputs, Share
from .jit import inlined, inner
from .llvm import HEIGHT, at, get, lanes, number_of, put
from .losses import output_error
from .mirrors import descend_mirror, leads
from .team import draw, meet, part, share, slice_of, tickets_of
from .tile import multiply


@inlined
def outputs_of(net, layer, row, weighted):
    """Outputs, from a row of the block on."""
    place, mask = row * layer.width, at(net.work, net.mask)
    return Outputs(
        at(net.work, net.targets + place),
        at(net.work, layer.delta + place),
        at(net.work, layer.slope + place),
        mask,
        at(net.work, net.weights + place) if weighted else mask,
        at(net.work, net.parameter),
    )


@inlined
def activate_outputs(net, m):
    """aᴸ from zᴸ of m samples, where no loss asks for more."""
    last = layer_of(net, net.depth - 1)
    for i in range(0, m, HEIGHT):
        z, of = rows_of(net.work, last.a, last, i), outputs_of(net, last, i, False)
        activate_output(z, of.slope, of.targets, of.mask, min(HEIGHT, m - i), last.n, last.activation)


@inner
def output_errors(net, m, weight, weighted, team):
    """δᴸ and aᴸ from zᴸ of a block's m samples, each thread for its own rows.

    weight: the m of the method, or the sum of the weights of the batch's samples. Leaves sums of HEIGHT samples' losses
    in net.losses, cut the same way for any number of threads.
    """
    last = layer_of(net, net.depth - 1)
    inverse = number_of(net.work, 1 / weight if weight > 0 else 0.0)
    first, length = slice_of(m, HEIGHT, team)
    for i in range(first, first + length, HEIGHT):
        value = output_error(
            rows_of(net.work, last.a, last, i),
            outputs_of(net, last, i, weighted),
            min(HEIGHT, m - i),
            last.n,
            (net.loss, last.activation),
            net.foreign,
            inverse,
        )
        put(net.losses, i // HEIGHT, value)


@inner
def hidden_errors(net, m, dropping, team):
    """δˡ = (δˡ⁺¹ Θˡ) ⊙ f′(zˡ) for l = L − 1 … 2, of m samples; all threads have all δ when this returns."""
    work = net.work
    zeros = Operand(at(work, net.zeros), 0, 0)
    above = layer_of(net, net.depth - 1)
    for l in range(net.depth - 2, 0, -1):
        layer = layer_of(net, l)
        tickets = tickets_of(layer.n, layer.n * above.width, lanes(work, 1), team)
        ticket = draw(team) if tickets > 0 else 0
        while ticket < max(tickets, 1):
            if tickets > 0:
                mine = part(m, layer.n, HEIGHT, lanes(work, 1), ticket, team)
            else:
                mine = share(m, layer.n, HEIGHT, lanes(work, 1), team)
            place = mine.row * layer.width + mine.column
            delta = Operand(at(work, layer.delta + place), layer.width, 1)
            multiply(
                delta,
                rows_of(work, above.delta, above, mine.row),
                Operand(at(work, layer.mirror + mine.column), layer.width, 1),
                Extent(mine.rows, mine.columns, above.n),
                zeros,
                number_of(work, 0),
            )
            keeps = layer.activation >= LEAKY_RELU or (dropping.active and get(net.dropout, l) > 0)
            a = Operand(at(work, (layer.slope if keeps else layer.a) + place), layer.width, 1)
            multiply_by_derivative(delta, a, mine.rows, mine.columns, KEPT if keeps else layer.activation)
            ticket = draw(team) if tickets > 0 else 1
        meet(team)
        above = layer


@inlined
def descend_biases(net, layer, above, out, m, eta, mine):
    """descend for the biases of a share's columns: one row more, of aˡ = 1."""
    multiply(
        Operand(at(out, layer.theta + layer.n * above.width + mine.column), above.width, 1),
        Operand(at(net.work, net.one), 0, 0),
        rows_of(net.work, above.delta + mine.column, above, 0),
        Extent(1, mine.columns, m),
        Operand(at(net.work, net.zeros), 0, 0),
        eta,
    )


@inlined
def descend_part(net, out, a, m, eta, l, mine):
    """descend for a share of layer l: a = aˡ of m samples."""
    layer, above = layer_of(net, l), layer_of(net, l + 1)
    zeros, delta = Operand(at(net.work, net.zeros), 0, 0), rows_of(net.work, above.delta + mine.column, above, 0)
    theta = at(out, layer.theta + mine.column)
    multiply(
        Operand(at(theta, mine.row * above.width), above.width, 1),
        Operand(at(a.at, mine.row), 1, a.row),
        delta,
        Extent(mine.rows, mine.columns, m),
        zeros,
        eta,
    )
    if net.use_bias and mine.row + mine.rows == layer.n:
        descend_biases(net, layer, above, out, m, eta, mine)


@inner
def descend(net, out, x, m, eta, at_once, team):
    """out ← ∂J/∂Θˡ, ∂J/∂bˡ of every layer if η is 0, else out ← out − η times them.

    out is net.parameters for a step of plain SGD, with the bits of gradient and update one after the other; or
    net.gradients, with η = −1 to add to those of the blocks before. method.md, steps 3 and 4.
    """
    work = net.work
    for l in range(net.depth - 1):
        layer, above = layer_of(net, l), layer_of(net, l + 1)
        if at_once and l > 0 and leads(layer, above, lanes(work, 1)):
            descend_mirror(net, layer, above, m, eta, team)
            if net.use_bias and team.thread == 0:
                descend_biases(net, layer, above, out, m, eta, Share(0, layer.n, 0, above.n))
            continue
        tickets = tickets_of(above.n, layer.n * above.width, lanes(work, 1), team)
        ticket = draw(team) if tickets > 0 else 0
        while ticket < max(tickets, 1):
            if tickets > 0:
                mine = part(layer.n, above.n, HEIGHT, lanes(work, 1), ticket, team)
            else:
                mine = share(layer.n, above.n, HEIGHT, lanes(work, 1), team)
            descend_part(net, out, x if l == 0 else rows_of(work, layer.a, layer, 0), m, eta, l, mine)
            ticket = draw(team) if tickets > 0 else 1
        if tickets > 0:
            meet(team)  # the next layer's tickets start anew
    meet(team)
