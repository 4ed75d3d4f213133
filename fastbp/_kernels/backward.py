"""zᴸ → δᴸ → δ² and the gradients, or the update itself: the part of one thread."""

from .activations import multiply_by_derivative
from .codes import Extent, Operand
from .forward import layer_of, rows_of
from .jit import kernel
from .llvm import HEIGHT, at, lanes
from .losses import output_error
from .team import meet, share, slice_of
from .tile import multiply


@kernel
def output_errors(plan, buffers, m, batch, team):
    """δᴸ and aᴸ from zᴸ of a block's m samples, each thread for its own rows; `batch`: the m of the method.

    Leaves sums of HEIGHT samples' losses in buffers.losses, cut the same way for any number of threads.
    """
    last = layer_of(plan, plan.layers.shape[0] - 1)
    inverse_m = buffers.work.dtype.type(1 / batch)
    mask = at(buffers.work, plan.mask)
    first, length = slice_of(m, HEIGHT, team)
    for i in range(first, first + length, HEIGHT):
        buffers.losses[i // HEIGHT] = output_error(
            rows_of(buffers.work, last.a, last, i),
            at(buffers.work, plan.targets + i * last.width),
            at(buffers.work, last.delta + i * last.width),
            mask,
            min(HEIGHT, m - i),
            last.n,
            (plan.loss, last.activation),
            inverse_m,
        )


@kernel
def hidden_errors(plan, buffers, m, team):
    """δˡ = (δˡ⁺¹ Θˡ) ⊙ f′(zˡ) for l = L − 1 … 2, of m samples; all threads have all δ when this returns."""
    work = buffers.work
    zeros = Operand(at(work, plan.zeros), 0, 0)
    above = layer_of(plan, plan.layers.shape[0] - 1)
    for l in range(plan.layers.shape[0] - 2, 0, -1):
        layer = layer_of(plan, l)
        mine = share(m, layer.n, HEIGHT, lanes(work, 1), team)
        place = mine.row * layer.width + mine.column
        delta = Operand(at(work, layer.delta + place), layer.width, 1)
        multiply(
            delta,
            rows_of(work, above.delta, above, mine.row),
            Operand(at(work, layer.mirror + mine.column), layer.width, 1),
            Extent(mine.rows, mine.columns, above.n),
            zeros,
            work.dtype.type(0),
        )
        a = Operand(at(work, layer.a + place), layer.width, 1)
        multiply_by_derivative(delta, a, mine.rows, mine.columns, layer.activation)
        meet(team)
        above = layer


@kernel
def descend(plan, buffers, out, x, m, eta, team):
    """out ← ∂J/∂Θˡ, ∂J/∂bˡ of every layer if η is 0, else out ← out − η times them.

    out is buffers.parameters for a step of plain SGD, with the bits of gradient and update one after the other; or
    buffers.gradients, with η = −1 to add to those of the blocks before. method.md, steps 3 and 4.
    """
    work = buffers.work
    zeros = Operand(at(work, plan.zeros), 0, 0)
    for l in range(plan.layers.shape[0] - 1):
        layer, above = layer_of(plan, l), layer_of(plan, l + 1)
        mine = share(layer.n, above.n, HEIGHT, lanes(work, 1), team)
        delta = Operand(at(work, above.delta + mine.column), above.width, 1)
        a = x if l == 0 else rows_of(work, layer.a, layer, 0)
        multiply(
            Operand(at(out, layer.theta + mine.row * above.width + mine.column), above.width, 1),
            Operand(at(a.at, mine.row), 1, a.row),
            delta,
            Extent(mine.rows, mine.columns, m),
            zeros,
            eta,
        )
        if plan.use_bias and mine.row + mine.rows == layer.n:
            multiply(
                Operand(at(out, layer.theta + layer.n * above.width + mine.column), above.width, 1),
                Operand(at(work, plan.one), 0, 0),
                delta,
                Extent(1, mine.columns, m),
                zeros,
                eta,
            )
    meet(team)
