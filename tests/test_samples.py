"""Weights of samples and classes, validation by a fraction, batches that come one by one."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest

from fastbp import EarlyStopping, Trainer, fit_many
from fastbp._training.weighting import class_weights, divide, sample_weights

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 3)).astype("f"), RNG.integers(0, 3, 60)


def trainer(**options) -> Trainer:
    options = {"loss": "cross_entropy", "batch_size": 60, "shuffle": False, "seed": 0, "activation": "tanh"} | options
    return Trainer([3, 24, 3], **options)


def weights_of(t: Trainer) -> np.ndarray:
    return np.concatenate([w.ravel() for w in t.get_weights()])


def close(a: Trainer, b: Trainer) -> None:
    np.testing.assert_allclose(weights_of(a), weights_of(b), rtol=1e-4, atol=1e-6)


def test_a_weight_of_two_is_the_sample_twice_and_of_zero_not_at_all():
    w = RNG.integers(0, 3, 60)
    weighted, repeated = trainer(), trainer(batch_size=int(w.sum()))
    weighted.fit(X, Y, sample_weight=w, epochs=5, verbose=0)
    repeated.fit(np.repeat(X, w, axis=0), np.repeat(Y, w), epochs=5, verbose=0)
    close(weighted, repeated)
    np.testing.assert_allclose(weighted.history["loss"], repeated.history["loss"], rtol=1e-5)
    np.testing.assert_allclose(
        weighted.evaluate(X, Y, sample_weight=w)["loss"],
        repeated.evaluate(np.repeat(X, w, axis=0), np.repeat(Y, w))["loss"],
    )


def test_a_batch_without_weight_changes_nothing():
    w = np.r_[np.zeros(30), np.ones(30)]
    half, other = trainer(batch_size=30), trainer(batch_size=30)
    half.fit(X, Y, sample_weight=w, verbose=0)
    other.fit(X[30:], Y[30:], verbose=0)
    close(half, other)


def test_class_weights_are_weights_of_their_samples():
    by_class, by_sample = trainer(), trainer()
    by_class.fit(X, Y, class_weight={0: 3, 2: 0.5}, epochs=2, verbose=0)
    by_sample.fit(X, Y, sample_weight=np.array([3, 1, 0.5])[Y], epochs=2, verbose=0)
    np.testing.assert_array_equal(weights_of(by_class), weights_of(by_sample))


def test_class_weights_multiply_sample_weights():
    by_class, by_sample = trainer(), trainer()
    w = RNG.uniform(0.5, 2, 60)
    by_class.fit(X, Y, sample_weight=w, class_weight={0: 3, 2: 0.5}, verbose=0)
    by_sample.fit(X, Y, sample_weight=w * np.array([3, 1, 0.5])[Y], verbose=0)
    close(by_class, by_sample)


def test_balanced_classes_weigh_alike():
    classes = np.array([0, 0, 0, 1, 2, 2])
    weights = class_weights("balanced", classes, 3, np.dtype("f"))
    np.testing.assert_allclose(np.bincount(classes, weights), [2, 2, 2])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.ones(3), r"sample_weight: expected shape \(60,\), a weight for each sample, got \(3,\)"),
        (-np.ones(60), "sample_weight: expected numbers ≥ 0, got -1"),
        (np.zeros(60), "sample_weight: expected a number > 0 among the weights, got only 0"),
        (np.full(60, 1e-40), "expected a number ≥ 1.17549e-38 among the weights, got only .*; multiply them"),
        (np.full(60, np.nan), "sample_weight: expected finite numbers"),
    ],
)
def test_bad_sample_weights(value, message):
    with pytest.raises(ValueError, match=message):
        sample_weights("sample_weight", value, 60, np.dtype("f"))


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("even", ValueError, "class_weight: expected 'balanced' or a dict"),
        ({3: 1}, ValueError, "class_weight: expected class numbers 0 … 2, got 3"),
        ({0: -1}, ValueError, "class_weight: expected a finite number ≥ 0, got -1"),
        (3, TypeError, "class_weight: expected 'balanced' or a dict"),
    ],
)
def test_bad_class_weights(value, kind, message):
    with pytest.raises(kind, match=message):
        trainer().fit(X, Y, class_weight=value, verbose=0)


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_a_split_is_stratified_and_covers_all(fraction):
    classes = np.repeat([0, 1, 2], [200, 100, 40])
    training, validation = divide(fraction, 340, classes, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(np.r_[training, validation]), np.arange(340))
    counts = np.bincount(classes[validation])
    assert np.abs(counts - fraction * np.array([200, 100, 40])).max() <= 1.5


def test_validation_split_trains_with_the_rest():
    split, by_hand = trainer(), trainer()
    history = split.fit(X, Y, validation_split=0.2, metrics="accuracy", verbose=0)
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    training, validation = divide(0.2, 60, Y, np.random.default_rng(0))
    expected = by_hand.fit(X[training], Y[training], validation_data=(X[validation], Y[validation]), verbose=0)
    assert history["loss"] == expected["loss"]
    assert history["val_loss"] == expected["val_loss"]


def validating(t: Trainer, fraction: float = 0.2) -> np.ndarray:
    """The rows that this trainer sets aside."""
    return t._intake.split(t._intake.data("X", X, "y", Y), fraction)[1].X


def saved_and_loaded(t: Trainer, path) -> Trainer:
    t.save(path / "t.npz")
    return Trainer.load(path / "t.npz")


def trained_by_jobs(t: Trainer, _) -> Trainer:
    fit_many([t], X, Y, epochs=1, validation_split=0.2, n_jobs=2, verbose=0)
    return t


@pytest.mark.parametrize(
    "become",
    [
        lambda t, _: t,
        lambda t, _: copy.copy(t),
        lambda t, _: copy.deepcopy(t),
        lambda t, _: pickle.loads(pickle.dumps(t)),
        lambda t, _: fit_many([t], X, Y, validation_split=0.2, verbose=0)[0].trainer,
        trained_by_jobs,
        saved_and_loaded,
    ],
)
@pytest.mark.parametrize("seed", [None, 0])
def test_rows_that_validated_once_never_train_later(seed, become, tmp_path):
    t = trainer(seed=seed)
    t.fit(X, Y, epochs=2, validation_split=0.2, callbacks=EarlyStopping(), verbose=0)
    first = validating(t)
    t = become(t, tmp_path)
    t.fit(X, Y, validation_split=0.2, verbose=0)
    np.testing.assert_array_equal(validating(t), first)
    assert t.history["val_loss"][-1] == t.evaluate(X[rows_of(first)], Y[rows_of(first)])["loss"]


def rows_of(some: np.ndarray) -> np.ndarray:
    return np.flatnonzero((X[:, None] == some).all(axis=2).any(axis=1))


def test_trainers_without_a_seed_set_other_rows_aside():
    assert len({validating(trainer(seed=None)).tobytes() for _ in range(4)}) > 1


def test_noise_stays_noise_over_fits():
    """Where each fit draws its split anew, networks learn by heart what validates them."""
    labels = np.random.default_rng(0).integers(0, 2, 200)
    noise = np.random.default_rng(1).normal(size=(200, 20))
    options = {"activation": "relu", "loss": "cross_entropy", "optimizer": "adam", "learning_rate": 0.01}
    t = Trainer([20, 64, 2], **options)
    for _ in range(4):
        history = t.fit(noise, labels, epochs=20, validation_split=0.2, metrics="accuracy", verbose=0)
    assert history["accuracy"][-1] > 0.95
    assert history["val_accuracy"][-1] < 0.8


@pytest.mark.parametrize("classes", [None, Y])
def test_a_larger_fraction_adds_to_the_rows_of_a_smaller_one(classes):
    parts = [set(divide(f, 60, classes, np.random.default_rng(3))[1].tolist()) for f in (0.1, 0.25, 0.5, 0.9)]
    assert all(small < large for small, large in itertools.pairwise(parts))


def test_a_fraction_that_leaves_nothing():
    with pytest.raises(ValueError, match="validation_split: expected samples for both training and validation"):
        trainer().fit(X[:3], Y[:3], validation_split=0.01, verbose=0)


class Shared:
    """Iterates over one generator, whoever asks."""

    def __init__(self):
        self.generator = (batch for batch in batches())

    def __iter__(self):
        return self.generator


def batches(size=20):
    return [(X[i : i + size], Y[i : i + size]) for i in range(0, 60, size)]


def test_batches_are_updates():
    whole, pieces = trainer(batch_size=20), trainer()
    whole.fit(X, Y, epochs=3, verbose=0)
    history = pieces.fit(batches(), epochs=3, verbose=0)
    np.testing.assert_array_equal(weights_of(whole), weights_of(pieces))
    np.testing.assert_allclose(history["loss"], whole.history["loss"], rtol=1e-6)


def test_an_iterator_goes_on_where_the_last_epoch_left_it():
    once, endless = trainer(), trainer()
    once.fit(batches(), epochs=4, verbose=0)
    endless.fit(itertools.cycle(batches()), epochs=2, steps=6, verbose=0)
    np.testing.assert_array_equal(weights_of(once), weights_of(endless))
    assert endless.epochs_trained == 2


def test_batches_with_weights_and_validation():
    weighted, plain = trainer(), trainer()
    w = np.linspace(0.1, 1, 20, dtype="f")
    weighted.fit([(x, y, w) for x, y in batches()], verbose=0, validation_data=(X, Y), metrics="accuracy")
    plain.fit(batches(), verbose=0)
    assert np.abs(weights_of(weighted) - weights_of(plain)).max() > 1e-4
    assert set(weighted.history) == {"loss", "val_loss", "val_accuracy"}


def test_the_loss_of_weighted_batches_is_that_of_their_samples():
    whole, pieces = trainer(batch_size=20), trainer()
    w = np.linspace(0.1, 3, 60, dtype="f")
    whole.fit(X, Y, sample_weight=w, verbose=0)
    pieces.fit([(X[i : i + 20], Y[i : i + 20], w[i : i + 20]) for i in (0, 20, 40)], verbose=0)
    close(whole, pieces)
    np.testing.assert_allclose(pieces.history["loss"], whole.history["loss"], rtol=1e-5)


def test_a_single_batch_takes_sample_weights():
    single, whole = trainer(), trainer()
    w = np.linspace(0.1, 3, 60, dtype="f")
    loss = single.train_on_batch(X, Y, w)
    whole.fit(X, Y, sample_weight=w, verbose=0)
    close(single, whole)
    np.testing.assert_allclose(loss, whole.history["loss"][0], rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"X": X}, TypeError, "y: expected numbers, or an iterable of batches"),
        ({"X": iter(batches()), "epochs": 2}, ValueError, "steps: expected a number of batches per epoch"),
        ({"X": iter(batches()), "steps": 5}, ValueError, "X: expected 5 batches per epoch, got an end after 3"),
        ({"X": Shared(), "steps": 8}, ValueError, "X: expected 8 batches per epoch, got an end after 3"),
        ({"X": []}, ValueError, "X: expected some batches per epoch, got an end after 0"),
        ({"X": [X]}, TypeError, r"batch: expected a pair \(X, y\), or \(X, y, sample_weight\), got a ndarray"),
        ({"X": batches(), "sample_weight": Y}, ValueError, "sample_weight: expected nothing because X is an iterable"),
        ({"X": batches(), "metrics": "accuracy"}, ValueError, "metrics: expected validation_data to measure"),
        ({"X": X, "y": Y, "steps": 3}, ValueError, "steps: expected None, because X is an array, got 3"),
    ],
)
def test_bad_batches(arguments, kind, message):
    with pytest.raises(kind, match=message):
        trainer().fit(**arguments, verbose=0)


def test_a_memmap_stays_on_disk(tmp_path):
    on_disk = np.memmap(tmp_path / "X", "float32", "w+", shape=X.shape)
    on_disk[:] = X
    from_disk, in_memory = trainer(), trainer()
    assert np.shares_memory(from_disk._intake.data("X", on_disk, "y", Y).X, on_disk)
    from_disk.fit(on_disk, Y, verbose=0)
    in_memory.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(weights_of(from_disk), weights_of(in_memory))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"y": np.linspace(0, 3, 60), "class_weight": {0: 2}},
            "y: expected classes .* because there is a class_weight",
        ),
        ({"y": (Y > 0) * 1.0, "class_weight": {0: 0, 1: 0}}, "class_weight: expected a weight > 0 for some sample"),
        (
            {"y": Y > 0, "validation_split": 0.1, "validation_data": (X, Y > 0)},
            "validation_split: expected nothing together with",
        ),
        ({"y": Y > 0, "validation_split": 1}, r"validation_split: expected a number in \[0, 1\), got 1"),
        ({"y": Y > 0, "validation_data": (X, Y > 0, -np.ones(60))}, r"validation_data\[2\]: expected numbers ≥ 0"),
        (
            {"y": Y > 0, "validation_split": 0.5, "sample_weight": np.eye(60)[0]},
            "validation_split: expected weights > 0",
        ),
    ],
)
def test_weights_and_splits_that_mean_nothing(arguments, message):
    with pytest.raises(ValueError, match=message):
        Trainer([3, 24, 1]).fit(X, **arguments, verbose=0)
