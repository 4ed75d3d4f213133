"""fastbp.explain: sums over paths equal the gradients of the reference and the kernels, and all formats show them."""

from __future__ import annotations

import io
import re
import sys
import tracemalloc

import numpy as np
import pytest
from rich.console import Console

import fastbp
from fastbp import Trainer, explain, losses, optimizers, reference
from fastbp.explanation import _chains, _text
from fastbp.explanation._text import count

from .cases import HIDDEN, OUTPUTS, Case, log_cosh, named, parameter_of, reference_gradients
from .test_promises import run
from .test_reference import chains_2_2_2

CASES = [
    *(Case((3, 4, 2), hidden, n=3) for hidden in HIDDEN),
    *(
        Case((3, 4, 2), "tanh", output, loss, n=n, parameter=parameter_of(loss, 2))
        for loss, outputs in OUTPUTS.items()
        for output in (sorted({"sigmoid", "softmax", "identity"} & set(outputs)) or outputs)
        for n in (1, 3)
    ),
    Case((3, 4, 2), "gelu", "softmax", log_cosh, n=3),
    *(Case(sizes, n=n, use_bias=bias) for sizes in ((1, 1), (2, 3, 2, 3, 2)) for n in (1, 3) for bias in (True, False)),
    Case((3, 4, 2), dtype="float32", n=3),
]
PATHS = {(1, 1, 1): 2, (2, 2, 2): 12}


def article(sizes=(2, 2, 2), **options) -> Trainer:
    """Return one of the article's two networks, with the weights of the chains in test_reference.py."""
    options = {"activation": "sigmoid", "output_activation": "sigmoid", "epsilon": 1} | options
    options = {"use_bias": False, "dtype": "float64", "seed": 0} | options
    trainer = Trainer(sizes, **options)
    if sizes == (2, 2, 2):
        trainer.weights[0][...] = [[0.3, -0.6], [1.1, 0.2]]
        trainer.weights[1][...] = [[-0.7, 0.5], [0.9, 1.4]]
    else:
        trainer.weights[0][...], trainer.weights[1][...] = 0.9, -1.3
    return trainer


SAMPLES = {(1, 1, 1): ([0.7], [0.2]), (2, 2, 2): ([0.4, -0.9], [0.1, 0.8])}


def example(sizes=(2, 2, 2), **options) -> fastbp.explanation.Explanation:
    return explain(article(sizes, **options), *SAMPLES[sizes])


