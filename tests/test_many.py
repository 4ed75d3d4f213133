"""fit_many, Ensemble, Sweep: each network as if alone, whatever becomes of the others."""

import re
import sys
import threading
import time

import numpy as np
import pandas
import pyarrow
import pytest

import fastbp
from fastbp import DivergenceError, EarlyStopping, Ensemble, Outcome, Stream, Sweep, Trainer, fit_many
from fastbp._engine.engine import Engine
from fastbp._training.intake import Intake
from fastbp._training.run import Run
from fastbp.many._fits import Fits
from fastbp.schedules import Cosine, Schedule

from .cases import named

rng = np.random.default_rng(0)
X = rng.normal(size=(50, 3))
Y = rng.uniform(size=(50, 2))
LABELS = rng.integers(0, 2, 50)

KINDS = {
    "tiny": {},
    "tiny, in order": {"shuffle": False},
    "tiny, batches": {"batch_size": 7, "activation": "tanh", "output_activation": "sigmoid"},
    "tiny, float64": {"dtype": "float64"},
    "wide": {"layer_sizes": [3, 40, 2], "batch_size": 8},
    "adam": {"optimizer": "adam", "batch_size": 8},
    "dropout": {"dropout": 0.3},
    "scheduled": {"schedule": "cosine"},
    "lbfgs": {"optimizer": "lbfgs"},
}


def some(count, **options):
    own = [{"layer_sizes": [3, 4, 2], "seed": i} for i in range(count)]
    if options.get("optimizer") != "lbfgs":
        own = [common | {"learning_rate": 0.1 + 0.01 * i} for i, common in enumerate(own)]
    return [Trainer(**common | options) for common in own]


