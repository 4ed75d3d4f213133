"""Weights of members: better than each member, equal to slow selections, honest on rows that did not choose them."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp.tabular import _blend
from fastbp.tabular._blend import (
    Line,
    blended,
    calibration,
    greedy_weights,
    nested_predictions,
    shrunk_weights,
    temperature,
    tempered,
)
from fastbp.tabular._objectives import OF_CLASSES, OF_NUMBERS, objective_of

OBJECTIVES = [objective_of(name, classes=True) for name in OF_CLASSES] + [
    objective_of(name, classes=False) for name in (*OF_NUMBERS, "quantile:0.8")
]

RMSE = objective_of("rmse", classes=False)


def softmax(Z):
    e = np.exp(Z - Z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def members(objective, m=7, n=301, n_classes=3, seed=0):
    """Return predictions of m members, the targets, and weights of which some are 0."""
    rng = np.random.default_rng(seed)
    noise = rng.uniform(0.5, 2, m)[:, None, None]
    if objective.classes:
        Z = rng.normal(size=(n, n_classes))
        y = (Z + rng.gumbel(size=Z.shape)).argmax(axis=1)
        P = softmax(Z + noise * rng.normal(size=(m, n, n_classes)))
    else:
        rate = np.exp(rng.normal(size=n))
        y = rng.poisson(rate).astype(float)
        P = rate * np.exp(0.3 * noise[..., 0] * rng.normal(size=(m, n)))
    return list(P), y, rng.integers(0, 3, n).astype(float)


def slowly(predictions, y, objective, weights, steps):
    """Return greedy weights, computed from the definition."""
    counts, path = np.zeros(len(predictions)), []
    for _ in range(steps):
        losses = []
        for j in range(len(predictions)):
            more = counts.copy()
            more[j] += 1
            losses.append(
                objective.loss(y, sum(c * P for c, P in zip(more, predictions, strict=True)) / more.sum(), weights)
            )
        counts[int(np.argmin(losses))] += 1
        path.append((min(losses), counts / counts.sum()))
    return min(path, key=lambda pair: pair[0])[1]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_weights_are_those_of_the_definition(objective):
    predictions, y, weights = members(objective)
    for weight in (None, weights):
        found = greedy_weights(predictions, y, objective, weight, steps=15)
        assert found.sum() == pytest.approx(1)
        if not objective.classes or objective.name == "log_loss":
            assert found == pytest.approx(slowly(predictions, y, objective, weight, 15))


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_the_mean_is_never_worse_than_the_best_member(objective):
    for seed in range(20):
        predictions, y, weights = members(objective, m=3, n=25, seed=seed)
        loss = objective.loss(y, blended(predictions, greedy_weights(predictions, y, objective, weights)), weights)
        assert loss <= objective.losses(y, np.stack(predictions), weights).min() + 1e-7


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_the_mean_is_better_on_other_rows(objective):
    predictions, y, _ = members(objective, n=4000)
    chosen = greedy_weights([P[:2000] for P in predictions], y[:2000], objective)
    others = [P[2000:] for P in predictions]
    assert objective.loss(y[2000:], blended(others, chosen)) < objective.losses(y[2000:], np.stack(others)).min()


def test_members_that_diverged_or_repeat_another_get_no_weight():
    for objective in (OBJECTIVES[0], OBJECTIVES[1], OBJECTIVES[4]):
        predictions, y, _ = members(objective)
        expected = greedy_weights(predictions, y, objective)
        broken = np.full_like(predictions[0], np.nan)
        found = greedy_weights([broken, *predictions, *predictions], y, objective)
        assert found == pytest.approx(np.concatenate([[0], expected, 0 * expected]))
        assert blended([broken, *predictions, *predictions], found) == pytest.approx(blended(predictions, expected))
        with pytest.raises(ValueError, match="predictions: expected finite ones"):
            greedy_weights([broken], y, objective)


def test_certain_errors_are_survived():
    objective = OBJECTIVES[0]
    y = np.array([0, 1] * 20)
    wrong, fair = np.eye(2)[1 - y], np.full((40, 2), 0.5)
    assert greedy_weights([wrong, fair], y, objective) == pytest.approx([0, 1])
    assert np.isfinite(greedy_weights([wrong], y, objective)).all()


def test_nested_predictions_are_honest():
    """If no member knows anything, the selected mean looks good, but not on rows that did not select it."""
    rng = np.random.default_rng(0)
    objective = objective_of("rmse", classes=False)
    y = rng.normal(size=100)
    noise = [0.3 * rng.normal(size=100) for _ in range(50)]

    def choose(rows):
        return greedy_weights([P[rows] for P in noise], y[rows], objective)

    nested = nested_predictions(noise, np.arange(100) % 5, choose)
    selected = objective.loss(y, blended(noise, greedy_weights(noise, y, objective)))
    assert selected < 0.98 * objective.loss(y, np.zeros(100))
    assert objective.loss(y, nested) > selected + 0.02


def test_nested_predictions_use_weights_of_the_other_folds():
    objective = objective_of("mae", classes=False)
    predictions, y, weights = members(objective)
    folds = np.arange(len(y)) % 3

    def choose(rows):
        return greedy_weights([P[rows] for P in predictions], y[rows], objective, weights[rows])

    nested = nested_predictions(predictions, folds, choose)
    others = folds != 1
    chosen = greedy_weights([P[others] for P in predictions], y[others], objective, weights[others])
    assert nested[folds == 1] == pytest.approx(blended(predictions, chosen)[folds == 1])


@pytest.mark.parametrize("wrong_by", [0.4, 2.5])
def test_the_temperature_repairs_overconfidence_and_timidity(wrong_by):
    rng = np.random.default_rng(0)
    for k in (2, 4):
        Z = rng.normal(size=(5000, k))
        y = (Z + rng.gumbel(size=Z.shape)).argmax(axis=1)
        found = temperature(softmax(Z * wrong_by), y)
        assert found == pytest.approx(wrong_by, rel=0.1)
        assert tempered(softmax(Z * wrong_by), found) == pytest.approx(softmax(Z * wrong_by / found), abs=1e-9)
        weights = (rng.permutation(5000) < 2500).astype(float)
        half = weights > 0
        assert temperature(softmax(Z * wrong_by), y, weights) == pytest.approx(
            temperature(softmax(Z * wrong_by)[half], y[half])
        )


def test_calibrated_probabilities_keep_their_temperature():
    kept = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        Z = rng.normal(size=(200, 3))
        kept += temperature(softmax(Z), (Z + rng.gumbel(size=Z.shape)).argmax(axis=1)) == 1
    assert kept >= 28
    assert temperature(np.full((50, 2), 0.5), np.arange(50) % 2) == 1


def test_certain_probabilities_can_be_cooled():
    P = np.eye(2)[np.arange(100) % 2]
    y = np.where(np.arange(100) % 10 == 0, 1 - np.arange(100) % 2, np.arange(100) % 2)
    found = temperature(P, y)
    assert found == 5
    assert np.isfinite(tempered(P, found)).all()


def test_weights_lie_between_the_greedy_ones_and_the_prior():
    predictions, y, weights = members(RMSE, m=3)
    shares, prior = np.array([1.0, 0, 0]), np.array([0, 0.5, 0.5])
    near = [P * 1e-3 + y for P in predictions]  # the prior costs nothing much
    near[1:] = [near[0], near[0]]
    found = shrunk_weights(shares, prior, near, y, RMSE, weights)
    part = 300 / (300 + len(y))
    np.testing.assert_allclose(found, [1 - part, part / 2, part / 2])
    assert shrunk_weights(shares, np.zeros(3), near, y, RMSE, weights).tolist() == [1, 0, 0]


def test_a_prior_that_costs_much_has_no_part():
    predictions, y, weights = members(RMSE, m=2)
    pair = [y + 1e-6 * predictions[0], y + 100.0]
    assert shrunk_weights(np.array([1.0, 0]), np.array([0, 1.0]), pair, y, RMSE, weights).tolist() == [1, 0]


def test_calibration_repairs_predictions_that_are_too_close_to_the_mean():
    rng = np.random.default_rng(0)
    truth = 50 + 10 * rng.normal(size=1000)
    y = truth + 3 * rng.normal(size=1000)
    timid = 50 + 0.8 * (truth - 50)
    for name in ("rmse", "r2"):
        line = calibration(timid, y, objective_of(name, classes=False))
        assert line.slope == pytest.approx(1.25, rel=0.02)
        assert line.of(timid) == pytest.approx(truth, abs=1)
        assert line.of(np.array([-1e9, 1e9])) == pytest.approx([y.min(), y.max()])
    assert calibration(timid, y, objective_of("mae", classes=False)) == Line(0, 1, y.min(), y.max())
    copies = rng.integers(0, 3, 1000)
    weighted = calibration(timid, y, RMSE, copies.astype(float))
    assert weighted.slope == pytest.approx(
        calibration(np.repeat(timid, copies), np.repeat(y, copies), RMSE).slope, rel=0.01
    )


def test_calibration_leaves_what_it_cannot_improve():
    rng = np.random.default_rng(0)
    y = rng.normal(size=200)
    assert calibration(1.5 * y, y, RMSE) == calibration(np.full(200, 0.3), y, RMSE) == Line(0, 1, y.min(), y.max())
    slopes = [calibration(1e-3 * rng.normal(size=200), y, RMSE).slope for _ in range(20)]  # knows nothing
    assert np.median(slopes) < 20  # least squares alone gives hundreds
    assert calibration(y, y, RMSE).slope == pytest.approx(1)


def test_blocks_of_rows_give_the_same(monkeypatch):
    for objective in (OBJECTIVES[0], OBJECTIVES[4]):
        predictions, y, weights = members(objective)
        for weight in (None, weights):
            whole = greedy_weights(predictions, y, objective, weight)
            with monkeypatch.context() as changed:
                for size in (3, 8, 17, 100):  # the last of 301 rows are one, five, twelve or one
                    changed.setattr(_blend, "BLOCK", size)
                    assert greedy_weights(predictions, y, objective, weight) == pytest.approx(whole)
