"""Networks of layers in other libraries and back: the same outputs, the same names, and what can't be converted."""

from __future__ import annotations

import os
import pickle

import numpy as np
import onnxruntime
import pytest

from fastbp import ModelFileError, Trainer
from fastbp.interop import load_safetensors, save_safetensors, to_onnx
from fastbp.interop._tree import frozen_names
from fastbp.layers import (
    PBLD,
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    Inputs,
    LayerNorm,
    Periodic,
    PiecewiseLinear,
    Residual,
    Scale,
)

from ..cases import DTYPES, HIDDEN, KERAS_BACKEND
from ..optional import Package, needs

os.environ.setdefault("KERAS_BACKEND", KERAS_BACKEND)
torch, nn, keras, interop = Package("torch"), Package("torch.nn"), Package("keras"), Package("fastbp.interop")
with_torch, with_keras = needs("torch", "PyTorch"), needs("keras", "Keras")
# Keras's PyTorch backend calls np.array of tensors
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

NETWORKS = {
    "plain": [5, 7, Scale(), Dense(3, use_bias=False)],
    "norms": [5, Dense(8, "gelu", norm="layer"), LayerNorm(1e-3), Dense(8, norm="batch", dropout=0.2), BatchNorm(), 2],
    "alphas": [5, Dense(8, "selu", parametric=True), Scale(), Activation("mish", parametric=True), Dropout(0.3), 2],
    "blocks": [4, 6, Residual(5, "relu", "batch", 0.1), Residual([LayerNorm(), Residual([Dense(6, "silu")])]), 2],
    "blocks first": [4, Residual([Residual([Residual(3)]), Scale()]), Dense(2)],
    "pbld": [Inputs(5, [7, 3]), PBLD(4, 5), Dense(8, "mish", norm="layer"), Residual(6), 1],
    "some encoded": [Inputs(5, [4], embedding_dim=2), PBLD(3, n_numbers=2), Dense(8, "leaky_relu"), 2],
    "periodic": [5, Periodic(3, n_numbers=4), 7, 2],
    "bins": [Inputs(3, [6], embedding_dim=3), PiecewiseLinear(5), Residual([Dense(18, "identity")])],
    "categories": [Inputs(0, [4, 9], sparse=True), 6, Dense(3, norm="layer")],
}


def made(name: str, dtype: str = "float64", **options) -> Trainer:
    """A trainer whose parameters are all random."""
    trainer = Trainer(NETWORKS[name], dtype=dtype, seed=0, **options)
    rng = np.random.default_rng(1)
    for key, view in trainer.named_parameters().items():
        values = rng.normal(0, 0.5, view.shape)
        if key.endswith("variance"):
            values = np.abs(values) + 0.3
        if key.endswith("edges"):
            values = np.sort(values, axis=1) * 3
        if key.endswith("bias") and not view.any() and name == "plain" and key == "dense2.bias":
            continue  # a layer without biases
        view[...] = values
    return trainer


def rows(trainer: Trainer, n: int = 30) -> np.ndarray:
    rng, inputs = np.random.default_rng(2), trainer.network.layers[0]
    codes = [rng.integers(0, count, (n, 1)) for count in inputs.categories]
    return np.concatenate([rng.normal(0, 1.5, (n, inputs.numbers)), *codes], axis=1).astype(trainer.dtype)


def close(came, expected, of=1.0):
    tolerance = of * (2e-5 if expected.dtype == np.float32 else 1e-10)
    np.testing.assert_allclose(came, expected, rtol=tolerance, atol=tolerance * max(1, np.abs(expected).max()))


def same(trainer: Trainer, other: Trainer) -> None:
    """Check that two trainers have the same layers and the same parameters."""
    assert other.layer_sizes == trainer.layer_sizes
    views, others = trainer.named_parameters(), other.named_parameters()
    assert list(views) == list(others)
    for name, view in views.items():
        np.testing.assert_array_equal(others[name], view, err_msg=name)
    np.testing.assert_array_equal(other.predict(rows(trainer)), trainer.predict(rows(trainer)))


def fitted(name: str, dtype: str = "float64") -> Trainer:
    """A trainer with scaling."""
    trainer = made(name, dtype, standardize=True)
    X = rows(trainer, 60)
    numbers = trainer.network.layers[0].numbers
    X[:, :numbers] = X[:, :numbers] * 30 + 100
    trainer.fit(X, np.random.default_rng(3).normal(50, 9, (60, trainer.layer_sizes[-1])), epochs=0, verbose=0)
    assert trainer.scaling is not None
    return trainer


