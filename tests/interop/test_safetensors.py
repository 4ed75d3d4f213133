"""Weights in safetensors files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fastbp import ModelFileError, Trainer, losses
from fastbp.interop import load_safetensors, save_safetensors

from ..cases import ACTIVATIONS, DTYPES, log_cosh

X = np.random.default_rng(1).normal(size=(40, 7))
ROWS = {"0.weight": np.ones((9, 7)), "0.bias": np.ones(9), "10.weight": np.ones((5, 9)), "10.bias": np.ones(5)}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_there_and_back(name, dtype, tmp_path):
    hidden, path = "tanh" if name == "softmax" else name, tmp_path / "model.safetensors"
    loss = losses.Huber(delta=0.4)
    options = {"output_activation": name, "initializer": "lecun", "dtype": dtype, "dropout": [0.2, 0], "loss": loss}
    trainer = Trainer([7, 9, 8, 5], activation=[hidden, "relu"], use_bias=name != "relu", **options)
    save_safetensors(trainer, path)
    np.testing.assert_array_equal(load_file(path)["layers.1.weight"], trainer.weights[1])
    back = load_safetensors(path, optimizer="adam")
    np.testing.assert_array_equal(back.predict(X), trainer.predict(X))
    assert (back.activation, back.dropout, back._loss) == ((hidden, "relu"), (0.2, 0.0), loss)
    assert (back.use_bias, back.optimizer.name, back.dtype) == (trainer.use_bias, "adam", np.dtype(dtype))


def test_a_loss_of_ones_own_is_left_out(tmp_path):
    save_safetensors(Trainer([7, 5], loss=log_cosh), tmp_path / "model")
    assert load_safetensors(tmp_path / "model").loss == "squared_error"
    assert load_safetensors(tmp_path / "model", loss=log_cosh).loss == "custom"


def test_files_of_others(tmp_path):
    tensors = {f"{2 * l}.weight": np.full((3, 3), l, np.float32) for l in range(7)}
    save_file(tensors, tmp_path / "theirs")
    trainer = load_safetensors(tmp_path / "theirs", activation="relu", loss="cross_entropy")
    assert [theta[0, 0] for theta in trainer.weights] == list(range(7))
    assert (set(trainer.activation), trainer.output_activation, trainer.use_bias) == ({"relu"}, "softmax", False)
    with pytest.raises(ValueError, match="activation: expected the hidden layers' activations"):
        load_safetensors(tmp_path / "theirs")


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (ROWS | {"0.bias": np.ones(8)}, r"got 0.bias of shape \(8,\)"),
        (ROWS | {"0.running_mean": np.ones(8)}, "got one with '0.running_mean'"),
        (ROWS | {"1.bias": np.ones(8)}, "with a matrix 1.weight, got none"),
        (ROWS | {"0.weight": np.ones((9, 7, 1))}, r"with a matrix 0.weight, got shape \(9, 7, 1\)"),
        (ROWS | {"10.weight": np.ones((5, 8))}, "10: expected 9 inputs, as 0 has so many outputs, got 8"),
        (ROWS | {"0.weight": np.full((9, 7), np.nan)}, "0's weights: expected finite numbers, got nan"),
    ],
)
def test_other_tensors_are_refused(tensors, message, tmp_path):
    save_file(tensors, tmp_path / "theirs")
    with pytest.raises(ValueError, match=message):
        load_safetensors(tmp_path / "theirs", activation="relu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "metadata of version 1"),
        ({"activation": "relu"}, "activation as list"),
        ({"dropout": []}, "as many of dropout as there are hidden layers, 1"),
        ({"more": 1}, "one that differs in"),
    ],
)
def test_forged_metadata_are_refused(change, message, tmp_path):
    record = {"version": 1, "activation": ["relu"], "output_activation": "tanh", "dropout": [0.0], "loss": None}
    save_file(ROWS, tmp_path / "forged", metadata={"fastbp": json.dumps(record | change)})
    with pytest.raises(ModelFileError, match=message):
        load_safetensors(tmp_path / "forged")


def test_what_is_no_safetensors_file(tmp_path):
    (tmp_path / "text").write_text("a text, not a file of tensors")
    with pytest.raises(ModelFileError, match="path: expected a safetensors file of dense layers"):
        load_safetensors(tmp_path / "text")
    with pytest.raises(FileNotFoundError):
        load_safetensors(tmp_path / "nowhere")


def test_weights_that_are_not_finite_do_not_replace_a_file(tmp_path):
    trainer, path = Trainer([7, 5]), tmp_path / "model"
    save_safetensors(trainer, path)
    before = path.read_bytes()
    trainer.weights[0][0, 0] = np.nan
    with pytest.raises(ValueError, match=r"layers.0.weight"):
        save_safetensors(trainer, path)
    assert path.read_bytes() == before
