"""How parameters are trained: groups, frozen ones, the moving average, schedules of factors, and short last batches."""

from __future__ import annotations

import copy
import math
import pickle
import threading

import numpy as np
import pytest

from fastbp import EarlyStopping, Stream, Sweep, Trainer, fit_many, optimizers
from fastbp._engine.graph_engine import GraphEngine
from fastbp.layers import PBLD, BatchNorm, Dense, Inputs, LayerNorm, Residual, Scale
from fastbp.schedules import Cosine, CosLog, FlatCosine, Schedule

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(53, 3)), rng.normal(size=(53, 2))
LAYERS = [3, Dense(6, "mish", dropout=0.25, parametric=True), Scale(), Residual(5), 2]
OPTIONS = {"seed": 1, "dtype": "float64", "batch_size": 16, "optimizer": optimizers.AdamW(0.02, weight_decay=0.1)}
EVERYTHING = OPTIONS | {
    "parameter_groups": {"*.bias": {"learning_rate": 0.5, "weight_decay": 0.25}, "scale1": {"learning_rate": 6}},
    "frozen": ["residual1.dense2"],
    "ema": 0.75,
    "drop_last": True,
    "dropout_schedule": "flat_cosine",
    "weight_decay_schedule": FlatCosine(),
    "schedule": "coslog4",
}


def fitted(layers=LAYERS, epochs=6, **options) -> Trainer:
    trainer = Trainer(layers, **OPTIONS | options)
    trainer.fit(X, Y, epochs=epochs, verbose=0)
    return trainer


def assert_same(trainer: Trainer, other: Trainer) -> None:
    for name, array in trainer.named_parameters().items():
        np.testing.assert_array_equal(array, other.named_parameters()[name], name)
    np.testing.assert_array_equal(trainer.network.trained, other.network.trained)
    assert trainer.history == other.history


REFUSED = {
    message: options
    for options, message in [
        ({"parameter_groups": [1]}, r"parameter_groups: expected a dict .* got \[1\] \(list\)"),
        ({"parameter_groups": {"*": 2}}, "parameter_groups: expected a dict .* got {'.': 2}"),
        ({"parameter_groups": {"*": {}}}, "parameter_groups: expected a dict .* got {'.': {}}"),
        ({"parameter_groups": {"*": {"lr": 1}}}, r"parameter_groups\['\*'\]: expected one of 'learning_rate', 'weigh"),
        ({"parameter_groups": {"*": {"learning_rate": -1}}}, r"parameter_groups\['\*'\]: expected a finite number ≥ 0"),
        (
            {"parameter_groups": {"dense9": {"learning_rate": 1}}},
            "parameter_groups: expected a pattern that matches some",
        ),
        (
            {"frozen": "dense9.*"},
            r"frozen: expected a pattern that matches some of dense1.weight, dense1.bias, .*'dense9",
        ),
        ({"frozen": [1]}, "frozen: expected a name or a pattern"),
        ({"frozen": 1}, "frozen: expected a name or .* of them, got 1"),
        ({"ema": 1}, r"ema: expected a number in \[0, 1\), got 1"),
        ({"drop_last": 1}, "drop_last: expected True or False, got 1"),
        ({"dropout_schedule": "cosinus"}, "dropout_schedule: expected one of .*did you mean 'cosine'"),
        ({"dropout_schedule": lambda epoch: 1.0}, "dropout_schedule: expected None, one of"),
        ({"dropout_schedule": Cosine}, "the class Cosine; write Cosine"),
        ({"dropout_schedule": "cosine", "layer_sizes": [3, 4, 2]}, "dropout_schedule: expected None, because no layer"),
        ({"weight_decay_schedule": "cosine", "optimizer": "adam"}, "weight_decay_schedule: expected None, because the"),
        ({"parameter_groups": {"*": {"weight_decay": 1}}, "optimizer": "sgd"}, "expected no weight_decay, because the"),
        ({"optimizer": "lbfgs"}, "optimizer: expected one that trains in batches with layers, got 'lbfgs'"),
        ({"optimizer": "lbfgs", "layer_sizes": [3, 2], "ema": 0.5}, "optimizer: expected one that trains in batches"),
        ({"dropout": 0.5}, "dropout: expected nothing with layers, which have their own"),
        ({"activation": ["tanh", "relu"]}, "activation: expected one name, which all layers without an activation"),
        (
            {"output_activation": "tanh", "layer_sizes": [3, Dense(2, "sigmoid")]},
            "output_activation: expected 'auto' or",
        ),
        (
            {"loss": "cross_entropy", "layer_sizes": [3, Dense(2, "relu")]},
            "output_activation: expected 'auto' or 'soft",
        ),
        ({"loss": "cross_entropy", "layer_sizes": [3, Dense(1)]}, "layer_sizes: expected two or more outputs"),
    ]
}


