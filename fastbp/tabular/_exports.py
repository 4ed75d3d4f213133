"""Files and ONNX models of fitted estimators."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from sklearn.utils.validation import check_is_fitted

from .._extras import not_installed
from ..tables import Table
from . import _file
from ._report import SearchReport


class Exports:
    """Saving, loading and exporting of estimators."""

    _kind: ClassVar[str]  # "classifier" or "regressor"
    _table: Table | None = None  # of the command line
    _report: SearchReport | None = None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a file that holds no code. A crash leaves the old file or the new one.

        The file has what `predict` and the other methods need, and up to 500 training rows for `explain`. It doesn't
        have the out-of-fold predictions. An ensemble with a member from `estimators` is refused; use pickle for it.

        Parameters
        ----------
        path : str or path
            Such as "model.npz".
        """
        _file.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Any:
        """Return the estimator in a file that `save` wrote.

        Parameters
        ----------
        path : str or path

        Raises
        ------
        ModelFileError
            If the file is not one that `save` of this class wrote. Loading never runs code from it.
        """
        return _file.load(path, {cls._kind: cls})

    def to_onnx(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Return the fitted estimator as an ONNX model, which computes predictions from the raw columns.

        The model has an input of shape (n, 1) for each column in `columns_`, with its name: float64 for numbers, text
        for categories, and float64 for dates, in days since 1970. A missing number is NaN, and a missing category is an
        empty text. Categories are written as in `columns_`. The outputs of a classifier are label, (n,), and
        probabilities, (n, n_classes); that of a regressor is prediction, (n,).

        Parameters
        ----------
        path : str or path, optional
            A file to write, such as "model.onnx". A crash leaves the old file or the new one.

        Returns
        -------
        onnx.ModelProto
        """
        check_is_fitted(self)
        try:
            from ._onnx import to_onnx
        except ImportError as error:
            raise not_installed("to_onnx needs onnx", "onnx") from error
        return to_onnx(self, path)
