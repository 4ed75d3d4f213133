"""What an ensemble is fitted to: the rows, their targets, their folds, and the views of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import tables
from .._files.columns import Column
from ._means import CLASSES
from ._objectives import Objective
from ._targets import TargetTransform, candidates
from ._views import View, ViewSpec, estimated_width, fitted, within

if TYPE_CHECKING:
    from pandas import DataFrame

Array = npt.NDArray[Any]

PLAIN = ViewSpec()  # the view of linear models and of scikit-learn's estimators
LEAST = 1 << 25  # bytes that the features of every view may take
KEPT = 1 << 25  # bytes of features of views that no network is training with, which are kept for the next


class Problem:
    """The rows of a table with their targets.

    Parameters
    ----------
    frame : DataFrame
        The inputs. Column names are strings.
    y : (n,) array
        Numbers, or the numbers of classes, 0 … k − 1.
    weights : (n,) array, optional
        Weights of the rows.
    objective : Objective
        What the ensemble minimizes.
    n_classes : int, optional
        k; None if y has numbers.
    n_folds : int
        Folds of the cross-validation.
    types, drop : as in `tables.recognise`
    columns : tuple, optional
        What each column is, if it is known.
    random_state : int
        Seed of the folds.
    folds : (n,) array of int8, optional
        The fold of each row, in place of random ones.

    Attributes
    ----------
    columns : what each column of the frame is; () if none is useful
    left_out : names of the columns that become no features, and why
    raw : the values of the rows
    folds : (n,) the fold of each row
    """

    def __init__(
        self,
        frame: DataFrame,
        y: Array,
        weights: Array | None,
        objective: Objective,
        *,
        n_classes: int | None = None,
        n_folds: int = 5,
        types: Mapping[str, str] | None = None,
        drop: Collection[str] = (),
        columns: tuple[Column, ...] | None = None,
        random_state: int = 0,
        folds: Array | None = None,
    ) -> None:
        self.frame, self.y, self.weights = frame, y, weights
        self.objective, self.n_classes = objective, n_classes
        self.columns, self.left_out = columns or (), dict[str, str]()
        if columns is None:
            self.columns, self.left_out = tables.recognise_inputs(frame, drop=drop, types=types)
        self.raw = tables.raw_columns(self.columns, frame, silent=True)
        self.folds = folds_of(y, min(n_folds, len(y)), random_state) if folds is None else folds
        self.n_folds = int(self.folds.max()) + 1
        self._grouped = folds is not None  # mean targets would tell of other rows of the group, which validate, too
        self._views = OrderedDict[ViewSpec, tuple[View, Array]]()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self.y)

    def rows(self, fold: int) -> tuple[Array, Array]:
        """Return the numbers of the rows that train in a fold, and of those that validate."""
        validates = self.folds == fold
        return np.flatnonzero(~validates), np.flatnonzero(validates)

    def view(self, spec: ViewSpec) -> tuple[View, Array]:
        """Return a view, and the features of the rows, which are shared by all folds and networks.

        A view that would take more memory than three quarters of the rows' values, and more than LEAST, has fewer
        features.
        """
        spec = self._within(spec)
        with self._lock:
            if spec in self._views:
                self._views.move_to_end(spec)
                return self._views[spec]
        targets = self._targets_of_means() if spec.means else None
        found = fitted(spec, self.columns, self.raw, targets)
        with self._lock:
            self._views[spec] = found
            while len(self._views) > 1 and sum(X.nbytes for _, X in self._views.values()) > KEPT:
                self._views.popitem(last=False)
        return found

    def width(self, spec: ViewSpec) -> int:
        """Return about how many features a view has."""
        return estimated_width(self._within(spec), self.columns)

    def _within(self, spec: ViewSpec) -> ViewSpec:
        limit = max(LEAST, (self.raw.numbers.nbytes + self.raw.places.nbytes) * 3 // 4)
        found = within(spec, self.columns, limit // (4 * len(self)))
        without = self._grouped or (self.n_classes or 1) > CLASSES
        return replace(found, means=False) if without else found

    @cached_property
    def transforms(self) -> tuple[str, ...]:
        """The kinds of transforms that suit numeric targets, the plainest first; () for classes."""
        return () if self.n_classes is not None else tuple(candidates(self.y, self.objective))

    def transform(self, kind: str) -> TargetTransform | None:
        """Return a transform of numeric targets, the plainest if this kind doesn't suit them; None for classes."""
        if not self.transforms:
            return None
        return TargetTransform.fit(kind if kind in self.transforms else self.transforms[0], self.y, self.weights)

    def _targets_of_means(self) -> Array:
        """Return the targets from which mean targets are computed, (n, w)."""
        if self.n_classes is None:
            deviation = self.y.std() or 1.0
            return ((self.y - self.y.mean()) / deviation)[:, None]
        first = 1 if self.n_classes == 2 else 0
        return (self.y[:, None] == np.arange(first, self.n_classes)).astype(np.float64)


def folds_of(y: Array, n_folds: int, seed: int) -> Array:
    """Return the fold of each row, (n,) of int8. Rows with near targets are in different folds.

    Classes are therefore stratified, and numbers have similar distributions in all folds.
    """
    rng = np.random.default_rng(seed)
    n = len(y)
    order = np.lexsort((rng.random(n), y))
    groups = -(-n // n_folds)
    folds = np.argsort(rng.random((groups, n_folds)), axis=1).ravel()[:n]
    found = np.empty(n, np.int8)
    found[order] = folds
    return found