@pytest.mark.parametrize("case", CASES, ids=named)
def test_sums_over_the_paths_are_the_references_and_the_kernels_gradients(case):
    trainer, (X, y) = case.trainer(), case.data()
    before = trainer.network.packed()
    found = explain(trainer, X, y)
    J, dW, db = reference_gradients(case, trainer, X, y)
    kernel = trainer.gradients(X, y)
    assert found.view == "paths"
    np.testing.assert_allclose(found.J, J, rtol=1e-14)
    assert len(found.gradients) == trainer.n_parameters
    for g in found.gradients:
        index = (g.j - 1, g.k - 1) if g.k else (g.j - 1,)
        truth, kernels = (dW, kernel.weights) if g.k else (db, kernel.biases)
        np.testing.assert_allclose(g.sum, truth[g.l - 1][index], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(g.sum, kernels[g.l - 1][index], rtol=1e-6, atol=1e-6)
        assert (g.reference, g.kernel) == (truth[g.l - 1][index], kernels[g.l - 1][index])
        assert g.updated == g.theta - trainer.learning_rate * g.reference
    assert found.reference_difference <= 1e-12
    assert found.kernel_difference <= 1e-6
    np.testing.assert_array_equal(trainer.network.packed(), before)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_counts_are_those_of_the_paths_written_out(case):
    found = explain(case.trainer(), *case.data())
    paths = [path for g in found.gradients for path in g.paths]
    assert (found.n_paths, found.n_derivatives) == (len(paths), sum(len(path.factors) for path in paths))
    assert len({(path.sample, path.factors) for path in paths}) == len(paths)


@pytest.mark.parametrize(("sizes", "count"), [((1, 1, 1), 8), ((2, 2, 2), 52)], ids=str)
def test_the_articles_counts(sizes, count):
    found = example(sizes)
    assert (found.n_paths, found.n_derivatives) == (PATHS[sizes], count)
    assert f"{PATHS[sizes]} paths from the weights to J, with {count} derivatives" in found.text()


def test_the_articles_chains_number_by_number():
    trainer = article()
    chains = chains_2_2_2(*map(np.array, SAMPLES[2, 2, 2]), *trainer.weights)
    found = example()
    for (l, j, k), expected in chains.items():
        g = found.gradient(l, j + 1, k + 1)
        got = [[factor.value for factor in path.factors] for path in g.paths]
        np.testing.assert_allclose(got, expected, rtol=1e-14)
    assert [str(factor) for factor in found.gradient(1, 1, 2).paths[1].factors] == [
        "∂J/∂a³₂", "∂a³₂/∂z³₂", "∂z³₂/∂a²₁", "∂a²₁/∂z²₁", "∂z²₁/∂θ¹₁₂",
    ]  # fmt: skip
    assert [path.units for path in found.gradient(1, 1, 2).paths] == [(2, 1, 1), (2, 1, 2)]


def test_layers_hold_z_a_and_delta():
    case = Case((3, 4, 2), "tanh", n=3)
    trainer, (X, y) = case.trainer(), case.data()
    inputs, hidden, output = explain(trainer, X, y).layers
    z, a = reference.forward(trainer.weights, trainer.biases, trainer.network.activations, X)
    np.testing.assert_array_equal(inputs.a, X)
    assert inputs.z is inputs.delta is inputs.slopes is None
    np.testing.assert_allclose(hidden.z, z[0], rtol=1e-14)
    np.testing.assert_allclose(hidden.slopes, 1 - a[1] ** 2, rtol=1e-13)
    np.testing.assert_allclose(output.delta, (a[2] - y) / 3 * a[2] * (1 - a[2]), rtol=1e-12)
    np.testing.assert_allclose(hidden.delta, output.delta @ trainer.weights[1] * hidden.slopes, rtol=1e-12)


@pytest.mark.parametrize("y", [2, [2], [[2]], [0.05, 0.05, 0.9]], ids=str)
def test_one_sample_and_its_target(y):
    smoothed = losses.CrossEntropy(label_smoothing=0.15) if np.size(y) == 1 else "cross_entropy"
    trainer = Trainer([2, 3, 3], loss=smoothed, seed=0, dtype="float64")
    found = explain(trainer, [0.4, -0.9], y)
    assert found.kernel_difference < 1e-12
    np.testing.assert_allclose(found.J, explain(trainer, [[0.4, -0.9]], np.array(y).reshape(1, -1)).J, rtol=1e-15)
    np.testing.assert_allclose(found.layers[2].delta, found.layers[2].a - [[0.05, 0.05, 0.9]], rtol=1e-12)


@pytest.mark.parametrize("y", [[2, 0], [[0, 0, 1], [1, 0, 0]], [[0.2, 0.3, 0.5], [0.9, 0.1, 0]]], ids=str)
def test_label_smoothing_is_in_every_form_of_targets(y):
    loss = losses.CrossEntropy(label_smoothing=0.3)
    trainer, X = Trainer([2, 3], loss=loss, seed=0, epsilon=1, dtype="float64"), [[0.4, -0.9], [1, 2]]
    rows = np.array(y) if np.ndim(y) == 2 else np.eye(3)[y]
    a = trainer.predict(X)
    found = explain(trainer, X, y)
    np.testing.assert_allclose(found.J, -((0.7 * rows + 0.1) * np.log(a)).sum(1).mean(), rtol=1e-12)
    np.testing.assert_allclose(found.J, trainer.evaluate(X, y)["loss"], rtol=1e-12)
    assert found.kernel_difference < 1e-12


def test_what_is_left_out_is_said():
    plain = example()
    assert plain.remarks == ()
    found = example(l1=0.1, l2=0.2, dropout=0.5, optimizer=optimizers.Adam(learning_rate=0.1))
    assert [g.sum for g in found.gradients] == [g.sum for g in plain.gradients]
    assert found.kernel_difference < 1e-12
    for words in ("l1 and l2 are left out", "Dropout is off", "plain gradient descent, not of adam"):
        assert words in found.text()
        assert words in found.to_html()
    softmax = explain(Trainer([2, 2], loss="cross_entropy", seed=0), [1, 2], 0)
    assert "closed form, with which the chains begin" in softmax.text()
    assert str(softmax.gradients[0].paths[0].factors[0]) == "∂J/∂z²₁"


@pytest.mark.parametrize(("sizes", "shown"), [((9, 9, 9, 9, 9), 360), ((200, 100, 2), 0)], ids=str)
def test_networks_with_too_many_paths_stop_at_delta(sizes, shown):
    trainer = Trainer(sizes, dtype="float64", seed=0)
    X = np.random.default_rng(0).uniform(size=(1, sizes[0]))
    found = explain(trainer, X, np.ones((1, sizes[-1])))
    assert found.view == "delta"
    assert found.n_paths > 10_000
    assert len(found.gradients) == shown
    for g in found.gradients:
        (path,) = g.paths
        a = found.layers[g.l - 1].a[0, g.k - 1] if g.k else 1
        assert [factor.value for factor in path.factors] == [found.layers[g.l].delta[0, g.j - 1], a]
    assert max(found.reference_difference, found.kernel_difference) < 1e-12
    text = found.text()
    assert f"{found.n_paths:,} paths are too many to write out" in text
    first = float(re.search(r"∂J/∂Θ¹ = \[\[ *([^ ]+)", text)[1])
    np.testing.assert_allclose(first, found.weight_gradients[0][0, 0], rtol=1e-4)
    assert len(text.splitlines()) < 700
    assert "(\\delta^{2})^{\\mathsf T} a^{1}" in found.latex()
    assert "too many to write out" in found.to_html()


def test_importing_fastbp_does_not_import_it():
    code = "import sys, fastbp; print('fastbp.explanation' in sys.modules, fastbp.explain.__name__)"
    assert run(code).strip() == "False explain"
    with pytest.raises(AttributeError, match="module 'fastbp' has no attribute 'explian'"):
        fastbp.explian  # noqa: B018


# Formats


def test_text_holds_the_numbers():
    found = example()
    text = str(found)
    for g in found.gradients:
        assert f"∂J/∂{g.symbol} = {g.sum:.6g}" in text
        assert re.search(
            rf"{g.symbol} +{g.theta:.6g} +{g.sum:.6g} +{g.reference:.6g} +{g.kernel:.6g} +{g.updated:.6g}", text
        )
        for path in g.paths:
            numbers = " *· *".join(f"{factor.value:.6g}" for factor in path.factors)
            assert re.search(f"{numbers} *= {path.product:.6g}", text)
        assert g.text() == str(g)
        assert g.text() in text
    for layer in found.layers[1:]:
        for i in range(2):
            row = [layer.z, layer.a, layer.slopes, layer.delta]
            assert re.search(" +".join(f"{part[0, i]:.6g}" for part in row), text)


def test_samples_are_numbered_where_there_are_several():
    case = Case((3, 4, 2), n=2)
    found = explain(case.trainer(), *case.data())
    assert re.search(r"^layer +sample +unit +z", found.text(), re.MULTILINE)
    assert re.search(r"^layer +unit +z", example().text(), re.MULTILINE)
    assert "  sample 2: bias → 4 → 1:  " in found.gradient(1, 4, 0).text()


def test_dead_units_have_gradients_of_0():
    trainer = article(activation="relu")
    trainer.weights[0][...] = -np.abs(trainer.weights[0])
    found = explain(trainer, [0.4, 0.9], [0.1, 0.8])
    assert found.gradient(1, 1, 1).text().splitlines()[0] == "∂J/∂θ¹₁₁ = 0, the sum over 2 paths"
    assert " -0\n" not in found.text()


def test_numbers_stand_under_their_symbols():
    lines = example().gradient(1, 2, 1).text().splitlines()
    dots = [[i for i, letter in enumerate(line) if letter == "·"] for line in lines[1:]]
    assert len(lines) == 5
    assert dots == [dots[0]] * 4


def test_indices_of_two_digits_stay_apart():
    g = explain(Trainer([11, 1], seed=0), np.ones(11), 1).gradient(1, 1, 11)
    assert str(g.symbol) == "θ¹₁,₁₁"
    assert g.symbol.latex == r"\theta^{1}_{1,11}"


@pytest.mark.parametrize("n", [1, 2])
def test_latex_is_one_aligned_environment(n):
    case = Case((2, 3, 2), n=n)
    found = explain(case.trainer(), *case.data())
    for source in (found.latex(), found.gradients[0].latex()):
        assert source.startswith("\\begin{aligned}\n")
        assert source.endswith("\n\\end{aligned}")
        assert source.isascii()
        depth = 0
        for brace in re.findall("[{}]", source):
            depth += 1 if brace == "{" else -1
            assert depth >= 0
        assert depth == 0
        rows = source.split("\n")[1:-1]
        assert all(row.count("&") == 1 for row in rows)
        assert all(row.endswith(r" \\") for row in rows[:-1])
    for g in found.gradients:
        assert f"&= {_chains.latex_number(g.sum)}" in found.latex()
    assert ("(sample 2)" in found.latex()) == (n == 2)


def test_latex_writes_powers_of_ten():
    assert _chains.latex_number(-1.5e-7) == r"-1.5 \cdot 10^{-7}"


def rendered(item, width: int = 160) -> str:
    text = io.StringIO()
    Console(file=text, width=width).print(item)
    return text.getvalue()


@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 2, 2)], ids=str)
def test_rich_shows_every_number_in_tables(sizes):
    found = example(sizes)
    text = rendered(found)
    assert _text.heading(found) in text
    for rows in (_text.unit_rows(found).shown, _text.update_rows(found).shown):
        for row in rows:
            assert re.search(r"^ *" + " +".join(re.escape(cell) for cell in row if cell) + r" *$", text, re.M), row
    for g in found.gradients:
        for path, symbols, numbers in _chains.chain_rows(g.paths):
            lead = rf"{g.symbol} +{_chains.route(path, 1)} +"
            product = re.escape(_chains.number(path.product))
            assert re.search(rf"{lead}{re.escape(symbols.rstrip())} +{product}", text)
            assert numbers.rstrip() in text
    assert all(line in text for line in (*_text.agreement(found), *found.remarks))
    table = found.table()
    assert table.row_count == len(found.gradients)
    assert rendered(table) in text


