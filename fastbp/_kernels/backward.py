"""zᴸ → δᴸ → δ², and the gradients or the update itself: the part of one thread."""

from .activations import activate_output, multiply_by_derivative
from .apart import apart
from .codes import KEPT, LEAKY_RELU, Extent, Machine, Operand, Outputs, Share, Team
from .jit import inlined
from .llvm import at, get, lanes, number_of
from .losses import output_error
from .mirrors import descend_mirror, leads
from .records import layer_of, rows_of
from .shapes import strip
from .team import division, division_by_rows, first_share, keeps_rows, meet, next_share, slice_of
from .tile import multiply, sum_rows, transpose
from .tuning import HEIGHT
from .wide import multiply_rows, ready_columns, ready_rows


@inlined
def outputs_of(net, layer, row, weighted):
    """Return Outputs for the rows of a block from some row on."""
    place, mask = row * layer.width, at(net.work, net.mask)
    return Outputs(
        at(net.work, net.targets + place),
        at(net.work, layer.delta + place),
        at(net.work, layer.slope + place),
        mask,
        at(net.work, net.weights + place) if weighted else mask,
        weighted,
        at(net.work, net.parameter),
    )


@apart
def activate_outputs(net: Machine, m: int, team: Team):
    """Compute aᴸ from zᴸ for m samples, each thread for its own rows, without a loss."""
    last = layer_of(net, net.depth - 1)
    first, count = slice_of(m, HEIGHT, team)
    z, of = rows_of(net.work, last.a, last, first), outputs_of(net, last, first, False)
    activate_output(z, of.slope, of.targets, of.mask, count, last.n, last.activation)


