"""Lists of layers: their checks, the operations that they become, and Trainers that are made of them."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp import Trainer
from fastbp._engine.plan import of_sizes
from fastbp._kernels import codes
from fastbp._kernels.graph import nodes
from fastbp.layers import (
    PBLD,
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    Inputs,
    LayerNorm,
    Periodic,
    PiecewiseLinear,
    Residual,
    Scale,
)
from fastbp.layers._classes import layers_of
from fastbp.layers._lowering import lowered
from fastbp.layers._records import from_record, record
from fastbp.layers._values import edges_of, unknown_edges

EVERYTHING = [
    Inputs(numbers=5, categories=[7, 100], embedding_dim=[2, 8], sparse=True),
    PBLD(4, 6, 0.5, n_numbers=3),
    Scale(),
    Dense(9, "mish", norm="layer", dropout=0.25, parametric=True, initializer="he"),
    BatchNorm(1e-3, 0.2),
    Activation("relu", parametric=True),
    Dropout(0.5),
    Residual(8, "gelu", norm="batch", dropout=0.125),
    Residual([LayerNorm(), Residual([Activation("tanh"), 9]), Dense(9, use_bias=False)]),
    3,
]


def of(layers, activation="tanh", output="identity", use_bias=True):
    return lowered(layers_of("layer_sizes", layers), activation, output, use_bias)


REFUSED = {
    message: make
    for make, message in [
        (Inputs, "numbers: expected one or more columns of numbers or of categories, got none"),
        (lambda: Inputs(3, [0]), r"categories\[0\]: expected an integer ≥ 1, got 0"),
        (lambda: Inputs(3, [4], [1, 2]), "embedding_dim: expected one number, or one for each of the 1 columns"),
        (lambda: Inputs(3, embedding_dim=2), "embedding_dim: expected None without categories, got 2"),
        (lambda: Inputs(3, sparse=True), "sparse: expected False without categories, got True"),
        (lambda: PBLD(1), "dim: expected an integer ≥ 2, got 1"),
        (lambda: PBLD(4, 0), "n_frequencies: expected an integer ≥ 1, got 0"),
        (lambda: Periodic(sigma=0), "sigma: expected a finite number > 0, got 0"),
        (lambda: Periodic(n_numbers=0), "n_numbers: expected an integer ≥ 1, got 0"),
        (lambda: PiecewiseLinear(2, [0, 1]), r"edges: expected shape \(numbers, 3\) or \(3,\)"),
        (lambda: PiecewiseLinear(2, [0, 1, 1]), "edges: expected edges that increase in each row"),
        (lambda: Dense(0), "units: expected an integer ≥ 1, got 0"),
        (lambda: Dense(2, "mishh"), "activation: expected one of .*did you mean 'mish'"),
        (lambda: Dense(2, norm="group"), "norm: expected one of 'batch', 'layer', got 'group'"),
        (lambda: Dense(2, dropout=1), r"dropout: expected a number in \[0, 1\), got 1"),
        (lambda: Dense(2, initializer="best"), "initializer: expected one of"),
        (lambda: LayerNorm(0), "epsilon: expected a finite number > 0, got 0"),
        (lambda: BatchNorm(momentum=1.5), r"momentum: expected a number in \[0, 1\], got 1.5"),
        (lambda: Residual([]), "layers: expected one or more layers, got none"),
        (lambda: Residual([2], "relu"), "activation: expected nothing with a list of layers"),
        (lambda: of([3, *[Scale()] * 10_000]), "layer_sizes: expected no more than 10,000 layers, got 10,001"),
        (lambda: of([Dense(3), 2]), r"layer_sizes\[0\]: expected the number of inputs, or Inputs\(…\), got Dense"),
        (lambda: of([Inputs(3)]), "layer_sizes: expected Inputs and one or more layers after it, got Inputs alone"),
        (lambda: of([3, Activation("relu")]), "layer_sizes: expected layers with something to learn"),
        (lambda: of([3, Dense(3), PBLD(), 2]), r"layer_sizes\[2\]: expected PBLD directly after Inputs"),
        (lambda: of([3, Dense(3), Inputs(3), 2]), r"layer_sizes\[2\]: expected Inputs at the start"),
        (
            lambda: of([Inputs(3), PBLD(n_numbers=4), 2]),
            r"layer_sizes\[1\]: expected a layer for at most the 3 numbers",
        ),
        (lambda: of([3, Residual([Dense(4)]), 2]), r"layer_sizes\[1\]: expected a block with 3 outputs, as many as"),
        (lambda: of([3, Residual([Dropout(0.0)]), 2]), r"layer_sizes\[1\]: expected a block that changes its inputs"),
        (
            lambda: of([3, Dense(2, "softmax"), 2]),
            r"layer_sizes\[1\]: expected an activation other than softmax, which only the last",
        ),
        (lambda: of([3, Dense(2, "identity", parametric=True), 2]), r"layer_sizes\[1\]: expected an activation other"),
        (lambda: of([3, Dense(2, dropout=0.5)]), r"layer_sizes\[1\]: expected a last layer without dropout"),
        (lambda: of([3, 2, Dropout(0.5)]), r"layer_sizes\[2\]: expected a last layer without dropout"),
        (lambda: of([3, Dense, 2]), r"layer_sizes\[1\]: expected a layer or an integer, got the class Dense; write D"),
    ]
}


@pytest.mark.parametrize("message", REFUSED)
def test_layers_that_are_refused(message):
    with pytest.raises((ValueError, TypeError), match=message):
        REFUSED[message]()


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("sizes", [(3, 2), (5, 4, 3, 2)], ids=str)
def test_a_list_of_dense_layers_is_a_plain_network(sizes, use_bias):
    hidden = len(sizes) - 2
    layers = [Inputs(sizes[0]), *(Dense(n, dropout=0.5) for n in sizes[1:-1]), sizes[-1]]
    got = of(layers, "relu", "sigmoid", use_bias)
    rates = (0.5,) * hidden
    assert got.plan == of_sizes(sizes, (codes.RELU,) * hidden + (codes.SIGMOID,), rates, use_bias)
    assert got.layer_sizes == sizes
    assert got.activations == ("relu",) * hidden + ("sigmoid",)


def test_everything_at_once():
    got = of(EVERYTHING, "selu", "softmax")
    names = [parameter.name for parameter in got.plan.parameters]
    assert names == [
        "pbld.frequency",
        "pbld.phase",
        "pbld.weight",
        "pbld.bias",
        "embedding1.weight",
        "embedding2.weight",
        "scale1.scale",
        "dense1.weight",
        "dense1.bias",
        "dense1.norm.gamma",
        "dense1.norm.beta",
        "dense1.alpha",
        "batch_norm1.gamma",
        "batch_norm1.beta",
        "batch_norm1.mean",
        "batch_norm1.variance",
        "activation1.alpha",
        "residual1.dense1.weight",
        "residual1.dense1.bias",
        "residual1.dense1.norm.gamma",
        "residual1.dense1.norm.beta",
        "residual1.dense1.norm.mean",
        "residual1.dense1.norm.variance",
        "residual1.dense2.weight",
        "residual1.dense2.bias",
        "residual2.layer_norm1.gamma",
        "residual2.layer_norm1.beta",
        "residual2.residual1.dense1.weight",
        "residual2.residual1.dense1.bias",
        "residual2.dense1.weight",
        "residual2.dense1.bias",
        "dense2.weight",
        "dense2.bias",
    ]
    shapes = {parameter.name: parameter.shape for parameter in got.plan.parameters}
    assert shapes["pbld.weight"] == (3, 3, 6)
    assert shapes["embedding2.weight"] == (100, 8)
    assert shapes["scale1.scale"] == (3 * 4 + 2 + 2 + 8,)
    assert shapes["dense1.weight"] == (9, 24)
    assert got.layer_sizes == (7, 24, 24, 9, 9, 9, 9, 9, 9, 3)
    assert got.activations == ("mish", "relu", "gelu", "identity", "tanh", "selu", "selu", "softmax")
    assert len(got.firsts) == len(names)
    assert got.plan.parameters[4].by_row
    norms = [(o.epsilon, o.momentum) for o in got.plan.operations if o.op in (nodes.LAYER_NORM, nodes.BATCH_NORM)]
    assert norms == [(1e-5, 0), (1e-3, 0.2), (1e-5, 0.1), (1e-5, 0)]
    rates = [(o.number, o.rate) for o in got.plan.operations if o.op == nodes.ACTIVATE]
    assert rates == [(2, 0.25), (4, 0.5), (5, 0.125), (7, 0), (8, 0), (9, 0)]
    assert got.plan.tensors[0] == 7
    assert got.plan.tensors[-1] == 3


def test_no_operation_changes_what_another_needs():
    """Activations and additions are done in place, but never in X, in the input of a block, or in embeddings."""
    for layers in (
        [3, Activation("relu"), 2],
        [Inputs(2, [4]), Dropout(0.5), 2],
        [3, Dense(4), Residual([Activation("relu"), 4]), 2],
        [3, Dense(4), Residual([Residual([Activation("relu"), 4]), Activation("relu"), 4]), 2],
        EVERYTHING,
    ):
        plan = of(layers).plan
        changed = {o.target for o in plan.operations if o.op == nodes.ACTIVATE}
        assert 0 not in changed
        for i, operation in enumerate(plan.operations):
            if operation.op == nodes.ADD:
                start = (
                    max(j for j in range(i) if plan.operations[j].target == operation.source)
                    if operation.source
                    else -1
                )
                between = plan.operations[start + 1 : i]
                assert operation.source not in {o.target for o in between}
                assert operation.source != operation.target


def test_dropout_behind_an_activation_is_one_operation():
    plan = of([3, Dense(4, "relu"), Dropout(0.5), 2]).plan
    assert [o.op for o in plan.operations] == [nodes.AFFINE, nodes.ACTIVATE, nodes.AFFINE]
    assert plan.operations[1].rate == 0.5


@pytest.mark.parametrize("layers", [EVERYTHING, [Inputs(2), PiecewiseLinear(2, [[0, 1, 2], [0, 2, 3]]), 1]], ids=len)
def test_records_of_layers(layers):
    made = of(layers).layers
    assert from_record(record(made)) == made
    assert of(made).plan == of(layers).plan


@pytest.mark.parametrize(
    "records",
    [{}, [1], [{}], [{"layer": "exit"}], [{"layer": "Dense"}], [{"layer": "Scale", "more": 1}], [{"layer": ["Scale"]}]],
    ids=str,
)
def test_records_that_are_refused(records):
    with pytest.raises((ValueError, TypeError), match="expected"):
        from_record(records)


def test_records_of_blocks_that_are_too_deep():
    records = [{"layer": "Scale"}]
    for _ in range(20):
        records = [{"layer": "Residual", "layers": records, "activation": None, "norm": None, "dropout": 0.0}]
    with pytest.raises(TypeError, match="at most 16 deep"):
        from_record(records)


def test_a_layer_shows_what_was_given():
    shown = repr(Dense(256, "mish", norm="layer"))
    assert shown == "Dense(256, activation='mish', norm='layer')"
    assert eval(shown) == Dense(256, "mish", norm="layer")


def test_the_default_size_of_an_embedding():
    assert Inputs(categories=[1, 7, 100, 10**6]).dims == (2, 5, 21, 600)


def test_edges_of_bins_increase():
    rng = np.random.default_rng(0)
    X = np.stack([rng.normal(size=100), rng.integers(0, 2, 100), np.full(100, 1e6)], axis=1)
    edges = edges_of(X, 8, np.dtype("float32"))
    assert edges.shape == (3, 9)
    assert (np.diff(edges) > 0).all()
    np.testing.assert_allclose(edges[0], np.quantile(X[:, 0], np.linspace(0, 1, 9)), rtol=1e-6)
    assert edges[1, :2].tolist() == [0, 1]
    assert (edges[1, 2:] > 1).all()
    assert not np.array_equal(unknown_edges(edges)[None].repeat(3, 0), edges)


def test_a_column_has_no_more_categories_than_its_dtype_has_whole_numbers():
    expected = "categories: expected at most 16,777,216 categories, because float32"
    with pytest.raises(ValueError, match=expected):
        Trainer([Inputs(0, [3, 2**24 + 1], embedding_dim=1), 1])
