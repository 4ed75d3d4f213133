"""`Trainer.to_c`: checks its arguments, and writes the two files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .. import _checks
from .text import identifier, is_identifier

if TYPE_CHECKING:
    from ..results import CSource

DTYPES = ("float32", "float64", "int8")


def to_c(
    self: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    header: str | os.PathLike[str] | None = None,
    name: str | None = None,
    dtype: str = "float32",
    calibration: Any = None,
) -> CSource:
    """Export the network as C: a C99 file and its header, without dependencies or allocation; see docs/c-export.md.

    The files contain the network, its scaling and a self-test. The functions are ``net_predict``, ``net_self_test``
    and, if the targets are classes, ``net_class``. For a model of ``fastbp train``, ``net_encode`` computes the inputs
    from a row of the table. The outputs are the numbers that `predict` returns. With the losses gaussian_nll,
    negative_binomial and Members, the numbers that `predict_std` returns follow.

    Parameters
    ----------
    path : str or path, optional
        The C file to write. By default, no file is written. A crash leaves the old file or the new one.
    header : str or path, optional
        The header to write. By default, it has the path of the C file with the ending .h.
    name : str, optional
        The prefix of all names in the header, an identifier of C. By default, the name of the file, or "net".
    dtype : {"float32", "float64", "int8"}
        Type of the numbers. With "int8", weights and activations are 8-bit integers. The weights of each unit share a
        scale, and so do the activations of each layer. Sums are 32-bit integers. Biases, scales and activation
        functions are float.
    calibration : (n, n_1) array, list or frame of numbers; or (X, y), a tuple
        A few hundred rows or more of the training data. "int8" needs them, because they determine the ranges of the
        activations. The report measures the integers on these rows. With y, it also contains the accuracy or the RMSE.

    Returns
    -------
    CSource
        The two texts. For "int8", also a report of how much accuracy the integers cost.

    Raises
    ------
    ValueError, TypeError
        If an argument has the wrong type or value, or if a weight is not finite. No file is written then.
    """
    _checks.one_of("dtype", dtype, DTYPES)
    expected = "an identifier of C that is not a keyword, such as 'net'"
    if name is not None and not isinstance(name, str):
        raise TypeError(_checks.wrong("name", expected, _checks.typed(name)))
    if name is not None and not is_identifier(name):
        raise ValueError(_checks.wrong("name", expected, _checks.shown(name)))
    places = _places(path, header)
    if name is None:
        name = "net" if places is None else identifier(os.path.splitext(os.path.basename(places[0]))[0], "net")
    from .files import files_of

    made = files_of(self._state, self._table, name, header_name(name, places), dtype, calibration)
    if places is not None:
        from .._writing import replacing

        with replacing(places[0], text=True) as source, replacing(places[1], text=True) as declarations:
            source.write(made.source)
            declarations.write(made.header)
    return made


def header_name(name: str, places: tuple[str, str] | None) -> str:
    """Return the name by which the C file includes the header."""
    return f"{name}.h" if places is None else os.path.basename(places[1])


def _places(path: Any, header: Any) -> tuple[str, str] | None:
    """Return where to write the two files, which must differ."""
    if path is None:
        if header is not None:
            raise ValueError(_checks.wrong("header", "None, because path is None", _checks.shown(header)))
        return None
    _checks.file_to_write("path", path)
    first = _checks.path("path", path)
    second = f"{os.path.splitext(first)[0]}.h" if header is None else _checks.path("header", header)
    argument = "path" if header is None else "header"
    if os.path.realpath(first) == os.path.realpath(_checks.file_to_write(argument, second)):
        expected = "a file other than the header" if header is None else "a file other than path"
        raise ValueError(_checks.wrong(argument, expected, _checks.shown(first)))
    if any(c in os.path.basename(second) for c in '"\\\n\r'):
        expected = "a file name without quotes, backslashes and line breaks, for #include"
        raise ValueError(_checks.wrong(argument, expected, _checks.shown(second)))
    return first, second