def test_rich_shows_matrices_where_the_paths_are_too_many():
    trainer = Trainer([3, 40, 40, 40, 2], seed=0)
    found = explain(trainer, [0.1, 0.2, 0.3], [0, 1])
    text = rendered(found)
    assert found.view == "delta"
    assert "∂J/∂Θ⁴ = " in text
    assert "The paths from" not in text
    few = explain(article(epsilon=1), *SAMPLES[2, 2, 2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_text, "MAX_ROWS", 3)
        assert "… and 5 more" in rendered(few.table())


@pytest.mark.parametrize(
    ("sizes", "m"),
    [((20, 1000, 1000, 5), 1), ((3, 400, 400, 2), 200), ((2,) * 120, 1), ((30,) * 80, 1)],
    ids=["wide", "a batch", "deep", "both"],
)
def test_a_network_of_any_size_takes_no_more_than_its_numbers_do(sizes, m):
    """Neither the explanation nor any of its formats needs much more memory than the numbers."""
    trainer = Trainer(sizes, seed=0)
    x, y = np.full((m, sizes[0]), 0.1), np.zeros((m, sizes[-1]))
    explain(trainer, x, y)
    numbers = 8 * (trainer.n_parameters + m * sum(sizes))
    tracemalloc.start()
    found = explain(trainer, x, y)
    for text in (found.text(), found.latex(), found.to_html(), rendered(found), repr(found)):
        assert len(text) < 2_000_000
    assert tracemalloc.get_traced_memory()[1] < 10_000_000 + 8 * numbers
    tracemalloc.stop()
    assert found.view == "delta"


def test_numbers_of_paths_that_no_reader_takes_in():
    assert [count(n) for n in (1, 12_345, 10**15, 30**5000)] == ["1", "12,345", "some 10^15", "some 10^7386"]


def test_more_samples_than_there_is_memory_for_are_refused(monkeypatch):
    monkeypatch.setattr("fastbp._checks.memory_limit", lambda: 1e9)
    x = np.zeros((200_000, 2))
    with pytest.raises(MemoryError, match="x: expected what fits into 1,000,000,000 bytes of memory, got 200,000 samp"):
        explain(Trainer([2, 200, 1], seed=0), x, x[:, :1])


def test_a_table_of_too_many_weights_is_refused():
    found = explain(Trainer([3, 400, 30, 2], seed=0), [0.1, 0.2, 0.3], [0, 1])
    with pytest.raises(ValueError, match="table: expected weights few enough to show each"):
        found.table()
    assert "There are too many weights to show each" in rendered(found)


def test_without_rich_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(ImportError, match=r"rich: pip install 'fastbp\[rich\]'"):
        example().table()


# Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, [1, 2], [1, 2]), "trainer: expected a fastbp.Trainer, got None"),
        ((Trainer, [1, 2], [1, 2]), "trainer: expected a fastbp.Trainer, got the class Trainer"),
        ((article(), "text", [1, 2]), "x: expected"),
        ((article(), None, [1, 2]), "x: expected"),
        ((article(), [1, 2, 3], [1, 2]), r"x: expected a 2-D array of shape \(n, 2\), got shape \(1, 3\)"),
        ((article(), [1, np.nan], [1, 2]), r"x: expected finite numbers, got nan at \[0, 1\]"),
        ((article(), [1, 2], [1]), "y: expected shape"),
        ((article(), [1, 2], None), "y: expected"),
        ((article(), [[1, 2]], [[1, 2], [3, 4]]), "y: expected 1 rows"),
        ((article(), [[1, 2]], "text"), "y: expected numbers, got text"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_arguments(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        explain(*arguments)


def test_a_network_that_overflows_is_refused():
    trainer = article(output_activation="exponential")
    trainer.weights[1][...] = 1e4
    message = "trainer: expected a network in which all numbers are finite for x and y, got J = inf"
    with pytest.raises(ValueError, match=message):
        explain(trainer, *SAMPLES[2, 2, 2])
    trainer = article(output_activation="exponential", dtype="float32")
    trainer.weights[1][...] = 100
    with pytest.raises(ValueError, match=r"got J = \d\.\d+e\+\d+, in the trainer's float32 inf"):
        explain(trainer, *SAMPLES[2, 2, 2])


def test_a_weight_that_is_not_there():
    with pytest.raises(KeyError):
        example().gradient(1, 1, 0)


@pytest.mark.parametrize(
    "options",
    [
        {"frozen": "dense1"},
        {"frozen": ["dense1.bias"], "use_bias": True, "ema": 0.9},
        {"parameter_groups": {"dense2": {"learning_rate": 0}}},
    ],
    ids=["a layer", "biases", "a factor of 0"],
)
def test_gradients_of_weights_that_stay_are_explained(options):
    explanation = explain(article(dtype="float64", **options), [0.05, 0.1], [0.01, 0.99])
    assert explanation.kernel_difference < 1e-15
    assert "without frozen and parameter_groups" in "".join(explanation.remarks)
