from __future__ import annotations

import pickle

import numpy as np
import pytest

from fastbp import Trainer


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 3))
    return X, X @ [[1.0], [2.0], [-1.0]]


def make(**options) -> Trainer:
    return Trainer([3, 4, 1], **{"seed": 0, "optimizer": "adam", "dropout": 0.2, "batch_size": 8} | options)


def test_the_trainer_stays_as_it_is_to_the_bit(samples):
    trainer, twin = make(), make()
    trainer.fit(*samples, epochs=2, verbose=0)
    twin.fit(*samples, epochs=2, verbose=0)
    before = pickle.dumps(trainer)
    trainer.find_learning_rate(*samples)
    assert pickle.dumps(trainer) == before
    trainer.fit(*samples, epochs=2, verbose=0)
    twin.fit(*samples, epochs=2, verbose=0)
    assert pickle.dumps(trainer) == pickle.dumps(twin)


def test_losses_are_those_of_training_batch_by_batch(samples):
    trainer, twin = make(shuffle=False), make(shuffle=False)
    found = trainer.find_learning_rate(*samples, lowest=1e-3, highest=1e-1, steps=9)
    for k, rate in enumerate(np.geomspace(1e-3, 1e-1, 9)):
        rows = slice(k % 7 * 8, k % 7 * 8 + 8)
        twin.learning_rate = rate
        assert found.losses[k] == twin.train_on_batch(samples[0][rows], samples[1][rows])
        assert found.learning_rates[k] == rate


def test_it_stops_when_the_loss_explodes(samples):
    found = make(optimizer="sgd", dropout=0.0, activation="relu", epsilon=0.5).find_learning_rate(*samples, highest=1e6)
    assert len(found.learning_rates) == len(found.losses) == len(found.smoothed) < 100
    assert np.isfinite(found.losses).all()
    above = found.smoothed - np.minimum.accumulate(found.smoothed)
    assert above[-1] > 2 * found.losses[0] >= above[:-1].max()


def test_the_suggestion_trains(samples):
    trainer = make(dropout=0.0)
    found = trainer.find_learning_rate(*samples)
    assert found.suggestion == found.learning_rates[found.smoothed.argmin()] / 10
    trainer.learning_rate = found.suggestion
    history = trainer.fit(*samples, epochs=50, verbose=0)
    assert history["loss"][-1] < 0.1 * history["loss"][0]


def test_the_same_seed_gives_the_same_losses(samples):
    np.testing.assert_array_equal(
        make().find_learning_rate(*samples).losses, make().find_learning_rate(*samples).losses
    )


def test_plot(samples, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    from matplotlib import pyplot

    found = make().find_learning_rate(*samples, steps=10)
    ax = found.plot()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["loss of a batch", "smoothed", f"suggestion: {found.suggestion:.2g}"]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_xscale()) == ("learning rate η", "loss", "log")
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), np.stack([found.learning_rates, found.losses], axis=1))
    pyplot.close("all")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lowest": 0}, ValueError, "lowest: expected a finite number > 0, got 0"),
        ({"lowest": 1, "highest": 0.5}, ValueError, "highest: expected a finite number > 1, got 0.5"),
        ({"steps": 1}, ValueError, "steps: expected an integer ≥ 2, got 1"),
        ({"steps": 2.5}, TypeError, "steps: expected an integer ≥ 2"),
    ],
)
def test_arguments_are_checked(samples, options, error, message):
    with pytest.raises(error, match=message):
        make().find_learning_rate(*samples, **options)


def test_what_diverges_at_once_is_refused(samples):
    trainer = make(optimizer="sgd", dropout=0.0, activation="relu", epsilon=1)
    with pytest.raises(ValueError, match="lowest: expected a rate at which training doesn't diverge"):
        trainer.find_learning_rate(samples[0] * 1e15, samples[1] * 1e15, lowest=1e37, highest=1e38)


def test_lbfgs_is_refused(samples):
    with pytest.raises(ValueError, match="optimizer: expected one that trains in batches, because find_learning_rate"):
        Trainer([3, 1], optimizer="lbfgs").find_learning_rate(*samples)
