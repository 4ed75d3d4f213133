"""The sizes of squares and of packed matrices, by which Python allocates memory for them."""

from .levels import REGISTER
from .tuning import ALONE, HEIGHT, PACKERS, TALL

SIDE = 4  # rows and columns of a square (squares.py)


def strip(width: int) -> int:
    """Return the columns for HEIGHT samples in a transposed matrix (backward.py), with vectors of `width` numbers."""
    return max(HEIGHT, width)


def beside(itemsize: int) -> int:
    """Return how many squares are processed side by side: as many as a quarter of the registers holds."""
    return min(max(HEIGHT * REGISTER // (SIDE * SIDE * itemsize), 1), SIDE)


def room(inner: int, width: int) -> int:
    """Return the room for TALL packed rows of A (wide.py), with vectors of `width` numbers."""
    return inner * TALL + width


def space(rows: int, inner: int, width: int) -> int:
    """Return the space for packed A of (rows, inner)."""
    return -(-rows // TALL) * room(inner, width)


def space_of_copies(itemsize: int) -> int:
    """Return the space for the copies of a small A that threads pack alone. It is before that for all of them."""
    return PACKERS * ALONE // itemsize
