"""An argument that doesn't exist: the TypeError says what to write instead."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from fastbp import Ensemble, Sweep, Trainer, fit_many
from fastbp._keywords import PLACES, SYNONYMS, names_of

X, Y = np.eye(2), np.ones((2, 1))
CALLS = {
    "Trainer": lambda **more: Trainer(**{"layer_sizes": [2, 1]} | more),
    "fit": lambda **more: Trainer([2, 1]).fit(X, Y, **more),
    "evaluate": lambda **more: Trainer([2, 1]).evaluate(X, Y, **more),
    "fit_many": lambda **more: fit_many([Trainer([2, 1])], X, Y, **more),
    "Sweep": lambda **more: Sweep({"l2": [0.1]}, layer_sizes=[2, 1], **more),
    "Sweep.fit": lambda **more: Sweep({"l2": [0.1]}, layer_sizes=[2, 1]).fit(X, Y, **{"epochs": 1} | more),
    "Ensemble": lambda **more: Ensemble(2, [2, 1], **more),
    "Ensemble.fit": lambda **more: Ensemble(2, [2, 1]).fit(X, Y, **more),
}
HINTS = [
    ("Trainer", "lr", "did you mean learning_rate?"),
    ("Trainer", "hidden_layer_sizes", "did you mean layer_sizes=[n_inputs, …, n_outputs]?"),
    ("Trainer", "batchsize", "did you mean batch_size?"),
    ("Trainer", "learningrate", "did you mean learning_rate?"),
    ("Trainer", "optimiser", "did you mean optimizer?"),
    ("Trainer", "random_state", "did you mean seed?"),
    ("Trainer", "epochs", r"write fit\(…, epochs=…\)"),
    ("Trainer", "n_epochs", r"write fit\(…, epochs=…\)"),
    ("fit", "lr", r"write Trainer\(…, learning_rate=…\)"),
    ("fit", "batch_size", r"write Trainer\(…, batch_size=…\)"),
    ("fit", "n_epochs", "did you mean epochs?"),
    ("fit", "val_data", "did you mean validation_data?"),
    ("fit", "metric", "did you mean metrics?"),
    ("fit", "patience", r"did you mean callbacks=EarlyStopping\(patience=5\)?"),
    ("fit", "callback", "did you mean callbacks?"),
    ("fit", "xyz", "its arguments are X, y, epochs,"),
    ("evaluate", "metric", "did you mean metrics?"),
    ("fit_many", "batch_size", r"write Trainer\(…, batch_size=…\)"),
    ("fit_many", "max_epochs", "did you mean epochs?"),
    ("Sweep", "lr", "did you mean learning_rate?"),
    ("Sweep.fit", "lr", r"write Trainer\(…, learning_rate=…\)"),
    ("Sweep.fit", "metrics", "did you mean metric?"),
    ("Sweep.fit", "callbacks", r"write fit\(…, callbacks=…\)"),
    ("Ensemble", "lr", "did you mean learning_rate?"),
    ("Ensemble.fit", "lr", r"write Trainer\(…, learning_rate=…\)"),
]


@pytest.mark.parametrize(("place", "name", "hint"), HINTS)
def test_unknown_arguments(place, name, hint):
    with pytest.raises(TypeError, match=rf"got an unexpected keyword argument '{name}'; {hint}"):
        CALLS[place](**{name: 1})


def test_errors_name_the_trainer():
    with pytest.raises(TypeError, match=r"^Trainer.evaluate\(\) got an unexpected keyword argument"):
        CALLS["evaluate"](wrong=1)
    with pytest.raises(TypeError, match=r"^Trainer.input_gradients\(\) got an unexpected keyword argument"):
        Trainer([2, 1]).input_gradients(X, Y, wrong=1)


def test_every_synonym_is_of_an_argument():
    names = {name for function in PLACES.values() for name in names_of(function)}
    assert set(SYNONYMS.values()) <= names
    assert not names & SYNONYMS.keys() - {"metric"}  # which is Sweep.fit's own


def test_other_errors_stay_as_they_are():
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'layer_sizes'$"):
        Trainer()
    with pytest.raises(TypeError, match=r"^epochs: expected an integer ≥ 0, got 'x' \(str\)$"):
        Trainer([2, 1]).fit(X, Y, epochs="x")

    def wrong(y, output):
        return float(lr=y)

    with pytest.raises(TypeError, match=r"got an unexpected keyword argument|takes no keyword arguments") as e:
        Trainer([2, 1]).evaluate(X, Y, wrong)
    assert "write" not in str(e.value)


def test_signatures_can_be_read():
    assert list(inspect.signature(Trainer.fit).parameters)[:3] == ["self", "X", "y"]
    assert inspect.signature(Trainer).parameters["activation"].default == "tanh"
    assert Trainer.fit.__doc__.startswith("Train for a number of epochs")
