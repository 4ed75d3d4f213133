"""How every kernel of fastbp is compiled."""

from functools import partial
from typing import Any

from numba import njit

# Never nnan or ninf: a NaN must stay visible. No reassoc: it would reorder sums and break rounding tricks.
HONEST = {"contract", "nsz", "arcp"}

kernel: Any = partial(njit, cache=True, nogil=True, error_model="numpy", fastmath=HONEST)
