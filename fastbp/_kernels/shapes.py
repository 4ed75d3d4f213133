"""The sizes of squares and of packed matrices, by which Python allocates memory for them."""

from .levels import REGISTER
from .tuning import ALONE, HEIGHT, PACKERS, TALL

SIDE = 4  # rows and columns of a square (squares.py)


def beside(itemsize: int) -> int:
    """Return how many squares are processed side by side: as many as a quarter of the registers holds."""
    return min(max(HEIGHT * REGISTER // (SIDE * SIDE * itemsize), 1), SIDE)


def room(inner: int, width: int) -> int:
    """Return the room for TALL packed rows of A (wide.py), with vectors of `width` numbers."""
    return inner * TALL + width


def packs_alone(rows: int, inner: int, itemsize: int) -> bool:
    """Return whether A, of (rows, inner), is so small that each thread of a small team packs it for itself."""
    return rows * inner * itemsize <= ALONE


def space(rows: int, n: int, width: int, itemsize: int, turned: bool = False) -> int:
    """Return the space for packed A of up to `rows` samples and n numbers of each, or of their transpose.

    If A is small, each thread has a copy.
    """
    few = min(rows, ALONE // (n * itemsize))
    sizes = [(n, m) if turned else (m, n) for m in (rows, few)]
    shared, alone = (-(-height // TALL) * room(inner, width) for height, inner in sizes)
    return max(shared, PACKERS * alone)
