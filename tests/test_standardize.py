"""standardize=True: the same training as with data that was scaled by hand, in every way of giving data."""

from __future__ import annotations

import copy
import pickle
import re
import warnings

import numpy as np
import pandas
import pytest

import fastbp
from fastbp import Ensemble, Stream, Sweep, Trainer, fit_many, plots
from fastbp._files import archive
from fastbp._training.weighting import divide

N = 200
SIZES = {"squared_error": [3, 8, 2], "cross_entropy": [3, 8, 3]}


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def problem(loss="squared_error", seed=0):
    """Columns of very different scale and offset, one of them constant; targets up to some thousands."""
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(N, 3))
    X = Z * [1e-3, 40, 0] + [5, -300, 7]
    if loss == "cross_entropy":
        return X, (Z[:, 0] + Z[:, 1] > 0).astype(int) + (Z[:, 1] > 1)
    return X, np.stack([900 * np.sin(Z[:, 0]) + 5000, 0.01 * Z[:, 1]], axis=1)


def by_hand(X, y, rows=slice(None), weights=None):
    """X and y, scaled by the means and deviations of some rows, and these."""
    moments = []
    for values in (X, y):
        mean = np.average(values[rows], axis=0, weights=weights)
        deviation = np.sqrt(np.average((values[rows] - mean) ** 2, axis=0, weights=weights))
        moments += [mean, np.where(deviation < 1e-9, 1, deviation)]
    mean_x, deviation_x, mean_y, deviation_y = moments
    return (X - mean_x) / deviation_x, (y - mean_y) / deviation_y, moments


def pair(loss="squared_error", **options):
    options = {"loss": loss, "dtype": "float64", "seed": 3, "learning_rate": 0.05} | options
    return Trainer(SIZES[loss], standardize=True, **options), Trainer(SIZES[loss], **options)


def assert_same_weights(trainer, other):
    for theta, expected in zip(trainer.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(theta, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "quantile"])
def test_numbers_are_scaled_as_by_hand(loss):
    X, y = problem()
    Z, t, (*_, mean, deviation) = by_hand(X, y)
    SIZES.setdefault(loss, SIZES["squared_error"])
    trainer, plain = pair(loss)
    history = trainer.fit(X, y, epochs=5, validation_data=(X, y), metrics=["mse", "r2"], verbose=0)
    expected = plain.fit(Z, t, epochs=5, validation_data=(Z, t), verbose=0)
    assert_same_weights(trainer, plain)
    np.testing.assert_allclose(history["loss"], expected["loss"])
    np.testing.assert_allclose(history["val_loss"], expected["val_loss"])
    output = plain.predict(Z) * deviation + mean
    np.testing.assert_allclose(trainer.predict(X), output)
    np.testing.assert_allclose(history["val_mse"][-1], np.mean((y - output) ** 2))
    measured = trainer.evaluate(X, y, ["mse", "mae"])
    np.testing.assert_allclose(measured["loss"], plain.evaluate(Z, t)["loss"])
    np.testing.assert_allclose(measured["mae"], np.abs(y - output).mean())
    ours, theirs = trainer.gradients(X, y), plain.gradients(Z, t)
    for g, h in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(g, h, rtol=1e-6, atol=1e-9)


def test_classes_are_not_scaled():
    X, y = problem("cross_entropy")
    trainer, plain = pair("cross_entropy")
    trainer.fit(X, y, epochs=5, metrics="accuracy", verbose=0)
    Z, _, _ = by_hand(X, y)
    plain.fit(Z, y, epochs=5, verbose=0)
    assert_same_weights(trainer, plain)
    np.testing.assert_allclose(trainer.predict(X), plain.predict(Z))
    np.testing.assert_array_equal(trainer.predict_classes(X), plain.predict_classes(Z))
    assert trainer.scaling.target_mean is None


def test_outputs_with_a_range_keep_their_targets():
    X, y = problem()
    t = (y > y.mean(axis=0)).astype(float)
    trainer, plain = pair(output_activation="sigmoid")
    trainer.fit(X, t, epochs=3, verbose=0)
    plain.fit(by_hand(X, t)[0], t, epochs=3, verbose=0)
    assert_same_weights(trainer, plain)


