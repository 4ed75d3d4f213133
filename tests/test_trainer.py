"""What a Trainer does with good input; test_checks.py has the bad."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import textwrap
import time
import tracemalloc

import numpy as np
import pandas
import pytest

from fastbp import DivergenceError, Trainer

from .cases import DTYPES


def problem(n=50, columns=5, outputs=2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n, columns))
    return X, np.tanh(X @ rng.normal(size=(columns, outputs)))


def all_parameters(trainer):
    return np.concatenate([part.ravel() for part in trainer.weights + trainer.biases])


# The method's promises


@pytest.mark.parametrize("dtype", DTYPES)
def test_xor_is_learnt_from_2_2_1(xor, dtype):
    learnt = 0
    for seed in range(10):  # of ten starts some end in the well-known local minimum
        trainer = Trainer(
            [2, 2, 1], output_activation="sigmoid", learning_rate=5, batch_size=4, epsilon=1, seed=seed, dtype=dtype
        )
        trainer.fit(*xor, epochs=3000, verbose=0)
        learnt += (trainer.predict_classes(xor[0]) == xor[1]).all() and trainer.evaluate(*xor)["loss"] < 0.01
    assert learnt >= 5


def test_equal_weights_keep_the_units_of_a_layer_equal():
    X, y = problem()
    trainer = Trainer([5, 4, 3, 2], seed=0)
    for theta, b in zip(trainer.weights, trainer.biases, strict=True):
        theta[...] = b[...] = 0.1
    trainer.fit(X, y[:, [0, 0]], epochs=20, verbose=0)
    for theta, b in zip(trainer.weights, trainer.biases, strict=True):
        np.testing.assert_allclose(theta, np.broadcast_to(theta[:1], theta.shape), rtol=1e-5)
        np.testing.assert_allclose(b, b[0], rtol=1e-5)
    assert not np.allclose(trainer.weights[0], 0.1)  # it did learn


def test_random_weights_break_the_symmetry():
    X, y = problem()
    trainer = Trainer([5, 4, 3, 2], seed=0)
    trainer.fit(X, y[:, [0, 0]], epochs=20, verbose=0)
    assert np.ptp(trainer.weights[0], axis=0).min() > 0.01


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("epsilon", [0.12, 0.1, 1.7, 0])
def test_first_weights_are_uniform_in_epsilon(dtype, epsilon):
    trainer = Trainer([100, 90, 80], epsilon=epsilon, dtype=dtype, seed=0)
    values = all_parameters(trainer).astype(np.float64)
    assert np.abs(values).max() <= epsilon
    assert np.abs(values).max() >= 0.999 * epsilon
    assert abs(values.mean()) <= 0.02 * epsilon
    assert values.std() == pytest.approx(epsilon / np.sqrt(3), rel=0.02)
    assert np.ptp([b.mean() for b in trainer.biases]) <= 0.5 * epsilon


def test_float32_starts_where_float64_does():
    single, double = Trainer([9, 8, 7], seed=5), Trainer([9, 8, 7], seed=5, dtype="float64")
    np.testing.assert_allclose(all_parameters(single), all_parameters(double), rtol=1e-6)


def test_without_bias_the_biases_stay_zero():
    X, y = problem()
    trainer = Trainer([5, 4, 2], use_bias=False, seed=0)
    trainer.fit(X, y, epochs=5, verbose=0)
    assert not np.concatenate(trainer.biases).any()
    assert not np.concatenate(trainer.gradients(X, y).biases).any()
    before = trainer.predict(X)
    trainer.biases[1][...] = 1  # somebody's constants: used, never trained
    np.testing.assert_allclose(trainer.predict(X), before + 1, rtol=1e-5)
    trainer.fit(X, y, epochs=2, verbose=0)
    np.testing.assert_array_equal(trainer.biases[1], 1)
    assert trainer.n_parameters == 5 * 4 + 4 * 2


# Determinism


def run(seed, X, y, epochs, **options):
    trainer = Trainer([5, 4, 2], seed=seed, batch_size=7, **options)
    for e in epochs:
        trainer.fit(X, y, epochs=e, verbose=0)
    return all_parameters(trainer)


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_seed_same_result_to_the_bit_and_another_seed_another(dtype):
    X, y = problem()
    np.testing.assert_array_equal(run(3, X, y, [4], dtype=dtype), run(3, X, y, [4], dtype=dtype))
    assert (run(3, X, y, [4]) != run(4, X, y, [4])).any()


@pytest.mark.parametrize("shuffle", [True, False])
def test_twice_five_epochs_is_once_ten(shuffle):
    X, y = problem()
    np.testing.assert_array_equal(run(3, X, y, [5, 5], shuffle=shuffle), run(3, X, y, [10], shuffle=shuffle))


def test_no_seed_is_another_seed_each_time():
    assert (all_parameters(Trainer([5, 4, 2])) != all_parameters(Trainer([5, 4, 2]))).any()


def test_shuffling_is_what_differs():
    X, y = problem()
    assert (run(3, X, y, [3]) != run(3, X, y, [3], shuffle=False)).any()


def test_zero_epochs_change_nothing():
    X, y = problem()
    trainer = Trainer([5, 4, 2], seed=0)
    before = all_parameters(trainer)
    history = trainer.fit(X, y, epochs=0, metrics=["mse"])
    assert history.epochs == history["loss"] == []
    np.testing.assert_array_equal(all_parameters(trainer), before)


# Views


def test_weights_are_writable_views_of_the_articles_shape():
    trainer = Trainer([3, 2, 1], output_activation="identity", activation="identity")
    assert [theta.shape for theta in trainer.weights] == [(2, 3), (1, 2)]
    assert [b.shape for b in trainer.biases] == [(2,), (1,)]
    trainer.weights[0][...] = [[1, 2, 3], [4, 5, 6]]
    trainer.weights[1][...] = [[1, -1]]
    trainer.biases[0][...] = [10, 20]
    trainer.biases[1][...] = 0.5
    np.testing.assert_array_equal(trainer.predict([[1, 1, 1]]), [[16 - 35 + 0.5]])
    assert np.shares_memory(trainer.weights[0], trainer.weights[0])
    trainer.weights[1] = [[0, 2]]  # an item that is set is written through
    np.testing.assert_array_equal(trainer.predict([[1, 1, 1]]), [[2 * 35 + 0.5]])


def test_views_taken_before_training_see_it():
    X, y = problem()
    trainer = Trainer([5, 4, 2], seed=0)
    theta = trainer.weights[0]
    before = theta.copy()
    trainer.fit(X, y, verbose=0)
    assert (theta != before).any()
    np.testing.assert_array_equal(theta, trainer.weights[0])


# Predictions


def test_predict_shapes_and_classes():
    X, _ = problem(n=600)
    many = Trainer([5, 4, 3], loss="cross_entropy", seed=0, epsilon=2)
    assert many.predict(X).shape == (600, 3)
    np.testing.assert_allclose(many.predict(X).sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(many.predict_classes(X), many.predict(X).argmax(axis=1))
    one = Trainer([5, 4, 1], loss="binary_cross_entropy", seed=0, epsilon=2)
    np.testing.assert_array_equal(one.predict_classes(X), one.predict(X)[:, 0] > 0.5)
    labels = Trainer([5, 4, 3], loss="binary_cross_entropy", seed=0, epsilon=2)
    np.testing.assert_array_equal(labels.predict_classes(X), labels.predict(X) > 0.5)
    assert many.predict_classes(X).dtype == np.int64


@pytest.mark.parametrize("rows", [1, 2, 255, 256, 257, 600])
def test_a_prediction_does_not_depend_on_the_rows_beside_it(rows):
    X, _ = problem(n=600)
    trainer = Trainer([5, 40, 3], seed=0)
    np.testing.assert_array_equal(trainer.predict(X[:rows]), trainer.predict(X)[:rows])


# Inputs as people have them


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_form_of_X_and_y_gives_the_same(dtype):
    X = np.random.default_rng(0).integers(0, 9, (30, 4))
    y = (X.sum(axis=1) % 3).astype(np.int64)
    expected = None
    big = np.zeros((60, 8), dtype)
    big[::2, ::2] = X
    readonly = X.astype(dtype)
    readonly.flags.writeable = False
    forms = {
        "array": (X.astype(dtype), y),
        "integers": (X, y.astype(np.uint8)),
        "float16": (X.astype(np.float16), y.astype(np.float32)),
        "list": (X.tolist(), y.tolist()),
        "frame": (pandas.DataFrame(X, columns=list("abcd")), pandas.Series(y, index=range(100, 130))),
        "frame of objects": (pandas.DataFrame(X).astype(object), pandas.DataFrame({"y": y})),
        "Fortran": (np.asfortranarray(X.astype(dtype)), y[:, None]),
        "strided": (big[::2, ::2], np.repeat(y, 2)[::2]),
        "backwards": (X.astype(dtype)[::-1][::-1], y[::-1][::-1]),
        "big-endian": (X.astype(">f8"), y.astype(">i4")),
        "read-only": (readonly, y),
        "one-hot": (X, np.eye(3)[y]),
        "one-hot booleans": (X, np.eye(3)[y].astype(bool)),
    }
    for name, (X_form, y_form) in forms.items():
        trainer = Trainer([4, 5, 3], loss="cross_entropy", dtype=dtype, seed=0)
        trainer.fit(X_form, y_form, epochs=2, verbose=0)
        got = all_parameters(trainer)
        expected = got if expected is None else expected
        np.testing.assert_array_equal(got, expected, err_msg=name)


def test_y_of_one_output_may_be_flat(xor):
    X, y = xor
    results = []
    for form in (y, y[:, None], y.tolist(), pandas.Series(y)):
        trainer = Trainer([2, 2, 1], seed=0)
        trainer.fit(X, form, verbose=0)
        results.append(all_parameters(trainer))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_memmap(tmp_path):
    X, y = problem()
    path = tmp_path / "X.npy"
    np.save(path, X.astype(np.float32))
    mapped, plain = Trainer([5, 4, 2], seed=0), Trainer([5, 4, 2], seed=0)
    mapped.fit(np.load(path, mmap_mode="r"), y, verbose=0)
    plain.fit(X, y, verbose=0)
    np.testing.assert_array_equal(all_parameters(mapped), all_parameters(plain))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("read_only", [False, True])
def test_X_is_not_copied(dtype, read_only):
    """All that a fit, an evaluation and a prediction allocate is far less than X."""
    X = np.random.default_rng(0).uniform(size=(40_000, 50)).astype(dtype)
    y = X[:, :1].copy()
    X.flags.writeable = not read_only
    trainer = Trainer([50, 4, 1], dtype=dtype, seed=0)
    calls = {
        "fit": lambda: trainer.fit(X, y, epochs=2, verbose=0),
        "evaluate": lambda: trainer.evaluate(X, y),
        "predict": lambda: trainer.predict(X),
        "gradients": lambda: trainer.gradients(X, y),
    }
    for call in calls.values():
        call()  # compiled, workspace there
    for name, call in calls.items():
        tracemalloc.start()
        call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < X.nbytes / 4, name
    assert X.flags.writeable != read_only


def test_the_callers_arrays_are_never_written():
    X, y = (a.astype(np.float32) for a in problem())
    X_before, y_before = X.copy(), y.copy()
    trainer = Trainer([5, 4, 2], seed=0)
    trainer.fit(X, y, epochs=3, validation_data=(X, y), metrics=["mse"], verbose=0)
    trainer.predict(X)
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(y, y_before)


# Trouble


@pytest.mark.parametrize("options", [{}, {"metrics": "mse"}, {"verbose": 2}], ids=str)
@pytest.mark.parametrize("epochs", [1, 3, 200])
@pytest.mark.parametrize("sizes", [[5, 4, 2], [64, 96, 2]], ids=str)  # both paths through the kernels
def test_divergence_tells_the_epoch_and_what_to_try(sizes, epochs, options):
    """Also when it begins in a call of the kernel that isn't the epoch's last."""
    X = np.random.default_rng(0).normal(size=(20_000, sizes[0]))
    trainer = Trainer(sizes, activation="relu", learning_rate=1e3, batch_size=8, seed=0)
    with pytest.raises(
        DivergenceError, match=r"loss became (nan|inf) in epoch \d+; .* try a smaller learning_rate"
    ) as e:
        trainer.fit(X, X[:, :2], epochs=epochs, **{"verbose": 0, **options})
    finite = trainer.history["loss"]
    assert e.value.epoch == len(finite) + 1 == trainer.epochs_trained + 1
    assert np.isfinite(finite).all()
    assert pickle.loads(pickle.dumps(e.value)).epoch == e.value.epoch


def test_a_validation_loss_that_is_not_finite_is_divergence_too():
    X, y = problem()
    trainer = Trainer([5, 4, 2], activation="identity", seed=0)
    with pytest.raises(DivergenceError, match="the val_loss became inf in epoch 1"):
        trainer.fit(X, y, validation_data=(1e30 * X, y), epochs=3, verbose=0)


def test_targets_beyond_the_outputs_range_warn(xor):
    X, y = xor
    with pytest.warns(UserWarning, match=r"y: numbers from 0 to 3, but the output activation 'sigmoid'"):
        Trainer([2, 1], output_activation="sigmoid").fit(X, 3 * y, verbose=0)
    with pytest.warns(UserWarning, match="'tanh' gives only") as caught:
        Trainer([2, 1], output_activation="tanh").evaluate(X, 3 * y)
    with pytest.warns(UserWarning, match="'relu' gives only") as of_gradients:
        Trainer([2, 1], output_activation="relu").gradients(X, -y)
    with pytest.warns(UserWarning, match="'relu' gives only") as of_batches:
        Trainer([2, 1], output_activation="relu").fit([(X, -y)], steps=1, verbose=0)
    assert [warning.filename for warning in (*caught, *of_gradients, *of_batches)] == [__file__] * 3


SCRIPT = """
    import _thread, signal, sys, threading, time
    import numpy as np
    from fastbp import Trainer
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it may have been ignored
    X = np.random.default_rng(0).uniform(size=(100_000, 100)).astype(np.float32)
    trainer = Trainer([100, 100, 1], learning_rate=0.01, seed=0, batch_size={batch_size})
    trainer.fit(X[:100], X[:100, :1], verbose=0)
    before = trainer.weights[0].copy()
    threading.Timer(1.0, lambda: (print("interrupt", flush=True), _thread.interrupt_main())).start()
    started = time.perf_counter()
    history = trainer.fit(X, X[:, :1], epochs=100_000, verbose=0)
    seconds = time.perf_counter() - started
    assert history.interrupted and trainer.history.interrupted
    assert (trainer.weights[0] != before).any() and np.isfinite(trainer.weights[0]).all()
    assert len(trainer.history["loss"]) == 1 + len(history["loss"])
    more = trainer.fit(X[:100], X[:100, :1], verbose=0)
    assert not more.interrupted and not trainer.history.interrupted and more.epochs == [trainer.epochs_trained]
    print(f"{{seconds - 1.0:.3f}}")
