"""Dropout: a hash decides which units are dropped for a sample.

The hash is of (batch, layer, sample, unit), so it is the same for any number of threads, dtype and size of a vector.
"""

from operator import floordiv, mod

import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from .jit import inner
from .llvm import at, lanes, load, number_of, store
from .random import GAMMA, mix
from .squares import SIDE, load_square

OF_LAYER = np.uint64(0xD1B54A32D192ED03)
STEPS = 1 << 24  # a rate is rounded to a multiple of 1 / STEPS
LOW, HIGH = np.uint64(0xFFFFFFFF), np.uint64(32)


@intrinsic
def kept(typing, x, first, low, high, bound):
    """Return x where the hash of first, first + 1, … with a key is at least the bound, else 0."""

    def generate(context, builder, signature, args):
        value, first, low, high, bound = (args[0], *(_everywhere(builder, a, x.lanes) for a in args[1:]))
        place = builder.add(first, ir.Constant(first.type, list(range(x.lanes))))
        return _where_kept(builder, value, place, low, high, bound)

    return x(x, first, low, high, bound), generate


@intrinsic
def square_kept(typing, x, first, n, low, high, bound):
    """Do the same for a square (squares.py), whose rows are units and whose columns are samples of n units each."""

    def generate(context, builder, signature, args):
        value, first, n, low, high, bound = (args[0], *(_everywhere(builder, a, x.lanes) for a in args[1:]))
        row, column = (ir.Constant(n.type, [part(lane, SIDE) for lane in range(x.lanes)]) for part in (floordiv, mod))
        place = builder.add(builder.add(first, row), builder.mul(n, column))
        return _where_kept(builder, value, place, low, high, bound)

    return x(x, first, n, low, high, bound), generate


def _everywhere(builder, number, lanes):
    """Return a vector with the lowest 32 bits of a number in each lane."""
    word = ir.IntType(32)
    words = ir.VectorType(word, lanes)
    first = builder.insert_element(ir.Constant(words, ir.Undefined), builder.trunc(number, word), word(0))
    return builder.shuffle_vector(first, first, ir.Constant(words, None))


def _where_kept(builder, value, place, low, high, bound):
    """Return the value where the hash of a place with a key is at least the bound, else 0. All are vectors."""

    def constant(number):
        return ir.Constant(place.type, [number] * place.type.count)

    h = builder.xor(builder.mul(place, constant(0x9E3779B9)), low)  # then lowbias32, by Wellons
    h = builder.mul(builder.xor(h, builder.lshr(h, constant(16))), constant(0x7FEB352D))
    h = builder.mul(builder.xor(h, builder.lshr(h, constant(15))), constant(0x846CA68B))
    h = builder.xor(builder.xor(h, builder.lshr(h, constant(16))), high)
    dropped = builder.icmp_unsigned("<", builder.lshr(h, constant(8)), bound)
    return builder.select(dropped, ir.Constant(value.type, None), value)


def make_drop_row(part):
    """Make dropout for a row of vectors, each of which is a `part`-th of a register."""

    @inner
    def drop_row(a, slope, count, scale, first, key, bound):
        low, high = np.int64(key & LOW), np.int64(key >> HIGH)
        for j in range(0, count, lanes(a, part)):
            store(a, j, kept(load(a, j, part) * scale, first + j, low, high, bound))
            store(slope, j, kept(load(slope, j, part) * scale, first + j, low, high, bound))

    return drop_row


drop_full, drop_quarter = make_drop_row(1), make_drop_row(4)


@inner
def drop_out(a, slope, share, n, rate, batch, layer, seed):
    """Drop units from a thread's share of a and f′, of a layer with n units; Srivastava et al., 2014.

    Parameters
    ----------
    a, slope : Operand, and pointer to f′ in rows as far apart
    share : Share
        The samples, counted in the batch, and the units, counted in the layer.
    rate : float, in (0, 1)
    batch, layer : int
        The number of the batch, from 0, and of the layer, as in method.md.
    seed : uint64
    """
    key = mix(seed + np.uint64(batch) * GAMMA + np.uint64(layer) * OF_LAYER)
    scale, bound = number_of(a.at, 1 / (1 - rate)), np.int64(rate * STEPS + 0.5)
    for i in range(share.rows):
        place, first = i * a.row, (share.row + i) * n + share.column
        if a.row < lanes(a.at, 1):
            drop_quarter(at(a.at, place), at(slope, place), share.columns, scale, first, key, bound)
        else:
            drop_full(at(a.at, place), at(slope, place), share.columns, scale, first, key, bound)


@inner
def drop_out_squares(a, slope, samples, layer, rate, batch, number, seed):
    """Do the same for squares. samples: an ActivateTask, which has the first sample and their number."""
    key = mix(seed + np.uint64(batch) * GAMMA + np.uint64(number) * OF_LAYER)
    low, high = np.int64(key & LOW), np.int64(key >> HIGH)
    scale, bound = number_of(a, 1 / (1 - rate)), np.int64(rate * STEPS + 0.5)
    for s in range(0, samples.samples, SIDE):
        for k in range(0, layer.n, SIDE):
            place, first = s * layer.width + k * SIDE, (samples.sample + s) * layer.n + k
            store(a, place, square_kept(load_square(a, place) * scale, first, layer.n, low, high, bound))
            store(slope, place, square_kept(load_square(slope, place) * scale, first, layer.n, low, high, bound))
