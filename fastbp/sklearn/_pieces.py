"""Samples for the epochs. A large sparse X stays sparse and is made dense one piece at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._kernels import codes
from .._kernels.tuning import BLOCK
from .._training import measures
from ..trainer import Trainer

Array = npt.NDArray[Any]

DENSE_BYTES = 1 << 26  # size of the part of a sparse matrix that is made dense at once


class Samples(NamedTuple):
    """The samples: X, and either targets or labels, depending on the loss."""

    X: Any  # (n, n_1) C-contiguous of the trainer's dtype, or CSR
    targets: Array  # (n, n_L) of the trainer's dtype, or (0, n_L)
    labels: npt.NDArray[np.int64]  # (n,) class numbers, or (0,)
    weights: Array | None = None  # (n,) of the trainer's dtype
    constants: Array | None = None  # (n,) added to the kernels' loss in reports

    def of(self, rows: npt.NDArray[np.int64] | slice) -> Samples:
        """Return some of the samples."""
        parts = (part if part is None or not part.shape[0] else part[rows] for part in self)
        return Samples(*parts)  # type: ignore[arg-type]

    def constant(self, take: Any) -> float:
        """Return the mean of the constants of some samples."""
        if self.constants is None:
            return 0.0
        weights = None if self.weights is None else self.weights[take]
        if weights is not None and not weights.any():
            return 0.0
        return float(np.average(self.constants[take], weights=weights))


def as_rows(argument: str, X: Any, dtype: np.dtype[Any]) -> Any:
    """Return a checked array, C-contiguous, or a checked CSR matrix, in the dtype."""
    if not isinstance(X, np.ndarray):
        data = X.data if X.dtype == dtype else _checks.cast(argument, X.data, dtype)
        return type(X)((data, X.indices, X.indptr), X.shape)
    if X.dtype != dtype:
        return _checks.cast(argument, X, dtype)
    return np.require(X, dtype, "C")


def dense(X: Any, dtype: np.dtype[Any]) -> Array:
    """Return X as an array, in the dtype if it was sparse."""
    if isinstance(X, np.ndarray):
        return X
    with np.errstate(over="ignore"):
        rows: Array = X.astype(dtype, copy=False).toarray("C")
    return rows


def rows_at_once(X: Any, dtype: np.dtype[Any]) -> int:
    """Return how many rows of a sparse X are made dense at once: whole blocks if at least one fits."""
    rows = max(1, DENSE_BYTES // max(1, X.shape[1] * dtype.itemsize))
    return rows // BLOCK * BLOCK or rows


def pieces(trainer: Trainer, samples: Samples) -> Iterator[codes.Data]:
    """Yield dense pieces of the samples for the kernels."""
    n, rows = samples.X.shape[0], rows_at_once(samples.X, trainer.dtype)
    for start in range(0, n, rows):
        X, *others = (part[start : start + rows] if part is not None else None for part in samples[:4])
        labelled = (part if part is not None and len(part) else None for part in others)
        yield trainer._state.engine.data(dense(X, trainer.dtype), *labelled)


def measure(trainer: Trainer, data: codes.Data | Samples, names: Any) -> dict[str, float]:
    """Return the loss and the metrics with the current weights, piece by piece if X is sparse."""
    if isinstance(data, codes.Data):
        return measures.measure(trainer._state, data, names)
    total, outputs = 0.0, []
    for piece in pieces(trainer, data):
        unweighted = piece._replace(weight=1.0)  # gives the sum of losses, even if all weights are 0
        loss, output = trainer._state.engine.evaluate(unweighted, trainer.n_threads, predictions=bool(names))
        total += loss
        outputs.append(output)
    whole = trainer._state.engine.data(np.empty((data.X.shape[0], 0), trainer.dtype), *data[1:4])
    return measures.measured_of(trainer._state, whole, names, total / whole.weight, np.concatenate(outputs))


def gradients(trainer: Trainer, data: codes.Data | Samples) -> tuple[float, list[Array], list[Array]]:
    """Return J and its gradients over all samples: [∂J/∂Θ¹, …], [∂J/∂b¹, …]. Use pieces if X is sparse."""
    if isinstance(data, codes.Data):
        return trainer._state.engine.gradients(data)
    loss, weight = 0.0, weight_of(data)
    weights = [np.zeros_like(theta) for theta in trainer.weights]
    biases = [np.zeros_like(b) for b in trainer.biases]
    for piece in pieces(trainer, data):
        if piece.weight > 0:
            share = piece.weight / weight
            J, of_weights, of_biases = trainer._state.engine.gradients(piece)
            loss += share * J
            for sums, parts in ((weights, of_weights), (biases, of_biases)):
                for k, part in enumerate(parts):
                    sums[k] += share * part
    return loss, weights, biases


def weight_of(data: codes.Data | Samples) -> float:
    """Return the sum of the sample weights."""
    if isinstance(data, codes.Data):
        return data.weight
    return float(data.X.shape[0] if data.weights is None else data.weights.sum(dtype=np.float64))
