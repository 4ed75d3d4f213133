"""The kernels of norms, embeddings of categories and embeddings of numbers, against the reference's formulas.

Each network has one such operation or a few, and a linear output with the squared error.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from fastbp._engine.graph_engine import GraphEngine
from fastbp._engine.graph_layout import GraphLayout
from fastbp._engine.layout import aligned_zeros
from fastbp._engine.nothing import NO_BOUNDS, NO_SEED, PLAIN_RULE
from fastbp._engine.plan import Operation, Parameter, Plan
from fastbp._engine.team import TeamSize
from fastbp._kernels import codes
from fastbp._kernels.graph import nodes
from fastbp.reference import layers

TOLERANCE = {"float32": 1e-4, "float64": 1e-10}
ADAM = codes.Rule(codes.ADAM, 0.9, 0.999, 1e-8, 0.01)

Array = np.ndarray[Any, Any]


class Network(NamedTuple):
    """A plan, the parameters' values, and how many columns of X are numbers and how many categories each other has."""

    plan: Plan
    values: dict[str, Array]
    numbers: int
    categories: tuple[int, ...] = ()


def finished(n: int, width: int, operations: list[Operation], parameters: list[Parameter]) -> Plan:
    """Return the plan with a linear output of two units behind operations from X, of n columns, to `width` columns."""
    count = len(parameters)
    output = Operation(nodes.AFFINE, 1, 2, (count, count + 1))
    ends = [Parameter("dense1.weight", (2, width), "weight"), Parameter("dense1.bias", (2,), "bias")]
    return Plan((n, width, 2), (*operations, output), (*parameters, *ends), codes.IDENTITY)


def drawn(plan: Plan, numbers: int, categories: tuple[int, ...] = ()) -> Network:
    rng = np.random.default_rng(2)
    values = {parameter.name: rng.normal(0, 0.5, parameter.shape) for parameter in plan.parameters}
    for name, value in values.items():
        if name.endswith("variance"):
            value[...] = rng.uniform(0.5, 2, value.shape)
        elif name.endswith("edges"):
            value.sort(axis=1)
    return Network(plan, values, numbers, categories)


def norm(kind: str, n: int) -> Network:
    """A norm of the numbers themselves, behind a copy of them."""
    op, names = (nodes.LAYER_NORM, ("gamma", "beta"))
    if kind == "batch_norm":
        op, names = (nodes.BATCH_NORM, ("gamma", "beta", "mean", "variance"))
    roles = ("norm", "norm", "statistic", "statistic")
    parameters = [Parameter(f"{kind}1.{name}", (n,), role) for name, role in zip(names, roles, strict=False)]
    indices = tuple(range(len(names)))
    parameters += [Parameter("dense1.weight", (2, n), "weight"), Parameter("dense1.bias", (2,), "bias")]
    operations = (
        Operation(nodes.NUMBERS, 0, 1, n_read=n),
        Operation(op, 1, 2, indices, epsilon=1e-5, momentum=0.1),
        Operation(nodes.AFFINE, 2, 3, (len(names), len(names) + 1)),
    )
    return drawn(Plan((n, n, n, 2), operations, tuple(parameters), codes.IDENTITY), n)


def of_numbers(kind: str, n: int, inner: int, k: int = 0, by_row: bool = False) -> Network:
    """An embedding of n numbers, followed by one of two columns of categories, the second before the first in a¹."""
    shapes = {
        "pbld": {"frequency": (n, inner), "phase": (n, inner), "weight": (n, k, inner), "bias": (n, k)},
        "periodic": {"frequency": (n, inner)},
        "piecewise": {"edges": (n, inner + 1)},
        "numbers": {},
    }[kind]
    role = "statistic" if kind == "piecewise" else "frequency"
    parameters = [Parameter(f"{kind}.{name}", shape, role) for name, shape in shapes.items()]
    width = n * {"pbld": 1 + k, "periodic": 2 * inner, "piecewise": inner, "numbers": 1}[kind]
    indices = tuple(range(len(parameters)))
    op = {"pbld": nodes.PBLD, "periodic": nodes.PERIODIC, "piecewise": nodes.PIECEWISE, "numbers": nodes.NUMBERS}[kind]
    operations = [Operation(op, 0, 1, indices, n_read=n, inner=inner)]
    categories = (3, 40)
    for i, dimension in ((1, 5), (0, 17)):
        name = f"embedding{i + 1}.weight"
        parameters.append(Parameter(name, (categories[i], dimension), "embedding", by_row))
        place = (len(parameters) - 1,)
        operations.append(Operation(nodes.EMBED, 0, 1, place, first=n + i, column=width, n_read=1))
        width += dimension
    return drawn(finished(n + 2, width, operations, parameters), n, categories)


