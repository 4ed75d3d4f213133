"""Contributions add up, and equal a fine sum over finite differences; importances are those of shuffled data."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pandas
import pytest

import fastbp
from fastbp import Trainer, reference, tables
from fastbp._files.columns import Table
from fastbp._terminal import shortened, width_of
from fastbp.explanation import _importance, _integrals, contributions, importance
from fastbp.explanation._integrals import Lines, integrate
from fastbp.explanation._of_table import contributions_of_rows
from fastbp.explanation._shares import Line, bars, number, written
from fastbp.layers import PBLD, Dense, Inputs, Residual

from .cases import DTYPES, HIDDEN, KINKS, OUTPUTS, Case, log_cosh, named, parameter_of

CASES = [
    *(Case((4, 9, 5, 3), hidden, "softmax", "cross_entropy", dtype=dtype) for hidden in HIDDEN for dtype in DTYPES),
    *(
        Case((3, 6, 2), "relu", output, loss, dtype=dtype, parameter=parameter_of(loss, 2))
        for loss, outputs in OUTPUTS.items()
        for output in outputs
        for dtype in DTYPES
    ),
    Case((3, 6, 2), "tanh", "identity", log_cosh),
    *(Case((3, 7, 1), "relu", "sigmoid", "binary_cross_entropy", use_bias=bias) for bias in (True, False)),
    *(Case(sizes, "tanh", "identity") for sizes in ((1, 1), (4, 1), (2, 3, 4, 3, 1))),
    Case((3, *[8] * 8, 2), "relu", "softmax", "cross_entropy"),
]


def samples(case: Case, m: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Return samples, and a baseline."""
    rng = np.random.default_rng(case.seed)
    return rng.normal(size=(m, case.sizes[0])) * 2, rng.normal(size=case.sizes[0])


def lines_of(case: Case, X: np.ndarray, start: np.ndarray, output: int = 0) -> Lines:
    trainer = case.trainer()
    weights, biases = ([np.float64(a) for a in arrays] for arrays in (trainer.weights, trainer.biases))
    units = np.full(len(X), output)
    return Lines(weights, biases, trainer.network.activations, start, X, units, np.ones(len(X)))


