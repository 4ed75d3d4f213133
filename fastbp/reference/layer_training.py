"""An epoch of mini-batches for a network of layers, with what parameters can have of their own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from .blocks import Array, Gradients, Inputs, Pass
from .networks import Network
from .training import clip, dropout_mask, limit_norms, update

UNTRAINED = ("mean", "variance", "edges")
UNDECAYED = ("bias", "gamma", "beta")  # by default; the bias of PBLD decays


def decay_of(name: str) -> float:
    """Return the factor of the weight decay that a parameter has by default: 0 for biases and norms, 1 for others."""
    return float(name.startswith("pbld.") or name.rsplit(".", 1)[-1] not in UNDECAYED)


def is_weight(name: str) -> bool:
    """Return whether l1, l2 and max_norm apply to a parameter: the weights of affine layers."""
    *_, layer, own = ("", *name.split("."))
    return own == "weight" and layer.startswith("dense")


def move_average(average: MutableMapping[str, Array], p: Mapping[str, Array], ema: float) -> None:
    """Update the moving average in place: average ← ema · average + (1 − ema) · θ. An empty one becomes a copy.

    Statistics are copied, as torch.optim.swa_utils.AveragedModel does by default.
    """
    for name, theta in p.items():
        if name not in average or name.rsplit(".", 1)[-1] in UNTRAINED:
            average[name] = theta.copy()
        else:
            average[name][...] = ema * average[name] + (1 - ema) * theta


def train_epoch(
    network: Network,
    p: MutableMapping[str, Array],
    X: Array,
    y: Array,
    *,
    learning_rate: float | Sequence[float] = 0.1,
    batch_size: int = 32,
    drop_last: bool = False,
    sample_weight: Array | None = None,
    optimizer: str = "sgd",
    state: MutableMapping[str, Any] | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    clip_value: float | None = None,
    clip_norm: float | None = None,
    max_norm: float | None = None,
    weight_decay: float = 0.0,
    decays: float | Sequence[float] = 1.0,
    dropouts: float | Sequence[float] = 1.0,
    factors: Mapping[str, tuple[float, float]] | None = None,
    frozen: Collection[str] = (),
    ema: float | None = None,
    average: MutableMapping[str, Array] | None = None,
    seed: int = 0,
    **hyperparameters: float,
) -> float:
    """Train one epoch in place, in the given order. Return the mean over the samples of the J of their batches.

    Parameters
    ----------
    network, p, X, y : the network, its parameters and statistics by name, inputs and targets
    learning_rate : η, or the η of each batch
    batch_size, drop_last : m, and whether a last batch that is shorter is left out; X is not shorter than a batch then
    sample_weight, optimizer, hyperparameters : as in `fastbp.reference.train_epoch`
    state : a dict that is empty at first, passed from epoch to epoch: the number t of batches, and moments by name
    l1, l2, clip_value, clip_norm, max_norm : as in `fastbp.reference.train_epoch`
    weight_decay, decays : decoupled decay before the optimizer's update, and its factor, or that of each batch
    dropouts : the factor of the dropout rates, or that of each batch
    factors : factors of η and of the decay by name; by default 1 and `decay_of`
    frozen : names of parameters that are not trained
    ema, average : as in `move_average`, after each batch
    seed : as in `dropout_mask`
    """
    state = {} if state is None else state
    w = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    starts = range(0, len(X) - (batch_size - 1 if drop_last else 0), batch_size)
    learned = [name for name in p if name.rsplit(".", 1)[-1] not in UNTRAINED and name not in frozen]
    total = weight = 0.0
    rates = (np.broadcast_to(what, len(starts)) for what in (learning_rate, decays, dropouts))
    for start, eta, decay, dropout in zip(starts, *rates, strict=True):
        batch = slice(start, start + batch_size)
        x, v, t = X[batch], w[batch], state.get("t", 0)

        def mask(rate: float, number: int, m: int, n: int, t: int = t, factor: float = float(dropout)) -> Array:
            return dropout_mask(rate * factor, seed, t, number, m, n)

        how = Pass(training=True, moves=True, mask=mask, frozen=frozen)
        J, gradients = network.gradients(p, x, y[batch], v, how)
        J += _penalize(p, gradients, learned, l1, l2)
        clip([gradients[name] for name in learned], clip_value, clip_norm)
        rows = _rows_of(network, x)
        state["t"] = t + 1
        for name in learned:
            f_eta, f_decay = (factors or {}).get(name, (1.0, decay_of(name)))
            theta, part = p[name], rows.get(name, slice(None))
            moments = state.setdefault(name, (np.zeros_like(theta), np.zeros_like(theta)))
            theta[part] -= eta * f_eta * weight_decay * f_decay * decay * theta[part]
            _move(theta, gradients[name], part, eta * f_eta, moments, t, optimizer, hyperparameters)
            if max_norm is not None and is_weight(name):
                limit_norms([theta], max_norm)
        if ema is not None and average is not None:
            move_average(average, p, ema)
        total += J * v.sum()
        weight += v.sum()
    return float(total / weight)


def _penalize(p: Mapping[str, Array], gradients: Gradients, learned: Sequence[str], l1: float, l2: float) -> float:
    """Add the gradients of the penalties, in place. Return ½ l2 Σ θ² + l1 Σ |θ|, over the weights of affine layers."""
    J = 0.0
    for name in filter(is_weight, p):
        J += float(l2 / 2 * (p[name] ** 2).sum() + l1 * np.abs(p[name]).sum())
        if name in learned:
            gradients[name] += l2 * p[name] + l1 * np.sign(p[name])
    return J


def _rows_of(network: Network, x: Array) -> dict[str, Array]:
    """Return the rows that the batch has of each table that is updated by row."""
    inputs = network.layers[0]
    if not isinstance(inputs, Inputs) or not inputs.sparse:
        return {}
    columns = x[:, inputs.numbers :].astype(np.int64).T
    return {f"embedding{i}.weight": np.unique(column) for i, column in enumerate(columns, start=1)}


def _move(
    theta: Array,
    gradient: Array,
    rows: Array | slice,
    eta: float,
    moments: tuple[Array, Array],
    t: int,
    optimizer: str,
    hyperparameters: Mapping[str, float],
) -> None:
    """Update some rows of a parameter in place, as `update` does, after t updates. Other rows keep their moments."""
    m, v = moments
    own: dict[str, Any] = {"t": t, "m": [m[rows]], "v": [v[rows]]}  # copies, if some are rows
    part = theta[rows]
    update([part], [gradient[rows]], eta, optimizer, own, **hyperparameters)
    theta[rows], m[rows], v[rows] = part, own["m"][0], own["v"][0]