"""


@pytest.mark.parametrize("batch_size", [32, 100_000])
def test_ctrl_c_keeps_what_was_learnt(batch_size):
    """In a process of its own; also where one batch takes longer than a call may."""
    script = textwrap.dedent(SCRIPT.format(batch_size=batch_size))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) < 1


def test_a_fit_returns_to_python_often():
    """So often that a callback sees it more than once within one long epoch."""
    X = np.random.default_rng(0).uniform(size=(200_000, 60)).astype(np.float32)
    trainer = Trainer([60, 60, 1], seed=0)
    times = []

    from fastbp import Callback

    class Clock(Callback):
        def on_progress(self, trainer, done):
            times.append((time.perf_counter(), done))

    trainer.fit(X, X[:, :1], epochs=2, callbacks=Clock(), verbose=0)
    done = [d for _, d in times]
    assert done == sorted(done)
    assert done[-1] == 2
    assert len(done) > 2


# Looks


def test_repr_and_summary():
    trainer = Trainer([64, 32, 10], activation="relu", loss="cross_entropy", learning_rate=0.25)
    assert repr(trainer) == (
        "Trainer([64, 32, 10], activation='relu', output_activation='softmax', loss='cross_entropy', optimizer='sgd', "
        "learning_rate=0.25, batch_size=32, dtype='float32'): 2,410 parameters, 0 epochs trained"
    )
    assert trainer.n_parameters == 64 * 32 + 32 + 32 * 10 + 10
    summary = trainer.summary()
    assert repr(summary) == summary
    assert summary.splitlines()[3].split() == ["2", "32", "relu", "32", "×", "64", "+", "bias", "2,080"]
    assert "2,410 parameters, 9,640 bytes of float32; loss cross_entropy" in summary
    assert "10 × 32  " in Trainer([64, 32, 10], use_bias=False).summary()
    assert "['relu', 'tanh']" in repr(Trainer([2, 3, 4, 1], activation=["relu", "tanh"]))


@pytest.mark.parametrize(
    ("loss", "output"),
    [("squared_error", "identity"), ("cross_entropy", "softmax"), ("binary_cross_entropy", "sigmoid")],
)
def test_auto_output_activation(loss, output):
    assert Trainer([2, 2], loss=loss).output_activation == output


def test_options_are_readable():
    trainer = Trainer([2, 3, 1], activation="tanh", seed=4, n_threads=2, shuffle=False, epsilon=0.5)
    assert trainer.layer_sizes == (2, 3, 1)
    assert trainer.activation == ("tanh",)
    assert (trainer.seed, trainer.n_threads, trainer.shuffle, trainer.epsilon) == (4, 2, False, 0.5)
    assert trainer.dtype == np.float32
    with pytest.raises(AttributeError):
        trainer.loss = "cross_entropy"
    trainer.learning_rate, trainer.batch_size = 0.01, 8
    assert (trainer.learning_rate, trainer.batch_size) == (0.01, 8)
    assert str(trainer.n_threads) == "2"


def test_learning_rate_and_batch_size_matter():
    X, y = problem()
    base = run(0, X, y, [2])
    trainer = Trainer([5, 4, 2], seed=0, batch_size=7, learning_rate=0.2)
    trainer.fit(X, y, epochs=2, verbose=0)
    assert (all_parameters(trainer) != base).any()


def from_read_only_buffers(trainer):
    buffers = []
    data = pickle.dumps(trainer, 5, buffer_callback=buffers.append)
    return pickle.loads(data, buffers=[bytes(buffer.raw()) for buffer in buffers])


CLONES = {"copy": copy.deepcopy, "pickle": lambda t: pickle.loads(pickle.dumps(t)), "buffers": from_read_only_buffers}


@pytest.mark.parametrize("clone", CLONES.values(), ids=CLONES)
def test_a_copy_goes_on_alike_and_apart(clone):
    X, y = problem()
    trainer = Trainer([5, 4, 2], seed=0)
    trainer.fit(X, y, verbose=0)
    twin = clone(trainer)
    np.testing.assert_array_equal(all_parameters(twin), all_parameters(trainer))
    twin.fit(X, y, epochs=2, verbose=0)
    assert (all_parameters(twin) != all_parameters(trainer)).any()
    trainer.fit(X, y, epochs=2, verbose=0)
    np.testing.assert_array_equal(all_parameters(twin), all_parameters(trainer))
    assert twin.network._parameters.ctypes.data % 64 == 0


def test_a_shallow_copy_shares_the_network_but_not_the_options_and_moments():
    X, y = problem()
    trainer = Trainer([5, 4, 2], optimizer="adam", seed=0, batch_size=8)
    twin = copy.copy(trainer)
    twin.learning_rate, twin.batch_size, twin.shuffle = 0.5, 50, False
    assert (trainer.learning_rate, trainer.batch_size, trainer.shuffle) == (0.001, 8, True)
    weights, expected = trainer.get_weights(), Trainer([5, 4, 2], optimizer="adam", seed=0)
    twin.train_on_batch(X, y)
    assert twin.network is trainer.network
    trainer.set_weights(weights)
    trainer.train_on_batch(X, y)
    expected.train_on_batch(X, y)
    np.testing.assert_array_equal(all_parameters(trainer), all_parameters(expected))


class WithoutLog(Trainer):
    """A subclass of a user, which has an attribute that cannot be pickled, and another in a slot."""

    __slots__ = ("slot",)

    def __getstate__(self):
        state = super().__getstate__()
        del state["log"]
        return state


@pytest.mark.parametrize("clone", [copy.copy, *CLONES.values()], ids=["shallow", *CLONES])
def test_a_subclass_chooses_which_attributes_a_copy_has(clone):
    trainer = WithoutLog([5, 4, 2], seed=0)
    trainer.log, trainer.note, trainer.slot = print, "mine", 1
    twin = clone(trainer)
    assert (trainer.log, trainer.note, twin.note) == (print, "mine", "mine")
    assert not hasattr(twin, "log")
    np.testing.assert_array_equal(all_parameters(twin), all_parameters(trainer))


def test_digits_are_learnt(digits):
    X, y, X_test, y_test = digits
    trainer = Trainer([64, 32, 10], activation="relu", loss="cross_entropy", learning_rate=0.2, seed=0)
    trainer.fit(X, y, epochs=60, verbose=0)
    assert trainer.evaluate(X_test, y_test, metrics=["accuracy"])["accuracy"] >= 0.95


def test_no_metrics_and_no_callbacks_may_be_None():
    X, y = problem()
    trainer = Trainer([5, 4, 2], seed=0)
    assert set(trainer.fit(X, y, metrics=None, callbacks=None, verbose=0)) == {"loss"}
    assert set(trainer.evaluate(X, y, None)) == {"loss"}


def test_weights_may_change_places():
    trainer = Trainer([3, 3, 3], seed=0)
    first, second = (theta.copy() for theta in trainer.weights)
    trainer.set_weights([trainer.weights[1], trainer.biases[0], trainer.weights[0], trainer.biases[1]])
    np.testing.assert_array_equal(trainer.weights[0], second)
    np.testing.assert_array_equal(trainer.weights[1], first)