def assert_same(trainer, alone):
    for mine, theirs in zip(trainer.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert trainer.history == alone.history
    assert trainer.history.epochs == alone.history.epochs
    assert trainer._state.random == alone._state.random


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_each_is_as_if_alone(kind, n_threads):
    together, alone = some(11, **KINDS[kind]), some(11, **KINDS[kind])
    for epochs in (3, 2):
        outcomes = fit_many(together, X, Y, epochs=epochs, n_threads=n_threads, verbose=0)
        for number, (outcome, trainer) in enumerate(zip(outcomes, alone, strict=True)):
            history = trainer.fit(X, Y, epochs=epochs, verbose=0)
            assert outcome.number == number
            assert outcome.trainer is together[number]
            assert outcome.history == history
            assert outcome.history.epochs == history.epochs
            assert_same(together[number], trainer)


def test_mixed_kinds_and_configurations():
    kinds = [{"layer_sizes": [3, 4, 2], "seed": 1} | options for options in KINDS.values()]
    outcomes = fit_many([*kinds, *kinds], X, Y, epochs=2, verbose=0)
    for outcome, options in zip(outcomes, [*kinds, *kinds], strict=True):
        alone = Trainer(**options)
        alone.fit(X, Y, epochs=2, verbose=0)
        assert_same(outcome.trainer, alone)


def test_networks_that_shuffle_and_networks_that_do_not_may_be_mixed():
    """Enough of each for groups that train together."""
    together, alone = ([t for pair in zip(some(8), some(8, shuffle=False), strict=True) for t in pair] for _ in "ab")
    fit_many(together, X, Y, epochs=2, n_threads=1, verbose=0)
    for trainer, other in zip(together, alone, strict=True):
        other.fit(X, Y, epochs=2, verbose=0)
        assert_same(trainer, other)


def test_data_of_their_own():
    Xs, ys = [X[:20], X[5:], X[::2]], [Y[:20], Y[5:], Y[::2]]
    weights = [np.arange(1.0, 1 + len(x)) for x in Xs]
    together, alone = some(3), some(3)
    fit_many(together, Xs, ys, sample_weight=weights, epochs=3, verbose=0)
    for trainer, other, x, y, w in zip(together, alone, Xs, ys, weights, strict=True):
        other.fit(x, y, sample_weight=w, epochs=3, verbose=0)
        assert_same(trainer, other)


@pytest.mark.parametrize(
    "options",
    [
        {"sample_weight": np.arange(1.0, 51)},
        {"class_weight": {0: 1, 1: 5}},
        {"class_weight": "balanced"},
        {"validation_split": 0.3},
        {"validation_data": (X[:9], LABELS[:9])},
        {"metrics": ["accuracy"]},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_are_those_of_fit(options):
    together, alone, without = ([Trainer([3, 4, 2], loss="cross_entropy", seed=i) for i in range(3)] for _ in range(3))
    fit_many(together, X, LABELS, epochs=3, verbose=0, **options)
    fit_many(without, X, LABELS, epochs=3, verbose=0)
    for trainer, other, plain in zip(together, alone, without, strict=True):
        other.fit(X, LABELS, epochs=3, verbose=0, **options)
        assert_same(trainer, other)
        assert trainer.history != plain.history


def test_each_has_max_seconds():
    outcomes = fit_many(some(3), X, Y, epochs=1_000_000, max_seconds=0.05, verbose=0)
    assert all(0 < len(outcome.history.epochs) < 1_000_000 for outcome in outcomes)
    assert not any(outcome.history.interrupted for outcome in outcomes)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_so_many_are_trained_at_once(n_threads):
    meeting, threads = threading.Barrier(n_threads), set()

    def meet(trainer, epoch, measured):
        threads.add(threading.get_ident())
        meeting.wait(timeout=30)  # the test ends only if so many are here at once

    outcomes = fit_many(some(6), X, Y, callbacks=meet, n_threads=n_threads, verbose=0)
    assert not any(outcome.error for outcome in outcomes)
    assert len(threads) == n_threads


def test_each_keeps_its_own_n_threads():
    trainers = some(2, optimizer="adam", n_threads=2)
    fit_many(trainers, X, Y, n_threads=2, verbose=0)
    assert [trainer.n_threads for trainer in trainers] == [2, 2]


def test_callbacks_are_copied_and_measures_are_each_networks_own():
    stopping, seen = EarlyStopping("val_loss", patience=1), []
    together, alone = some(5, learning_rate=3.0), some(5, learning_rate=3.0)
    options = {"epochs": 30, "validation_data": (X[:9], Y[:9]), "metrics": "r2", "verbose": 0}
    callbacks = [stopping, lambda trainer, epoch, measured: seen.append(trainer.seed)]
    outcomes = fit_many(together, X, Y, callbacks=callbacks, **options)
    assert stopping.best_epoch is None
    assert set(seen) == set(range(5))
    for outcome, other in zip(outcomes, alone, strict=True):
        other.fit(X, Y, callbacks=EarlyStopping("val_loss", patience=1), **options)
        assert_same(outcome.trainer, other)
        assert "val_r2" in outcome.history


def test_an_error_stops_nobody_else():
    good, alone = some(6), some(6)
    bad = Trainer([3, 4, 2], output_activation="identity", learning_rate=1e30, seed=0)
    with pytest.warns(RuntimeWarning, match=r"3 of 9 networks failed; the first, number 3: training diverged"):
        outcomes = fit_many(
            [*good[:3], bad, {"layer_sizes": [3]}, {"layer_sizes": [4, 2]}, *good[3:]], X, Y, epochs=4, verbose=0
        )
    assert isinstance(outcomes[3].error, DivergenceError)
    assert np.isfinite(bad.predict(X)).all()
    assert outcomes[3].history.epochs == bad.history.epochs
    assert "layer_sizes" in str(outcomes[4].error)
    assert outcomes[4].trainer is None
    assert "X" in str(outcomes[5].error)
    for trainer, other in zip(good, alone, strict=True):
        other.fit(X, Y, epochs=4, verbose=0)
        assert_same(trainer, other)


def test_a_network_that_diverges_in_a_group_is_left_at_the_epoch_before():
    options = {"learning_rate": 30.0, "activation": "relu", "output_activation": "identity", "batch_size": 8}
    together = [Trainer([3, 4, 2], seed=i, epsilon=1, **options) for i in range(20)]
    alone = [Trainer([3, 4, 2], seed=i, epsilon=1, **options) for i in range(20)]
    with pytest.warns(RuntimeWarning, match="failed"):
        outcomes = fit_many(together, X, Y, epochs=40, n_threads=1, verbose=0)
    for outcome, other in zip(outcomes, alone, strict=True):
        if outcome.error:
            with pytest.raises(DivergenceError, match=re.escape(str(outcome.error))):
                other.fit(X, Y, epochs=40, verbose=0)
        else:
            other.fit(X, Y, epochs=40, verbose=0)
        assert_same(outcome.trainer, other)
    assert any(outcome.error for outcome in outcomes)


def test_results_come_as_they_finish_in_the_callers_thread():
    seen = []
    fit_many(some(7), X, Y, on_finish=lambda outcome: seen.append((outcome, threading.get_ident())), verbose=0)
    assert {outcome.number for outcome, _ in seen} == set(range(7))
    assert {thread for _, thread in seen} == {threading.get_ident()}
    assert all(isinstance(outcome, Outcome) for outcome, _ in seen)


def test_what_on_finish_raises_ends_everything():
    def fail(outcome):
        raise ZeroDivisionError

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        fit_many(some(200, optimizer="adam"), X, Y, epochs=50, on_finish=fail, verbose=0)
    assert threading.active_count() == before


@pytest.mark.parametrize("kind", ["tiny", "wide"])
def test_ctrl_c_leaves_finished_batches(kind):
    def interrupt(_):
        raise KeyboardInterrupt

    trainers = some(30, **KINDS[kind])
    started = time.perf_counter()
    outcomes = fit_many(trainers, X, Y, epochs=20_000, n_threads=2, on_finish=interrupt, verbose=0)
    assert len(outcomes) == 30
    assert any(outcome.history.interrupted for outcome in outcomes), time.perf_counter() - started
    for outcome in outcomes:
        assert len(outcome.trainer.history.epochs) == len(outcome.history.epochs)
        outcome.trainer.fit(X, Y, verbose=0)  # goes on


def test_lines_of_progress(capsys):
    fit_many(some(3), X, Y, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["1/3", "2/3", "3/3"]
    fit_many(some(3), X, Y, verbose=1)
    assert "networks: 100%" in capsys.readouterr().err


def test_bad_arguments():
    trainer = some(1)[0]
    for value, message in ((5, "trainers"), ([5], r"trainers\[0\]"), ([trainer, trainer], r"trainers\[1\]")):
        with pytest.raises((TypeError, ValueError), match=message):
            fit_many(value, X, Y)
    for options, message in (
        ({"epochs": -1}, "epochs"),
        ({"n_threads": 0}, "n_threads"),
        ({"on_finish": 3}, "on_finish"),
        ({"verbose": 7}, "verbose"),
        ({"callbacks": fastbp.CSVLogger("log.csv")}, "callbacks"),
        ({"metrics": "no such"}, "metrics"),
        ({"sample_weight": [1, 2]}, "sample_weight"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            fit_many(some(2), X, Y, **options)
    with pytest.raises(ValueError, match="y: expected a list of 2"):
        fit_many(some(2), [X, X], [Y])
    with pytest.raises(ValueError, match="X"):
        fit_many(some(2), X[:, :2], Y)
    assert fit_many([], X, Y, verbose=0) == []


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "squared_error"])
def test_an_ensemble_answers_with_the_mean_or_the_vote(loss):
    sizes, y = ([3, 4, 2], LABELS) if loss == "cross_entropy" else ([3, 4, 1], LABELS.astype(float))
    ensemble = Ensemble(5, sizes, loss=loss, seed=3, epsilon=1)
    outcomes = ensemble.fit(X, y, epochs=5, verbose=0)
    assert len(ensemble) == len(outcomes) == 5
    alone = [Trainer(sizes, loss=loss, seed=3 + i, epsilon=1) for i in range(5)]
    for trainer in alone:
        trainer.fit(X, y, epochs=5, verbose=0)
    outputs = np.stack([trainer.predict(X) for trainer in alone])
    np.testing.assert_array_equal(ensemble.predict(X), outputs.mean(axis=0))
    np.testing.assert_array_equal(ensemble.predict_std(X), outputs.std(axis=0))
    mean = outputs.mean(axis=0)
    soft = mean.argmax(axis=1) if mean.shape[1] > 1 else (mean[:, 0] > 0.5).astype(int)
    np.testing.assert_array_equal(ensemble.predict_classes(X), soft)
    measured = ensemble.evaluate(X, y, "accuracy")
    assert measured == {"accuracy": pytest.approx((soft == LABELS).mean())}
    weight = np.where(soft == LABELS, 3.0, 1.0)
    weighted = ensemble.evaluate(X, y, "accuracy", sample_weight=weight)
    assert weighted == {"accuracy": pytest.approx(np.average(soft == LABELS, weights=weight))}
    ensemble.voting = "hard"
    votes = sum(trainer.predict_classes(X) for trainer in alone)
    np.testing.assert_array_equal(ensemble.predict_classes(X), (votes > 2).astype(int))


def test_the_smallest_of_the_classes_with_most_votes_wins():
    ensemble = Ensemble(2, [3, 4, 3], loss="cross_entropy", voting="hard", seed=0, epsilon=1)
    votes = np.stack([trainer.predict_classes(X) for trainer in ensemble.trainers])
    assert (votes[0] != votes[1]).any()
    np.testing.assert_array_equal(ensemble.predict_classes(X), votes.min(axis=0))


def test_an_ensembles_arguments():
    for arguments, message in (((0, [3, 2]), "n_networks"), ((2, [3]), "layer_sizes")):
        with pytest.raises(ValueError, match=message):
            Ensemble(*arguments)
    with pytest.raises(ValueError, match="voting"):
        Ensemble(2, [3, 2], voting="loud")
    diverging = Ensemble(2, [3, 4, 2], output_activation="identity", learning_rate=1e30, seed=0)
    with pytest.warns(RuntimeWarning, match="2 of 2"), pytest.raises(DivergenceError):
        diverging.fit(X, Y, epochs=5, verbose=0)
    assert "Ensemble of 2" in repr(diverging)


class Distribution:
    def rvs(self, random_state):
        return np.float64(random_state.uniform(0.1, 0.2))


SPACE = {"learning_rate": [0.01, 0.1, 1.0], "layer_sizes": [[3, 4, 2], [3, 8, 2], [3, 2]]}


def test_a_sweep_sorts_the_grid():
    sweep = Sweep(SPACE, loss="cross_entropy", seed=1)
    assert len(sweep.points) == 9
    with pytest.raises(AttributeError):
        sweep.best  # noqa: B018
    table = sweep.fit(X, LABELS, epochs=4, validation_data=(X[:20], LABELS[:20]), metric="accuracy", verbose=0)
    assert [row["accuracy"] for row in table] == sorted((row["accuracy"] for row in table), reverse=True)
    for row in table:
        alone = Trainer(row["layer_sizes"], learning_rate=row["learning_rate"], loss="cross_entropy", seed=1)
        alone.fit(X, LABELS, epochs=4, verbose=0)
        measured = alone.evaluate(X[:20], LABELS[:20], "accuracy")
        assert {name: row[name] for name in measured} == measured
        assert row["epochs"] == 4
    assert sweep.best.evaluate(X[:20], LABELS[:20], "accuracy")["accuracy"] == table[0]["accuracy"]
    assert len(sweep.to_frame()) == 9
    assert len(sweep.summary().splitlines()) == 10


def test_a_random_sweep_with_halving():
    sweep = Sweep({"learning_rate": Distribution(), "activation": ["tanh", "relu"]}, n=9, seed=2, layer_sizes=[3, 4, 2])
    again = Sweep({"learning_rate": Distribution(), "activation": ["tanh", "relu"]}, n=9, seed=2, layer_sizes=[3, 4, 2])
    assert sweep.points == again.points
    assert len({point["learning_rate"] for point in sweep.points}) == 9
    table = sweep.fit(X, Y, epochs=9, validation_data=(X, Y), halving=3, verbose=0)
    assert [row["epochs"] for row in table] == [9, 3, 3, 1, 1, 1, 1, 1, 1]
    whole = [trainer.evaluate(X, Y)["loss"] for trainer in sweep.trainers]
    assert table[0]["loss"] == whole[table[0]["number"]]
    assert table[1]["loss"] <= table[2]["loss"]


class Falling(Schedule):
    absolute = True

    def __call__(self, epoch, epochs):
        return 0.2 * (1 - epoch / epochs) + 0.01


@pytest.mark.parametrize(
    "options",
    [{"schedule": schedule} for schedule in ("cosine", "one_cycle", "inverse_scaling", "step", "exponential")]
    + [{"schedule": Falling()}, {"schedule": lambda epoch: 0.1 / (1 + epoch)}]
    + [{"dropout": 0.3}, {"optimizer": "adam", "schedule": "cosine", "dropout": 0.3, "shuffle": False}, {}],
    ids=named,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_who_goes_through_all_halvings_is_as_if_alone(options, dtype):
    """Schedule, order, dropout and the optimizer's state go on from one to the next, to the bit."""
    options = {"layer_sizes": [3, 8, 2], "batch_size": 7, "dtype": dtype, "seed": 0} | options
    sweep = Sweep({"epsilon": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]}, **options)
    given = [trainer.schedule for trainer in sweep.trainers]
    table = sweep.fit(X, Y, epochs=11, validation_data=(X, Y), halving=2, verbose=0)
    alone = Trainer(**options, epsilon=table[0]["epsilon"])
    alone.fit(X, Y, epochs=11, verbose=0)
    assert_same(sweep.best, alone)
    assert [trainer.schedule for trainer in sweep.trainers] == given


def test_schedules_are_as_they_were_also_after_an_error():
    sweep = Sweep({"epsilon": [0.1, 0.2]}, layer_sizes=[3, 8, 2], schedule="cosine")
    with pytest.raises(ValueError, match="X"):
        sweep.fit(X[:, :2], Y, epochs=4, validation_data=(X, Y), halving=2, verbose=0)
    assert [trainer.schedule for trainer in sweep.trainers] == [Cosine(), Cosine()]


def test_a_sweep_by_a_function_by_weights_and_aloud(capsys):
    def spread(y, output):
        return float(np.std(output))

    best = {}
    for mode in ("min", "max"):
        sweep = Sweep({"learning_rate": [0.1, 1.0, 9.0]}, layer_sizes=[3, 4, 2], seed=0, n=None)
        options = {"validation_data": (X, Y), "metric": spread, "mode": mode, "n_threads": 2, "verbose": 2}
        values = [row["spread"] for row in sweep.fit(X, Y, epochs=3, **options)]
        assert values == sorted(values, reverse=mode == "max")
        best[mode] = values[0]
    assert best["min"] < best["max"]
    assert capsys.readouterr().out.count("network") == 6
    with pytest.raises(ValueError, match="n_threads"):
        sweep.fit(X, Y, epochs=1, validation_data=(X, Y), n_threads=0, verbose=0)
    weight = np.arange(50.0)
    row = sweep.fit(X, Y, epochs=1, validation_data=(X, Y, weight), verbose=0)[0]
    assert row["loss"] == sweep.best.evaluate(X, Y, sample_weight=weight)["loss"]


def test_networks_with_different_losses_take_the_same_samples_as_if_alone():
    losses = ["squared_error", "squared_error", "absolute_error", "squared_error"]
    kinds = [{"learning_rate": 0.1, "loss": loss, "seed": seed} for seed, loss in enumerate(losses)]
    networks = [Trainer([3, 40, 2], **kind) for kind in kinds]
    fit_many(networks, X, Y, epochs=3, validation_data=(X, Y), n_threads=1, verbose=0)
    for kind, network in zip(kinds, networks, strict=True):
        alone = Trainer([3, 40, 2], **kind)
        assert alone.fit(X, Y, epochs=3, validation_data=(X, Y), verbose=0) == network.history
        assert_same(network, alone)


def test_samples_that_one_network_takes_are_not_taken_for_others_with_more_outputs():
    networks = [Trainer([3, 40, n], seed=0) for n in (2, 3)]
    with pytest.warns(RuntimeWarning, match="1 of 2"):
        outcomes = fit_many(networks, X, Y, epochs=2, n_threads=1, verbose=0)
    assert outcomes[0].error is None
    assert re.search(r"y: expected shape \(50, 3\)", str(outcomes[1].error))


def test_an_error_leaves_the_epochs_of_this_fit_in_the_outcome():
    network, fine = (Trainer([3, 40, 2], seed=seed) for seed in range(2))
    network.fit(X, Y, epochs=3, verbose=0)

    def fail(trainer, epoch, measured):
        if trainer is network and epoch == 5:
            raise ZeroDivisionError

    with pytest.warns(RuntimeWarning, match="1 of 2"):
        outcomes = fit_many([network, fine], X, Y, epochs=4, callbacks=fail, verbose=0)
    assert isinstance(outcomes[0].error, ZeroDivisionError)
    assert outcomes[0].history.epochs == [4, 5]


def test_no_two_networks_share_what_reads_a_stream(monkeypatch):
    validation, read = Intake.validation, []

    def kept(self, *arguments):
        read.append(validation(self, *arguments))
        return read[-1]

    monkeypatch.setattr(Intake, "validation", kept)
    networks = [Trainer([3, 40, 2], seed=seed) for seed in range(2)]
    fit_many(networks, X, Y, epochs=2, validation_data=Stream([(X, Y)]), n_threads=2, verbose=0)
    assert len({id(feed) for feed in read}) == len(networks)
    for seed, network in enumerate(networks):
        alone = Trainer([3, 40, 2], seed=seed)
        alone.fit(X, Y, epochs=2, validation_data=Stream([(X, Y)]), verbose=0)
        assert_same(network, alone)


class Rate(Schedule):
    """One rate, until it fails in a later fit."""

    def __init__(self, rate: float, fails: bool = False) -> None:
        self.rate, self.fails = rate, fails

    def __call__(self, epoch, epochs):
        if self.fails and np.min(epoch) >= 1:
            raise DivergenceError("training diverged", 2)
        return self.rate + 0 * epoch


def test_a_network_that_fails_between_two_halvings_does_not_go_on():
    def swept(failing=None):
        schedules = [Rate(0.1 * (1 + number), fails=number == failing) for number in range(4)]
        sweep = Sweep({"schedule": schedules}, layer_sizes=[3, 4, 2], optimizer="adam", seed=0)
        return sweep.fit(X, Y, epochs=4, validation_data=(X, Y), halving=2, verbose=0)

    winner = swept()[0]["number"]
    with pytest.warns(RuntimeWarning, match="1 of 2"):
        table = swept(winner)
    assert table[0]["number"] != winner
    assert table[0]["epochs"] == 4
    assert table[-1]["number"] == winner
    assert isinstance(table[-1]["error"], DivergenceError)


def test_a_sweep_goes_on_past_a_divergence():
    sweep = Sweep({"learning_rate": [0.1, 1e30]}, layer_sizes=[3, 4, 2], output_activation="identity", seed=0)
    with pytest.warns(RuntimeWarning, match="1 of 2"):
        table = sweep.fit(X, Y, epochs=3, validation_data=(X, Y), verbose=0)
    assert table[0]["error"] is None
    assert isinstance(table[1]["error"], DivergenceError)
    assert "DivergenceError" in sweep.summary()


@pytest.mark.parametrize("halving", [None, 2])
@pytest.mark.parametrize("which", [{0.2}, {0.1, 0.2, 0.3, 0.4}])
@pytest.mark.parametrize("error", [ZeroDivisionError("no"), ValueError("no"), SystemExit(3)])
def test_a_metric_that_raises_is_its_networks_error(halving, which, error):
    sweep = Sweep({"learning_rate": [0.1, 0.2, 0.3, 0.4]}, layer_sizes=[3, 4, 2], seed=0)
    measured = iter([0.1, 0.2, 0.3, 0.4])

    def best(y, output):
        if next(measured, 0) in which:
            raise error
        return 1.0

    options = {"validation_data": (X, Y), "metric": best, "mode": "max", "halving": halving, "verbose": 0}
    count = len(which)
    with pytest.warns(RuntimeWarning, match=f"{count} of 4 networks could not be measured; the first, number "):
        table = sweep.fit(X, Y, epochs=4, **options)
    assert table is sweep.table
    failed = {row["learning_rate"]: row for row in table if row["error"]}
    assert set(failed) == which
    assert all(row in table[-count:] and np.isnan(row["best"]) for row in failed.values())
    first = 4 if halving is None else 1
    assert {row["epochs"] for row in failed.values()} == {first}  # it doesn't go on
    assert all(sweep.trainers[row["number"]].epochs_trained == row["epochs"] for row in table)
    if count < 4:
        assert table[0]["best"] == 1.0
        assert table[0]["epochs"] == 4
    text = "RuntimeError" if isinstance(error, SystemExit) else type(error).__name__
    assert sweep.summary().count(text) == count
    assert len(sweep.to_frame()) == 4


@pytest.mark.parametrize("halving", [None, 2])
def test_ctrl_c_while_a_sweep_measures_keeps_what_there_is(halving):
    sweep = Sweep({"learning_rate": [0.1, 0.2, 0.3]}, layer_sizes=[3, 4, 2], seed=0)
    calls = []

    def best(y, output):
        calls.append(1)
        if len(calls) == 3 + (halving is not None):
            raise KeyboardInterrupt
        return 1.0

    options = {"validation_data": (X, Y), "metric": best, "mode": "max", "halving": halving, "verbose": 0}
    table = sweep.fit(X, Y, epochs=4, **options)
    assert table is sweep.table
    assert all(sweep.trainers[row["number"]].epochs_trained == row["epochs"] > 0 for row in table)
    assert sum(np.isnan(row["best"]) for row in table) == (1 if halving is None else 0)  # with it, from before it
    assert sweep.best.epochs_trained == table[0]["epochs"]


def test_what_no_network_can_be_measured_on_is_refused_before_training():
    sweep = Sweep({"learning_rate": [0.1, 0.2]}, layer_sizes=[3, 4, 2], seed=0)
    for data, message in (
        ((X[:, :2], Y), r"validation_data\[0\]: expected a 2-D array of shape \(n, 3\), got shape"),
        ((X, Y[:3]), r"validation_data\[1\]: expected"),
        ((X, Y, -np.ones(50)), r"validation_data\[2\]: expected numbers ≥ 0"),
        ((X, Y, np.zeros(50)), r"validation_data\[2\]: expected a number > 0"),
    ):
        with pytest.raises(ValueError, match=message):
            sweep.fit(X, Y, epochs=1, validation_data=data, verbose=0)
    with pytest.raises(ValueError, match="no_such"):
        sweep.fit(X, Y, epochs=1, validation_data=(X, Y), metric="no_such", verbose=0)
    assert [trainer.epochs_trained for trainer in sweep.trainers] == [0, 0]


def test_a_network_that_failed_goes_through_no_further_halving():
    sweep = Sweep({"learning_rate": [0.1, 1e30, 2e30, 3e30]}, layer_sizes=[3, 4, 2], output_activation="identity")
    with pytest.warns(RuntimeWarning, match="3 of 4"):
        table = sweep.fit(X, Y, epochs=4, validation_data=(X, Y), metric="mae", halving=2, verbose=0)
    assert [row["epochs"] for row in table] == [4, 0, 0, 0]
    assert [type(row["error"]) for row in table] == [type(None), *[DivergenceError] * 3]
    assert len(sweep.summary().splitlines()) == 5


def test_a_sweeps_arguments():
    for space in ({}, 3, {"learning_rate": 3}):
        with pytest.raises(TypeError, match="space"):
            Sweep(space, layer_sizes=[3, 2])
    with pytest.raises(ValueError, match="space"):
        Sweep({"learning_rate": []}, layer_sizes=[3, 2])
    with pytest.raises(ValueError, match="learning_rate"):
        Sweep({"learning_rate": [1]}, layer_sizes=[3, 2], learning_rate=2)
    sweep = Sweep({"learning_rate": [0.1, 0.2, 0.3]}, layer_sizes=[3, 2])
    for options, message in (({"epochs": 1, "halving": 2}, "epochs"), ({"epochs": 3, "halving": 1}, "halving")):
        with pytest.raises(ValueError, match=message):
            sweep.fit(X, Y, validation_data=(X, Y), verbose=0, **options)
    with pytest.raises(ValueError, match="mode"):
        sweep.fit(X, Y, epochs=1, validation_data=(X, Y), metric=lambda y, output: 0.0, verbose=0)


def test_a_callback_that_exits_ends_its_network_alone():
    def leaves(trainer, epoch, measured):
        if trainer.seed == 1:
            sys.exit(3)

    X, y = np.zeros((8, 4)), np.zeros((8, 1))
    with pytest.warns(RuntimeWarning, match="1 of 3 networks failed; the first, number 1: SystemExit: 3"):
        outcomes = fit_many([Trainer([4, 3, 1], seed=seed) for seed in range(3)], X, y, callbacks=leaves, verbose=0)
    assert [outcome.error is None for outcome in outcomes] == [True, False, True]
    assert all(outcome.history.epochs == [1] for outcome in outcomes if outcome.error is None)


class Escape(BaseException):
    """Neither an Exception nor an exit."""


@pytest.mark.parametrize("error", [Escape("what?"), IndexError("deque"), OSError("disk")])
@pytest.mark.parametrize("n_jobs", [None, 1])
def test_what_a_thread_cannot_ascribe_to_a_network_is_raised(monkeypatch, error, n_jobs):
    """It was lost with its thread, and the networks came back untrained, without an error."""

    def fails(*_):
        raise error

    monkeypatch.setattr("fastbp.many._fits.Fits.one", fails)
    with pytest.raises(type(error)) as raised:
        fit_many(some(3, optimizer="adam"), X, Y, n_threads=2, n_jobs=n_jobs, verbose=0)
    assert raised.value is error or n_jobs


@pytest.mark.parametrize("error", [IndexError("deque"), OSError("disk"), AssertionError("never")])
def test_networks_that_cannot_be_trained_together_are_trained_alone(monkeypatch, error):
    def fails(*_):
        raise error

    monkeypatch.setattr("fastbp.many._fits.train_together", fails)
    outcomes = fit_many(some(4), X, Y, epochs=3, n_threads=1, verbose=0)
    assert [(outcome.epochs, outcome.error) for outcome in outcomes] == [(3, None)] * 4


def test_a_sweep_sets_samples_aside():
    sweep = Sweep({"learning_rate": [0.1, 0.01]}, layer_sizes=[3, 4, 2], loss="cross_entropy", seed=1)
    table = sweep.fit(X, LABELS, epochs=2, validation_split=0.3, metric="accuracy", verbose=0)
    for row in table:
        alone = Trainer([3, 4, 2], learning_rate=row["learning_rate"], loss="cross_entropy", seed=1)
        history = alone.fit(X, LABELS, epochs=2, validation_split=0.3, metrics="accuracy", verbose=0)
        assert row["loss"] == pytest.approx(history["val_loss"][-1], rel=1e-6)
        assert row["accuracy"] == pytest.approx(history["val_accuracy"][-1])


@pytest.mark.parametrize("kind", [pandas.DataFrame, pyarrow.table, lambda columns: np.stack([*columns.values()], 1)])
def test_a_sweep_splits_frames_and_lists(kind):
    frame = kind({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2]})
    sweep = Sweep({"learning_rate": [0.1]}, layer_sizes=[3, 4, 2], loss="cross_entropy", seed=1)
    plain = Sweep({"learning_rate": [0.1]}, layer_sizes=[3, 4, 2], loss="cross_entropy", seed=1)
    table = sweep.fit(frame, LABELS.tolist(), epochs=2, validation_split=0.3, verbose=0)
    assert table == plain.fit(X, LABELS, epochs=2, validation_split=0.3, verbose=0)
    assert sweep.best.feature_names == (None if isinstance(frame, np.ndarray) else ("a", "b", "c"))


def test_a_sweep_wants_one_kind_of_validation():
    sweep = Sweep({"learning_rate": [0.1]}, layer_sizes=[3, 4, 2])
    with pytest.raises(ValueError, match=r"validation_data: expected samples .*, or validation_split=0.2, got None"):
        sweep.fit(X, Y, epochs=1, verbose=0)
    with pytest.raises(ValueError, match=r"validation_split: expected .* together with validation_data"):
        sweep.fit(X, Y, epochs=1, validation_data=(X, Y), validation_split=0.2, verbose=0)
    with pytest.raises(ValueError, match="validation_split: expected"):
        sweep.fit(X, Y, epochs=1, validation_split=1.5, verbose=0)
    with pytest.raises(ValueError, match="X: expected"):
        sweep.fit(X[:, :2], Y, epochs=1, validation_split=0.5, verbose=0)


def test_kernels_validate_and_stop_each_network_as_if_alone(monkeypatch):
    """Without Python between the epochs."""
    monkeypatch.setattr(Run, "epoch_by_epoch", None)
    stopping = EarlyStopping(patience=3)
    options = {"epochs": 40, "validation_data": (X[:9], Y[:9]), "verbose": 0}
    for kind in ("tiny", "wide", "adam", "dropout", "scheduled"):
        together, alone = some(5, **KINDS[kind]), some(5, **KINDS[kind])
        outcomes = fit_many(together, X, Y, callbacks=stopping, n_threads=2, **options)
        for outcome, trainer in zip(outcomes, alone, strict=True):
            assert outcome.history == trainer.fit(X, Y, callbacks=EarlyStopping(patience=3), **options)
            assert_same(outcome.trainer, trainer)


def test_a_network_that_is_left_alone_uses_the_threads_that_have_ended(monkeypatch):
    many = rng.normal(size=(2000, 30))
    asked, train = {}, Engine.train

    def spy(self, data, memory, step, progress, budget, n_threads, *watch):
        asked.setdefault(data.n, []).append(n_threads)
        return train(self, data, memory, step, progress, budget, n_threads, *watch)

    monkeypatch.setattr(Engine, "train", spy)
    networks = [Trainer([30, 64, 2], seed=0, n_threads=1) for _ in range(3)]
    parts = [many, many[:20], many[:20]]
    validation = [(many[:20], many[:20, :2])] * 3
    options = {"epochs": 100, "validation_data": validation, "n_threads": 2, "verbose": 0}
    fit_many(networks, parts, [part[:, :2] for part in parts], **options)
    assert asked[2000][0] == 1
    assert asked[2000][-1] == 2
    assert [network.n_threads for network in networks] == [1, 1, 1]


def test_networks_with_the_most_work_begin(monkeypatch):
    begun, one = [], Fits.one
    monkeypatch.setattr(Fits, "one", lambda self, number: (begun.append(number), one(self, number))[1])
    networks = [Trainer([3, width, 2]) for width in (4, 30, 8)]
    fit_many(networks, X, Y, callbacks=lambda *_: None, n_threads=1, verbose=0)
    fit_many(networks[:2], [X, X[:3]], [Y, Y[:3]], n_threads=1, verbose=0)
    assert begun == [1, 2, 0, 0, 1]


def test_networks_that_have_finished_keep_no_workspace():
    for options in ({}, {"validation_data": (X[:9], Y[:9])}):
        for outcome in fit_many(some(3, optimizer="adam"), X, Y, callbacks=EarlyStopping(), verbose=0, **options):
            state = outcome.trainer._state
            assert not state.engine._idle
            assert state.last_step is state.last_progress is None