def test_classes_as_numbers_are_measured_in_their_own_units():
    X, y = problem()
    trainer = Trainer([3, 8, 1], standardize=True, seed=0)
    t = (y[:, 0] > y[:, 0].mean()).astype(float)
    history = trainer.fit(X, t, epochs=20, metrics="accuracy", verbose=0)
    assert history["accuracy"][-1] == (trainer.predict_classes(X) == t).mean() > 0.9
    assert plots.confusion_matrix(trainer, X, t) is not None


def test_the_split_does_not_leak():
    X, y = problem()
    trainer, _ = pair()
    trainer.fit(X, y, epochs=1, validation_split=0.25, verbose=0)
    rows, _ = divide(0.25, N, None, np.random.default_rng(3))
    *_, (mean_x, deviation_x, mean_y, deviation_y) = by_hand(X, y, rows)
    scaling = trainer.scaling
    np.testing.assert_allclose(scaling.mean, mean_x)
    np.testing.assert_allclose(scaling.deviation, deviation_x)
    np.testing.assert_allclose(scaling.target_mean, mean_y)
    np.testing.assert_allclose(scaling.target_deviation, deviation_y)
    other, _ = pair()
    other.fit(X[rows], y[rows], epochs=1, validation_data=(1e3 * X, y), verbose=0)
    np.testing.assert_allclose(other.scaling.mean, mean_x)


def test_weights_count_as_copies_of_samples():
    X, y = problem()
    w = np.random.default_rng(1).integers(0, 3, N)
    trainer, _ = pair()
    trainer.fit(X, y, sample_weight=w, verbose=0)
    copies, _ = pair()
    copies.fit(np.repeat(X, w, axis=0), np.repeat(y, w, axis=0), verbose=0)
    np.testing.assert_allclose(trainer.scaling.mean, copies.scaling.mean)
    np.testing.assert_allclose(trainer.scaling.target_deviation, copies.scaling.target_deviation)


def test_a_constant_column_has_deviation_1():
    X, y = problem()
    X[:, 2] = 0.1
    trainer, _ = pair()
    trainer.fit(X.astype(np.float32), y, verbose=0)
    assert trainer.scaling.deviation[2] == 1
    assert trainer.scaling.mean[2] == pytest.approx(0.1)
    assert np.isfinite(trainer.predict(X)).all()


def test_float32_keeps_the_digits_of_large_numbers():
    """Seconds since 1970: float32 alone tells apart only every second minute."""
    seconds = 1.7e9 + np.arange(64.0)
    trainer = Trainer([1, 8, 1], standardize=True, seed=0)
    trainer.fit(seconds[:, None], seconds, epochs=300, metrics="mse", verbose=0)
    assert trainer.evaluate(seconds[:, None], seconds, "mse")["mse"] < 10
    assert trainer.evaluate(seconds[:, None], seconds)["loss"] < 0.02


def test_later_fits_keep_the_scaling():
    X, y = problem()
    trainer, _ = pair()
    trainer.fit(X, y, verbose=0)
    before = trainer.scaling
    trainer.fit(X * 2, y * 3, verbose=0)
    trainer.train_on_batch(X[:5], y[:5])
    assert trainer.scaling is before


def test_nothing_is_scaled_before_the_first_fit():
    X, y = problem()
    trainer, plain = pair()
    np.testing.assert_array_equal(trainer.predict(X), plain.predict(X))
    assert trainer.evaluate(X, y) == plain.evaluate(X, y)
    assert trainer.scaling is None


def test_a_fit_that_is_refused_leaves_no_scaling():
    X, y = problem()
    trainer, _ = pair()
    with pytest.raises(ValueError, match="validation_data"):
        trainer.fit(X, y, validation_data=(X[:, :2], y), verbose=0)
    assert trainer.scaling is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_streams_are_read_once_more(dtype):
    X, y = problem()
    X, y = X.astype(dtype), y.astype(dtype)
    trainer, other = (Trainer([3, 8, 2], standardize=True, seed=1, dtype=dtype, shuffle=False) for _ in range(2))
    history = trainer.fit(Stream([(X[:90], y[:90]), (X[90:], y[90:])]), epochs=2, verbose=0)
    expected = other.fit(X, y, epochs=2, verbose=0)
    np.testing.assert_allclose(trainer.scaling.mean, other.scaling.mean, rtol=1e-6)
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-4)
    np.testing.assert_allclose(
        trainer.evaluate(Stream([(X, y)]), metrics="mse")["mse"], other.evaluate(X, y, "mse")["mse"], rtol=1e-3
    )


