"""Argument checks. Every message names the argument, the expected and the given value."""

from __future__ import annotations

import math
import operator
import os
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ._library.library import is_finite
from ._memory_limit import memory_limit

Array = npt.NDArray[Any]

ELSEWHERE = {  # names in Keras, PyTorch and scikit-learn
    "bce": "binary_cross_entropy",
    "binary_crossentropy": "binary_cross_entropy",
    "categorical_crossentropy": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy",
    "crossentropyloss": "cross_entropy",
    "nll": "cross_entropy",
    "log_loss": "cross_entropy",
    "mse": "squared_error",
    "mseloss": "squared_error",
    "mean_squared_error": "squared_error",
    "mae": "absolute_error",
    "l1loss": "absolute_error",
    "mean_absolute_error": "absolute_error",
    "pinball": "quantile",
    "linear": "identity",
    "logistic": "sigmoid",
    "swish": "silu",
    "hardtanh": "hard_tanh",
    "xavier": "glorot",
    "kaiming": "he",
    "roc_auc": "auc",
    "acc": "accuracy",
}
SMALL = 1 << 28  # bytes; every machine has so much memory
DATES = (np.datetime64, np.timedelta64)
NOT_REAL = (*DATES, np.complexfloating)
BLOCK_BYTES = 1 << 20  # of a matrix to check at once, so that a check doesn't copy the whole matrix


def wrong(argument: str, expected: str, got: object) -> str:
    """Return the message of an error about an argument."""
    return f"{argument}: expected {expected}, got {got}"


def level_outside() -> int:
    """Return the stacklevel at which a warning of the caller points to the line outside of fastbp."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "fastbp":
        frame, level = frame.f_back, level + 1
    return level


def shown(value: object) -> str:
    """Return a short repr."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def typed(value: object) -> str:
    """Return a short repr and the type."""
    return f"{shown(value)} ({type(value).__name__})"


def kind_shown(value: object, kind: type) -> str:
    """Return a short repr and the type. For a class instead of an object, tell how to create the object."""
    if isinstance(value, type) and issubclass(value, kind):
        return f"the class {value.__name__}; write {value.__name__}()"
    return typed(value)


def whole(argument: str, value: Any, minimum: int) -> int:
    """Return an integer ≥ minimum."""
    if type(value) is int and value >= minimum:
        return value
    expected = f"an integer ≥ {minimum}"
    if isinstance(value, bool | np.bool_):
        raise TypeError(wrong(argument, expected, shown(value)))
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(wrong(argument, expected, typed(value))) from None
    if number < minimum:
        raise ValueError(wrong(argument, expected, number))
    return number


def real(
    argument: str, value: Any, *, dtype: np.dtype[Any], above: float | None = None, minimum: float | None = None
) -> float:
    """Return a number that is finite in the dtype, and > `above` or ≥ `minimum`."""
    expected = "a finite number" + (f" > {above:g}" if above is not None else f" ≥ {minimum:g}")
    if isinstance(value, bool | np.bool_ | str | bytes) or is_masked(value):
        raise TypeError(wrong(argument, expected, shown(value)))
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(wrong(argument, expected, typed(value))) from None
    with np.errstate(over="ignore", under="ignore"):
        rounded = float(dtype.type(number))
    too_small = rounded <= above if above is not None else minimum is not None and number < minimum
    if not math.isfinite(rounded) or too_small:
        came = shown(value)
        if math.isfinite(number) and rounded != number:
            came += f", which is {rounded:g} in {dtype}"
        raise ValueError(wrong(argument, expected, came))
    return number


def rates(argument: str, value: Any, count: int) -> tuple[float, ...]:
    """Return numbers in [0, 1), (count,), given one for all or one for each."""
    expected = f"a number in [0, 1), or one for each of the {count} hidden layers"
    values = sequence(argument, value, expected) if is_sequence(value) else [value] * count
    if len(values) != count:
        raise ValueError(wrong(argument, expected, f"{len(values)} numbers"))
    if not is_sequence(value):  # check it even if there is no hidden layer
        real(argument, value, minimum=0, dtype=np.dtype("float64"))
    numbers = tuple(real(argument, rate, minimum=0, dtype=np.dtype("float64")) for rate in values)
    if any(rate >= 1 for rate in numbers):
        raise ValueError(wrong(argument, expected, shown(value)))
    return numbers


