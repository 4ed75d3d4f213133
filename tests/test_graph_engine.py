"""GraphEngine on plain networks: the numbers of Engine, for any number of threads, and options that Engine lacks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from fastbp._engine import plan
from fastbp._engine.engine import Engine
from fastbp._engine.graph_engine import GraphEngine, GraphOptions, GraphStep
from fastbp._engine.graph_layout import GraphLayout
from fastbp._engine.layout import Layout, aligned_zeros
from fastbp._engine.nothing import NO_BOUNDS, NO_WATCH, PLAIN_RULE
from fastbp._engine.pool import by_team
from fastbp._kernels import codes
from fastbp._kernels.calls import TrainCall
from fastbp._kernels.graph import nodes
from tests.cases import DTYPES, TOLERANCE

CASES = {
    "tiny": ((1, 1), (codes.IDENTITY,)),
    "odd": ((5, 4, 3), (codes.TANH, codes.IDENTITY)),
    "kept slopes": ((7, 9, 17, 5), (codes.LEAKY_RELU, codes.MISH, codes.SIGMOID)),
    "deep": ((33, 31, 32, 8, 1), (codes.RELU, codes.ELU, codes.GELU, codes.IDENTITY)),
    "classes": ((20, 67, 10), (codes.SILU, codes.SOFTMAX)),
    "wide": ((20, 600, 530, 3), (codes.TANH, codes.RELU, codes.IDENTITY)),  # packed, and δ or Θ is transposed
}
RULES = {
    "sgd": PLAIN_RULE,
    "nesterov": codes.Rule(codes.NESTEROV, 0.8, 0.0, 0.0, 0.0),
    "adamw": codes.Rule(codes.ADAM, 0.8, 0.95, 1e-3, 0.1),
}
BOUNDS = {"none": NO_BOUNDS, "all": codes.Bounds(1e-3, 1e-2, 0.5, 0.1, 1.5)}
SEED = np.uint64(7)


def graph_engine(case: str, dtype: str, options: GraphOptions | None = None, dropout: tuple[float, ...] = ()):
    """A GraphEngine with random parameters."""
    sizes, activations = CASES[case]
    layout = GraphLayout(plan.of_sizes(sizes, activations, dropout, True), np.dtype(dtype).itemsize)
    engine = GraphEngine(layout, aligned_zeros(layout.size, dtype), objective(case), options or GraphOptions())
    rng = np.random.default_rng(1)
    for view in layout.weight_views(engine.parameters):
        view[...] = rng.normal(0, view.shape[1] ** -0.5, view.shape)
    for view in layout.bias_views(engine.parameters):
        view[...] = rng.normal(0, 0.1, view.shape)
    return engine


def objective(case: str) -> codes.Objective:
    return codes.Objective(codes.CROSS_ENTROPY if case == "classes" else codes.SQUARED_ERROR)


def views(engine) -> list[np.ndarray]:
    layout = engine.layout
    return [*layout.weight_views(engine.parameters), *layout.bias_views(engine.parameters)]


def plain_engine(case: str, like: GraphEngine, dropout: tuple[float, ...] = ()) -> Engine:
    """An Engine with the same parameters."""
    sizes, activations = CASES[case]
    layout = Layout(sizes, like.parameters.itemsize)
    parameters = aligned_zeros(layout.size, like.parameters.dtype)
    engine = Engine(layout, parameters, activations, objective(case), True, dropout)
    for view, other in zip(views(engine), views(like), strict=True):
        view[...] = other
    return engine


def samples(case: str, dtype: str, n: int = 75) -> dict[str, np.ndarray]:
    """X, targets of which each row sums to 1, and weights."""
    sizes, _ = CASES[case]
    rng = np.random.default_rng(2)
    y = rng.uniform(size=(n, sizes[-1]))
    arrays = {"X": rng.normal(size=(n, sizes[0])), "targets": y / y.sum(1, keepdims=True)}
    return {name: array.astype(dtype) for name, array in arrays.items()} | {
        "weights": rng.uniform(size=n).astype(dtype)
    }


def trained(engine, data: codes.Data, step, epochs: int = 2, threads: int = 1) -> np.ndarray:
    """Train with a team of so many threads, also if there are fewer processors. Return the losses."""
    progress = codes.Progress(np.zeros(2, np.int64), np.ones(1, np.uint64), np.zeros(epochs))
    memory, decided = engine.memory(2, 0), engine._decided(step)
    if isinstance(engine, Engine) and not isinstance(engine, GraphEngine):
        decided = step._replace(ends=codes.AFTER_BATCH)
    with engine._workspace_for(decided) as workspace:
        call = workspace.call(TrainCall)
        engine._fill(call, data, memory, decided, progress)
        call.keep("watch", NO_WATCH)
        call.write("budget", 1000)
        for _ in range(1000):
            if progress.position[codes.EPOCH] == epochs:
                return progress.losses
            by_team(engine.library.train, call, threads)
    raise AssertionError("training doesn't end")


def a_step(rule: str = "adamw", bounds: str = "none", batch_size: int = 32, n_batches: int = 1) -> codes.Step:
    rates = np.linspace(0.02, 0.01, n_batches)
    return codes.Step(RULES[rule], BOUNDS[bounds], rates, SEED, batch_size, min(batch_size, 256))


def assert_close(got, wanted, dtype: str) -> None:
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE[dtype] * max(abs(other).max(), 1e-2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_predictions_losses_and_gradients_are_those_of_engine(case, dtype):
    engine = graph_engine(case, dtype)
    plain, given = plain_engine(case, engine), samples(case, dtype, 300)
    assert_close([engine.predict(given["X"], 1)], [plain.predict(given["X"], 1)], dtype)
    losses = [one.evaluate(one.data(**given), 1, predictions=False)[0] for one in (engine, plain)]
    assert losses[0] == pytest.approx(losses[1], rel=TOLERANCE[dtype])
    (loss, *gradients), (plain_loss, *plain_gradients) = (one.gradients(one.data(**given)) for one in (engine, plain))
    assert loss == pytest.approx(plain_loss, rel=TOLERANCE[dtype])
    for got, wanted in zip(gradients, plain_gradients, strict=True):
        assert_close(got, wanted, dtype)
    named = engine.named_gradients(engine.data(**given))[1]
    assert_close(list(named.values())[::2], plain_gradients[0], dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch_size", [8, 32, 290])
@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("rule", RULES)
def test_training_is_that_of_engine_for_any_number_of_threads(rule, bounds, batch_size, dtype):
    """Batches of one block and of two, and short last batches; weights move with their gradients or after them."""
    step, n = a_step(rule, bounds, batch_size), 300 if batch_size == 290 else 75
    for case in CASES:
        engine, given = graph_engine(case, dtype), samples(case, dtype, n)
        plain, start = plain_engine(case, engine), engine.parameters.copy()
        wanted = trained(plain, plain.data(**given, shuffle=True), step)
        before = None
        for threads in (1, 2, 3, 4) if rule == "adamw" and case in ("odd", "wide") else (1, 2):
            engine.parameters[:] = start
            losses = trained(engine, engine.data(**given, shuffle=True), step, threads=threads)
            np.testing.assert_allclose(losses, wanted, rtol=TOLERANCE[dtype])
            assert_close(views(engine), views(plain), dtype)
            assert before is None or np.array_equal(engine.parameters, before)
            before = engine.parameters.copy()


@pytest.mark.parametrize("dtype", DTYPES)
def test_dropout_drops_the_units_that_engine_drops(dtype):
    rates = (0.3, 0.0)
    engine = graph_engine("kept slopes", dtype, dropout=rates)
    plain, given = plain_engine("kept slopes", engine, rates), samples("kept slopes", dtype)
    losses = [trained(one, one.data(**given), a_step()) for one in (engine, plain)]
    np.testing.assert_allclose(*losses, rtol=TOLERANCE[dtype])
    assert_close(views(engine), views(plain), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_schedules_change_dropout_and_decay_from_batch_to_batch(dtype):
    """Without dropout and decay in the batches where their factors are 0: here in all of them but the first."""
    given, first = samples("odd", dtype, 64), np.array([1.0, 0.0])
    one = graph_engine("odd", dtype, dropout=(0.5,))
    trained(one, one.data(**given), GraphStep(a_step(), decays=first, dropouts=first), epochs=2)
    other = graph_engine("odd", dtype, dropout=(0.5,))
    order = np.arange(64)
    progress = codes.Progress(np.zeros(2, np.int64), np.ones(1, np.uint64), np.zeros(2))
    memory, data = other.memory(2, 0), other.data(**given, order=order)
    other.train(data, memory, a_step(), progress, 1, 1)
    quiet = a_step()._replace(rule=RULES["adamw"]._replace(weight_decay=0.0))
    other.train(data, memory, GraphStep(quiet, dropouts=np.zeros(1)), progress, 3, 1)
    np.testing.assert_array_equal(one.parameters, other.parameters)


@pytest.mark.parametrize("dtype", DTYPES)
def test_factors_scale_rates_and_decays_and_0_freezes(dtype):
    factors = np.ones((4, 2))
    factors[:, 0] = 1.0, 0.5, 0.0, 2.0  # dense1.weight and .bias, dense2.weight and .bias
    factors[:, 1] = 0.0, 1.0, 1.0, 0.0
    given, rate, decay = samples("odd", dtype), 0.02, 0.1
    engine = graph_engine("odd", dtype, GraphOptions(factors))
    before = {name: view.copy() for name, view in engine.layout.views(engine.parameters).items()}
    gradients = engine.named_gradients(engine.data(**given))[1]
    rule = PLAIN_RULE._replace(weight_decay=decay)
    trained(engine, engine.data(**given), a_step(batch_size=75)._replace(rule=rule), epochs=1)
    assert not gradients["dense2.weight"].any()
    for (name, after), (of_rate, of_decay) in zip(engine.layout.views(engine.parameters).items(), factors, strict=True):
        eta = rate * of_rate
        wanted = before[name] * (1 - eta * decay * of_decay) - eta * gradients[name]
        np.testing.assert_allclose(after, wanted, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_moving_average_predicts(dtype):
    ema, given = 0.75, samples("odd", dtype, 96)
    size = graph_engine("odd", dtype).layout.size
    average = aligned_zeros(size, dtype)
    engine = graph_engine("odd", dtype, GraphOptions(ema=ema, average=average))
    progress, memory = codes.Progress(np.zeros(2, np.int64), np.ones(1, np.uint64), np.zeros(1)), engine.memory(2, 0)
    data, wanted = engine.data(**given), None
    for _ in range(3):
        engine.train(data, memory, a_step(), progress, 1, 1)
        raw = engine.parameters.copy()
        wanted = raw if wanted is None else ema * wanted + (1 - ema) * raw
        np.testing.assert_allclose(average, wanted, rtol=0, atol=TOLERANCE[dtype])
    same = graph_engine("odd", dtype)
    same.parameters[:] = average
    np.testing.assert_array_equal(engine.predict(given["X"], 1), same.predict(given["X"], 1))
    assert not np.allclose(engine.parameters, average, atol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_short_last_batch_is_left_out(dtype):
    given = samples("odd", dtype, 75)
    engine = graph_engine("odd", dtype, GraphOptions(drops_last=True))
    losses = trained(engine, engine.data(**given), a_step(n_batches=6))
    whole = graph_engine("odd", dtype)
    first = {name: array[:64] for name, array in given.items()}
    np.testing.assert_allclose(losses, trained(whole, whole.data(**first), a_step(n_batches=6)), rtol=1e-12)
    np.testing.assert_array_equal(engine.parameters, whole.parameters)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_derivatives_by_the_inputs_agree_with_each_other_and_with_differences(case, dtype):
    engine, given = graph_engine(case, dtype), samples(case, dtype, 300)
    X, n = given["X"], 300
    jacobian = engine.pull(engine.data(X), nodes.OF_OUTPUTS)
    vectors = np.random.default_rng(3).normal(size=given["targets"].shape).astype(dtype)
    pulled = engine.pull(engine.data(X), nodes.OF_VECTORS, vectors)
    assert_close([pulled], [np.einsum("no,noi->ni", vectors, jacobian)], dtype)
    if case != "classes":
        errors = (engine.predict(X, 1) - given["targets"]) * given["weights"][:, None] / given["weights"].sum()
        of_loss = engine.pull(engine.data(**given), nodes.OF_LOSS)
        assert_close([of_loss], [np.einsum("no,noi->ni", errors, jacobian)], dtype)
    if dtype == "float64" and case != "deep":  # no kink of ReLU between the two predictions
        h, i = 1e-6, X.shape[1] // 2
        change = np.zeros_like(X)
        change[:, i] = h
        differences = (engine.predict(X + change, 1) - engine.predict(X - change, 1)) / (2 * h)
        close = np.isclose(jacobian[:, :, i], differences, rtol=1e-5, atol=1e-7)
        assert close.mean() > 0.99
    several = engine.pull(engine.data(X[: n // 2]), nodes.OF_OUTPUTS, n_threads=2)
    np.testing.assert_array_equal(several, jacobian[: n // 2])


def test_x_that_is_not_finite_has_no_derivatives():
    engine = graph_engine("odd", "float64")
    X = samples("odd", "float64")["X"]
    X[3, 1] = np.nan
    assert engine.pull(engine.data(X), nodes.OF_OUTPUTS) is None


def test_packed_parameters_are_those_of_the_plain_layout():
    engine = graph_engine("deep", "float64")
    plain = plain_engine("deep", engine)
    packed = engine.layout.pack(engine.parameters)
    np.testing.assert_array_equal(packed, plain.layout.pack(plain.parameters))
    buffer = aligned_zeros(engine.layout.size, "float64")
    engine.layout.unpack(packed, buffer)
    np.testing.assert_array_equal(buffer, engine.parameters)
    assert engine.layout.n_weights == sum(a * b for a, b in pairwise(CASES["deep"][0]))


@pytest.mark.parametrize(("dtype", "far", "faint"), [("float32", 60, 76), ("float64", 600, 680)])
def test_errors_too_faint_to_change_a_weight_are_0(dtype, far, faint):
    layout = GraphLayout(plan.of_sizes((1, 2), (codes.SOFTMAX,), (), False), np.dtype(dtype).itemsize)
    engine = GraphEngine(layout, aligned_zeros(layout.size, dtype), codes.Objective(codes.CROSS_ENTROPY))
    data = engine.data(np.ones((1, 1), dtype), labels=np.zeros(1, np.int64))
    for logit, is_kept in ((far, True), (faint, False)):  # the probability of the other class is e^−logit
        layout.weight_views(engine.parameters)[0][:, 0] = logit, 0
        _, (gradient,), _ = engine.gradients(data)
        assert (gradient[1, 0] == pytest.approx(np.exp(-float(logit)), rel=1e-3, abs=0)) == is_kept
        assert is_kept or not gradient.any()