def test_what_comes_in_parts_needs_a_first_fit():
    X, y = problem()
    trainer, _ = pair()
    with pytest.raises(ValueError, match=r"X: expected all training samples at once .* call fit\(X, y, epochs=0\)"):
        trainer.train_on_batch(X, y)
    with pytest.raises(ValueError, match="got an iterable of batches"):
        trainer.fit([(X, y)], verbose=0)
    with pytest.raises(ValueError, match="X: expected a Stream of a function"):
        trainer.fit(Stream(iter([(X, y)])), verbose=0)
    trainer.fit(X, y, epochs=0, verbose=0)
    assert trainer.epochs_trained == 0
    np.testing.assert_allclose(trainer.scaling.mean, X.mean(axis=0))
    first = trainer.evaluate(X, y)["loss"]
    for _ in range(20):
        trainer.train_on_batch(X, y)
    trainer.fit([(X, y)], epochs=20, verbose=0)
    assert trainer.evaluate(X, y)["loss"] < first


def test_the_range_test_scales():
    X, y = problem()
    trainer, plain = pair()
    found = trainer.find_learning_rate(X, y)
    Z, t, _ = by_hand(X, y)
    np.testing.assert_allclose(found.losses, plain.find_learning_rate(Z, t).losses, rtol=1e-6)
    assert trainer.scaling is None


def test_copies_pickles_and_files_keep_it(tmp_path):
    X, y = problem()
    trainer, _ = pair()
    trainer.fit(X, y, epochs=3, verbose=0)
    trainer.save(tmp_path / "model.npz")
    others = [copy.copy(trainer), copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer))]
    others.append(Trainer.load(tmp_path / "model.npz"))
    for other in others:
        assert other.standardize
        np.testing.assert_array_equal(other.predict(X), trainer.predict(X))
        assert repr(other) == repr(trainer)
    others[-1].fit(X, y, epochs=2, verbose=0)
    trainer.fit(X, y, epochs=2, verbose=0)
    np.testing.assert_array_equal(others[-1].predict(X), trainer.predict(X))


def test_many_networks():
    X, y = problem()
    options = {"standardize": True, "dtype": "float32"}
    many = [Trainer([3, 8, 2], seed=seed, **options) for seed in range(3)]
    outcomes = fit_many(many, X, y, epochs=3, validation_split=0.2, verbose=0)
    for seed, outcome in enumerate(outcomes):
        alone = Trainer([3, 8, 2], seed=seed, **options)
        assert alone.fit(X, y, epochs=3, validation_split=0.2, verbose=0) == outcome.history
        np.testing.assert_array_equal(alone.predict(X), many[seed].predict(X))
    tiny = [Trainer([3, 2, 2], seed=seed, batch_size=4, **options) for seed in range(3)]
    fit_many(tiny, X, y, epochs=3, verbose=0)
    alone = Trainer([3, 2, 2], seed=2, batch_size=4, **options)
    alone.fit(X, y, epochs=3, verbose=0)
    np.testing.assert_array_equal(alone.predict(X), tiny[2].predict(X))


def test_many_networks_in_processes():
    X, y = problem()
    networks = [Trainer([3, 8, 2], seed=seed, standardize=True) for seed in range(2)]
    fit_many(networks, X, y, epochs=2, n_jobs=2, verbose=0)
    alone = Trainer([3, 8, 2], seed=1, standardize=True)
    alone.fit(X, y, epochs=2, verbose=0)
    np.testing.assert_array_equal(alone.predict(X), networks[1].predict(X))


def test_ensembles_and_sweeps():
    X, y = problem()
    ensemble = Ensemble(3, [3, 8, 2], standardize=True, seed=0)
    ensemble.fit(X, y, epochs=30, verbose=0)
    mean = np.mean([trainer.predict(X) for trainer in ensemble.trainers], axis=0)
    np.testing.assert_allclose(ensemble.evaluate(X, y, "mse")["mse"], np.mean((y - mean) ** 2), rtol=1e-4)
    sweep = Sweep({"standardize": [True, False]}, layer_sizes=[3, 8, 2], seed=0)
    Z, t, _ = by_hand(X, y)
    Z, t = Z * [5, 4, 3] + 2, t * 6
    sweep.fit(Z, t, epochs=1, validation_data=(Z, t), metric="mse", verbose=0)
    alone = Trainer([3, 8, 2], standardize=True, seed=0)
    alone.fit(Z, t, verbose=0)
    (mse,) = (row["mse"] for row in sweep.table if row["standardize"])
    assert mse == pytest.approx(alone.evaluate(Z, t, "mse")["mse"])


