"""Conversion of Keras's Sequential to a Trainer and back, with Keras's NumPy or PyTorch backend, if it is installed."""

from __future__ import annotations

import os

import numpy as np
import pytest

from fastbp import Checkpoint, Trainer

from ..cases import ACTIVATIONS, DTYPES, KERAS_BACKEND
from ..optional import Package, needs

os.environ.setdefault("KERAS_BACKEND", KERAS_BACKEND)
keras, layers, interop = Package("keras"), Package("keras.layers"), Package("fastbp.interop")
pytestmark = [
    needs("keras", "Keras"),
    # Keras's PyTorch backend calls np.array of tensors
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

X = np.random.default_rng(1).normal(size=(40, 7)).astype("f4")


def given(model):
    return keras.ops.convert_to_numpy(model(keras.ops.convert_to_tensor(X)))


def sequential(*members):
    return keras.Sequential([keras.Input((7,)), *members])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_there_and_back(name, dtype):
    hidden = [name, name] if name not in ("softmax", "exponential") else [name.replace("softmax", "relu"), "tanh"]
    options = {"initializer": "lecun", "dtype": dtype, "dropout": [0.2, 0], "use_bias": name != "relu"}
    trainer = Trainer([7, 9, 8, 5], activation=hidden, output_activation=name, seed=0, **options)
    model = interop.to_keras(trainer)
    np.testing.assert_allclose(given(model), trainer.predict(X), rtol=1e-6, atol=1e-6)
    back = interop.from_keras(model)
    np.testing.assert_array_equal(back.predict(X), trainer.predict(X))
    assert (back.activation, back.output_activation) == (tuple(hidden), name)
    assert (back.dropout, back.dtype, back.use_bias) == ((0.2, 0.0), np.dtype(dtype), name != "relu")


def test_layers_of_their_own_and_options():
    inner = keras.Sequential([layers.Dense(9), layers.ReLU(), layers.Dropout(0.3)])
    model = sequential(layers.Flatten(), inner, layers.Dense(8, "silu"), layers.Dense(5), layers.Softmax())
    trainer = interop.from_keras(model, loss="cross_entropy", optimizer="adam")
    assert (trainer.activation, trainer.dropout) == (("relu", "silu"), (0.3, 0.0))
    np.testing.assert_allclose(trainer.predict(X), given(model), atol=1e-6)
    assert interop.from_keras(sequential(layers.Dense(5)), loss="cross_entropy").output_activation == "softmax"


def test_other_outputs():
    trainer = Trainer([7, 5], loss="cross_entropy", seed=0)
    np.testing.assert_allclose(
        np.exp(given(interop.to_keras(trainer, output="log_softmax"))), trainer.predict(X), atol=1e-6
    )
    assert interop.to_keras(trainer, output="logits").layers[-1].activation is keras.activations.linear


def twice(members):
    class Twice(keras.Sequential):
        """A Sequential whose call is replaced in a subclass."""

        def call(self, inputs, **options):
            return 2 * super().call(inputs, **options)

    return Twice(members)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            lambda: [layers.Dense(9), layers.UnitNormalization(name="n")],
            r"model.layers\[1\]: .* got UnitNormalization 'n'",
        ),
        (
            lambda: [layers.Dense(9, "leaky_relu")],
            r"model.layers\[0\]: .*LeakyReLU\(negative_slope=0.01\), got leaky_relu",
        ),
        (
            lambda: [layers.Dense(9), layers.LeakyReLU()],
            r"a LeakyReLU with negative_slope=0.01, got negative_slope=0.3",
        ),
        (lambda: [layers.Dense(9), layers.ReLU(6.0)], "a ReLU with max_value=None, got max_value=6.0"),
        (lambda: [layers.Dense(9, "relu"), layers.Activation("tanh")], "no second activation"),
        (lambda: [layers.Dense(9), layers.ReLU(threshold=1.0)], "a ReLU with threshold=0, got threshold=1.0"),
        (lambda: [layers.Dense(9), layers.ELU(0.5)], "a ELU with alpha=1, got alpha=0.5"),
        (
            lambda: [layers.Dense(9), layers.Flatten(data_format="channels_first")],
            "a Flatten with data_format=channels_last",
        ),
        (
            lambda: [twice([layers.Dense(9)])],
            r"model.layers\[0\]: .* in turn, got Twice 'twice.*', which overrides call",
        ),
        (
            lambda: [tied := layers.Dense(7, name="tied"), keras.Sequential([tied])],
            "expected a layer with its own weights, got 'tied'",
        ),
    ],
)
def test_what_no_trainer_equals(members, message):
    with pytest.raises(ValueError, match=message):
        interop.from_keras(sequential(*members()))


