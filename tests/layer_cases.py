"""Networks of layers, as the reference has them, with parameters and data for them."""

from __future__ import annotations

import numpy as np

from fastbp.reference import blocks
from fastbp.reference.blocks import (
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    Encoding,
    Inputs,
    LayerNorm,
    Residual,
    Scale,
)
from fastbp.reference.networks import Network

BATCH, LAYER = BatchNorm(), LayerNorm()

NETWORKS = {  # each kind of layer alone, then mixed
    "dense": Network((Inputs(5), Dense(7, "tanh"), Dense(3))),
    "dropout": Network((Inputs(5), Dropout(0.2), Dense(7, "tanh", dropout=0.3), Dense(3))),
    "embeddings": Network((Inputs(2, (3, 5), (2, 3)), Dense(7, "tanh"), Dense(3))),
    "only embeddings": Network((Inputs(0, (3, 5), (2, 3)), Dense(7, "tanh"), Dense(3))),
    "pbld": Network((Inputs(3, encoding=Encoding("pbld", 5)), Dense(7, "tanh"), Dense(3))),
    "pbld and embeddings": Network((Inputs(3, (4,), (2,), Encoding("pbld", 6, 2)), Dense(7, "tanh"), Dense(3))),
    "periodic": Network((Inputs(3, (4,), (2,), Encoding("periodic", 5)), Dense(7, "tanh"), Dense(3))),
    "piecewise": Network((Inputs(3, (4,), (2,), Encoding("piecewise", 5)), Dense(7, "tanh"), Dense(3))),
    "pbld of some": Network((Inputs(4, (4,), (2,), Encoding("pbld", 5, count=2)), Dense(7, "tanh"), Dense(3))),
    "no biases": Network((Inputs(5), Dense(7, "tanh", use_bias=False), Dense(3, norm=LAYER, use_bias=False))),
    "scale": Network((Inputs(5), Scale(), Dense(7, "tanh"), Scale(), Dense(3))),
    "layer norm": Network((Inputs(5), Dense(7, "tanh", LAYER), LAYER, Dense(3, norm=LAYER))),
    "batch norm": Network((Inputs(5), BATCH, Dense(7, "tanh", BATCH), BATCH, Dense(3))),
    "parametric": Network(
        (Inputs(5), Dense(7, "selu", parametric=True), Activation("mish", parametric=True), Dense(3))
    ),
    "activation": Network((Inputs(5), Activation("sigmoid"), Dense(7), Activation("tanh"), Dense(3))),
    "residual": Network((Inputs(5), Residual((Dense(7, "tanh"), Dense(5))), Residual((Dense(5),)), Dense(3))),
    "nested": Network(
        (
            Inputs(5),
            Dense(6, "silu", BATCH),
            Residual((LAYER, Residual((Activation("tanh"),)), Dense(9, "gelu", BATCH, 0.3, parametric=True), Dense(6))),
            Scale(),
            Dropout(0.2),
            Dense(3),
        )
    ),
    "everything": Network(
        (
            Inputs(3, (4, 6), (2, 3), Encoding("pbld", 5)),
            Scale(),
            Dense(8, "mish", LAYER, 0.2),
            Residual((Dense(9, "selu", BATCH, 0.1, parametric=True), Dense(8, norm=LAYER))),
            Activation("silu"),
            Dense(3),
        ),
        "softmax",
        "cross_entropy",
    ),
}


