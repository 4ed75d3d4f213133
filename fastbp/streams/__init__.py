"""Stream: samples that are read while the kernels train on them, from files or functions."""

from ._stream import Chunk, Pieces, Stream

__all__ = ["Chunk", "Pieces", "Stream"]
