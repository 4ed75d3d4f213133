"""Stream: samples that are read while the kernels train on them, from files or functions."""

from ._pieces import Chunk, Pieces, Slices
from ._stream import Stream

__all__ = ["Chunk", "Pieces", "Stream"]

_Slices = Slices  # its name in older pickles