def fraction(argument: str, value: Any) -> float:
    """Return a number in [0, 1)."""
    if type(value) is float and 0 <= value < 1:
        return value
    number = real(argument, value, minimum=0, dtype=np.dtype("float64"))
    if number >= 1:
        raise ValueError(wrong(argument, "a number in [0, 1)", shown(value)))
    return number


def factors(argument: str, value: Any, shape: tuple[int, ...]) -> Array:
    """Return finite numbers ≥ 0 of a shape, one for each mini-batch, as float64."""
    array = numbers(argument, value, "an array of numbers")
    if array.shape != shape:
        raise ValueError(wrong(argument, f"shape {shape}, one number for each mini-batch", f"shape {array.shape}"))
    good = np.isfinite(array) & (array >= 0)
    if not good.all():
        raise ValueError(wrong(argument, "finite numbers ≥ 0", array[~good][0]))
    return array.astype(np.float64)


def thread_count(value: Any) -> int | str:
    """Return a number of threads or "auto"."""
    if isinstance(value, str):
        if value != "auto":
            raise ValueError(wrong("n_threads", "an integer ≥ 1 or 'auto'", repr(value)))
        return value
    return whole("n_threads", value, minimum=1)


def epsilon(value: Any, dtype: np.dtype[Any]) -> float | str:
    """Return a number ≥ 0 or "auto"."""
    if isinstance(value, str):
        if value != "auto":
            raise ValueError(wrong("epsilon", "a finite number ≥ 0 or 'auto'", repr(value)))
        return value
    return real("epsilon", value, minimum=0, dtype=dtype)


def flag(argument: str, value: Any) -> bool:
    """Return True or False."""
    if value is True or value is False:
        return value
    if not isinstance(value, np.bool_):
        raise TypeError(wrong(argument, "True or False", shown(value)))
    return bool(value)


def path(argument: str, value: Any) -> str:
    """Return a path as a string that is not empty and has no NUL."""
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str):
        raise TypeError(wrong(argument, "a path", typed(value)))
    if not text or "\0" in text:
        raise ValueError(wrong(argument, "a path, not empty and without NUL", shown(text)))
    return text


def file_to_write(argument: str, value: Any) -> str:
    """Resolve the symlinks of an output path. Refuse a path to an existing folder, device, pipe or socket."""
    text = path(argument, value)
    place, folder = os.path.realpath(text), text.endswith((os.sep, os.altsep or os.sep))
    if folder or (os.path.exists(place) and not os.path.isfile(place)):
        kind = "a folder" if folder or os.path.isdir(place) else "a device, a pipe or a socket"
        raise ValueError(wrong(argument, "a file or a new name", f"{shown(value)}, which is {kind}"))
    return place


