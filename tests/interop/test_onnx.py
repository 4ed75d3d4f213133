"""onnxruntime computes the same from an exported ONNX model as the Trainer."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest

from fastbp import Trainer
from fastbp._files.columns import Numbers, Table
from fastbp.interop import onnx as door, to_onnx

from ..cases import ACTIVATIONS, DTYPES

X = np.random.default_rng(1).normal(size=(40, 7))


def network(name: str, dtype: str = "float32", **options) -> Trainer:
    hidden = [name, name] if name not in ("softmax", "exponential") else [name.replace("softmax", "relu"), "tanh"]
    options = {"activation": hidden, "initializer": "lecun"} | options
    trainer = Trainer([7, 9, 8, 5], output_activation=name, dtype=dtype, seed=0, **options)
    if trainer.use_bias:
        for b in trainer.biases:
            b[...] = np.random.default_rng(2).uniform(-1, 0, b.shape)
    return trainer


def computed(model, X, name="input"):
    content = model if isinstance(model, str) else model.SerializeToString()
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {name: X})[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_onnxruntime_gives_what_predict_gives(name, dtype, tmp_path):
    trainer, path = network(name, dtype, dropout=0.3), tmp_path / "model.onnx"
    model = to_onnx(trainer, path)
    onnx.checker.check_model(model, full_check=True)
    tolerance = 1e-6 if dtype == "float32" or name == "gelu" else 1e-12
    for rows in (X, X[:1]):
        got = computed(str(path), rows.astype(dtype))
        assert got.dtype == dtype
        np.testing.assert_allclose(got, trainer.predict(rows), rtol=tolerance, atol=tolerance)
    assert computed(model, np.zeros((0, 7), dtype)).shape == (0, 5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_far_from_zero(name, dtype):
    """The network's only weight is 1, so its output is f(x)."""
    trainer = Trainer([1, 1], output_activation=name, dtype=dtype, initializer=([[[1]]], [[0]]))
    z = np.linspace(-60, 60, 481)[:, None].astype(dtype)
    np.testing.assert_allclose(computed(to_onnx(trainer), z), trainer.predict(z), rtol=4e-6, atol=2e-6)


def test_names_and_metadata():
    trainer = network("softmax", loss="cross_entropy", use_bias=False)
    trainer._table = Table((Numbers("a", 0.0, 1.0, False),), Numbers("b", 0.0, 1.0, False))
    model = to_onnx(trainer, input_name="pixels", output_name="classes")
    assert computed(model, X.astype("f4"), "pixels").shape == (40, 5)
    assert model.graph.output[0].name == "classes"
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert [item.name for item in model.graph.initializer] == [f"layers.{l}.weight" for l in range(3)]
    about = {item.key: item.value for item in model.metadata_props}
    assert (about["fastbp.loss"], json.loads(about["fastbp.layer_sizes"])) == ("cross_entropy", [7, 9, 8, 5])
    assert Table.from_record(json.loads(about["fastbp.table"])) == trainer._table


def test_other_outputs():
    trainer = network("softmax")
    logits, logarithms = (computed(to_onnx(trainer, output=o), X.astype("f4")) for o in ("logits", "log_softmax"))
    np.testing.assert_allclose(np.exp(logarithms), trainer.predict(X), atol=1e-6)
    np.testing.assert_allclose(logits - logits[:, :1], logarithms - logarithms[:, :1], atol=1e-5)


def test_large_weights_go_into_a_file_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(door, "LARGE", 10_000)
    trainer, path = Trainer([7, 400, 5], seed=0), tmp_path / "large.onnx"
    model = to_onnx(trainer, path)
    assert (tmp_path / "large.onnx.data").stat().st_size > 10_000
    np.testing.assert_allclose(computed(str(path), X.astype("f4")), trainer.predict(X), atol=1e-6)
    np.testing.assert_allclose(computed(model, X.astype("f4")), trainer.predict(X), atol=1e-6)


def test_arguments():
    trainer = network("tanh")
    with pytest.raises(ValueError, match=r"input_name: expected a name that doesn't start with 'layers.'"):
        to_onnx(trainer, input_name="layers.0.weight")
    with pytest.raises(ValueError, match="output_name: expected a name other than"):
        to_onnx(trainer, output_name="input")
    with pytest.raises(TypeError, match=r"trainer: expected a fastbp.Trainer"):
        to_onnx(trainer.network)
