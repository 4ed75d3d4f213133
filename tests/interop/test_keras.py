"""Keras's Sequential to a Trainer and back, where Keras is installed; with its NumPy backend."""

from __future__ import annotations

import os

import numpy as np
import pytest

from fastbp import Trainer

from ..cases import ACTIVATIONS, DTYPES

os.environ.setdefault("KERAS_BACKEND", "numpy")
keras = pytest.importorskip("keras", reason="Keras is not installed")
layers = keras.layers

from fastbp.interop import from_keras, to_keras  # noqa: E402

X = np.random.default_rng(1).normal(size=(40, 7)).astype("f4")


def given(model):
    return keras.ops.convert_to_numpy(model(X))


def sequential(*members):
    return keras.Sequential([keras.Input((7,)), *members])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_there_and_back(name, dtype):
    hidden = [name, name] if name not in ("softmax", "exponential") else [name.replace("softmax", "relu"), "tanh"]
    options = {"initializer": "lecun", "dtype": dtype, "dropout": [0.2, 0], "use_bias": name != "relu"}
    trainer = Trainer([7, 9, 8, 5], activation=hidden, output_activation=name, seed=0, **options)
    model = to_keras(trainer)
    np.testing.assert_allclose(given(model), trainer.predict(X), rtol=1e-6, atol=1e-6)
    back = from_keras(model)
    np.testing.assert_array_equal(back.predict(X), trainer.predict(X))
    assert (back.activation, back.output_activation) == (tuple(hidden), name)
    assert (back.dropout, back.dtype, back.use_bias) == ((0.2, 0.0), np.dtype(dtype), name != "relu")


def test_layers_of_their_own_and_options():
    inner = keras.Sequential([layers.Dense(9), layers.ReLU(), layers.Dropout(0.3)])
    model = sequential(layers.Flatten(), inner, layers.Dense(8, "silu"), layers.Dense(5), layers.Softmax())
    trainer = from_keras(model, loss="cross_entropy", optimizer="adam")
    assert (trainer.activation, trainer.dropout) == (("relu", "silu"), (0.3, 0.0))
    np.testing.assert_allclose(trainer.predict(X), given(model), atol=1e-6)
    assert from_keras(sequential(layers.Dense(5)), loss="cross_entropy").output_activation == "softmax"


def test_other_outputs():
    trainer = Trainer([7, 5], loss="cross_entropy", seed=0)
    np.testing.assert_allclose(np.exp(given(to_keras(trainer, output="log_softmax"))), trainer.predict(X), atol=1e-6)
    assert to_keras(trainer, output="logits").layers[-1].activation is keras.activations.linear


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([layers.Dense(9), layers.BatchNormalization(name="n")], r"model.layers\[1\]: .* got BatchNormalization 'n'"),
        ([layers.Dense(9, "leaky_relu")], r"model.layers\[0\]: .*LeakyReLU\(negative_slope=0.01\), got leaky_relu"),
        ([layers.Dense(9), layers.LeakyReLU()], r"a LeakyReLU with negative_slope=0.01, got negative_slope=0.3"),
        ([layers.Dense(9), layers.ReLU(6.0)], "a ReLU with max_value=None, got max_value=6.0"),
        ([layers.Dense(9, "relu"), layers.Activation("tanh")], "no second activation"),
    ],
)
def test_what_no_trainer_equals(members, message):
    with pytest.raises(ValueError, match=message):
        from_keras(sequential(*members))


def test_other_models():
    with pytest.raises(ValueError, match="a built model"):
        from_keras(keras.Sequential([layers.Dense(5)]))
    with pytest.raises(TypeError, match=r"model: expected a keras.Sequential, got 3 \(int\)"):
        from_keras(3)
    inputs = keras.Input((7,))
    model = keras.Model(inputs, layers.Dense(5)(inputs))
    with pytest.raises(ValueError, match=r"got Functional .*; if it applies its layers in turn"):
        from_keras(model)
    assert from_keras(keras.Sequential(model.layers)).layer_sizes == (7, 5)


def test_penalties_are_not_taken_over():
    with pytest.warns(UserWarning, match=r"model.layers\[0\]: kernel_regularizer not taken over"):
        from_keras(sequential(layers.Dense(5, kernel_regularizer="l2")))