def one_of(argument: str, value: Any, names: Iterable[str]) -> str:
    """Return one of the names. The error for another name suggests the closest one."""
    names = sorted(names)
    expected = "one of " + ", ".join(repr(name) for name in names)
    if not isinstance(value, str):
        raise TypeError(wrong(argument, expected, typed(value)))
    if value not in names:
        from difflib import get_close_matches

        plain = value.lower().replace(" ", "_").replace("-", "_")
        near = [ELSEWHERE[plain]] if ELSEWHERE.get(plain) in names else get_close_matches(plain, names, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(wrong(argument, expected, repr(value)) + hint)
    return value


def is_sequence(value: Any) -> bool:
    """Return whether it is a list, a tuple, an array that is not 0-D, or another iterable, but not text."""
    return isinstance(value, Iterable) and not isinstance(value, str | bytes) and getattr(value, "ndim", 1) > 0


def sequence(argument: str, value: Any, expected: str, *, ordered: bool = True) -> list[Any]:
    """Return a sequence as a list. A set is refused unless the order doesn't matter."""
    if not is_sequence(value) or (ordered and isinstance(value, set | frozenset)):
        raise TypeError(wrong(argument, expected, typed(value)))
    return list(value)


def parts(argument: str, value: Any) -> tuple[Any, ...]:
    """Return a tuple or list of X, y and optionally the sample weights as a tuple."""
    if not isinstance(value, tuple | list) or len(value) not in (2, 3):
        came = f"a {type(value).__name__}" + (f" of {len(value)}" if isinstance(value, tuple | list) else "")
        raise TypeError(wrong(argument, "a pair (X, y), or (X, y, sample_weight)", came))
    return tuple(value)


def seconds(argument: str, value: Any) -> float:
    """Return a time > 0; infinity for None."""
    return math.inf if value is None else limit(argument, value, dtype=np.dtype("float64"))


def absent(reason: str, **arguments: Any) -> None:
    """Refuse arguments that are not allowed here, unless they are None or 0."""
    for name, value in arguments.items():
        if value is not None and _is_something(value):
            raise ValueError(wrong(name, f"nothing {reason}", shown(value)))


def _is_something(value: Any) -> bool:
    """Return whether any of it isn't 0. True if NumPy can't convert it to an array."""
    try:
        return bool(np.any(value))
    except (ValueError, TypeError):
        return True


def numbers(argument: str, value: Any, expected: str = "numbers") -> Array:
    """Return an array of bools, integers or floats, given an array, a list, or a pandas frame or series."""
    if type(value) is np.ndarray and value.dtype.kind in "buif":
        return value
    if value is None:
        raise TypeError(wrong(argument, expected, "None"))
    no_stream(argument, value, expected)
    kind = type(value).__name__
    if hasattr(type(value), "tocsr"):  # ask the type, because a frame may have a column of that name
        raise TypeError(wrong(argument, "a dense array", f"{kind}; convert it with .toarray()"))
    if hasattr(getattr(value, "sparse", None), "to_dense"):  # likewise
        raise TypeError(wrong(argument, "a dense array", f"a sparse {kind}; convert it with .sparse.to_dense()"))
    if is_masked(value):
        raise ValueError(wrong(argument, "no missing values", "a masked array; fill it first"))
    try:
        if hasattr(value, "to_numpy") and not isinstance(value, np.ndarray):
            if hasattr(value, "isna") and np.asarray(value.isna()).any():
                raise ValueError(f"{argument}: expected no missing values, got a {kind} with some; fill or drop them")
            value = value.to_numpy()
        array = np.asarray(value)
        if array.dtype == object:  # a frame with mixed columns, or a list with None or with integers that are too large
            if any(isinstance(item, str | bytes) for item in array.flat):
                raise TypeError(wrong(argument, expected, "text"))
            refuse_objects(argument, array, NOT_REAL, expected)
            array = array.astype(np.float64)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        if str(error).startswith(argument):
            raise
        raise TypeError(wrong(argument, expected, f"{kind}: {error}")) from None
    if array.dtype.kind not in "buif":
        kind = "text" if array.dtype.kind in "USO" else f"dtype {array.dtype}"
        raise TypeError(wrong(argument, expected, kind))
    return array


def is_masked(value: Any) -> bool:
    """Return whether it is a masked array with missing values. Before numpy.ma is imported, there are none."""
    return "numpy.ma" in sys.modules and bool(np.ma.is_masked(value))


def refuse_objects(argument: str, array: Array, kinds: tuple[type, ...], expected: str = "numbers") -> None:
    """Refuse an array of objects if one of them is of these kinds, which float() would convert."""
    for item in array.flat if array.dtype == object else ():
        if isinstance(item, kinds):
            raise TypeError(wrong(argument, expected, typed(item)))


def finite(argument: str, array: Array) -> None:
    """Refuse an array with NaN or infinity. The error shows where the first one is."""
    if array.dtype.kind != "f" or array.size == 0:
        return
    rows = max(1, BLOCK_BYTES * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), rows):
        bad = np.argwhere(~np.isfinite(array[start : start + rows]))
        if len(bad):
            place = [int(bad[0][0]) + start, *map(int, bad[0][1:])]
            at = ", ".join(map(str, place))
            raise ValueError(wrong(argument, "finite numbers", f"{array[tuple(place)]} at [{at}]"))


