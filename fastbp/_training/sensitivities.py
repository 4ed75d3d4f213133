"""Derivatives with respect to the inputs, in the units of X and y: the recursion of the method, up to layer 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._kernels import codes
from .._kernels.graph import nodes
from .intake import Intake
from .state import State

Array = npt.NDArray[Any]


def input_gradients(state: State, X: Any, y: Any, sample_weight: Any) -> Array:
    """Return ∂J/∂X, (n, n_1). J has the units of the network, as in `gradients`, and X its own."""
    data = Intake(state).data("X", X, "y", y, (), sample_weight)
    return _by_own_inputs(state, state.puller.pull(data, nodes.OF_LOSS, n_threads=state.n_threads))


def vjp(state: State, X: Any, V: Any) -> Array:
    """Return V ∂aᴸ/∂X of each row, (n, n_1), given V, (n, n_L)."""
    data = _inputs(state, X)
    n, n_out = data.n, state.network.layer_sizes[-1]
    vectors = _checks.numbers("V", V)
    if vectors.shape == (n,) and n_out == 1:
        vectors = vectors.reshape(n, 1)
    if vectors.shape != (n, n_out):
        raise ValueError(
            _checks.wrong("V", f"shape ({n}, {n_out}), a vector for the outputs of each row", vectors.shape)
        )
    deviation = _target_deviation(state)
    if deviation is not None:
        vectors = vectors * deviation
    vectors = np.ascontiguousarray(_checks.cast("V", vectors, state.network.dtype))
    return _by_own_inputs(state, state.puller.pull(data, nodes.OF_VECTORS, vectors, n_threads=state.n_threads))


def jacobian(state: State, X: Any) -> Array:
    """Return ∂aᴸ/∂X of each row, (n, n_L, n_1)."""
    data, network = _inputs(state, X), state.network
    n_in, n_out = network.layer_sizes[0], network.layer_sizes[-1]
    what = f"{data.n:,} Jacobians of {n_out} × {n_in} numbers, an array"
    _checks.fits("X", what, data.n * n_out * n_in * network.dtype.itemsize)
    derivatives = state.puller.pull(data, nodes.OF_OUTPUTS, n_threads=state.n_threads)
    deviation = _target_deviation(state)
    if deviation is not None:
        derivatives *= deviation[:, None].astype(derivatives.dtype)
    return _by_own_inputs(state, derivatives)


def _inputs(state: State, X: Any) -> codes.Data:
    """Check X as `predict` does, and return it in the units of the network."""
    X = state.column_names.inputs("X", X)
    X = _checks.matrix("X", X, state.network.layer_sizes[0], state.dtype_of(X))
    state.network.check_inputs("X", X)
    data = state.engine.data(X)
    return Intake(state).standardized(data) if state.standardize else data


def _target_deviation(state: State) -> Array | None:
    """Return the deviations by which predictions are scaled back, (n_L,), or None."""
    scaling = state.scaling_of_outputs
    return None if scaling is None else scaling.target_deviation


def _by_own_inputs(state: State, derivatives: Array) -> Array:
    """Return derivatives by the network's inputs, (…, n_1), as those by X in its own units."""
    if state.scaling is not None:
        derivatives /= state.scaling.deviation.astype(derivatives.dtype)
    return derivatives
