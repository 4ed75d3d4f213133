"""Where Θˡ and bˡ lie in the flat buffer: offsets, padding, views, packing."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ALIGNMENT = 64  # bytes: a cache line, and the widest vector there is


def aligned_zeros(size: int, dtype: npt.DTypeLike) -> Array:
    """Zeros, (size,), that start on an `ALIGNMENT` boundary."""
    itemsize = np.dtype(dtype).itemsize
    raw = np.zeros(size * itemsize + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size * itemsize].view(dtype)


def padded(size: int, lanes: int) -> int:
    """The least multiple of lanes that holds size."""
    return -(-size // lanes) * lanes


@dataclass(frozen=True)
class Layout:
    """Places of all parameters of a network in one buffer.

    Layer l has Θˡ transposed, n_l rows of p_{l+1} numbers, then bˡ as one more row; p is n padded to whole vectors.
    The padding stays zero for ever. The buffer's form depends on the host's vectors: what leaves the process is packed.

    Parameters
    ----------
    sizes : (L,) n_1 … n_L
    lanes : numbers in a vector
    """

    sizes: tuple[int, ...]
    lanes: int
    widths: tuple[int, ...] = field(init=False)  # (L,) p_l
    weights: tuple[int, ...] = field(init=False)  # (L − 1,) offsets of Θˡ
    biases: tuple[int, ...] = field(init=False)  # (L − 1,) offsets of bˡ
    size: int = field(init=False)  # numbers in the buffer, padding included

    def __post_init__(self) -> None:
        widths = tuple(padded(n, self.lanes) for n in self.sizes)
        *starts, size = accumulate(((n + 1) * p for n, p in zip(self.sizes, widths[1:], strict=False)), initial=0)
        biases = tuple(s + n * p for s, n, p in zip(starts, self.sizes, widths[1:], strict=False))
        for name, value in (
            ("widths", widths),
            ("weights", tuple(starts)),
            ("biases", biases),
            ("size", size),
        ):
            object.__setattr__(self, name, value)

    def weight_views(self, buffer: Array) -> list[Array]:
        """[Θ¹, …], each a writable view of shape (n_{l+1}, n_l)."""
        views = []
        for l, start in enumerate(self.weights):
            rows, width = self.sizes[l], self.widths[l + 1]
            stored = buffer[start : start + rows * width].reshape(rows, width)
            views.append(stored[:, : self.sizes[l + 1]].T)
        return views

    def bias_views(self, buffer: Array) -> list[Array]:
        """[b¹, …], each a writable view of shape (n_{l+1},)."""
        return [buffer[b : b + n] for b, n in zip(self.biases, self.sizes[1:], strict=True)]

    def pack(self, buffer: Array) -> Array:
        """All parameters without padding, in the method's order: Θ¹ row by row, b¹, Θ², b², …; a copy."""
        pairs = zip(self.weight_views(buffer), self.bias_views(buffer), strict=True)
        return np.concatenate([part.ravel() for pair in pairs for part in pair])

    def unpack(self, packed: Array, buffer: Array) -> None:
        """Write what `pack` gave into a buffer of this layout."""
        start = 0
        for pair in zip(self.weight_views(buffer), self.bias_views(buffer), strict=True):
            for part in pair:
                part[...] = packed[start : start + part.size].reshape(part.shape)
                start += part.size
