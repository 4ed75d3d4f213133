"""Trainers of lists of layers: what enters them, their first values, their files, and what they show."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest

from fastbp import EarlyStopping, Ensemble, ModelFileError, Stream, Trainer, fit_many
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
from tests.test_layer_lists import EVERYTHING
from tests.test_model_file import contents, refuses, rewrite

rng = np.random.default_rng(0)
X = np.concatenate([rng.normal(size=(70, 5)), rng.integers(0, 7, (70, 1)), rng.integers(0, 100, (70, 1))], axis=1)
Y = rng.integers(0, 3, 70)
OPTIONS = {"loss": "cross_entropy", "optimizer": "adam", "dtype": "float64", "seed": 2, "batch_size": 32}
FEW = [Inputs(1, [4]), Dense(5, norm="batch"), 1]  # for checks that need only one category


def fitted(layers=EVERYTHING, epochs=4, **options) -> Trainer:
    trainer = Trainer(layers, **OPTIONS | options)
    trainer.fit(X, Y, epochs=epochs, verbose=0)
    return trainer


def assert_same(trainer: Trainer, other: Trainer) -> None:
    assert list(trainer.named_parameters()) == list(other.named_parameters())
    for name, array in trainer.named_parameters().items():
        np.testing.assert_array_equal(array, other.named_parameters()[name], name)
    assert trainer.history == other.history


def rows(*codes: float) -> np.ndarray:
    return np.stack([np.zeros(len(codes)), codes], axis=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_goes_on_to_the_bit(tmp_path, dtype):
    options = {"dtype": dtype, "ema": 0.5, "standardize": True}
    whole, half = fitted(**options), fitted(epochs=2, **options)
    half.save(tmp_path / "model.npz")
    for other in (Trainer.load(tmp_path / "model.npz"), pickle.loads(pickle.dumps(half)), copy.deepcopy(half), half):
        other.fit(X, Y, epochs=2, verbose=0)
        assert_same(whole, other)
        np.testing.assert_array_equal(whole.predict(X), other.predict(X))


def test_the_list_that_is_shown_makes_the_same_network():
    trainer = fitted()
    shown = repr(trainer.network).removeprefix("Network(").split("], activations=")[0] + "]"
    again = Trainer(eval(shown), **OPTIONS)
    assert Activation.__name__ in shown
    again.set_weights(trainer.get_weights())
    np.testing.assert_array_equal(again.predict(X), trainer.predict(X))


def test_summary():
    text = str(Trainer([Inputs(2, [4]), Dense(3, norm="batch"), Dropout(0.5), 1], seed=0).summary())
    for part in ("embedding1.weight", "4 × 3", "Dense(3, activation='tanh', norm='batch')", "Dropout(0.5)", "1 × 3"):
        assert part in text
    assert "dense1.norm.variance" in text
    assert text.endswith("\n40 parameters, 160 bytes of float32; loss squared_error")


def test_properties():
    trainer = Trainer([Inputs(2, [4]), Dense(3, "relu", norm="batch"), 1], activation="selu", seed=0)
    assert trainer.layer_sizes == (3, 5, 3, 1)
    assert trainer.activation == ("relu",)
    assert trainer.output_activation == "identity"
    assert [theta.shape for theta in trainer.weights] == [(3, 5), (1, 3)]
    assert [b.shape for b in trainer.biases] == [(3,), (1,)]
    assert trainer.n_parameters == 12 + 15 + 3 + 6 + 3 + 1
    assert [array.shape for array in trainer.get_weights()] == [(4, 3), (3, 5), (3,), *[(3,)] * 4, (1, 3), (1,)]
    trainer.named_parameters()["dense2.bias"][:] = 7
    assert trainer.biases[1] == 7


@pytest.mark.parametrize("code", [-1, 4, 1.5], ids=str)
def test_categories_are_checked_wherever_X_enters(code):
    trainer, good, bad, y = Trainer(FEW, seed=0), rows(0, 3, 2), rows(0, code, 2), np.ones(3)
    message = rf"expected whole numbers 0 … 3 in column 1, which has 4 categories, got {code} in row 1"
    for use in (
        lambda: trainer.fit(bad, y, verbose=0),
        lambda: trainer.fit(good, y, validation_data=(bad, y), verbose=0),
        lambda: trainer.fit(Stream(lambda: iter([(bad, y)])), verbose=0),
        lambda: trainer.fit([(bad, y)], verbose=0),
        lambda: trainer.train_on_batch(bad, y),
        lambda: trainer.predict(bad),
        lambda: trainer.network.predict(bad),
        lambda: trainer.evaluate(bad, y),
        lambda: trainer.gradients(bad, y),
        lambda: trainer.find_learning_rate(bad, y),
        lambda: fit_many([Trainer(FEW)], bad, y, verbose=0),
        lambda: Ensemble(2, FEW).fit(bad, y, verbose=0),
    ):
        before = trainer.get_weights()
        with pytest.raises(ValueError, match=message):
            use()
        assert all(map(np.array_equal, before, trainer.get_weights()))


def test_networks_that_share_X_check_their_own_categories():
    with pytest.warns(RuntimeWarning, match="1 of 2 networks"):
        outcomes = fit_many([Trainer(FEW), Trainer([Inputs(1, [3]), 1])], rows(0, 3), [1, 2], verbose=0)
    assert outcomes[0].error is None
    assert "0 … 2 in column 1" in str(outcomes[1].error)


def test_standardize_scales_numbers_only():
    wide = X * [1e3, 1, 1, 1, 1, 1, 1] + [5, 0, 0, 0, 0, 0, 0]
    trainer = Trainer(EVERYTHING, **OPTIONS, standardize=True)
    trainer.fit(wide, Y, epochs=2, verbose=0)
    np.testing.assert_allclose(trainer.scaling.mean[:5], wide[:, :5].mean(axis=0))
    assert trainer.scaling.mean[5:].tolist() == [0, 0]
    assert trainer.scaling.deviation[5:].tolist() == [1, 1]
    plain = Trainer(EVERYTHING, **OPTIONS)
    scaled = (wide - trainer.scaling.mean) / trainer.scaling.deviation
    plain.fit(scaled, Y, epochs=2, verbose=0)
    np.testing.assert_allclose(trainer.predict(wide), plain.predict(scaled), rtol=1e-9)


def test_categories_are_not_far_from_unit_scale():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Trainer([Inputs(1, [1000]), 1]).fit(rows(900, 999), [1, 0], verbose=0)
        Trainer([Inputs(0, [1000]), 1]).fit([[900], [999]], [1, 0], verbose=0)


def test_first_values():
    named = Trainer(
        [Inputs(200, [500], 8), PBLD(3, 100, 0.5), Scale(), Dense(9, parametric=True, norm="batch"), 1], seed=0
    )
    named = named.named_parameters()
    assert named["embedding1.weight"].std() == pytest.approx(1, rel=0.05)
    assert named["pbld.frequency"].std() == pytest.approx(0.5, rel=0.05)
    assert np.abs(named["pbld.phase"]).max() == pytest.approx(np.pi, rel=0.01)
    assert np.abs(named["pbld.weight"]).max() == pytest.approx(0.1, rel=0.01)
    assert np.abs(named["pbld.bias"]).max() == pytest.approx(0.1, rel=0.05)
    for name, value in {"scale1.scale": 1, "dense1.alpha": 1, "dense1.norm.gamma": 1, "dense1.norm.beta": 0}.items():
        assert (named[name] == value).all()
    assert (named["dense1.norm.mean"] == 0).all()
    assert (named["dense1.norm.variance"] == 1).all()
    assert Trainer([Inputs(2), Periodic(200, 3.0), 1], seed=0).named_parameters()["periodic.frequency"].std() > 2


@pytest.mark.parametrize("initializer", ["uniform", "he", "lecun_uniform", "orthogonal"])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
def test_dense_layers_start_as_in_a_plain_network(initializer, activation):
    options = {"initializer": initializer, "activation": activation, "seed": 3}
    plain, layers = Trainer([4, 6, 5, 2], **options), Trainer([Inputs(4), Dense(6), 5, 2], **options)
    assert all(map(np.array_equal, plain.get_weights(), layers.get_weights()))


def test_a_layer_may_have_an_initializer_of_its_own():
    trainer = Trainer([3, Dense(4, initializer="zeros"), 2], initializer="he", seed=0)
    assert (trainer.weights[0] == 0).all()
    assert (trainer.weights[1] != 0).all()
    with pytest.raises(ValueError, match="initializer: expected a name, because a layer has an initializer of its own"):
        Trainer([3, Dense(4, initializer="zeros"), 2], initializer=([], []))


def test_layers_without_biases():
    for layers, use_bias, names in (
        ([3, Dense(4, use_bias=False), 2], True, ["dense1.weight", "dense2.weight", "dense2.bias"]),
        ([3, Dense(4), 2], False, ["dense1.weight", "dense2.weight"]),
    ):
        trainer = Trainer(layers, use_bias=use_bias, optimizer="adam", seed=0)
        trainer.fit(X[:, :3], X[:, :2], epochs=2, verbose=0)
        assert list(trainer.named_parameters()) == list(trainer.gradients(X[:, :3], X[:, :2]).named) == names
        assert (trainer.biases[0] == 0).all()


def test_arrays_as_first_weights():
    weights, biases = [np.ones((4, 3)), np.full((2, 4), 2.0)], [np.arange(4.0), np.arange(2.0)]
    trainer = Trainer([Inputs(3), LayerNorm(), 4, 2], initializer=(weights, biases))
    assert all(map(np.array_equal, trainer.weights, weights))
    assert all(map(np.array_equal, trainer.biases, biases))


def test_edges_are_quantiles_of_the_first_fit():
    layers = [Inputs(5, [7, 100]), PiecewiseLinear(4), Dense(8), 3]
    trainer = Trainer(layers, **OPTIONS)
    edges = trainer.named_parameters()["piecewise.edges"]
    assert (edges == np.linspace(-1, 1, 5)).all()
    for refused in (lambda: trainer.train_on_batch(X, Y), lambda: trainer.fit([(X, Y)], verbose=0)):
        with pytest.raises(ValueError, match="because PiecewiseLinear has no edges yet"):
            refused()
    trainer.fit(X, Y, epochs=0, verbose=0)
    np.testing.assert_allclose(edges, np.quantile(X[:, :5], np.linspace(0, 1, 5), axis=0).T)
    before = edges.copy()
    trainer.fit(X[:30], Y[:30], verbose=0)
    trainer.fit(Stream(lambda: iter([(X, Y)])), verbose=0)
    np.testing.assert_array_equal(edges, before)
    split = Trainer(layers, **OPTIONS)
    split.fit(X, Y, epochs=3, validation_split=0.5, verbose=0)
    assert not np.array_equal(split.named_parameters()["piecewise.edges"], before)


def test_edges_that_are_given():
    given = np.sort(rng.normal(size=(2, 4)), axis=1)
    for edges, expected in ((given, given), (given[0], given[[0, 0]])):
        trainer = Trainer([Inputs(2), PiecewiseLinear(3, edges), 1], dtype="float64")
        trainer.fit(X[:, :2], Y, verbose=0)
        np.testing.assert_array_equal(trainer.named_parameters()["piecewise.edges"], expected)
    with pytest.raises(ValueError, match="edges: expected one row, or one for each of the 3 numbers, got 2 rows"):
        Trainer([Inputs(3), PiecewiseLinear(3, given), 1])


def test_best_weights_have_the_running_statistics():
    for metrics in ((), "accuracy"):  # in the kernel, and in Python
        trainer = Trainer(EVERYTHING, **OPTIONS)
        trainer.fit(X, Y, epochs=9, validation_data=(X, 2 - Y), metrics=metrics, callbacks=EarlyStopping(), verbose=0)
        assert trainer.evaluate(X, 2 - Y)["loss"] == min(trainer.history["val_loss"])


def test_batch_norm_sees_whole_batches():
    wide = rng.normal(size=(700, 2))
    trainer = Trainer([2, BatchNorm(momentum=1.0), 1], batch_size=600, shuffle=False, drop_last=True, dtype="float64")
    trainer.fit(wide, wide[:, 0], verbose=0)
    named = trainer.named_parameters()
    np.testing.assert_allclose(named["batch_norm1.mean"], wide[:600].mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(named["batch_norm1.variance"], wide[:600].var(axis=0, ddof=1), rtol=1e-9)


def test_results_do_not_depend_on_the_threads():
    for n_threads in (1, 2, 3):
        assert_same(fitted(), fitted(n_threads=n_threads))


def test_a_stream_trains_as_arrays_do():
    streamed = Trainer(EVERYTHING, **OPTIONS, shuffle=False)
    streamed.fit(Stream(lambda: iter([(X[:50], Y[:50]), (X[50:], Y[50:])])), epochs=4, verbose=0)
    whole = fitted(shuffle=False)
    for name, array in whole.named_parameters().items():
        np.testing.assert_array_equal(array, streamed.named_parameters()[name], name)


def test_a_divergence_goes_back_to_the_statistics():
    trainer = fitted()
    before = trainer.get_weights()
    trainer.learning_rate = 1e300
    with pytest.raises(ArithmeticError, match="diverged"):
        trainer.fit(X, Y, epochs=3, verbose=0)
    assert all(map(np.array_equal, before, trainer.get_weights()))


FORGED = {
    "layer: expected one of 'Activation'": lambda layers: layers[3] | {"layer": "exec"},
    "Dense: expected the fields": lambda layers: layers[3] | {"more": 1},
    "units: expected an integer ≥ 1, got 0": lambda layers: layers[3] | {"units": 0},
    "units: expected an integer ≥ 1, got 9.0": lambda layers: layers[3] | {"units": 9.0},
    "expected a block with 1000000000000 outputs": lambda layers: layers[3] | {"units": 10**12},
    "in parameters.npy, got dtype('float64') of shape": lambda layers: layers[3] | {"parametric": False},
    "layer_sizes as integers": lambda layers: 9,
    "expected PBLD directly after Inputs": lambda layers: layers[1],
}


@pytest.mark.parametrize("message", FORGED)
def test_forged_layers_in_a_file(tmp_path, message):
    path = tmp_path / "model.npz"
    fitted(epochs=1).save(path)
    members = contents(path)
    layers = members["header"]["options"]["layer_sizes"]
    layers[3] = FORGED[message](layers)
    rewrite(path, members)
    refuses(path, message)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"ema": 2}, "ema: expected a number in [0, 1), got 2"),
        ({"ema": None}, "of shape (0,) in raw.npy"),
        ({"frozen": [1]}, "frozen: expected a name or a pattern"),
        ({"frozen": ["x"]}, "frozen: expected a pattern that matches"),
        ({"parameter_groups": {"*": {"learning_rate": "1"}}}, "expected a finite number ≥ 0"),
        ({"dropout_schedule": {"name": "exec"}}, "dropout_schedule's name: expected one of"),
        ({"drop_last": 1}, "drop_last as bool, got 1"),
        ({"activation": 3}, "activation as list or str, got 3"),
        ({"more": 3}, "one that differs in ['more']"),
    ],
    ids=str,
)
def test_forged_options_in_a_file(tmp_path, edit, message):
    path = tmp_path / "model.npz"
    fitted(epochs=1, ema=0.5).save(path)
    members = contents(path)
    members["header"]["options"] |= edit
    rewrite(path, members)
    refuses(path, message)


def test_a_file_without_the_parameters_behind_the_average(tmp_path):
    path = tmp_path / "model.npz"
    fitted(epochs=1, ema=0.5).save(path)
    members = contents(path)
    del members["raw"]
    rewrite(path, members)
    with pytest.raises(ModelFileError, match="as raw, got none"):
        Trainer.load(path)


def test_files_of_plain_networks_have_the_version_that_earlier_ones_read(tmp_path):
    for trainer, version in (
        (Trainer([3, 2]), 1),
        (Trainer([3, 2], ema=0.5), 2),
        (Trainer([3, Scale(), 2]), 2),
        (Trainer([3, Residual(4), 2]), 2),
    ):
        trainer.save(tmp_path / "model.npz")
        assert contents(tmp_path / "model.npz")["header"]["version"] == version
        assert repr(Trainer.load(tmp_path / "model.npz")) == repr(trainer)