@pytest.mark.parametrize("message", REFUSED)
def test_options_that_are_refused(message):
    with pytest.raises((ValueError, TypeError), match=message):
        Trainer(**{"layer_sizes": LAYERS} | REFUSED[message])


def test_without_options_a_plain_network_is_as_it_was():
    assert not isinstance(
        Trainer([3, 4, 2], frozen=(), parameter_groups={}, drop_last=False)._state.engine, GraphEngine
    )
    assert isinstance(Trainer([3, 4, 2], frozen="dense1")._state.engine, GraphEngine)


def test_a_list_of_dense_layers_learns_as_a_plain_network():
    layers = [Inputs(3), Dense(6, dropout=0.5), Dense(5, "relu", dropout=0.25), 2]
    trainer = fitted(layers)
    plain = fitted([3, 6, 5, 2], dropout=[0.5, 0.25], activation=["tanh", "relu"])
    for theta, expected in zip(trainer.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(theta, expected, rtol=1e-9)


def test_factors_of_plain_descent_scale_each_step():
    options = {"optimizer": optimizers.SGD(0.5, weight_decay=0.25), "batch_size": 100}
    groups = {"dense*": {"learning_rate": 2}, "dense1.bias": {"learning_rate": 0.5, "weight_decay": 3}}
    trainer = Trainer([3, 4, 2], **OPTIONS | options, parameter_groups=groups)
    before, slope = trainer.get_weights(), trainer.gradients(X, Y).named
    trainer.train_on_batch(X, Y)
    rates, decays = {"dense1.bias": 0.5}, {"dense1.bias": 3.0, "dense2.bias": 0.0}
    for theta, (name, now) in zip(before, trainer.named_parameters().items(), strict=True):
        eta = 0.5 * rates.get(name, 2.0)
        expected = theta * (1 - eta * 0.25 * decays.get(name, 1.0)) - eta * slope[name]
        np.testing.assert_allclose(now, expected, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", optimizers.AdamW(weight_decay=0.5)], ids=str)
@pytest.mark.parametrize("layers", [[3, 6, 5, 2], LAYERS], ids=["plain", "layers"])
def test_frozen_parameters_stay(layers, optimizer):
    options = {"optimizer": optimizer, "learning_rate": 0.05}
    start, trainer = Trainer(layers, **OPTIONS | options), fitted(layers, frozen=["dense1", "*.bias"], **options)
    for name, array in trainer.named_parameters().items():
        is_same = np.array_equal(array, start.named_parameters()[name])
        assert is_same == (name.startswith("dense1") or name.endswith(".bias")), name


@pytest.mark.parametrize("layers", [[3, 6, 2], LAYERS], ids=["plain", "layers"])
def test_frozen_parameters_have_no_gradient(layers):
    trainer, free = (Trainer(layers, **OPTIONS, l2=0.5, l1=0.25, frozen=frozen) for frozen in ("dense1", ()))
    named, expected = trainer.gradients(X, Y), free.gradients(X, Y)
    assert named.loss == pytest.approx(expected.loss)
    for name, gradient in named.named.items():
        if name.startswith("dense1"):
            assert (gradient == 0).all()
        else:
            np.testing.assert_allclose(gradient, expected.named[name], rtol=1e-9)


def test_frozen_parameters_may_change_between_fits():
    trainer = fitted(frozen="dense1", ema=0.5)
    before = trainer.get_weights()
    trainer.frozen = ["*"]
    assert trainer.frozen == ("*",)
    trainer.fit(X, Y, verbose=0)
    assert all(map(np.array_equal, before, trainer.get_weights())) is False  # the average still moves
    raw = trainer.network.packed_raw()
    trainer.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(trainer.network.packed_raw(), raw)
    with pytest.raises(ValueError, match="frozen: expected a pattern that matches"):
        trainer.frozen = "nothing"
    trainer.frozen = ()
    trainer.fit(X, Y, verbose=0)
    assert (trainer.network.packed_raw() != raw).any()
    with pytest.raises(ValueError, match="frozen: expected a network with layers or with options of parameters"):
        Trainer([3, 2]).frozen = "dense1"


@pytest.mark.parametrize("layers", [[3, 6, 2], LAYERS], ids=["plain", "layers"])
def test_a_network_that_is_no_longer_frozen_goes_on_to_the_bit(layers, tmp_path):
    trainer = fitted(layers, frozen="dense1")
    trainer.frozen = ()
    trainer.save(tmp_path / "model.npz")
    loaded = Trainer.load(tmp_path / "model.npz")
    for each in (trainer, loaded):
        each.fit(X, Y, epochs=3, verbose=0)
    assert_same(trainer, loaded)
    assert (trainer.weights[0] != Trainer(layers, **OPTIONS).weights[0]).all()


def test_options_as_attributes():
    trainer = Trainer(LAYERS, **EVERYTHING)
    for name in ("parameter_groups", "ema", "drop_last", "weight_decay_schedule"):
        assert getattr(trainer, name) == EVERYTHING[name]
    assert trainer.dropout_schedule == FlatCosine()
    plain = Trainer([3, 2])
    assert (plain.parameter_groups, plain.frozen, plain.ema, plain.drop_last) == ({}, (), None, False)
    assert plain.dropout_schedule is plain.weight_decay_schedule is None


def test_the_weights_are_the_moving_average():
    seen = []
    trainer = Trainer([3, 6, 2], **OPTIONS | {"batch_size": 100}, ema=0.75)
    plain = Trainer([3, 6, 2], **OPTIONS | {"batch_size": 100})
    for _ in range(5):
        trainer.fit(X, Y, verbose=0)
        plain.fit(X, Y, verbose=0)
        seen.append(plain.get_weights())
    average = seen[0]
    for weights in seen[1:]:
        average = [0.75 * a + 0.25 * b for a, b in zip(average, weights, strict=True)]
    for theta, expected in zip(trainer.get_weights(), average, strict=True):
        np.testing.assert_allclose(theta, expected, rtol=1e-7)
    copied = Trainer([3, 6, 2], **OPTIONS)
    copied.set_weights(trainer.get_weights())
    np.testing.assert_allclose(copied.predict(X), trainer.predict(X), rtol=1e-12)
    np.testing.assert_allclose(copied.evaluate(X, Y)["loss"], trainer.evaluate(X, Y)["loss"], rtol=1e-12)


def test_training_starts_from_weights_that_were_set():
    trainer, other = Trainer([3, 6, 2], **OPTIONS, ema=0.5), Trainer([3, 6, 2], **OPTIONS | {"seed": 9}, ema=0.5)
    other.weights[0] = 2 * np.ones((6, 3))
    trainer.set_weights(other.get_weights())
    other._state.random[:] = trainer._state.random
    for each in (trainer, other):
        each.fit(X, Y, epochs=2, verbose=0)
    assert_same(trainer, other)


def test_training_goes_on_from_weights_that_were_changed():
    trainer, other = (fitted(epochs=2, ema=0.5) for _ in range(2))
    trainer.weights[0][...] *= 2  # of the average
    other.set_weights(trainer.get_weights())
    for each in (trainer, other):
        each.fit(X, Y, verbose=0)
    assert_same(trainer, other)


def test_early_stopping_goes_on_to_the_bit(tmp_path):
    def fit(trainer: Trainer, ends: int, **options) -> None:
        stopping = EarlyStopping(patience=50)
        ending = (lambda trainer, epoch, measured: epoch == ends) if ends else None
        callbacks = [stopping, ending] if ends else [stopping]
        trainer.fit(X, Y, epochs=9, validation_data=(X, -Y), callbacks=callbacks, verbose=0, **options)

    whole, half = (Trainer(LAYERS, **EVERYTHING) for _ in range(2))
    fit(whole, 0)
    fit(half, 4)  # has the best weights now, which aren't the last ones
    half.save(tmp_path / "model.npz")
    for other in (Trainer.load(tmp_path / "model.npz"), pickle.loads(pickle.dumps(half)), half):
        fit(other, 0, initial_epoch=4)
        assert_same(whole, other)


def test_a_file_from_the_middle_of_a_fit_goes_on_to_the_bit(tmp_path):
    whole = fitted(**EVERYTHING, epochs=6)
    path = tmp_path / "model.npz"
    trainer = Trainer(LAYERS, **EVERYTHING)

    def save(trainer, epoch, measured):
        if epoch == 4:
            trainer.save(path)

    trainer.fit(X, Y, epochs=6, callbacks=save, verbose=0)
    loaded = Trainer.load(path)
    loaded.fit(X, Y, epochs=6, initial_epoch=4, verbose=0)
    assert_same(whole, loaded)


def test_the_best_weights_are_those_of_the_average():
    for metrics in ((), "mae"):  # in the kernel, and in Python
        trainer = Trainer([3, 6, 2], **OPTIONS, ema=0.5)
        trainer.fit(X, Y, epochs=9, metrics=metrics, validation_data=(X, -Y), callbacks=EarlyStopping(), verbose=0)
        assert trainer.evaluate(X, -Y)["loss"] == min(trainer.history["val_loss"])


@pytest.mark.parametrize("n", [48, 50, 7])
def test_a_short_last_batch_is_left_out(n):
    losses = []
    for rows, drops in ((n, True), (n // 16 * 16 or n, False)):
        trainer = Trainer([3, 6, 2], **OPTIONS, shuffle=False, drop_last=drops, frozen="dense1.bias")
        losses.append(trainer.fit(X[:rows], Y[:rows], epochs=3, verbose=0)["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-13)


def test_a_short_last_batch_of_a_stream_or_of_batches():
    trainers = [Trainer([3, 6, 2], **OPTIONS, drop_last=True, shuffle=False) for _ in range(3)]
    trainers[0].fit(X, Y, epochs=3, verbose=0)
    trainers[1].fit(Stream(lambda: iter([(X[:20], Y[:20]), (X[20:], Y[20:])])), epochs=3, verbose=0)
    assert_same(*trainers[:2])
    with pytest.raises(ValueError, match="X: expected an array or a Stream, because drop_last=True"):
        trainers[2].fit([(X, Y)], verbose=0)


class Half(Schedule):
    """1 in the first epoch, ½ in the others."""

    def __call__(self, epoch, epochs):
        return np.where(np.asarray(epoch) < 1, 1.0, 0.5)


def test_weight_decay_follows_its_schedule():
    decays = {"learning_rate": 1e-9, "optimizer": optimizers.SGD(weight_decay=1e7)}  # the gradients do nothing
    trainer = Trainer([3, 6, 2], **OPTIONS | decays, weight_decay_schedule=Half())
    before = trainer.weights[0].copy()
    trainer.fit(X, Y, epochs=3, verbose=0)
    np.testing.assert_allclose(trainer.weights[0], before * 0.99**4 * 0.995**8, rtol=1e-6)


def test_dropout_follows_its_schedule():
    class Never(Schedule):
        def __call__(self, epoch, epochs):
            return np.zeros(np.shape(epoch))

    layers = [3, Dense(6, dropout=0.5), 2]
    assert_close = np.testing.assert_allclose
    assert_close(fitted(layers, dropout_schedule=Never()).predict(X), fitted([3, Dense(6), 2]).predict(X), rtol=1e-12)
    halves, plain = fitted(layers, dropout_schedule=Half()), fitted(layers)
    assert halves.history["loss"][0] == plain.history["loss"][0]
    assert halves.history["loss"][1] != plain.history["loss"][1]


def test_factors_of_the_dropout_above_1_are_refused():
    class Twice(Schedule):
        def __call__(self, epoch, epochs):
            return np.full(np.shape(epoch), 2.0)

    with pytest.raises(ValueError, match=r"dropout_schedule: expected factors in \[0, 1\], got 2"):
        fitted([3, Dense(6, dropout=0.5), 2], dropout_schedule=Twice())


def test_everything_goes_on_to_the_bit(tmp_path):
    whole = fitted(**EVERYTHING, epochs=6)
    half = Trainer(LAYERS, **EVERYTHING)
    half.fit(X, Y, epochs=6, callbacks=lambda trainer, epoch, measured: epoch == 2, verbose=0)
    half.save(tmp_path / "model.npz")
    for other in (
        Trainer.load(tmp_path / "model.npz"),
        pickle.loads(pickle.dumps(half)),
        copy.deepcopy(half),
        half,
    ):
        assert other.epochs_trained == 2
        other.fit(X, Y, epochs=6, initial_epoch=2, verbose=0)
        assert_same(whole, other)


def test_kernels_that_validate_train_as_python_does():
    trainers = [Trainer(LAYERS, **EVERYTHING) for _ in range(2)]
    for trainer, metrics in zip(trainers, ((), "mae"), strict=True):
        trainer.fit(X, Y, epochs=6, validation_data=(X[:9], Y[:9]), metrics=metrics, verbose=0)
    assert trainers[0].history["val_loss"] == trainers[1].history["val_loss"]
    np.testing.assert_array_equal(trainers[0].network.trained, trainers[1].network.trained)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_results_do_not_depend_on_the_threads(n_threads):
    assert_same(fitted(**EVERYTHING), fitted(**EVERYTHING, n_threads=n_threads))


def test_many_at_once():
    trainers = [Trainer(LAYERS, **EVERYTHING | {"seed": seed}) for seed in range(3)]
    outcomes = fit_many(trainers, X, Y, epochs=6, verbose=0)
    assert_same(fitted(**EVERYTHING, epochs=6), outcomes[1].trainer)


def test_a_trainer_takes_everything_over_from_a_copy_in_another_process():
    options = {"epochs": 9, "validation_data": (X, -Y), "callbacks": EarlyStopping(), "verbose": 0}
    trainer = Trainer([3, 6, 2], **OPTIONS, ema=0.5)
    copied = copy.deepcopy(trainer)
    copied.fit(X, Y, **options)
    trainer._state.take_over(copied._state)
    for each in (trainer, copied):
        each.fit(X, Y, verbose=0)  # from the best weights
    assert_same(trainer, copied)


def test_schedules_cover_all_rounds_of_halving():
    sweep = Sweep({"learning_rate": [0.02, 1e-9]}, layer_sizes=LAYERS, **EVERYTHING)
    sweep.fit(X, Y, epochs=6, validation_data=(X, Y), halving=2, verbose=0)
    whole = fitted(**EVERYTHING, epochs=6)
    np.testing.assert_array_equal(sweep.trainers[0].network.trained, whole.network.trained)


def test_a_divergence_goes_back():
    trainer = fitted(**EVERYTHING)
    before = trainer.network.trained.copy()
    trainer.learning_rate = 1e200
    with pytest.raises(ArithmeticError, match="diverged"):
        trainer.fit(X, Y, epochs=3, verbose=0)
    np.testing.assert_array_equal(trainer.network.trained, before)


def test_the_test_of_rates_leaves_everything_as_it_is():
    trainer = fitted(**EVERYTHING)
    before = trainer.network.trained.copy()
    assert math.isfinite(trainer.find_learning_rate(X, Y, steps=20).suggestion)
    np.testing.assert_array_equal(trainer.network.trained, before)


def test_cycles_of_a_schedule():
    with pytest.raises(ValueError, match="cycles: expected an integer from 1 to 30, got 31"):
        CosLog(31)


class World:
    """What the ranks of a job share: here they are threads."""

    def __init__(self, size: int) -> None:
        self.size, self.barrier, self.values = size, threading.Barrier(size), [None] * size


class Comm:
    """The methods of mpi4py's communicator that fastbp calls."""

    def __init__(self, world: World, rank: int) -> None:
        self.world, self.rank = world, rank

    def Get_rank(self):
        return self.rank

    def Get_size(self):
        return self.world.size

    def allgather(self, value):
        self.world.values[self.rank] = value
        self.world.barrier.wait(60)
        values = list(self.world.values)
        self.world.barrier.wait(60)
        return values

    gather = lambda self, value, root=0: self.allgather(value)  # noqa: E731
    bcast = lambda self, value, root=0: self.allgather(value)[root]  # noqa: E731

    def Bcast(self, array, root=0):
        array[...] = self.bcast(array.copy(), root)

    def Allreduce(self, _, array):
        array[...] = sum(self.allgather(array.copy()))

    def Abort(self, code):
        self.world.barrier.abort()


@pytest.mark.parametrize("drop_last", [True, False])
def test_ranks_that_share_each_batch_train_as_one(drop_last):
    layers = [Inputs(2, [3]), PBLD(3, 4), LayerNorm(), *LAYERS[1:]]
    X_and_codes = np.concatenate([X[:, :2], np.arange(53)[:, None] % 3], axis=1)
    options = {"epochs": 4, "validation_data": (X_and_codes, Y), "verbose": 0}
    one = Trainer(layers, **EVERYTHING | {"drop_last": drop_last})
    one.fit(X_and_codes, Y, **options)
    world, trained = World(2), [None, None]

    def train(rank: int) -> None:
        trainer = Trainer(layers, **EVERYTHING | {"drop_last": drop_last}, comm=Comm(world, rank), n_threads=1)
        trainer.fit(X_and_codes, Y, **options)
        trained[rank] = trainer

    threads = [threading.Thread(target=train, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose(trained[0].network.trained, one.network.trained, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(trained[0].network.trained, trained[1].network.trained)
    np.testing.assert_allclose(trained[0].history["loss"], one.history["loss"], rtol=1e-9)
    np.testing.assert_allclose(trained[1].history["val_loss"], one.history["val_loss"], rtol=1e-9)


@pytest.mark.parametrize(
    ("layers", "message"),
    [([3, BatchNorm(), 2], "None with batch norm"), ([Inputs(2, [3], sparse=True), 2], "None with sparse=True")],
    ids=["batch norm", "sparse"],
)
def test_layers_that_ranks_cannot_share(layers, message):
    class Two(Comm):
        def allgather(self, value):
            return [value, value]

    with pytest.raises(ValueError, match=f"comm: expected {message}"):
        Trainer(layers, comm=Two(World(2), 0))


def test_samples_of_one_rank_do_not_go_with_drop_last():
    class Two(Comm):
        def allgather(self, value):
            return [value, value]

    trainer = Trainer([3, 2], drop_last=True, comm=Two(World(2), 0))
    with pytest.raises(ValueError, match="sharded: expected False with drop_last=True"):
        trainer._intake.training(
            X, Y, (), None, None, steps=None, epochs=1, validation_data=None, validation_split=0, sharded=True
        )