def by_onnx(model, X):
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"input": X})[0]


def by_keras(model, X):
    return keras.ops.convert_to_numpy(model(keras.ops.convert_to_tensor(X)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_predicts_the_same(name, dtype):
    for trainer in (made(name, dtype, output_activation="softmax"), fitted(name, dtype)):
        X = rows(trainer)
        is_single_erf = 1e3 if name == "norms" else 1.0  # onnxruntime computes erf in float32
        close(by_onnx(to_onnx(trainer), X), trainer.predict(X), of=is_single_erf)
    logits = by_onnx(to_onnx(made(name, dtype, output_activation="softmax"), output="logits"), X)
    close(logits, made(name, dtype).predict(X), of=is_single_erf)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", [name for name in HIDDEN if name != "identity"])
def test_onnx_has_all_activations_with_a_parameter(activation, dtype):
    trainer = Trainer([3, Dense(4, activation, parametric=True), 2], dtype=dtype, seed=0)
    trainer.named_parameters()["dense1.alpha"][...] = [0.5, -1, 2, 0]
    X = np.random.default_rng(0).normal(size=(20, 3)).astype(dtype)
    close(by_onnx(to_onnx(trainer), X), trainer.predict(X), of=1e3 if activation == "gelu" else 1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_onnx_has_activations_that_follow_each_other(dtype):
    trainer = Trainer([3, Dense(4, "relu"), Activation("hard_tanh"), Activation("softsign"), 2], dtype=dtype, seed=0)
    X = np.random.default_rng(0).normal(size=(20, 3)).astype(dtype)
    close(by_onnx(to_onnx(trainer), X), trainer.predict(X))


def test_onnx_has_the_names_of_parameters():
    names = {constant.name for constant in to_onnx(made("pbld")).graph.initializer}
    expected = {"embedding1.weight", "pbld.phase", "pbld.bias", "dense1.weight", "dense1.norm.gamma"}
    assert expected | {"residual1.dense2.bias", "dense2.weight"} <= names


@with_torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NETWORKS)
def test_to_pytorch_and_back(name, dtype):
    trainer = made(name, dtype, output_activation="sigmoid")
    X = rows(trainer)
    module = interop.to_torch(trainer)
    close(module(torch.from_numpy(X)).detach().numpy(), trainer.predict(X))
    same(trainer, interop.from_torch(module))
    assert interop.from_torch(module).output_activation == "sigmoid"
    standardized = fitted(name, dtype)
    close(interop.to_torch(standardized)(torch.from_numpy(X)).detach().numpy(), standardized.predict(X))
    logits = interop.to_torch(trainer, output="logits")(torch.from_numpy(X)).detach().numpy()
    close(logits, made(name, dtype).predict(X))


@with_torch
def test_the_state_dict_has_the_names_of_parameters():
    trainer = made("pbld")
    norms = {"gamma": "weight", "beta": "bias"}
    expected = [".".join([norms.get(part, part) for part in name.split(".")]) for name in trainer.named_parameters()]
    module = interop.to_torch(trainer)
    assert sorted(module.state_dict()) == sorted(expected)
    assert isinstance(module.dense1, nn.Linear)
    assert isinstance(module.dense1.norm, nn.LayerNorm)
    assert isinstance(module.embedding1, nn.Embedding)


@with_torch
def test_modules_can_be_trained_pickled_and_loaded():
    trainer = made("blocks")
    module, X = interop.to_torch(trainer), torch.from_numpy(rows(trainer))
    copied = pickle.loads(pickle.dumps(module))
    copied.load_state_dict(module.state_dict())
    np.testing.assert_array_equal(copied(X).detach().numpy(), module(X).detach().numpy())
    module.train()(X).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


@with_torch
def test_a_sequential_with_norms_becomes_a_list_of_layers():
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Linear(4, 8),
        nn.LayerNorm(8),
        nn.Identity(),
        nn.GELU(),
        nn.Dropout(0.2),
        nn.Sequential(nn.Linear(8, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU()),
        nn.BatchNorm1d(6, eps=1e-3, momentum=0.3),
        nn.Linear(6, 3),
        nn.LogSoftmax(dim=1),
    ).eval()
    trainer = interop.from_torch(module, loss="cross_entropy")
    first, second, norm, last = trainer.network.layers[1:]
    assert (first.activation, first.norm, first.dropout) == ("gelu", "layer", 0.2)
    assert (second.activation, second.norm, second.use_bias) == ("relu", "batch", False)
    assert norm == BatchNorm(1e-3, 0.3)
    assert last.units == 3
    X = np.random.default_rng(0).normal(size=(9, 4)).astype("float32")
    expected = torch.exp(module(torch.from_numpy(X))).detach().numpy()
    np.testing.assert_allclose(trainer.predict(X), expected, rtol=1e-5, atol=1e-6)


@with_torch
def test_a_norm_before_the_first_linear_layer_is_one_of_its_own():
    module = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2)).double()
    trainer = interop.from_torch(module)
    X = np.random.default_rng(0).normal(size=(9, 4))
    np.testing.assert_allclose(trainer.predict(X), module(torch.from_numpy(X)).detach().numpy(), rtol=1e-10, atol=1e-10)
    assert [type(layer) for layer in trainer.network.layers] == [Inputs, LayerNorm, Dense]