def test_other_models():
    with pytest.raises(ValueError, match="a built model"):
        interop.from_keras(keras.Sequential([layers.Dense(5)]))
    with pytest.raises(TypeError, match=r"model: expected a keras.Sequential, got 3 \(int\)"):
        interop.from_keras(3)
    inputs = keras.Input((7,))
    model = keras.Model(inputs, layers.Dense(5)(inputs))
    with pytest.raises(ValueError, match=r"got Functional .*; if it applies its layers in turn"):
        interop.from_keras(model)
    assert interop.from_keras(keras.Sequential(model.layers)).layer_sizes == (7, 5)


def test_penalties_are_not_taken_over():
    with pytest.warns(UserWarning, match=r"model.layers\[0\]: kernel_regularizer cannot be imported"):
        interop.from_keras(sequential(layers.Dense(5, kernel_regularizer="l2")))


def test_lora_is_merged_into_the_weights():
    layer = layers.Dense(9, "tanh")
    model = sequential(layer, layers.Dense(5))
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(np.random.default_rng(3).normal(size=(2, 9)))
    np.testing.assert_allclose(interop.from_keras(model).predict(X), given(model), atol=1e-6)


@pytest.mark.parametrize("mode", ["int8", "float8"])
def test_quantized_layers_are_refused(mode):
    model = sequential(layers.Dense(8))
    model.layers[0].quantize(mode)
    with pytest.raises(
        ValueError, match=rf"model.layers\[0\]: .* without quantization, got one that is quantized to {mode}"
    ):
        interop.from_keras(model)


def test_inputs_of_more_dimensions_are_refused():
    model = keras.Sequential([keras.Input((2, 7)), layers.Dense(5), layers.Flatten()])
    with pytest.raises(
        ValueError, match=r"model.layers\[0\]: expected inputs of shape \(n, n_in\), got \(None, 2, 7\); put a Flatten"
    ):
        interop.from_keras(model)


def test_a_layer_with_another_call_is_refused():
    model = sequential(layers.Dense(5))
    model.layers[0].call = lambda inputs, training=None: inputs
    with pytest.raises(
        ValueError, match=r"model.layers\[0\]: expected a layer that computes what its class does, got Dense"
    ):
        interop.from_keras(model)


def test_mixed_precision_keeps_its_float32_weights():
    model = sequential(layers.Dense(9, "relu", dtype="mixed_float16"), layers.Dense(5, dtype="mixed_float16"))
    trainer = interop.from_keras(model)
    assert trainer.dtype == np.float32
    np.testing.assert_array_equal(trainer.weights[0], keras.ops.convert_to_numpy(model.layers[0].kernel).T)
    np.testing.assert_allclose(trainer.predict(X), given(model), atol=0.01)


class Saves:
    """The attributes of a Keras model that ModelCheckpoint needs."""

    def __init__(self):
        self.saved = []

    def save(self, path, **options):
        self.saved.append(path)


class Noted(Saves):
    """The attributes of a Trainer that Checkpoint needs."""


@pytest.mark.parametrize("best_only", [False, True])
def test_a_checkpoint_keeps_its_best_over_fits_as_keras_has_it(best_only, tmp_path):
    fits = [[3.0, 1.0, 2.0], [2.0, 1.0, 0.5], [0.75, float("nan")]]
    theirs = keras.callbacks.ModelCheckpoint(f"{tmp_path}/a.keras", "loss", save_best_only=best_only, mode="min")
    ours = Checkpoint(tmp_path / "a.npz", "loss", save_best_only=best_only)
    model, trainer = Saves(), Noted()
    theirs.set_model(model)
    for values in fits:
        theirs.on_train_begin()
        ours.on_fit_begin(trainer, len(values))
        for epoch, value in enumerate(values):
            theirs.on_epoch_begin(epoch)
            theirs.on_epoch_end(epoch, {"loss": value})
            ours.on_epoch_end(trainer, epoch + 1, {"loss": value})
            assert len(trainer.saved) == len(model.saved)
            if best_only:
                assert ours.best == theirs.best