def test_contributions_are_in_the_units_of_x_and_y():
    X, y = problem()
    trainer, _ = pair()
    trainer.fit(X, y, epochs=20, verbose=0)
    found = fastbp.explanation.contributions(trainer, X[:4], baseline=X.mean(axis=0), output=0)
    np.testing.assert_allclose(found.outputs, trainer.predict(X[:4])[:, 0])
    np.testing.assert_allclose(found.values.sum(axis=1), found.outputs - found.baseline_outputs, rtol=1e-2, atol=1)
    assert fastbp.explain(trainer, X[:1], y[:1]).kernel_difference < 1e-9
    assert len(plots.activations(trainer, X).get_yticks()) == 2


def test_folded_weights_predict_the_same():
    X, y = problem()
    trainer, _ = pair()
    trainer.fit(X, y, epochs=5, verbose=0)
    folded = Trainer([3, 8, 2], dtype="float64", initializer=trainer._state.folded())
    np.testing.assert_allclose(folded.predict(X), trainer.predict(X), rtol=1e-9)
    one = Trainer([3, 2], standardize=True, dtype="float64", seed=0)
    one.fit(X, y, verbose=0)
    folded = Trainer([3, 2], dtype="float64", initializer=one._state.folded())
    np.testing.assert_allclose(folded.predict(X), one.predict(X), rtol=1e-9)


@pytest.mark.parametrize("use_bias", [True, False])
def test_other_libraries_get_the_scaling_in_the_weights(use_bias, tmp_path):
    interop = pytest.importorskip("fastbp.interop")
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    X, y = problem()
    trainer, _ = pair(use_bias=use_bias)
    trainer.fit(X, y, epochs=5, verbose=0)
    module = interop.to_torch(trainer)
    with torch.no_grad():
        np.testing.assert_allclose(module(torch.from_numpy(X)).numpy(), trainer.predict(X), rtol=1e-9)
    with pytest.raises(ValueError, match="share: expected False, got True for a trainer with standardize=True"):
        interop.to_torch(trainer, share=True)
    interop.save_safetensors(trainer, tmp_path / "weights.safetensors")
    loaded = interop.load_safetensors(tmp_path / "weights.safetensors")
    np.testing.assert_allclose(loaded.predict(X), trainer.predict(X), rtol=1e-9)


