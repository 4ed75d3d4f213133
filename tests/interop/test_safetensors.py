"""Weights are written to safetensors files and read from them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors import safe_open
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
    assert (back.activation, back.dropout, back._state.loss) == ((hidden, "relu"), (0.2, 0.0), loss)
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


def written(path, *layers: tuple[str, int, int], biases=True):
    """Write a file of layers (name, n_in, n_out), each filled with its position. Return the names in order."""
    tensors = {}
    for place, (name, n_in, n_out) in enumerate(layers):
        tensors[f"{name}.weight"] = np.full((n_out, n_in), place, np.float32)
        if biases:
            tensors[f"{name}.bias"] = np.full(n_out, place, np.float32)
    save_file(tensors, path)
    return [name for name, _, _ in layers]


def places(trainer) -> list[int]:
    return [int(theta[0, 0]) for theta in trainer.weights]


@pytest.mark.parametrize(
    "names",
    [
        ["fc1", "fc2", "fc10"],
        ["layers.0", "layers.2", "layers.11"],
        ["net.0.linear", "net.1.linear", "net.2.linear"],
        ["0", "1.0", "1.2", "2"],
        ["block1.fc1", "block1.fc2", "block2.fc1"],
        ["block9_2", "block10_2", "block10_11"],
    ],
)
def test_numbers_in_names_are_an_order(names, tmp_path):
    written(tmp_path / "theirs", *((name, 4, 4) for name in names))
    trainer = load_safetensors(tmp_path / "theirs", activation="relu")
    assert places(trainer) == list(range(len(names)))


@pytest.mark.parametrize(
    "names",
    [
        ["fc1", "fc2", "classifier"],
        ["input", "hidden", "output"],
        ["encoder.0", "head"],
        ["layer1", "out"],
        ["fc", "fc1"],
        ["fc1", "fc01"],
        ["encoder.1", "encoder.2", "decoder.1"],
        ["net.0.up", "net.0.down"],
        ["net.1", "net.1.0"],
        ["in1out", "in2"],
        ["layer1_of_block1", "layer2_of_block1", "layer1_of_block2"],
        ["linear64_1", "linear32_2"],
    ],
)
def test_names_that_are_no_order_want_one(names, tmp_path):
    written(tmp_path / "theirs", *((name, 4, 4) for name in names))
    with pytest.raises(ValueError, match=r"order: expected the layer names from first to last.* got none"):
        load_safetensors(tmp_path / "theirs", activation="relu")
    trainer = load_safetensors(tmp_path / "theirs", activation="relu", order=names)
    assert places(trainer) == list(range(len(names)))


@pytest.mark.parametrize(
    "layers",
    [
        [("input", 7, 9), ("hidden", 9, 4), ("output", 4, 2)],
        [("b", 8, 4), ("c", 4, 8), ("a", 8, 3)],
        [("z", 7, 9), ("y", 9, 9), ("x", 9, 2)],
    ],
)
def test_shapes_that_fit_in_one_order_only_are_an_order(layers, tmp_path):
    written(tmp_path / "theirs", *layers)
    assert places(load_safetensors(tmp_path / "theirs", activation="relu")) == [0, 1, 2]


@pytest.mark.parametrize(
    "layers",
    [
        [("b", 8, 4), ("a", 4, 8)],
        [("d", 8, 4), ("c", 4, 8), ("b", 8, 4), ("a", 4, 3)],
        [("z", 7, 9), ("y", 9, 9), ("x", 9, 9), ("w", 9, 2)],
        [("body", 7, 4), ("mean", 4, 2), ("variance", 4, 2)],
        [(f"layer_{chr(97 + i)}", 4, 4) for i in range(26)],
        [(f"{'ab'[i % 2]}{i}", (i - 1) % 7 + 2, i % 7 + 2) for i in range(49)],
        [(f"{'ab'[i % 2]}{i}", (i - 1) % 7 + 2, i % 7 + 2) for i in range(3000)],
    ],
)
def test_shapes_that_fit_in_several_orders_or_none_are_no_order(layers, tmp_path):
    written(tmp_path / "theirs", *layers)
    with pytest.raises(ValueError, match="order: expected the layer names"):
        load_safetensors(tmp_path / "theirs", activation="relu")


def test_shapes_are_no_order_where_weights_may_be_transposed(tmp_path):
    written(tmp_path / "theirs", ("input", 7, 9), ("output", 9, 5), biases=False)
    with pytest.raises(ValueError, match="order: expected the layer names"):
        load_safetensors(tmp_path / "theirs", activation="relu")


def test_numbers_that_contradict_the_shapes(tmp_path):
    written(tmp_path / "theirs", ("fc2", 7, 9), ("fc1", 9, 5))
    with pytest.raises(ValueError, match=r"fc2: expected 5 inputs, because fc1 has 5 outputs, got 7; pass order="):
        load_safetensors(tmp_path / "theirs", activation="relu")
    assert places(load_safetensors(tmp_path / "theirs", activation="relu", order=("fc2", "fc1"))) == [0, 1]


@pytest.mark.parametrize(
    "order", [["fc1"], ["fc1", "fc1"], ["fc1", "fc2", "fc3"], ["fc1", 2], "fc1", [["fc1"], "fc2"], {"fc1", "fc2"}]
)
def test_an_order_has_each_layer_once(order, tmp_path):
    written(tmp_path / "theirs", ("fc1", 4, 4), ("fc2", 4, 4))
    with pytest.raises(
        (ValueError, TypeError), match=r"order: expected each of the file's layers once \('fc1', 'fc2'\)"
    ):
        load_safetensors(tmp_path / "theirs", activation="relu", order=order)


def test_a_file_of_ones_own_has_its_order(tmp_path):
    trainer = Trainer([4, 4, 4], seed=0)
    save_safetensors(trainer, tmp_path / "own")
    with pytest.raises(
        ValueError, match=r"order: expected nothing, because the file stores the order, got .*; leave order= out"
    ):
        load_safetensors(tmp_path / "own", order=["layers.1", "layers.0"])
    with safe_open(tmp_path / "own", framework="numpy") as file:
        save_file(
            {name.replace("layers.1", "head"): file.get_tensor(name) for name in file.keys()},  # noqa: SIM118
            tmp_path / "renamed",
            metadata=file.metadata(),
        )
    with pytest.raises(ModelFileError, match=r"layers.0 to layers.1, because fastbp wrote the file, got 'head'"):
        load_safetensors(tmp_path / "renamed")


def test_a_single_layer_needs_no_name(tmp_path):
    save_file({"weight": np.full((2, 3), 5.0), "bias": np.full(2, 6.0)}, tmp_path / "theirs")
    trainer = load_safetensors(tmp_path / "theirs")
    assert (trainer.layer_sizes, trainer.weights[0][0, 0], trainer.biases[0][0]) == ((3, 2), 5, 6)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            {"0.kernel": np.ones((7, 9)), "0.bias": np.ones(9)},
            r"0.weight; a kernel is \(n_in, n_out\), so store its transpose",
        ),
        (ROWS | {"0.weight": np.ones((9, 7), np.int8)}, "0.weight of int8"),
        (ROWS | {"0.bias": np.ones(8)}, r"got 0.bias of shape \(8,\)"),
        (ROWS | {"0.running_mean": np.ones(8)}, "got one with '0.running_mean'"),
        (ROWS | {"1.bias": np.ones(8)}, "with a matrix 1.weight, got none"),
        (ROWS | {"0.weight": np.ones((9, 7, 1))}, r"with a matrix 0.weight, got shape \(9, 7, 1\)"),
        (ROWS | {"10.weight": np.ones((5, 8))}, "10: expected 9 inputs, because 0 has 9 outputs, got 8"),
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


def test_bfloat16_is_refused_by_its_name(tmp_path):
    tensors = {"0.weight": {"dtype": "BF16", "shape": [1, 2], "data_offsets": [0, 4]}}
    header = json.dumps(tensors).encode()
    (tmp_path / "theirs").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
    with pytest.raises(ModelFileError, match=r"to which you can convert it, got 0\.weight of BF16"):
        load_safetensors(tmp_path / "theirs")


def test_weights_that_are_not_finite_do_not_replace_a_file(tmp_path):
    trainer, path = Trainer([7, 5]), tmp_path / "model"
    save_safetensors(trainer, path)
    before = path.read_bytes()
    trainer.weights[0][0, 0] = np.nan
    with pytest.raises(ValueError, match=r"layers.0.weight"):
        save_safetensors(trainer, path)
    assert path.read_bytes() == before