@with_torch
def test_parameters_that_pytorch_does_not_train_are_frozen():
    plain = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    plain[0].requires_grad_(False)
    module = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 1))
    module[0].weight.requires_grad_(False)
    module[1].bias.requires_grad_(False)
    X, y = np.random.default_rng(0).normal(size=(40, 4)), np.ones(40)
    for given, frozen in ((plain, {"dense1.weight", "dense1.bias"}), (module, {"dense1.weight", "dense1.norm.beta"})):
        trainer = interop.from_torch(given)
        before = {name: view.copy() for name, view in trainer.named_parameters().items()}
        trainer.fit(X, y, epochs=1, verbose=0)
        views = trainer.named_parameters()
        assert {name for name, view in views.items() if np.array_equal(view, before[name])} == frozen
        trainer = interop.from_torch(given, frozen=[])
        trainer.fit(X, y, epochs=1, verbose=0)
        assert not any(np.array_equal(view, before[name]) for name, view in trainer.named_parameters().items())


@with_torch
@pytest.mark.parametrize(
    ("module", "words"),
    [
        (lambda: nn.LayerNorm((2, 4)), "one dimension"),
        (lambda: nn.LayerNorm(4, elementwise_affine=False), "elementwise_affine=True"),
        (lambda: nn.LayerNorm(4, bias=False), "bias"),
        (lambda: nn.BatchNorm1d(4, affine=False), "affine=True"),
        (lambda: nn.BatchNorm1d(4, track_running_stats=False), "track_running_stats=True"),
        (lambda: nn.BatchNorm1d(4, momentum=None), "momentum"),
        (lambda: nn.Sequential(nn.LayerNorm(4), nn.Conv1d(1, 1, 1)), "Conv1d"),
        (lambda: interop.to_torch(fitted("plain")), "doesn't scale"),
    ],
    ids=["shape", "affine", "bias", "batch affine", "statistics", "momentum", "other", "scaling"],
)
def test_what_fastbp_lacks_is_refused_by_name(module, words):
    module = module()
    given = module if isinstance(module, nn.Sequential) or words == "doesn't scale" else nn.Sequential(module)
    with pytest.raises(ValueError, match=words) as caught:
        interop.from_torch(given)
    assert str(caught.value).startswith("module")


@with_torch
def test_layers_do_not_share_memory():
    trainer = made("norms")
    with pytest.raises(ValueError, match="share: expected False"):
        interop.to_torch(trainer, share=True)
    with pytest.raises(ValueError, match="share: expected False"):
        interop.from_torch(interop.to_torch(trainer), share=True)


@with_keras
@pytest.mark.parametrize("name", NETWORKS)
def test_to_keras_and_back(name, tmp_path):
    trainer = made(name, "float32", output_activation="sigmoid")
    X = rows(trainer)
    model = interop.to_keras(trainer)
    close(by_keras(model, X), trainer.predict(X))
    same(trainer, interop.from_keras(model))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    close(by_keras(again, X), trainer.predict(X))
    same(trainer, interop.from_keras(again))
    standardized = fitted(name, "float32")
    close(by_keras(interop.to_keras(standardized), X), standardized.predict(X), of=10)