def test_onnx_gets_the_scaling_in_the_weights(tmp_path):
    onnxruntime, _ = pytest.importorskip("onnxruntime"), pytest.importorskip("onnx")
    X, y = problem()
    trainer = Trainer([3, 8, 2], standardize=True, seed=0)
    trainer.fit(X, y, epochs=5, verbose=0)
    fastbp.interop.to_onnx(trainer, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (output,) = session.run(None, {session.get_inputs()[0].name: X.astype(np.float32)})
    np.testing.assert_allclose(output[:, 0], trainer.predict(X)[:, 0], rtol=1e-3)


def test_numbers_that_cannot_be_scaled_are_refused():
    X, y = problem()
    trainer, _ = pair()
    with pytest.raises(ValueError, match=r"X: expected numbers whose squares are finite.*column 1"):
        trainer.fit(X * [1, 1e200, 1], y, verbose=0)
    single = Trainer([3, 8, 2], standardize=True)
    single.fit(X, y, verbose=0)
    with pytest.raises(ValueError, match=r"X: expected numbers that standardize=True can scale .* in row 0, column 0"):
        single.predict(X * [1e38, 1, 1])
    with pytest.raises(TypeError, match="standardize: expected True or False"):
        Trainer([3, 2], standardize="yes")


def test_it_is_told():
    trainer, plain = pair()
    assert "standardize=True" in repr(trainer)
    assert "standardize=True" in str(trainer.summary())
    assert "standardize" not in repr(plain) + str(plain.summary())


FORGED = [
    ({"mean": [0.0]}, "mean as 3 finite numbers"),
    ({"mean": [0.0, "1", 0.0]}, "mean as 3 finite numbers"),
    ({"mean": [0.0, True, 0.0]}, "mean as 3 finite numbers"),
    ({"deviation": [1.0, 0.0, 1.0]}, "deviation as 3 finite numbers > 0"),
    ({"deviation": [1.0, float("inf"), 1.0]}, "deviation as 3 finite numbers > 0"),
    ({"target_mean": None}, "both means and deviations of the targets"),
    ({"target_deviation": [1.0]}, "target_deviation as 2 finite numbers > 0"),
    ({"more": 1}, "a scaling of mean, deviation"),
]


@pytest.mark.parametrize(("change", "message"), FORGED, ids=[str(change) for change, _ in FORGED])
def test_forged_files_are_refused(change, message, tmp_path):
    X, y = problem()
    trainer, _ = pair()
    trainer.fit(X, y, verbose=0)
    trainer.save(tmp_path / "model.npz")
    with archive.opened(tmp_path / "model.npz") as file:
        header = file.header()
        arrays = {name: file.array(name, np.dtype(float), 50 if name == "parameters" else 0) for name in archive.ARRAYS}
    header["scaling"] |= change
    archive.write(tmp_path / "forged.npz", header, arrays)
    with pytest.raises(fastbp.ModelFileError, match=message):
        Trainer.load(tmp_path / "forged.npz")
    del header["options"]["standardize"]
    archive.write(tmp_path / "forged.npz", header, arrays)
    with pytest.raises(fastbp.ModelFileError, match="standardize=True in a file with a scaling"):
        Trainer.load(tmp_path / "forged.npz")


SCALES = [  # X, y, and what the warning says
    ([[0, 16], [16, 3], [8, 9]], [[1], [2], [3]], None),
    ([[0, 255], [255, 3], [8, 9]], [[1], [2], [3]], r"X\[:, 1\] has values from about 3 to 255; .* standardize=True"),
    ([[0, 1e-9], [0.02, 0], [0, 0]], [[1], [2], [3]], "all values of X lie between 0 and 0.02; "),
    ([[0, 0], [0, 0], [0, 0]], [[0], [0], [0]], None),
    ([[0, 1], [1, 0], [1, 1]], [[5], [50], [17]], r"y\[:, 0\] has values from about 5 to 50; .* or scale y yourself"),
    ([[0, 1], [1, 0], [1, 1]], [[0.001], [0.02], [0]], "all values of y lie between 0 and 0.02; "),
    ([[0, 1], [1, 0]] * 999 + [[25, 1]], [[1]] * 1999, None),  # one outlier
]


def warnings_of(caught):
    return [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]


@pytest.mark.parametrize(("X", "y", "message"), SCALES)
def test_the_first_fit_warns_of_scale(X, y, message):
    X, y = np.array(X, float), np.array(y, float)

    def fit(trainer, *data):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            trainer.fit(*data, epochs=2, verbose=0)
        return caught

    plain = Trainer([2, 3, 1], learning_rate=1e-9)
    caught = fit(plain, X, y)
    assert len(caught) == (message is not None)
    if message:
        assert re.match(message, str(caught[0].message))
        assert caught[0].filename == __file__
    assert not fit(plain, X, y)  # a later fit doesn't
    assert not fit(Trainer([2, 3, 1], standardize=True), X, y)
    for data in ([(X, y)], Stream([(X, y)] * 3)):
        of_data = fit(Trainer([2, 3, 1], learning_rate=1e-9), data)
        assert warnings_of(of_data) == warnings_of(caught)
        assert {warning.filename for warning in of_data} <= {__file__}


@pytest.mark.parametrize("n_threads", [1, 2])
def test_many_networks_warn_once_at_the_line_of_the_call(n_threads):
    X, y = 900 * np.ones((9, 2)), np.ones((9, 1))
    trainers = [Trainer([2, 3, 1], learning_rate=1e-9) for _ in range(6)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_many(trainers, X, y, verbose=0, n_threads=n_threads)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert "X[:, 0] has values" in str(caught[0].message)


def test_the_warning_names_the_column_and_the_targets_that_count():
    frame = pandas.DataFrame({"rooms": [1.0, 2, 3], "price": [1e5, 2e5, 3e5]})
    with pytest.warns(UserWarning, match=r"X\[:, 1\] \('price'\) has values from about 1e\+05 to 3e\+05"):
        Trainer([2, 1], learning_rate=1e-20).fit(frame, [1, 2, 3], verbose=0)
    Trainer([2, 1], loss="poisson").fit([[0, 1], [1, 0]], [90, 12], verbose=0)  # e^z reaches them
    with pytest.warns(UserWarning, match="output activation 'sigmoid' gives only"):
        Trainer([2, 1], output_activation="sigmoid").fit([[0, 1], [1, 0]], [50, 12], verbose=0)