@pytest.mark.parametrize("case", CASES, ids=named)
def test_contributions_add_up_to_the_difference_of_the_outputs(case):
    trainer, (X, start) = case.trainer(), samples(case)
    classes = case.loss == "cross_entropy" or case.sizes[-1] == 1 or case.loss == "hinge"
    found = contributions(trainer, X, baseline=start, output=None if classes else 1)
    change = found.outputs - found.baseline_outputs
    assert (np.abs(change) > 0).all()
    assert (np.abs(found.values.sum(axis=1) - change) <= 1e-3 * np.abs(change) + 1e-9).all()
    np.testing.assert_allclose(found.differences, found.values.sum(axis=1) - change)
    for outputs, rows in ((found.outputs, X), (found.baseline_outputs, np.tile(start, (len(X), 1)))):
        a = trainer.predict(rows)
        unit = np.minimum(found.chosen, case.sizes[-1] - 1)
        if case.loss == "binary_cross_entropy" and case.sizes[-1] == 1:
            a, unit = np.hstack([1 - a, a]), found.chosen
        np.testing.assert_allclose(outputs, a[np.arange(len(a)), unit], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", [*HIDDEN, "softmax"])
def test_the_slopes_are_those_of_finite_differences(activation):
    hidden = "tanh" if activation == "softmax" else activation
    output = activation if activation == "softmax" else "identity"
    case = Case((4, 6, 5, 2), hidden, output)
    X, start = samples(case, 5)
    lines = lines_of(case, X, start)
    z, numbers = lines.first + lines.ways, np.arange(5)
    slopes = lines.slopes(z, numbers)
    step = 1e-6
    for j in range(z.shape[1]):
        aside = step * np.eye(z.shape[1])[j]
        difference = (lines.outputs_at(z + aside, numbers) - lines.outputs_at(z - aside, numbers)) / (2 * step)
        np.testing.assert_allclose(slopes[:, j], difference, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("activation", [*HIDDEN, "softmax"])
def test_contributions_are_those_of_a_fine_sum(activation):
    hidden = "relu" if activation == "softmax" else activation
    case = Case((4, 9, 7, 3), hidden, "softmax" if activation == "softmax" else "identity")
    X, start = samples(case, 1)
    found = integrate(lines_of(case, X, start, 2))
    trainer, n, step = case.trainer(), 20_000, 1e-5
    places = (np.arange(n) + 0.5)[:, None] / n
    for x, values in zip(X, found.values, strict=True):
        points = start + places * (x - start)
        for j in range(len(x)):
            aside = step * np.eye(len(x))[j]
            ends = (_output(trainer, points + side * aside)[:, 2] for side in (1, -1))
            mean = np.subtract(*ends).mean() / (2 * step)
            assert values[j] == pytest.approx(mean * (x - start)[j], rel=2e-3, abs=1e-3 * np.abs(found.values).max())


def _output(trainer: Trainer, X: np.ndarray) -> np.ndarray:
    return reference.forward(trainer.weights, trainer.biases, trainer.network.activations, X)[1][-1]


def test_a_network_without_hidden_layers_is_exact():
    trainer = Trainer([3, 1], dtype="float64", seed=0, epsilon=1)
    X, start = np.random.default_rng(0).normal(size=(5, 3)), np.array([0.1, 0.2, 0.3])
    found = contributions(trainer, X, baseline=start)
    np.testing.assert_allclose(found.values, (X - start) * trainer.weights[0], rtol=1e-12)


def test_lines_are_divided_exactly_at_the_kinks_of_relu():
    """The difference is a rounding error, without halving a single interval further."""
    case = Case((20, 64, 48, 1), "relu", "identity")
    X, start = samples(case, 10)
    lines = lines_of(case, X, start)
    intervals = _integrals._at_kinks(lines, lines.first, lines.ways)
    assert len(intervals.lines) > 10 * 20
    _, differences = _integrals._measured(lines, lines.first, lines.ways, intervals)
    assert np.abs(differences).max() < 1e-12
    assert set(KINKS) <= set(_integrals.KINKS)


def test_contributions_that_cancel_are_still_accurate():
    """The outputs differ by almost nothing, while the contributions are large."""
    case = Case((2, 30, 20, 1), "tanh", "identity")
    trainer = case.trainer()
    a, b = np.array([[3.0, -2.0]]), np.array([-2.0, 3.0])
    goal, share = trainer.predict(a)[0, 0], np.linspace(0, 1, 100_001)[:, None]
    way = b + share * (np.array([[-1.0, 4.0]]) - b)
    near = way[[np.abs(trainer.predict(way)[:, 0] - goal).argmin()]]
    found = contributions(trainer, a, baseline=near[0])
    assert abs(found.differences[0]) < 1e-5 * np.abs(found.values).sum()


def test_lines_of_no_length_contribute_nothing():
    case = Case((3, 5, 2), "relu", "softmax", "cross_entropy")
    _, start = samples(case)
    found = contributions(case.trainer(), start, baseline=start)
    assert found.values.shape == (1, 3)
    assert (found.values == 0).all()


def test_many_samples_are_the_same_as_one_at_a_time(monkeypatch):
    case = Case((4, 9, 5, 3), "relu", "softmax", "cross_entropy")
    X, start = samples(case, 20)
    whole = contributions(case.trainer(), X, baseline=start)
    single = [contributions(case.trainer(), x, baseline=start).values[0] for x in X]
    np.testing.assert_allclose(whole.values, single, rtol=1e-9, atol=1e-12)
    monkeypatch.setattr(_integrals, "NUMBERS", 300)
    np.testing.assert_allclose(contributions(case.trainer(), X, baseline=start).values, whole.values, atol=1e-12)


def test_wide_networks_are_quick():
    trainer = Trainer([200, 256, 1], activation="relu", initializer="he", seed=0)
    X = np.random.default_rng(0).normal(size=(20, 200))
    found = contributions(trainer, X, baseline=np.zeros(200))
    assert np.abs(found.differences).max() < 1e-9
    assert len(found.text().splitlines()) < 50


def test_groups_are_sums_of_inputs():
    case = Case((5, 6, 2), "tanh", "softmax", "cross_entropy")
    X, start = samples(case)
    each = contributions(case.trainer(), X, baseline=start)
    found = contributions(case.trainer(), X, baseline=start, groups={"a": slice(0, 1), "colour": slice(1, 5)})
    assert (found.names, each.names) == (("a", "colour"), ("x1", "x2", "x3", "x4", "x5"))
    np.testing.assert_allclose(found.values, np.stack([each.values[:, 0], each.values[:, 1:].sum(axis=1)], axis=1))


def test_names_of_a_frame():
    frame = pandas.DataFrame(np.random.default_rng(0).normal(size=(30, 2)), columns=["size", "age"])
    trainer = Trainer([2, 3, 1], seed=0)
    trainer.fit(frame, frame["size"] - frame["age"], epochs=2, verbose=0)
    found = contributions(trainer, frame.iloc[3], baseline=frame.mean())
    assert found.names == ("size", "age")
    assert "size" in str(found)
    with pytest.raises(ValueError, match="feature names"):
        contributions(trainer, frame[["age", "size"]], baseline=frame.mean())
    assert importance(trainer, frame, frame["size"]).names == ("size", "age")


def test_the_trainer_does_not_change():
    case = Case((3, 5, 2), dtype="float32", loss="cross_entropy", output="softmax")
    trainer, (X, start) = case.trainer(), samples(case)
    before = trainer.network.packed()
    contributions(trainer, X, baseline=start)
    importance(trainer, X, np.arange(len(X)) % 2)
    np.testing.assert_array_equal(trainer.network.packed(), before)


TWO = Trainer([2, 3, 2], seed=0)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((None, [1, 2]), {"baseline": [0, 0]}, "trainer: expected a fastbp.Trainer, got None"),
        ((TWO, [1, 2]), {"baseline": [0, 0]}, "output: expected the number of the output to explain, from 0 to 1"),
        ((TWO, [1, 2]), {"baseline": [0, 0], "output": 2}, "output: expected an output from 0 to 1, got 2"),
        ((TWO, [1, 2]), {"baseline": [0], "output": 0}, r"baseline: expected a 2-D array of shape \(n, 2\)"),
        ((TWO, [1, 2, 3]), {"baseline": [0, 0], "output": 0}, r"X: expected a 2-D array of shape \(n, 2\)"),
        ((TWO, [1, np.nan]), {"baseline": [0, 0], "output": 0}, "X: expected finite numbers"),
        ((TWO, [1, 2]), {"baseline": [0, np.inf], "output": 0}, "baseline: expected finite numbers"),
        ((TWO, [1, 2]), {"baseline": "mean", "output": 0}, "baseline: expected numbers, got text"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_arguments(arguments, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        contributions(*arguments, **options)


def test_outputs_that_are_not_finite_are_refused():
    trainer = Trainer([2, 3, 1], output_activation="exponential", seed=0, dtype="float64")
    trainer.weights[1][...] = 1e5
    with pytest.raises(ValueError, match="expected samples for which the outputs are finite"):
        contributions(trainer, [3, 3], baseline=[0, 0])


def test_models_of_earlier_versions_are_explained_from_a_row_that_says_nothing():
    columns = [
        {"kind": "numbers", "name": "size", "mean": 10.0, "deviation": 2.0, "fill": False},
        {"kind": "categories", "name": "colour", "categories": ["red", "blue"], "fill": None},
    ]
    target = {"kind": "numbers", "name": "price", "mean": 100.0, "deviation": 20.0, "fill": False}
    table = Table.from_record({"columns": columns, "target": target})
    trainer = Trainer([3, 1], initializer=([[[2.0, 1.0, -1.0]]], [[0.0]]), dtype="float64")
    frame = pandas.DataFrame({"size": ["14"], "colour": ["red"]})
    found = contributions_of_rows(trainer, table, frame, tables.inputs(table, frame), ["row 1"])
    assert found.names == ("size", "colour")
    np.testing.assert_allclose(found.values, [[2 * 2 * 20, 1 * 20]])
    np.testing.assert_allclose([found.outputs[0], found.baseline_outputs[0]], [200, 100])
    assert found.told[0].cells == ("14", "red")
    assert found.told[0].prediction == "200.0"


# Formats


def test_text_is_aligned_at_any_width_and_in_any_script():
    case = Case((4, 6, 3), "tanh", "softmax", "cross_entropy")
    X, start = samples(case)
    groups = {"市区町村の名前": slice(0, 1), "a\x1b[31m b": slice(1, 2), "é": slice(2, 3), "long " * 30: slice(3, 4)}
    one = contributions(case.trainer(), X[:1], baseline=start, groups=groups)
    for width in (60, 80, 120):
        lines = one.text(width).splitlines()
        assert max(map(width_of, lines)) <= width
        table = [line for line in lines if "│" in line]
        assert len(table) == 4
        assert len({width_of(line[: line.index("│")]) for line in table}) == 1
        assert "\x1b" not in one.text(width)
    assert "|##" in one.text(bar="#")
    assert "█" not in one.text(bar="#")
    total = float(one.text().splitlines()[-1].split()[1])
    assert total == pytest.approx(one.values.sum(), rel=1e-2)


def test_numbers_have_few_digits_but_all_before_the_point():
    values = [number(x) for x in (0.0, 0.889234, 23.4, 1234567.8, 1.5e-7, -0.0, 3e12)]
    assert values == ["0.0000", "0.8892", "23.40", "1234568", "1.5e-07", "0.0000", "3e+12"]


def test_zero_has_no_minus():
    assert written([-0.001, 5.0]) == ["0.00", "5.00"]
    assert written([-0.001, 5.0], sign="+") == ["+0.00", "+5.00"]
    assert written([-0.01, 5.0]) == ["-0.01", "5.00"]
    assert written([-0.0, 0.0]) == ["0.000", "0.000"]
    assert written([-1e-12, 2e-9], digits=2) == ["-1.0e-12", "2.0e-09"]


def test_what_is_too_long_ends_with_dots():
    assert shortened("abcdef", 4) == "abc…"
    assert width_of(shortened("市" * 10, 8)) <= 8
    assert bars([Line("name", "", "1", 1.0)], 17, "█") == ["  name  1"]  # no room for a bar


def test_only_the_largest_are_shown():
    trainer = Trainer([40, 1], seed=0, epsilon=1)
    found = contributions(trainer, np.ones((1, 40)), baseline=np.zeros(40))
    shown = found.parts(0)
    assert [len(shown), shown[-1].name] == [16, "25 others together"]
    assert sum(part.value for part in shown) == pytest.approx(found.values.sum())
    sizes = [abs(part.value) for part in shown[:-1]]
    assert sizes == sorted(sizes, reverse=True)


# Importance


def test_importance_of_inputs_that_matter_and_of_those_that_do_not():
    trainer = Trainer([3, 1], initializer=([[[3.0, -1.0, 0.0]]], [[0.0]]), dtype="float64", l2=0.5)
    X = np.random.default_rng(0).normal(size=(4000, 3))
    found = importance(trainer, X, X @ [3, -1, 0], metric="mse")
    assert found.measured == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(found.means, [18, 2, 0], rtol=0.05, atol=1e-12)  # 2 w² var(x)
    assert found.order == [0, 1, 2]
    assert (found.spreads[:2] > 0).all()
    assert found.values.shape == (3, 5)
    loss = importance(trainer, X, X @ [3, -1, 0])
    assert loss.measured == pytest.approx(0, abs=1e-12)  # without the penalty
    np.testing.assert_allclose(loss.means, found.means / 2, rtol=0.05, atol=1e-12)


def test_importance_of_scores_is_what_they_lose():
    X = np.random.default_rng(0).normal(size=(500, 2))
    trainer = Trainer([2, 1], initializer=([[[9.0, 0.0]]], [[0.0]]), loss="binary_cross_entropy")
    y = (X[:, 0] > 0).astype(int)
    found = importance(trainer, X, y, metric="accuracy", repeats=3, seed=1)
    assert found.measured == 1
    np.testing.assert_allclose(found.means, [0.5, 0], atol=0.05)
    np.testing.assert_array_equal(found.values, importance(trainer, X, y, metric="accuracy", repeats=3, seed=1).values)
    other = importance(trainer, X, y, metric=lambda_metric, mode="max")
    assert other.measure == "lambda_metric"
    with pytest.raises(ValueError, match="mode: expected 'min' or 'max' for 'lambda_metric'"):
        importance(trainer, X, y, metric=lambda_metric)


def test_shuffles_are_measured_together_as_far_as_memory_allows(monkeypatch):
    X = np.random.default_rng(0).normal(size=(50, 3))
    calls = []

    def measured(samples):
        calls.append(len(samples))
        return [float(one[:, 0] @ X[:, 0]) for one in samples]

    parts = [slice(0, 1), slice(1, 3)]
    before, values = _importance.shuffled(X, measured, parts, 1, 5, 0)
    assert calls == [1, 10]
    assert before == pytest.approx((X[:, 0] ** 2).sum())
    assert (values[0] > 0).all()
    assert len(set(values[0])) == 5
    np.testing.assert_allclose(values[1], 0, atol=1e-12)  # each part is put back
    monkeypatch.setattr(_importance, "AT_ONCE", 2 * X.size)
    np.testing.assert_array_equal(_importance.shuffled(X, measured, parts, 1, 5, 0)[1], values)
    assert calls[2:] == [1, 2, 2, 2, 2, 2]


@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e6])
def test_importances_have_the_digits_that_matter(scale):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    trainer = Trainer([2, 1], initializer=([[[3.0 * scale, 0.0]]], [[0.0]]), dtype="float64")
    text = importance(trainer, X, X @ [3 * scale, 0], metric="rmse").text()
    mean, spread = re.search(r"x1 +(\S+) ± (\S+)", text).groups()
    assert float(mean) == pytest.approx(3 * scale * 2**0.5, rel=0.2)
    assert float(spread) > 0
    assert len(re.sub(r"\D|e.*", "", mean).lstrip("0")) >= 4


def test_one_shuffle_has_no_spread():
    trainer = Trainer([1, 1], initializer=([[[3.0]]], [[0.0]]))
    text = importance(trainer, [[1], [2], [3], [4]], [3, 6, 9, 12], repeats=1).text()
    assert "(one shuffle):" in " ".join(text.split())
    assert "±" not in text


def test_importances_as_a_plot(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    from matplotlib import pyplot

    weights = np.r_[np.arange(20.0), 3.0]
    trainer = Trainer([21, 1], initializer=([weights[None]], [[0.0]]), dtype="float64")
    X = np.random.default_rng(0).normal(size=(90, 21))
    frame = pandas.DataFrame(X, columns=[f"a ${j}$" for j in range(21)])
    found = importance(trainer, X, X @ weights, groups={name: slice(j, j + 1) for j, name in enumerate(frame)})
    ax = found.plot()
    ax.figure.canvas.draw()
    names = [label.get_text().replace("\\", "") for label in ax.get_yticklabels()]
    assert names == [found.names[j] for j in found.order[:15]]
    assert [bar.get_width() for bar in ax.patches] == sorted(found.means, reverse=True)[:15]
    assert ax.yaxis_inverted()
    assert ax.get_title() == "importance of each input, the 15 most important of 21"
    assert found.plot(ax) is ax
    pyplot.close("all")


def lambda_metric(y, output):
    return float(((output > 0.5) == y).mean())


def test_groups_are_shuffled_together():
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(1000, 1)), 2, axis=1)
    trainer = Trainer([2, 1], initializer=([[[1.0, -1.0]]], [[0.0]]), dtype="float64")
    each = importance(trainer, X, np.zeros(1000))
    together = importance(trainer, X, np.zeros(1000), groups={"both": slice(0, 2)})
    assert each.means.min() > 0.5
    assert together.means[0] == pytest.approx(0, abs=1e-12)  # both move together, so that their difference stays 0
    assert together.names == ("both",)
    before = X.copy()
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repeats": 0}, "repeats: expected an integer ≥ 1, got 0"),
        ({"metric": "acuracy"}, "metrics: expected one of"),
        ({"metric": ["mse", "mae"]}, "metric: expected one metric, got 2"),
        ({"mode": "low"}, "mode: expected one of"),
    ],
    ids=str,
)
def test_bad_arguments_of_importance(options, message):
    with pytest.raises(ValueError, match=message):
        importance(TWO, [[1, 2], [3, 4]], [[0, 1], [1, 0]], **options)