@with_keras
def test_a_keras_model_with_norms_becomes_a_list_of_layers():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8),
            keras.layers.LayerNormalization(epsilon=1e-5),
            keras.layers.Activation("tanh"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.layers[0].trainable = False
    trainer = interop.from_keras(model, loss="cross_entropy")
    dense, norm, last = trainer.network.layers[1:]
    assert (dense.activation, dense.norm, last.units) == ("tanh", "layer", 3)
    assert norm == BatchNorm(1e-3, 0.01)
    X = np.random.default_rng(0).normal(size=(9, 4)).astype("float32")
    np.testing.assert_allclose(trainer.predict(X), by_keras(model, X), rtol=1e-5, atol=1e-6)
    before = {key: view.copy() for key, view in trainer.named_parameters().items()}
    trainer.fit(X, np.arange(9) % 3, epochs=1, verbose=0)
    unchanged = {key for key, view in trainer.named_parameters().items() if np.array_equal(view, before[key])}
    assert unchanged == {"dense1.weight", "dense1.bias"}


@with_keras
def test_keras_layers_that_fastbp_lacks_are_refused_by_name():
    for layer, words in (
        (keras.layers.BatchNormalization(center=False), "center=True"),
        (keras.layers.GroupNormalization(1), "GroupNormalization"),
    ):
        model = keras.Sequential([keras.Input((4,)), keras.layers.LayerNormalization(), layer, keras.layers.Dense(2)])
        with pytest.raises(ValueError, match=words):
            interop.from_keras(model)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NETWORKS)
def test_safetensors_files_have_the_parameters_by_name(name, dtype, tmp_path):
    trainer, path = made(name, dtype, output_activation="sigmoid", loss="huber"), tmp_path / "net.safetensors"
    save_safetensors(trainer, path)
    from safetensors.numpy import load_file

    assert sorted(load_file(path)) == sorted(trainer.named_parameters())
    loaded = load_safetensors(path)
    same(trainer, loaded)
    assert (loaded.loss, loaded.output_activation) == (trainer.loss, "sigmoid")
    assert loaded.network.layers == trainer.network.layers
    standardized = fitted(name, dtype)
    save_safetensors(standardized, path)
    same(standardized, load_safetensors(path))


def test_forged_safetensors_files_are_refused(tmp_path):
    import json

    from safetensors.numpy import load_file, save_file

    path = tmp_path / "net.safetensors"
    save_safetensors(made("norms"), path)
    tensors = load_file(path)
    record = {"version": 2, "layers": [{"layer": "Inputs"}], "output_activation": "identity", "use_bias": True}
    record |= {"scaling": None, "loss": None}
    good = json.loads(_metadata(path)["fastbp"])
    for metadata, content in (
        (record, tensors),
        (good | {"layers": [{"layer": "os.system"}]}, tensors),
        (good | {"extra": 1}, tensors),
        (good, {name: array for name, array in tensors.items() if name != "dense1.bias"}),
        (good, tensors | {"more": np.zeros(3)}),
        (good, tensors | {"dense1.bias": np.zeros(3)}),
        (good, tensors | {"dense1.bias": tensors["dense1.bias"] * np.nan}),
    ):
        save_file(content, path, metadata={"fastbp": json.dumps(metadata)})
        with pytest.raises((ModelFileError, ValueError, TypeError)):
            load_safetensors(path)


def _metadata(path):
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return file.metadata()


FROZEN = [
    ([4, 8, 1], ["dense1"]),
    ([4, 8, 1], ["*.bias"]),
    (
        [Inputs(2, [3, 2]), PBLD(3, 4), Dense(6, "relu", norm="batch", parametric=True), Residual(6, norm="layer"), 1],
        ["embedding2", "pbld.phase", "dense1.norm", "dense1.alpha", "residual1.dense2", "residual1.dense1.norm.beta"],
    ),
]


@pytest.mark.parametrize("network", [pytest.param("torch", marks=with_torch), pytest.param("keras", marks=with_keras)])
@pytest.mark.parametrize(("layers", "frozen"), FROZEN, ids=["a layer", "biases", "parts of layers"])
def test_frozen_parameters_are_not_trained_by_other_libraries(layers, frozen, network):
    trainer = Trainer(layers, frozen=frozen, dtype="float64" if network == "torch" else "float32", seed=0)
    if network == "torch":
        again = interop.from_torch(interop.to_torch(trainer))
    else:
        again = interop.from_keras(interop.to_keras(trainer))
    shapes = [sorted(each.named_parameters()[name].shape for name in frozen_names(each)) for each in (trainer, again)]
    assert shapes[0] == shapes[1]
    assert 0 < len(shapes[0]) < len(trainer.named_parameters())