NETWORKS = {
    **{f"{kind}-{n}": (norm, (kind, n)) for kind in ("layer_norm", "batch_norm") for n in (1, 3, 9, 17, 70)},
    "numbers-5": (of_numbers, ("numbers", 5, 0)),
    "pbld-3-16-3": (of_numbers, ("pbld", 3, 16, 3)),
    "pbld-1-5-1": (of_numbers, ("pbld", 1, 5, 1)),
    "pbld-2-19-6": (of_numbers, ("pbld", 2, 19, 6)),
    "periodic-3-16": (of_numbers, ("periodic", 3, 16)),
    "periodic-2-21": (of_numbers, ("periodic", 2, 21)),
    "piecewise-3-48": (of_numbers, ("piecewise", 3, 48)),
    "piecewise-2-1": (of_numbers, ("piecewise", 2, 1)),
    "by-row": (of_numbers, ("numbers", 2, 0, 0, True)),
}


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS)
def network(request) -> Network:
    make, arguments = request.param
    return make(*arguments)


@pytest.fixture(params=["float32", "float64"])
def dtype(request) -> str:
    return request.param


def samples(network: Network, m: int, dtype: str) -> tuple[Array, Array]:
    rng = np.random.default_rng(m)
    columns = [rng.integers(0, count, m) for count in network.categories]
    X = np.column_stack([rng.normal(1, 1, (m, network.numbers)), *columns]).astype(dtype)
    return X, rng.normal(size=(m, 2)).astype(dtype)


def engine_of(network: Network, dtype: str) -> GraphEngine:
    layout = GraphLayout(network.plan, np.dtype(dtype).itemsize)
    parameters = aligned_zeros(layout.size, dtype)
    for name, view in layout.views(parameters).items():
        view[...] = network.values[name]
    return GraphEngine(layout, parameters, codes.Objective(codes.SQUARED_ERROR))


def through(operation: Operation, x: Array, arrays: list[Array], training: bool) -> tuple[Array, Any]:
    """Return what an operation computes from the columns that it reads, and its way back."""
    read = x[:, operation.first : operation.first + operation.n_read]
    if operation.op == nodes.AFFINE:
        return layers.affine(x, *arrays)
    if operation.op == nodes.LAYER_NORM:
        return layers.layer_norm(x, *arrays)
    if operation.op == nodes.BATCH_NORM:
        if training and len(x) > 1:
            return layers.batch_norm(x, *arrays[:2])
        return layers.running_norm(x, *arrays)
    if operation.op == nodes.EMBED:
        y, back = layers.embedding(read[:, 0], *arrays)
        return y, lambda g: (np.zeros(read.shape), back(g)[1])
    if operation.op == nodes.NUMBERS:
        return read, lambda g: (g, [])
    name = {nodes.PBLD: "pbld", nodes.PERIODIC: "periodic", nodes.PIECEWISE: "piecewise"}[operation.op]
    return getattr(layers, name)(read, *arrays)