def test_one_sample_has_nothing_to_shuffle():
    with pytest.raises(ValueError, match="X: expected two or more samples, because there is nothing to shuffle in one"):
        importance(TWO, [[1, 2]], [[0, 1]])


def test_both_are_found_where_the_docs_say():
    assert fastbp.explanation.contributions is contributions
    assert fastbp.explanation.importance is importance
    assert dataclasses.is_dataclass(fastbp.explanation.Contributions)


LAYERS = {
    "norms": [3, Dense(8, "silu", norm="layer"), Residual(5, "tanh"), Dense(6, "relu", norm="batch"), 3],
    "categories": [Inputs(3, [5]), PBLD(3, 4), Dense(8, "mish", parametric=True), 3],
}


@pytest.mark.parametrize("standardize", [False, True], ids=["plain", "standardized"])
@pytest.mark.parametrize("name", LAYERS)
def test_contributions_to_a_network_of_layers_add_up(name, standardize):
    rng = np.random.default_rng(0)
    trainer = Trainer(LAYERS[name], loss="cross_entropy", seed=0, standardize=standardize)
    X = np.column_stack([rng.normal(size=(60, 3)), *([rng.integers(0, 5, 60)] if name == "categories" else [])])
    trainer.fit(X, rng.integers(0, 3, 60), epochs=3, verbose=0)
    before, baseline = trainer.get_weights(), X[0].copy()
    found = contributions(trainer, X[:20], baseline=baseline)
    np.testing.assert_array_equal(found.chosen, trainer.predict_classes(X[:20]))
    starts = X[:20].copy()
    starts[:, :3] = baseline[:3]
    rows = np.arange(20), found.chosen
    np.testing.assert_allclose(found.outputs, trainer.predict(X[:20])[rows], atol=1e-5)
    np.testing.assert_allclose(found.baseline_outputs, trainer.predict(starts)[rows], atol=1e-5)
    difference = found.outputs - found.baseline_outputs
    np.testing.assert_allclose(found.values.sum(axis=1), difference, atol=1e-3 * np.abs(difference).max() + 1e-7)
    np.testing.assert_array_equal(found.values[:, 3:], 0)
    for one, other in zip(trainer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_contributions_to_layers_are_those_of_the_plain_network():
    X = np.random.default_rng(0).normal(size=(20, 3))
    plain = Trainer([3, 6, 2], seed=0, dtype="float64", activation="gelu")
    other = Trainer([3, Dense(6, "gelu"), Dense(2)], seed=0, dtype="float64")
    other.set_weights(plain.get_weights())
    expected = contributions(plain, X, baseline=[0.1, 0.2, 0.3], output=1)
    found = contributions(other, X, baseline=[0.1, 0.2, 0.3], output=1)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-4, atol=1e-6)


def test_explain_refuses_layers_by_name():
    trainer = Trainer([3, Dense(6, norm="layer"), 2], seed=0)
    with pytest.raises(ValueError, match="trainer: expected a plain network, without layers"):
        fastbp.explain(trainer, [1, 2, 3], [0, 1])
    for draw in (lambda: fastbp.plots.network(trainer), lambda: fastbp.plots.activations(trainer, np.zeros((4, 3)))):
        with pytest.raises(ValueError, match="trainer: expected a plain network, without layers"):
            draw()
