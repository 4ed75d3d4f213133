"""What a user may hand over by mistake: values of every kind, for hypothesis to draw."""

from __future__ import annotations

import decimal
import fractions
from typing import Any

import numpy as np
import pandas
from hypothesis import strategies as st
from scipy import sparse

NUMBERS = (0, 1, 2, 3, 5, -1, 0.0, 0.5, -0.5, 1.0, 1.5, 1e-320, 1e39, 1e300, float("nan"), float("inf"), -float("inf"))
HUGE = (2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400)
TEXTS = ("", "a", "relu", "auto", "balanced", "accuracy", "ReLU", "1", "\0", "é", "x" * 300, "no/such/folder/file")
DTYPES = ("f4", "f8", "f2", ">f4", "i1", "u8", "i8", "?", "c16", "U3", "S2", "O", "M8[s]", "m8[s]", "V4", "g")
OTHERS = (
    None,
    True,
    False,
    b"abc",
    1j,
    ...,
    object(),
    object,
    int,
    np.float32,
    len,
    decimal.Decimal("NaN"),
    fractions.Fraction(1, 3),
    np.float16(2),
    np.int8(-1),
    np.bool_(True),
    np.datetime64("2020-01-01"),
    np.str_("relu"),
    np.array(3),
    np.array("a"),
    range(3),
    {1, 2},
    {"a": 1},
    {0: 1.0, 7: 2.0},
    slice(3),
)

numbers = st.sampled_from(NUMBERS)
texts = st.sampled_from(TEXTS)
scalars = st.one_of(numbers, texts, st.sampled_from(HUGE), st.sampled_from(OTHERS))
shapes = st.lists(st.sampled_from((0, 1, 2, 3, 4, 6, 7)), min_size=0, max_size=4).map(tuple)


@st.composite
def arrays(draw: Any) -> Any:
    """Arrays of any shape and dtype, with odd numbers in them, in odd memory or in another library's clothes."""
    shape, dtype = draw(st.one_of(st.just((6, 3)), st.just((6, 2)), shapes)), draw(st.sampled_from(DTYPES))
    values = draw(st.sampled_from((0, 1, 0.5, -1, 1e300, float("nan"), float("inf"))))
    with np.errstate(all="ignore"):
        array = np.random.default_rng(0).integers(0, 2, shape).astype("O" if dtype == "V4" else dtype, copy=False)
        array = np.asarray(array)
        if dtype == "V4":
            array = np.zeros(shape, dtype)
        elif array.size and array.dtype.kind in "fcO":
            array.flat[draw(st.integers(0, array.size - 1))] = values
    clothes = draw(st.sampled_from(("plain", "fortran", "strided", "read-only", "list", "masked", "frame", "sparse")))
    if clothes == "fortran":
        return np.asfortranarray(array)
    if clothes == "strided":
        return np.repeat(array, 2, axis=-1)[..., ::-2] if array.ndim else array
    if clothes == "read-only":
        array.flags.writeable = False
    if clothes == "list":
        return array.tolist()
    if clothes == "masked" and array.dtype.kind in "fiub":
        return np.ma.masked_array(array, np.ones(shape, bool))
    if clothes == "frame" and array.ndim in (1, 2) and array.dtype.kind in "fiubUO" and array.dtype.isnative:
        return pandas.Series(array.tolist(), dtype=object) if array.ndim == 1 else pandas.DataFrame(array.tolist())
    if clothes == "sparse" and array.ndim == 2 and array.dtype in (np.float64, np.float32, np.int64):
        return draw(st.sampled_from((sparse.csr_matrix, sparse.coo_array)))(array)
    return array


def generator(items: list[Any]) -> Any:
    """One that runs out."""
    return (item for item in items)


lists = st.lists(st.one_of(scalars, arrays(), st.lists(scalars, max_size=3)), max_size=4)
masked = st.just(np.ma.masked)  # by itself: in a list NumPy warns of it
anything = st.one_of(scalars, masked, arrays(), lists, lists.map(tuple), lists.map(generator))