def reference(
    network: Network, X: Array, y: Array, training: bool = True
) -> tuple[Array, dict[str, Array], Array, Array | None]:
    """Return aᴸ, the gradients of J by name, ∂J/∂X, and what a batch norm reads."""
    plan, values = network.plan, network.values
    tensors = [X, *(np.zeros((len(X), n)) for n in plan.tensors[1:])]
    backs, seen = [], None
    for operation in plan.operations:
        arrays = [values[plan.parameters[i].name] for i in operation.parameters]
        if operation.op == nodes.BATCH_NORM:
            seen = tensors[operation.source]
        columns, back = through(operation, tensors[operation.source], arrays, training)
        tensors[operation.target][:, operation.column : operation.column + columns.shape[1]] = columns
        backs.append((operation, back, columns.shape[1]))
    deltas = [np.zeros(tensor.shape) for tensor in tensors]
    deltas[-1] = (tensors[-1] - y) / len(X)
    gradients = {}
    for operation, back, width in reversed(backs):
        delta, of_parameters = back(deltas[operation.target][:, operation.column : operation.column + width])
        deltas[operation.source][:, operation.first : operation.first + delta.shape[1]] += delta
        for i, gradient in zip(operation.parameters, of_parameters, strict=False):
            gradients[plan.parameters[i].name] = gradient
    return tensors[-1], gradients, deltas[0], seen


def close(actual: Array, expected: Array, dtype: str) -> bool:
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    return bool(np.abs(actual - expected).max(initial=0) <= TOLERANCE[dtype] * scale)


def trained(
    engine: GraphEngine, X: Array, y: Array, rule: codes.Rule, batch_size: int, epochs: int = 1, bounds=NO_BOUNDS
) -> dict[str, Array]:
    """Train, and return copies of the parameters."""
    data = engine.data(X, y)
    step = codes.Step(rule, bounds, np.array([0.01]), NO_SEED, batch_size, min(batch_size, 256))
    progress = codes.Progress(np.zeros(2, np.int64), np.zeros(1, np.uint64), np.zeros(epochs))
    memory = engine.memory(2, 0)
    while progress.position[codes.EPOCH] < epochs:
        engine.train(data, memory, step, progress, 3, 1)
    return {name: view.copy() for name, view in engine.layout.views(engine.parameters).items()}


@pytest.mark.parametrize("m", [1, 7, 45])
def test_answers_and_gradients_are_those_of_the_reference(network, dtype, m):
    X, y = samples(network, m, dtype)
    engine = engine_of(network, dtype)
    answers, _, by_x, _ = reference(network, X.astype(float), y, training=False)
    assert close(engine.predict(X, 1), answers, dtype)
    pulled = engine.pull(engine.data(X, y), nodes.OF_LOSS)
    assert close(pulled, by_x, dtype)
    before = engine.parameters.copy()
    _, gradients = engine.named_gradients(engine.data(X, y))
    _, expected, _, _ = reference(network, X.astype(float), y)
    for name, gradient in gradients.items():
        assert close(gradient, expected[name], dtype), name
    assert np.array_equal(engine.parameters, before)


def test_steps_and_running_statistics_are_those_of_the_reference(network, dtype):
    X, y = samples(network, 13, dtype)
    actual = trained(engine_of(network, dtype), X, y, PLAIN_RULE, batch_size=6)  # the last batch is a single sample
    values = {name: value.copy() for name, value in network.values.items()}
    for start in range(0, 13, 6):
        now = network._replace(values=values)
        x, rows = X[start : start + 6].astype(float), slice(start, start + 6)
        _, gradients, _, seen = reference(now, x, y[rows])
        if seen is not None and len(x) > 1:
            layers.move_statistics(values["batch_norm1.mean"], values["batch_norm1.variance"], seen)
        for name, gradient in gradients.items():
            if not name.endswith(("mean", "variance", "edges")):
                values[name] = values[name] - 0.01 * gradient
    for name, value in values.items():
        assert close(actual[name], value, dtype), name


def test_any_number_of_threads_gives_the_same_bits(network, dtype, monkeypatch):
    X, y = samples(network, 290, dtype)
    found = []
    for threads in (1, 2, 3, 4):
        monkeypatch.setattr(TeamSize, "choose", lambda self, blocks, threads=threads: (threads, blocks))
        monkeypatch.setattr(TeamSize, "record", lambda *_: None)
        found.append(trained(engine_of(network, dtype), X, y, ADAM, batch_size=100, epochs=2))
    for other in found[1:]:
        assert all(np.array_equal(other[name], value) for name, value in found[0].items())


