"""Measure the loss, metrics and gradients with the current weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .. import metrics as metric_functions
from .._kernels import codes
from .._kernels.tuning import BLOCK
from ..results import Gradients
from ..streams._feed import Feed
from .state import State

Array = npt.NDArray[Any]


def measure(state: State, data: codes.Data | Feed, metrics: Any) -> dict[str, float]:
    """Return the loss and the metrics with the current weights."""
    if isinstance(data, Feed):
        return _measure_feed(state, data, metrics)
    loss, output = state.engine.evaluate(data, state.n_threads, predictions=bool(metrics))
    return measured_of(state, data, metrics, loss, output)


def _measure_feed(state: State, feed: Feed, metrics: Any) -> dict[str, float]:
    """Return the loss and the metrics over a Stream: weighted means over its slabs, in one pass."""
    sums: dict[str, float] = {}
    weight = 0.0
    with feed.epoch(BLOCK, state.random, lambda: None) as slabs:
        for data in slabs:
            if data.weight > 0:
                loss, output = state.engine.evaluate(data, state.n_threads, predictions=bool(metrics))
                values = {"loss": loss} | metrics_of(state, data, metrics, output)
                sums = {name: sums.get(name, 0.0) + value * data.weight for name, value in values.items()}
                weight += data.weight
    means = {name: total / weight for name, total in sums.items()}
    return means | {"loss": means["loss"] + penalty(state)}


def measured_of(state: State, data: codes.Data, metrics: Any, loss: float, output: Array) -> dict[str, float]:
    """Return the loss and the metrics, given J without penalties, and aᴸ of all rows if there are metrics."""
    return {"loss": loss + penalty(state)} | metrics_of(state, data, metrics, output)


def metrics_of(state: State, data: codes.Data, metrics: Any, output: Array) -> dict[str, float]:
    """Return the metrics in the units of y, given aᴸ of all rows as the kernels compute it."""
    if not metrics:
        return {}
    targets, scaling, of_outputs = data.targets, state.scaling, state.scaling_of_outputs
    if scaling is not None and of_outputs is not None:
        targets, output = scaling.outputs(targets, np.float64), of_outputs.outputs(output, np.float64)
    return metrics_in_own_units(state, data._replace(targets=targets), metrics, state.loss.answer(output))


def metrics_in_own_units(state: State, data: codes.Data, metrics: Any, output: Array) -> dict[str, float]:
    """Return the metrics, given targets and predictions in the units of y."""
    return metric_functions.measure(
        metrics,
        data.targets[:, : state.n_targets],
        data.labels,
        output,
        threshold=state.threshold,
        multi_label=state.multi_label,
        sample_weight=data.weights if data.weights.size else None,
    )


def gradients(state: State, data: codes.Data) -> Gradients:
    """Return the gradients of J over all of data, and J. Both include the penalties. Frozen parameters have 0."""
    if state.network.layers:
        J: Gradients = cast(Any, state.network).gradients_with(state.engine, data)
    else:
        loss, weights, biases = state.engine.gradients(data)
        J = Gradients(weights, biases, loss)
    l1, l2 = state.bounds.l1, state.bounds.l2
    if l1 > 0 or l2 > 0:
        for gradient, theta, learns in zip(J.weights, state.network.weights, state.network.learns, strict=True):
            if learns:
                gradient[...] += l2 * theta + l1 * np.sign(theta)
        J = replace(J, loss=J.loss + penalty(state))
    return J


def penalty(state: State) -> float:
    """Return the penalties that l1 and l2 add to J."""
    l1, l2, penalty = state.bounds.l1, state.bounds.l2, 0.0
    if l1 > 0 or l2 > 0:
        for theta in state.network.weights:
            penalty += 0.5 * l2 * float(np.sum(theta * theta, dtype=np.float64))
            penalty += l1 * float(np.sum(np.abs(theta), dtype=np.float64))
    return penalty
