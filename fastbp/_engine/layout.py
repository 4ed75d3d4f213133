"""The memory layout: Θˡ and bˡ in the flat buffer, and a block of samples in the workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from .._kernels import codes
from .._kernels.levels import LINE, REGISTER
from .._kernels.shapes import SIDE, space, space_of_copies, strip
from .._kernels.tuning import CHUNK, FEW_PARAMETERS, HEIGHT, LONG, PARTS, SMALL, SMALL_WIDTH, WIDE

Array = npt.NDArray[Any]


def aligned_zeros(size: int, dtype: npt.DTypeLike) -> Array:
    """Return zeros, (size,), on separate cache lines. Threads that write to a shared line slow each other down."""
    itemsize = np.dtype(dtype).itemsize
    raw = np.zeros(up_to(size * itemsize, LINE) + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size * itemsize].view(dtype)


def up_to(size: int, unit: int) -> int:
    """Return the smallest multiple of unit that is at least size."""
    return -(-size // unit) * unit


def padded(n: int, itemsize: int) -> int:
    """Return how many numbers of itemsize bytes a padded row of n takes in memory.

    It is a quarter or a half of a register if n fits, otherwise whole registers. Long rows get an odd number of cache
    lines: with a power of two, the columns of a matrix use only a few sets of the cache (1024 columns: 101 instead of
    106 GFLOP/s).
    """
    lanes = max(REGISTER // itemsize, SIDE)
    for width in (lanes // 4, lanes // 2):
        if n <= width and width >= SIDE:
            return width
    row = up_to(n, lanes)
    if row * itemsize < LONG:
        return row
    return (up_to(row * itemsize, LINE) // LINE | 1) * LINE // itemsize


class _Counter:
    """Assigns places in a buffer, each aligned to a pair of registers and to a cache line."""

    def __init__(self, unit: int) -> None:
        self.unit, self.used = unit, 0

    def take(self, size: int) -> int:
        start = self.used
        self.used += up_to(size, self.unit)
        return start


@dataclass(frozen=True)
class Layout:
    """The places of all numbers of a network.

    In the parameters, layer l has Θˡ transposed, n_l rows of p_{l+1} numbers, followed by bˡ as one more row; p is n
    padded to whole vectors. The padding always stays zero. It depends on the host's vectors, so stored parameters are
    packed.

    Parameters
    ----------
    sizes : (L,) n_1 … n_L
    itemsize : number of bytes per number
    """

    sizes: tuple[int, ...]
    itemsize: int
    widths: tuple[int, ...] = field(init=False)  # (L,) p_l
    weights: tuple[int, ...] = field(init=False)  # (L − 1,) offsets of Θˡ
    size: int = field(init=False)  # numbers in the buffer, including padding

    def __post_init__(self) -> None:
        widths = tuple(padded(n, self.itemsize) for n in self.sizes)
        places = _Counter(self._unit)
        weights = tuple(places.take((n + 1) * p) for n, p in zip(self.sizes[:-1], widths[1:], strict=True))
        for name, value in (("widths", widths), ("weights", weights), ("size", places.used)):
            object.__setattr__(self, name, value)

    @property
    def _unit(self) -> int:
        return max(2 * REGISTER, LINE) // self.itemsize

    @cached_property
    def biases(self) -> tuple[int, ...]:
        """(L − 1,) offsets of bˡ."""
        return tuple(start + n * p for start, n, p in zip(self.weights, self.sizes, self.widths[1:], strict=False))

    @cached_property
    def n_weights(self) -> int:
        """Number of weights without those of bias units: the multiplications in a forward pass."""
        return sum(n * n_next for n, n_next in pairwise(self.sizes))

    @property
    def is_small(self) -> bool:
        """Whether training is faster with vectors over the samples (small.py)."""
        return max(self.sizes[1:]) <= SMALL_WIDTH and self.n_weights <= SMALL

    def parts(self, rows: int) -> int:
        """Return how many parts of a block of so many rows are computed apart: 1, or a few.

        Apart, threads need not wait for each other within a batch, but each part has its own gradients, which must be
        added. This pays if the block is tall and the parameters are few beside the numbers that its layers compute. It
        depends on nothing else, because it changes the results by rounding.
        """
        few = self.size * FEW_PARAMETERS <= rows * sum(self.widths) and not self.is_small
        return next((parts for parts, least in PARTS if few and rows >= least), 1)

    @cached_property
    def chunks(self) -> int:
        """Number of chunks of `tuning.CHUNK` in the layers' parameters."""
        return sum(-(-(n + 1) * p // CHUNK) for n, p in zip(self.sizes, self.widths[1:], strict=False))

    def machine(
        self,
        activations: tuple[int, ...],
        objective: codes.Objective,
        use_bias: bool,
        rows: int,
        dropout: tuple[float, ...] = (),
    ) -> tuple[codes.Machine, int]:
        """Return the network in the kernels' form, for blocks of so many rows, and the size of their workspace.

        The machine has no memory yet.

        Parameters
        ----------
        activations : (L − 1,) codes for the layers 2 … L
        objective : the loss
        use_bias : as in `codes.Machine`
        rows : s
        dropout : rates of the hidden layers, or ()
        """
        # Kernels write whole vectors past the last row, up to HEIGHT rows; small.py keeps samples in vector lanes.
        rows = up_to(rows, max(HEIGHT, REGISTER // self.itemsize))
        places = _Counter(self._unit)
        zeros = places.take(self._unit)
        layers = np.zeros((len(self.sizes), codes.LAYER_FIELDS), np.int64)
        last = len(self.sizes) - 1
        rates = np.zeros(len(self.sizes))
        rates[1 : 1 + len(dropout)] = dropout
        for l, (n, p) in enumerate(zip(self.sizes, self.widths, strict=True)):
            layers[l] = codes.Layer(
                n=n,
                width=p,
                theta=self.weights[l] if l < last else 0,
                a=places.take(rows * p),
                delta=places.take(rows * p) if l > 0 else 0,
                mirror=places.take(self._mirror(l, rows)) if 0 < l < last else 0,
                activation=activations[l - 1] if l > 0 else codes.IDENTITY,
                slope=places.take(rows * p) if l > 0 and (activations[l - 1] >= codes.LEAKY_RELU or rates[l]) else 0,
            )
        width = self.widths[-1]
        nothing = np.empty(0)
        machine = codes.Machine(
            layers.ravel(),
            len(self.sizes),
            objective.code,
            use_bias,
            zeros,
            targets=places.take(rows * width),
            mask=places.take(HEIGHT * width),
            parameter=places.take(HEIGHT * width),
            weights=places.take(rows * width),
            label_off=objective.label_off,
            label_on=objective.label_on,
            dropout=rates,
            foreign=objective.foreign,
            packed=places.take(self._packed(rows)),
            work_apart=0,
            gradients_apart=0,
            parameters=nothing,
            gradients=nothing,
            work=nothing,
            losses=nothing,
        )
        return machine, places.used

    def _packed(self, rows: int) -> int:
        """Return the space for A in the largest product of wide.py: a or δ of so many rows, or a transposed."""
        lanes, most = REGISTER // self.itemsize, 0
        for l, (n, n_next) in enumerate(pairwise(self.sizes)):
            if self.widths[l + 1] * self.itemsize >= WIDE:
                most = max(most, space(rows, n, lanes), space(n, rows, lanes))
            if l > 0 and self.widths[l] * self.itemsize >= WIDE:
                most = max(most, space(rows, n_next, lanes))
        return most + space_of_copies(self.itemsize) if most else 0

    def _mirror(self, l: int, rows: int) -> int:
        """Return the space for the mirror of Θˡ, and for δˡ⁺¹ and δˡ of so many rows, transposed, of narrow layers."""
        p, p_next = self.widths[l : l + 2]
        turned = -(-rows // HEIGHT) * strip(REGISTER // self.itemsize) * (p + p_next)
        return p * p_next + (turned if max(p, p_next) * self.itemsize < WIDE else 0)

    def workspace(
        self, machine: codes.Machine, size: int, dtype: npt.DTypeLike, parameter: Sequence[float], parts: int = 1
    ) -> Array:
        """Return the workspaces of a machine, one for each part of a block, with their constants.

        size: of one of them. parameter: the parameter of the objective.
        """
        work = aligned_zeros(parts * size, dtype)
        for of_part in work.reshape(parts, size):
            for place, number in ((machine.mask, 1), (machine.parameter, parameter)):
                rows = of_part[place : place + HEIGHT * self.widths[-1]].reshape(HEIGHT, -1)
                rows[:, : self.sizes[-1]] = number
        return work

    def weight_views(self, buffer: Array) -> list[Array]:
        """Return [Θ¹, …], each a writable view of shape (n_{l+1}, n_l)."""
        views = []
        for l, start in enumerate(self.weights):
            rows, width = self.sizes[l], self.widths[l + 1]
            stored = buffer[start : start + rows * width].reshape(rows, width)
            views.append(stored[:, : self.sizes[l + 1]].T)
        return views

    def bias_views(self, buffer: Array) -> list[Array]:
        """Return [b¹, …], each a writable view of shape (n_{l+1},)."""
        return [buffer[b : b + n] for b, n in zip(self.biases, self.sizes[1:], strict=True)]

    def pack(self, buffer: Array) -> Array:
        """Return a copy of all parameters without padding, in the method's order: Θ¹ row by row, b¹, Θ², b², …"""
        pairs = zip(self.weight_views(buffer), self.bias_views(buffer), strict=True)
        return np.concatenate([part.ravel() for pair in pairs for part in pair])

    def unpack(self, packed: Array, buffer: Array) -> None:
        """Write the numbers from `pack` into a buffer of this layout."""
        start = 0
        for pair in zip(self.weight_views(buffer), self.bias_views(buffer), strict=True):
            for part in pair:
                part[...] = packed[start : start + part.size].reshape(part.shape)
                start += part.size