def finite_in(argument: str, array: Array, dtype: np.dtype[Any]) -> None:
    """Refuse a non-empty array with numbers that are not finite in the dtype."""
    finite(argument, array)
    if max(float(array.max()), -float(array.min())) > float(np.finfo(dtype).max):
        raise ValueError(wrong(argument, f"numbers within {dtype}'s range", "larger ones"))


def no_stream(argument: str, value: Any, expected: str = "an array") -> None:
    """Refuse a Stream where an array is expected."""
    if "shuffle_buffer" in getattr(value, "__dict__", ()):
        came = "a Stream, which only fit and evaluate of a Trainer take; its chunks are arrays: for X, y in stream"
        raise TypeError(wrong(argument, expected, came))


def is_ready(value: Any, columns: int, dtype: npt.DTypeLike) -> bool:
    """Return whether `matrix` would return the value unchanged, apart from the check that its numbers are finite."""
    return (
        type(value) is np.ndarray
        and value.dtype == dtype
        and len(shape := value.shape) == 2
        and shape[1] == columns
        and shape[0] > 0
        and (flags := value.flags).c_contiguous
        and flags.aligned
    )


def matrix(argument: str, value: Any, columns: int, dtype: npt.DTypeLike) -> Array:
    """Return a finite, C-contiguous array (n, columns) of the dtype, n ≥ 1. It isn't copied if it already is one."""
    if is_ready(value, columns, dtype) and is_finite(value.reshape(-1)):
        return value
    expected = f"a 2-D array of shape (n, {columns})"
    array = numbers(argument, value, f"{expected} of numbers")
    if array.size == 0 and array.ndim < 2:
        raise ValueError(wrong(argument, expected, "an empty array"))
    if array.ndim != 2:
        hint = "; for one sample use [x], for one column x[:, None]" if array.ndim == 1 else ""
        raise ValueError(wrong(argument, expected, f"{array.ndim}-D of shape {array.shape}{hint}"))
    if array.shape[1] != columns:
        raise ValueError(wrong(argument, expected, f"shape {array.shape}"))
    if array.shape[0] == 0:
        raise ValueError(wrong(argument, "at least one row", "none (an empty array)"))
    return cast(argument, array, dtype)


def cast(argument: str, array: Array, dtype: npt.DTypeLike) -> Array:
    """Convert finite numbers to the dtype, C-contiguous and aligned."""
    with np.errstate(over="ignore"):
        converted = np.asarray(np.require(array, dtype, ["C", "ALIGNED"]))
    if not is_finite(converted.reshape(-1)):
        finite(argument, array)  # its message shows where
        raise ValueError(wrong(argument, f"numbers within {np.dtype(dtype)}'s range", "larger ones"))
    return converted


def learning_rate(value: Any, dtype: np.dtype[Any]) -> float:
    """Return η > 0."""
    return real("learning_rate", value, above=0, dtype=dtype)


def limit(argument: str, value: Any, *, dtype: np.dtype[Any]) -> float:
    """Return a number > 0; infinity for None."""
    return math.inf if value is None else real(argument, value, above=0, dtype=dtype)


def plain(argument: str, network: Any) -> None:
    """Refuse a network with a list of layers, which Θ, b and f don't describe completely."""
    if network.layers:
        expected = "a plain network, without layers of fastbp.layers"
        raise ValueError(wrong(argument, expected, shown(list(network.layers))))


def fits(argument: str, what: str, needed: int) -> None:
    """Raise MemoryError if more bytes are needed than available. Nothing is allocated.

    Raises
    ------
    MemoryError
    """
    if needed > SMALL and needed > (limit := memory_limit()):
        came = f"{what} that needs {needed:,}"
        raise MemoryError(wrong(argument, f"what fits into {int(limit):,} bytes of memory", came))