@apart
def output_errors(net: Machine, m: int, weight: float, weighted: bool, team: Team):
    """Compute δᴸ and aᴸ from zᴸ for the m samples of a block, each thread for its own rows; method.md, step 2.

    weight: the m of the method, or the sum of the weights of the batch's samples. The sums of the losses, each over
    HEIGHT samples, go to net.losses. They are cut in the same way for any number of threads.
    """
    last = layer_of(net, net.depth - 1)
    inverse = number_of(net.work, 1 / weight if weight > 0 else 0.0)
    first, length = slice_of(m, HEIGHT, team)
    output_error(
        rows_of(net.work, last.a, last, first),
        outputs_of(net, last, first, weighted),
        length,
        last.n,
        (net.loss, last.activation),
        net.foreign,
        inverse,
        at(net.losses, first // HEIGHT),
    )


@inlined
def errors_below(net, incoming, layer, above, mine):
    """Compute δˡ⁺¹ Θˡ for this thread's share of layer l, with δˡ⁺¹ as a Factor."""
    delta = Operand(at(net.work, layer.delta + mine.row * layer.width + mine.column), layer.width, 1)
    mirror = Operand(at(net.work, layer.mirror + mine.column), layer.width, 1)
    extent, zeros = Extent(mine.rows, mine.columns, above.n), Operand(at(net.work, net.zeros), 0, 0)
    multiply_rows(net, delta, incoming, mine.row, mirror, extent, zeros, number_of(net.work, 0), 0)
    return delta


strip_of = inlined(strip)


@inlined
def errors_turned(net, layer, above, mine):
    """Compute δˡ⁺¹ Θˡ for this thread's rows as (Θˡᵀ δˡ⁺¹ᵀ)ᵀ. This needs no mirror, and has the same bits."""
    width, zeros = lanes(net.work, 1), Operand(at(net.work, net.zeros), 0, 0)
    row = (mine.rows + width - 1) // width * width
    before = mine.row // HEIGHT * strip_of(width)  # columns of other threads
    place = layer.mirror + above.width * layer.width + before * (layer.width + above.width)
    turned = Operand(at(net.work, place), row, 1)
    below = Operand(at(net.work, place + above.width * row), row, 1)
    delta = Operand(at(net.work, layer.delta + mine.row * layer.width), layer.width, 1)
    theta = Operand(at(net.parameters, layer.theta), above.width, 1)
    transpose(turned, rows_of(net.work, above.delta, above, mine.row), mine.rows, above.n, above.width)
    multiply(below, theta, turned, Extent(layer.n, mine.rows, above.n), zeros, number_of(net.work, 0), 0)
    transpose(delta, below, layer.n, mine.rows, mine.rows)
    return delta


@inlined
def multiply_share_by_derivative(net, delta, layer, mine, number, dropping):
    """Multiply this thread's share of δˡ by f′(zˡ), which comes from a or was stored."""
    kept = layer.activation >= LEAKY_RELU or (dropping.active and get(net.dropout, number - 1) > 0)
    place = mine.row * layer.width + mine.column
    a = Operand(at(net.work, (layer.slope if kept else layer.a) + place), layer.width, 1)
    multiply_by_derivative(delta, a, mine.rows, mine.columns, KEPT if kept else layer.activation)


@inlined
def hidden_errors(net, m, dropping, team):
    """δˡ = (δˡ⁺¹ Θˡ) ⊙ f′(zˡ) for l = L − 1 … 2 and m samples. At the end all threads have all δ; method.md, step 3."""
    above, width, whole = layer_of(net, net.depth - 1), lanes(net.work, 1), True
    for l in range(net.depth - 2, 0, -1):
        layer = layer_of(net, l)
        keeps = keeps_rows(m, layer, above, width, team)
        if not (whole and keeps):
            meet(team)
        incoming = ready_rows(net, rows_of(net.work, above.delta, above, 0), m, above.n, layer.width, team)
        if keeps:
            cut = division_by_rows(m, layer.n, width)
        else:
            cut = division(m, layer.n, layer.n * above.width, incoming.packed, width, team)
        more, mine = first_share(cut, team)
        while more:
            if keeps:
                delta = errors_turned(net, layer, above, mine)
            else:
                delta = errors_below(net, incoming, layer, above, mine)
            multiply_share_by_derivative(net, delta, layer, mine, l + 1, dropping)
            more, mine = next_share(cut, team)
        above, whole = layer, keeps
    meet(team)


@inlined
def descend_biases(net, layer, above, out, m, eta, mine):
    """Do what `descend` does for the biases of a share's columns, whose gradient is Σ δˡ⁺¹."""
    bias = at(out, layer.theta + layer.n * above.width + mine.column)
    sum_rows(bias, rows_of(net.work, above.delta + mine.column, above, 0), m, mine.columns, eta)


@inlined
def descend_share(net, layer, above, out, a, m, eta, ahead, mine):
    """Do what `descend` does for a share of Θˡ, with aˡ of m samples as a Factor. ahead: as in `multiply`."""
    zeros, delta = Operand(at(net.work, net.zeros), 0, 0), rows_of(net.work, above.delta + mine.column, above, 0)
    theta = Operand(at(out, layer.theta + mine.row * above.width + mine.column), above.width, 1)
    multiply_rows(net, theta, a, mine.row, delta, Extent(mine.rows, mine.columns, m), zeros, eta, ahead)
    if net.use_bias and mine.row + mine.rows == layer.n:
        descend_biases(net, layer, above, out, m, eta, mine)


@inlined
def descend(net, out, x, m, eta, ahead, at_once, team):
    """out ← ∂J/∂Θˡ, ∂J/∂bˡ for every layer if η is 0, else out ← out − η times them; method.md, steps 3 and 4.

    For a batch that ends at once, out is net.parameters, and the bits are those of a gradient followed by an update.
    Otherwise out is net.gradients, and η = −1 adds to the gradients of earlier blocks. ahead: how many numbers behind
    x the samples of the next block are, or 0.
    """
    width = lanes(net.work, 1)
    for l in range(net.depth - 1):
        layer, above = layer_of(net, l), layer_of(net, l + 1)
        if at_once and l > 0 and leads(layer, above, width):
            descend_mirror(net, layer, above, m, eta, team)
            if net.use_bias and team.thread == 0:
                descend_biases(net, layer, above, out, m, eta, Share(0, layer.n, 0, above.n))
            continue
        a = ready_columns(net, x if l == 0 else rows_of(net.work, layer.a, layer, 0), layer.n, m, above.width, team)
        cut = division(layer.n, above.n, layer.n * above.width, a.packed, width, team)
        more, mine = first_share(cut, team)
        while more:
            descend_share(net, layer, above, out, a, m, eta, ahead if l == 0 else 0, mine)
            more, mine = next_share(cut, team)
        if cut.tickets > 0 or a.shared:
            meet(team)  # before the next layer draws tickets or packs
    meet(team)