def test_blocks_of_a_batch_add_their_gradients(network, dtype):
    X, y = samples(network, 300, dtype)  # a block has at most 256 rows
    engine = engine_of(network, dtype)
    _, gradients = engine.named_gradients(engine.data(X, y))
    _, expected, _, _ = reference(network, X.astype(float), y)
    for name, gradient in gradients.items():
        assert close(gradient, expected[name], dtype), name
    actual = trained(engine, X, y, PLAIN_RULE, batch_size=300)
    for name, gradient in expected.items():
        if not name.endswith(("mean", "variance", "edges")):
            assert close(actual[name], network.values[name] - 0.01 * gradient, dtype), name


def test_a_table_that_is_updated_by_row_keeps_the_rows_that_a_batch_lacks(dtype):
    network = of_numbers("numbers", 2, 0, 0, by_row=True)
    X, y = samples(network, 12, dtype)
    X[:, 3] = np.arange(12) % 4 * 5  # categories 0, 5, 10 and 15 of 40
    engine = engine_of(network, dtype)
    before = network.values["embedding2.weight"].astype(dtype)
    after = trained(engine, X, y, ADAM, batch_size=4, epochs=2)["embedding2.weight"]
    changed = (before != after).any(axis=1)
    assert np.flatnonzero(changed).tolist() == [0, 5, 10, 15]


@pytest.mark.parametrize("bounds", [NO_BOUNDS, NO_BOUNDS._replace(clip_norm=0.1)], ids=["unbound", "clip_norm"])
def test_plain_steps_by_row_are_those_of_all_rows(dtype, bounds):
    rows, dense = (of_numbers("numbers", 2, 0, 0, by_row) for by_row in (True, False))
    X, y = samples(rows, 300, dtype)
    engines = [engine_of(network, dtype) for network in (rows, dense)]
    for _ in range(2):  # in other batches than those of the gradients in between, which touch all rows
        engines[0].named_gradients(engines[0].data(X, y))
        first, second = (trained(engine, X, y, PLAIN_RULE, 7, bounds=bounds) for engine in engines)
        assert all(close(value, second[name], dtype) for name, value in first.items())


def test_a_batch_norm_that_is_frozen_uses_and_keeps_its_running_statistics(dtype):
    network = norm("batch_norm", 9)
    X, y = samples(network, 20, dtype)
    layout = GraphLayout(network.plan, np.dtype(dtype).itemsize)
    frozen = engine_of(network, dtype)
    factors = np.ones((len(network.plan.parameters), 2))
    factors[:2, 0] = 0
    engine = GraphEngine(layout, frozen.parameters, frozen.objective, frozen.options._replace(factors=factors))
    _, gradients = engine.named_gradients(engine.data(X, y))
    _, expected, _, _ = reference(network, X.astype(float), y, training=False)
    assert close(gradients["dense1.weight"], expected["dense1.weight"], dtype)
    assert not gradients["batch_norm1.gamma"].any()
    after = trained(engine, X, y, PLAIN_RULE, batch_size=10)
    for name in ("gamma", "beta", "mean", "variance"):
        assert np.array_equal(after[f"batch_norm1.{name}"], network.values[f"batch_norm1.{name}"].astype(dtype))


@pytest.mark.parametrize("code", [np.nan, -1, 40, 1e30])
def test_a_category_out_of_range_reads_no_foreign_memory(code, dtype):
    """Python refuses such numbers before. Kernels take category 0."""
    network = of_numbers("numbers", 2, 0)
    X, _ = samples(network, 3, dtype)
    X[:, 3] = 0
    wrong = X.copy()
    wrong[1, 3] = code
    engine = engine_of(network, dtype)
    expected = engine.predict(X, 1)
    if np.isnan(code):
        assert engine.predict(wrong, 1) is None
    else:
        assert np.array_equal(engine.predict(wrong, 1), expected)


def test_an_empty_bin_is_a_step(dtype):
    network = of_numbers("piecewise", 1, 3)
    network.values["piecewise.edges"][0] = [0, 1, 1, 2]
    X, y = samples(network, 5, dtype)
    X[:, 0] = [-1, 0.5, 1, 1.5, 3]
    engine = engine_of(network, dtype)
    answers, _, by_x, _ = reference(network, X.astype(float), y)
    assert close(engine.predict(X, 1), answers, dtype)
    assert close(engine.pull(engine.data(X, y), nodes.OF_LOSS), by_x, dtype)