def parameters_of(network: Network, seed: int = 0) -> dict[str, np.ndarray]:
    """Return random parameters; variances are positive, and edges ascend."""
    rng = np.random.default_rng(seed)
    p = {}
    for name, shape in blocks.shapes_of(network.layers)[0].items():
        own = name.rsplit(".", 1)[-1]
        p[name] = rng.normal(0, 0.3 if own == "frequency" else 1 / np.sqrt(shape[-1]), shape)
        if own in ("variance", "gamma", "scale", "alpha"):
            p[name] = rng.uniform(0.5, 1.5, shape)
        if own == "edges":
            p[name] = np.sort(p[name], axis=1) + 0.3 * np.arange(-(shape[1] // 2), shape[1] - shape[1] // 2)
    return {name: in_float32(theta) for name, theta in p.items()}


def data_of(network: Network, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return X (n, n_1) and y (n, n_L)."""
    rng = np.random.default_rng(seed + 100)
    inputs, n_outputs = network.layers[0], blocks.shapes_of(network.layers)[1]
    categories = [rng.integers(0, count, n) for count in inputs.categories]
    X = np.column_stack([rng.normal(size=(n, inputs.numbers)), *categories])
    if network.loss == "cross_entropy":
        return in_float32(X), np.eye(n_outputs)[rng.integers(0, n_outputs, n)]
    if network.loss == "binary_cross_entropy":
        return in_float32(X), rng.integers(0, 2, (n, n_outputs)).astype(np.float64)
    return in_float32(X), in_float32(rng.normal(size=(n, n_outputs)))


def in_float32(array: np.ndarray) -> np.ndarray:
    """Round to numbers that both dtypes have. Return them in float64."""
    return array.astype(np.float32).astype(np.float64)


SMOOTH = ("sigmoid", "tanh", "elu", "selu", "gelu", "gelu_tanh", "silu", "mish", "softplus")


def random_network(seed: int) -> Network:
    """Return a network of random layers, sizes and nesting. No two networks have much in common."""
    rng = np.random.default_rng(seed)
    numbers = int(rng.integers(1, 8))
    categories = tuple(int(n) for n in rng.integers(1, 9, rng.integers(0, 3)))
    dimensions = tuple(int(n) for n in rng.integers(1, 6, len(categories)))
    count = int(rng.integers(1, numbers + 1)) if rng.random() < 0.3 else None
    kind = str(rng.choice(["none", "pbld", "periodic", "piecewise"]))
    encoding = None if kind == "none" else Encoding(kind, int(rng.integers(1, 20)), int(rng.integers(1, 5)), count)
    inputs = Inputs(numbers, categories, dimensions, encoding, bool(categories) and bool(rng.random() < 0.3))
    width = inputs.shapes(0)[1]
    hidden = _random_layers(rng, int(rng.integers(1, 5)), 2, width)
    n_outputs = int(rng.integers(1, 5))
    output, loss = [("identity", "squared_error"), ("softmax", "cross_entropy"), ("sigmoid", "binary_cross_entropy")][
        rng.integers(0, 3)
    ]
    return Network((inputs, *hidden, Dense(n_outputs + (output == "softmax"))), output, loss)


def _random_layers(rng: np.random.Generator, n: int, depth: int, width: int) -> list:
    """Return n random layers for so many inputs, with blocks inside each other up to a depth."""
    made: list = []
    for _ in range(n):
        kind = rng.choice(
            ["dense", "residual", "scale", "norm", "activation", "dropout"], p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.1]
        )
        if kind == "dense":
            width = int(rng.integers(3, 40))
            made.append(_random_dense(rng, width))
        elif kind == "residual" and depth:
            inner = _random_layers(rng, int(rng.integers(0, 3)), depth - 1, width)
            made.append(Residual((*inner, Dense(width))))
        elif kind == "norm" and width > 2:
            made.append([BatchNorm(momentum=0.3), LayerNorm(1e-3)][rng.integers(0, 2)])
        elif kind == "activation":
            made.append(Activation(str(rng.choice(SMOOTH)), bool(rng.random() < 0.5)))
        elif kind == "dropout":
            made.append(Dropout(float(rng.uniform(0.05, 0.4))))
        else:
            made.append(Scale())
    return made


def _random_dense(rng: np.random.Generator, width: int) -> Dense:
    norm = [None, BATCH, LAYER][rng.integers(0, 3)]
    dropout = float(rng.uniform(0, 0.4)) if rng.random() < 0.3 else 0.0
    return Dense(width, str(rng.choice(SMOOTH)), norm, dropout, bool(rng.random() < 0.3), bool(rng.random() < 0.8))
