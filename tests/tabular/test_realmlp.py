"""RealMLPClassifier and RealMLPRegressor: the recipe, what they take, what they give, and what they refuse."""

from __future__ import annotations

import pickle
import signal

import numpy as np
import pandas
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import estimator_checks_generator

from fastbp import DivergenceError, ModelFileError, tabular
from fastbp._cli.ensembles import TableError, load as load_for_commands
from fastbp._training.course import Course
from fastbp.reference import activation, softmax
from fastbp.tables import raw_columns, recognise_inputs
from fastbp.tabular import RealMLPClassifier, RealMLPRegressor, TabularClassifier
from fastbp.tabular._realmlp import RECIPES, embedded, groups_of, initialize, new_trainer
from fastbp.tabular._realmlp_base import split
from fastbp.tabular._realmlp_inputs import Features, one_hot
from fastbp.tabular._realmlp_training import BestEpoch
from tests.cases import name_of_check

N = 200
RNG = np.random.default_rng(0)
FRAME = pandas.DataFrame(
    {
        "size": RNG.normal(10, 2, N),
        "price": RNG.exponential(3, N),
        "colour": RNG.choice(["red", "blue", "pink"], N),
        "sex": RNG.choice(["f", "m"], N),
        "city": RNG.choice([f"city {i}" for i in range(12)], N),
    }
)
FRAME.loc[::17, "size"] = np.nan
FRAME.loc[::19, "colour"] = None
SIGNAL = FRAME["size"].fillna(10).to_numpy() - 10 + 2.0 * (FRAME["colour"] == "red")
NUMBERS = (5 * SIGNAL + RNG.normal(0, 0.5, N)).to_numpy()
CLASSES = np.where(SIGNAL > 0.5, "large", "small")
QUICK = {"n_epochs": 12, "hidden_layer_sizes": (24, 16), "batch_size": 32, "random_state": 0}
KINDS = {"classifier": (RealMLPClassifier, CLASSES), "regressor": (RealMLPRegressor, NUMBERS)}


def quick(kind: str, frame=FRAME, **options):
    """Return a fitted estimator."""
    estimator, y = KINDS[kind]
    return estimator(**(QUICK | options)).fit(frame, y[: len(frame)])


def answers(model, frame=FRAME):
    return model.predict_proba(frame) if hasattr(model, "predict_proba") else model.predict(frame)


@pytest.fixture(scope="module", params=KINDS)
def model(request):
    return quick(request.param)


def features_of(frame=FRAME, most=9):
    columns, _ = recognise_inputs(frame)
    raw = raw_columns(columns, frame, silent=True)
    features = Features.fit(columns, raw, most)
    return features, features.view.matrix(raw)


# The inputs


@pytest.mark.parametrize(
    ("count", "rows"),
    [
        (2, [[1], [-1], [-1]]),
        (3, [[1], [-1], [0], [0]]),
        (4, [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]),
    ],
    ids=["one", "two", "three"],
)
def test_categories_as_features(count, rows):
    assert one_hot(count).tolist() == rows


def test_numbers_come_first_then_one_hot_features_then_the_numbers_of_categories():
    features, X = features_of()
    assert (features.n_numbers, features.n_others, features.categories) == (2, 1 + 3 + 1, (13,))
    size = FRAME["size"].to_numpy()
    known = size[~np.isnan(size)]
    first, median, third = np.quantile(known, [0.25, 0.5, 0.75])
    z = (size - median) / (third - first)
    np.testing.assert_allclose(X[:, 0], np.nan_to_num(z / np.sqrt(1 + (z / 3) ** 2)), rtol=1e-6)
    assert X[:, 2].tolist() == np.isnan(size).tolist()
    assert X[:, -1].max() == 11  # no city is missing
    assert len(np.unique(X[:, -1])) == 12


def test_rare_one_hot_features_are_scaled_by_half_of_their_range():
    frame = pandas.DataFrame({"x": RNG.normal(size=N), "c": ["a", "b", "c", "d"] + ["d"] * (N - 4)})
    _, X = features_of(frame)
    assert np.unique(np.abs(X[:, 1:])).tolist() == pytest.approx([0, 2 / np.sqrt(1 + (2 / 3) ** 2)], rel=1e-6)


def test_a_missing_and_a_new_category_share_a_number():
    features, _ = features_of()
    columns, _ = recognise_inputs(FRAME)
    new = FRAME[:2].assign(city=["city 99", None])
    X = features.view.matrix(raw_columns(columns, new, silent=True))
    assert X[:, -1].tolist() == [12, 12]


def test_features_of_a_view_are_those_that_were_fitted():
    for frame in (FRAME, FRAME[["size"]], FRAME[["city"]], FRAME[["colour"]]):
        features, _ = features_of(frame)
        assert Features.of_view(features.view) == features


# The recipe


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.99])
def test_rows_that_validate_have_their_share_of_each_class(fraction):
    y = np.repeat([0, 1], [160, 40])
    trains, validates = split(y, fraction, seed=0)
    assert sorted([*trains, *validates]) == list(range(200))
    assert len(validates) == round(200 * fraction)
    assert abs((y[validates] == 1).sum() - 40 * fraction) <= 1
    assert not np.array_equal(validates, split(y, fraction, seed=1)[1])


def test_factors_are_those_of_realmlp():
    features, _ = features_of()
    recipe = RECIPES["td"][0]
    groups = groups_of(recipe, features)
    n = 2 * 4 + 5 + 8  # two numbers with PBLD, five features, an embedding
    assert groups["dense1.weight"] == pytest.approx({"learning_rate": n**-0.5, "weight_decay": n**0.5})
    assert groups["dense4.weight"] == {"learning_rate": 1 / 16, "weight_decay": 16.0}
    assert groups["scale1"] == {"learning_rate": 6.0, "weight_decay": 6.0}
    assert groups["*.bias"] == {"learning_rate": 0.1, "weight_decay": 0.0}
    assert groups["pbld.*"] == groups["*.alpha"] == {"learning_rate": 0.1, "weight_decay": 0.1}
    assert list(groups).index("pbld.*") > list(groups).index("*.bias")  # its own bias is one of PBLD
    assert groups_of(RECIPES["td-s"][0], features).keys() == {
        "*.bias",
        "scale1",
        *(f"dense{i}.weight" for i in range(1, 5)),
    }


@pytest.mark.parametrize("variant", RECIPES)
@pytest.mark.parametrize("n_classes", [None, 3], ids=["numbers", "classes"])
def test_first_weights(variant, n_classes):
    recipe = RECIPES[variant][n_classes is None]
    features, X = features_of(most=recipe.one_hot)
    trainer = new_trainer(recipe, features, n_classes, N, seed=0)
    initialize(trainer, recipe, features, X, np.random.default_rng(0))
    named = trainer.named_parameters()
    a = embedded(named, features, X)
    for i in range(1, 5):
        z = a @ named[f"dense{i}.weight"].T
        bias = named[f"dense{i}.bias"]
        if variant == "td":
            np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-4)
            assert (bias <= -z.min(axis=0) + 1e-4).all()
            assert (bias >= -z.max(axis=0) - 1e-4).all()
        elif i < 4:
            assert named[f"dense{i}.weight"].std() == pytest.approx(a.shape[1] ** -0.5, rel=0.1)
            assert bias.std() == pytest.approx(1, rel=0.2)
        else:
            assert not named["dense4.weight"].any()
            assert not bias.any()
        a = activation(z + bias, recipe.activation)
    output = z + bias if n_classes is None else softmax(z + bias)
    np.testing.assert_allclose(trainer.predict(X), output, rtol=1e-3, atol=1e-4)


def test_the_first_weights_of_a_constant_input_are_finite():
    recipe = RECIPES["td-s"][0]
    features, X = features_of(FRAME[["size"]])
    trainer = new_trainer(RECIPES["td"][1], features, None, N, seed=0)
    initialize(trainer, RECIPES["td"][1], features, np.zeros_like(X), np.random.default_rng(0))
    assert all(np.isfinite(view).all() for view in trainer.named_parameters().values())
    assert recipe.activation == "selu"


class Fake:
    """A trainer whose only parameter is the number of its epoch."""

    def __init__(self):
        self.value = np.zeros(1)

    def predict(self, X):
        return X

    def named_parameters(self):
        return {"value": self.value}


@pytest.mark.parametrize(
    ("losses", "patience", "epoch", "stops"),
    [([3, 1, 2], None, 2, []), ([3, 1, 1], None, 3, []), ([3, 1, 2, 2], 2, 2, [4]), ([float("nan"), 1], None, 2, [])],
    ids=["least", "later-of-equals", "patience", "nan"],
)
def test_the_best_epoch(losses, patience, epoch, stops):
    trainer, values = Fake(), iter(losses)
    best = BestEpoch(np.zeros(1), lambda _: next(values), patience)
    stopped = []
    for i in range(len(losses)):
        trainer.value[0] = i + 1
        if best.on_epoch_end(trainer, i + 1, {}):
            stopped.append(i + 1)
    assert (best.epoch, stopped) == (epoch, stops)
    assert best.parameters["value"].tolist() == [epoch]


# The estimators


def test_it_learns():
    train, test = FRAME[:150], FRAME[150:]
    classifier = RealMLPClassifier(n_epochs=60, batch_size=64, random_state=0).fit(train, CLASSES[:150])
    assert classifier.score(test, CLASSES[150:]) > 0.85
    regressor = RealMLPRegressor(n_epochs=60, batch_size=64, random_state=0).fit(train, NUMBERS[:150])
    assert regressor.score(test, NUMBERS[150:]) > 0.8


def test_attributes(model):
    assert model.n_iter_ == len(model.validation_losses_) == QUICK["n_epochs"]
    assert model.validation_loss_ == model.validation_losses_.min() == model.validation_losses_[model.best_epoch_ - 1]
    assert model.feature_names_in_.tolist() == list(FRAME)
    assert model.n_features_in_ == 5
    assert [column.name for column in model.columns_] == list(FRAME)
    assert model.left_out_ == {}


def test_the_network_has_the_weights_of_the_best_epoch(model):
    y = KINDS[model._kind][1]
    encoded = np.unique(y, return_inverse=True)[1] if model._kind == "classifier" else y
    _, validates = split(encoded, 0.2, int(np.random.RandomState(0).randint(2**31 - 1)))
    rows = FRAME.iloc[validates]
    if model._kind == "classifier":
        loss = -np.log(model.predict_proba(rows)[np.arange(len(rows)), encoded[validates]]).mean()
    else:
        loss = np.sqrt(((model.predict(rows) - y[validates]) ** 2).mean())
    assert loss == pytest.approx(model.validation_loss_, rel=1e-5)


def test_predictions_are_in_the_range_of_training():
    model = quick("regressor", n_epochs=3)
    far = FRAME.assign(size=1e6)
    assert NUMBERS.min() <= model.predict(far).min()
    assert model.predict(far).max() <= NUMBERS.max()


def test_probabilities_add_up_to_1_and_choose_the_class():
    model = quick("classifier")
    P = model.predict_proba(FRAME)
    np.testing.assert_allclose(P.sum(axis=1), 1, rtol=1e-12)
    assert model.predict(FRAME).tolist() == model.classes_[P.argmax(axis=1)].tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "option",
    [
        {"variant": "td-s"},
        {"n_epochs": 13},
        {"batch_size": 31},
        {"learning_rate": 0.01},
        {"hidden_layer_sizes": (24,)},
        {"validation_fraction": 0.3},
        {"types": {"size": "category"}},
        {"drop": ["size"]},
        {"random_state": 1},
    ],
    ids=lambda option: next(iter(option)),
)
def test_options_change_the_answers(kind, option):
    assert not np.array_equal(answers(quick(kind)), answers(quick(kind, **option)))


def test_the_metric_chooses_the_epoch_and_smooths_labels():
    model = quick("classifier", metric="accuracy")
    assert set(np.round(model.validation_losses_ * 40, 6)) <= set(range(41))  # of 40 rows
    assert model.trainer_._state.loss.label_smoothing == 0.1
    assert quick("classifier").trainer_._state.loss.label_smoothing == 0


def test_patience_ends_training():
    model = quick("regressor", n_epochs=200, patience=3)
    assert model.n_iter_ == model.best_epoch_ + 3 < 200


def test_verbose_prints_a_line_for_each_epoch(capsys):
    quick("regressor", verbose=1, n_epochs=2)
    assert "2/2" in capsys.readouterr().out.replace(" ", "")
    quick("regressor", n_epochs=2)
    assert capsys.readouterr().out == ""


def test_threads_do_not_change_the_answers(model):
    again = quick(model._kind, n_jobs=2)
    assert (model.trainer_._state.n_threads, again.trainer_._state.n_threads) == (1, 2)
    assert np.array_equal(answers(model), answers(again))


def test_a_seed_gives_the_same_bits(model):
    assert np.array_equal(answers(model), answers(quick(model._kind)))
    assert np.array_equal(answers(model), answers(clone(model).fit(FRAME, KINDS[model._kind][1])))


def test_rows_without_weight_are_no_rows(model):
    estimator, y = KINDS[model._kind]
    keep = np.arange(N) % 5 > 0
    part = clone(model).fit(FRAME[keep], y[keep])
    whole = estimator(**QUICK).fit(FRAME, y, sample_weight=keep * 2.0)
    np.testing.assert_allclose(answers(part), answers(whole), rtol=1e-4, atol=1e-5)


def test_weights_count(model):
    y = KINDS[model._kind][1]
    weighted = clone(model).fit(FRAME, y, sample_weight=np.where(np.arange(N) < 100, 1.0, 9.0))
    assert not np.allclose(answers(model), answers(weighted))


def test_rows_that_validate_may_be_given(model):
    y = KINDS[model._kind][1]
    other = clone(model).fit(FRAME[:150], y[:150], validation_data=(FRAME[150:], y[150:]))
    weighted = clone(model).fit(
        FRAME[:150], y[:150], validation_data=(FRAME[150:], y[150:], np.where(np.arange(50) < 5, 1.0, 0.0))
    )
    rows, codes = FRAME[150:], y[150:]
    if model._kind == "classifier":
        P = other.predict_proba(rows)
        loss = -np.log(P[np.arange(50), np.searchsorted(other.classes_, codes)]).mean()
    else:
        loss = np.sqrt(((other.predict(rows) - codes) ** 2).mean())
    assert loss == pytest.approx(other.validation_loss_, rel=1e-5)
    assert weighted.validation_loss_ != other.validation_loss_


def test_only_some_kinds_of_columns():
    for name in ("size", "colour", "city"):
        model = quick("regressor", FRAME[[name]])
        assert np.isfinite(model.predict(FRAME[[name]])).all()


def test_missing_and_new_values(model):
    new = FRAME[:3].assign(size=[np.nan, 1e9, 10], colour=[None, "black", "red"], city=[None, "Rome", "city 1"])
    with pytest.warns(UserWarning, match="city"):
        assert np.isfinite(answers(model, new)).all()


# Files


def test_files_have_the_parameters_of_the_fit(model, tmp_path):
    fitted, expected = pickle.loads(pickle.dumps(model)), model.get_params()
    fitted.set_params(hidden_layer_sizes=(9,), variant="td-s", n_epochs="many")
    fitted.save(tmp_path / "model.npz")
    loaded = type(model).load(tmp_path / "model.npz")
    assert np.array_equal(answers(loaded), answers(model))
    assert loaded.get_params() == expected


def test_pickle(model):
    assert np.array_equal(answers(pickle.loads(pickle.dumps(model))), answers(model))


def test_files(model, tmp_path):
    path = tmp_path / "model.npz"
    model.save(path)
    for loaded in (type(model).load(path), tabular.load(path)):
        assert type(loaded) is type(model)
        assert np.array_equal(answers(loaded), answers(model))
        assert loaded.get_params() == model.get_params()
        assert loaded.validation_losses_.tolist() == model.validation_losses_.tolist()
        assert (loaded.best_epoch_, loaded.n_iter_) == (model.best_epoch_, model.n_iter_)
        again = tmp_path / "again.npz"
        loaded.save(again)
        assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "option", [{"variant": "td-s"}, {"metric": "accuracy"}, {"types": {"size": "category"}}], ids=str
)
def test_files_with_options(option, tmp_path):
    model = quick("classifier", **option)
    model.save(tmp_path / "model.npz")
    loaded = RealMLPClassifier.load(tmp_path / "model.npz")
    assert np.array_equal(answers(loaded), answers(model))
    assert loaded.get_params() == model.get_params()
    assert loaded.trainer_._state.loss == model.trainer_._state.loss


def test_files_of_other_estimators(model, tmp_path):
    path = tmp_path / "model.npz"
    model.save(path)
    other = RealMLPRegressor if model._kind == "classifier" else RealMLPClassifier
    with pytest.raises(ModelFileError, match=model._kind):
        other.load(path)
    with pytest.raises(ModelFileError, match="tabular estimators"):
        TabularClassifier.load(path)
    model.trainer_.save(path)
    with pytest.raises(ModelFileError, match=r"Trainer\.load"):
        type(model).load(path)


def test_commands_refuse_the_file(tmp_path):
    quick("regressor", n_epochs=1).save(tmp_path / "model.npz")
    with pytest.raises(TableError, match=r"use it in Python, with fastbp\.tabular\.load"):
        load_for_commands(str(tmp_path / "model.npz"))


def spoil(header, key, value):
    """Return a header with another value at a place such as "network.scale1.scale"."""
    name, _, rest = key.partition(".")
    header[name] = header[name] | {rest: value} if rest else value
    return header


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("network.scale1.scale", np.ones(3, np.float32)),
        ("network.dense1.weight", np.ones((24, 3), np.float32)),
        ("network.more", np.ones(3, np.float32)),
        ("network.dense2.bias", np.full(16, np.nan, np.float32)),
        ("network.dense2.bias", 3),
        ("parameters.hidden_layer_sizes", [24, 1 << 40]),
        ("parameters.hidden_layer_sizes", []),
        ("parameters.variant", "huge"),
        ("best_epoch", 13),
        ("view", []),
        ("columns", []),
        ("classes", None),
        ("transform", {}),
        ("smoothing", 2.0),
        ("version", 2),
        ("format", "fastbp tabular"),
        ("format", np.zeros(0)),
        ("features", 0),
        ("validation_losses", np.ones((2, 2))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_spoiled_files_are_refused(key, value, tmp_path, monkeypatch):
    from fastbp._files import archive

    written, path = archive.write_nested, tmp_path / "model.npz"
    model = quick("classifier", n_epochs=1)
    monkeypatch.setattr(archive, "write_nested", lambda path, header: written(path, spoil(dict(header), key, value)))
    model.save(path)
    for load in (RealMLPClassifier.load, tabular.load):
        with pytest.raises(ModelFileError):
            load(path)


# What is refused


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"variant": "big"}, "variant"),
        ({"n_epochs": 0}, "n_epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"hidden_layer_sizes": ()}, "hidden_layer_sizes"),
        ({"hidden_layer_sizes": (8, 0)}, "hidden_layer_sizes"),
        ({"hidden_layer_sizes": (8, 2.5)}, "hidden_layer_sizes"),
        ({"validation_fraction": 0.0}, "validation_fraction"),
        ({"patience": 0}, "patience"),
        ({"types": {"size": "colour"}}, "types"),
        ({"drop": ["nothing"]}, "drop"),
        ({"drop": list(FRAME)}, "X"),
        ({"metric": "r2"}, "metric"),
        ({"n_jobs": 0}, "n_jobs"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_options(options, match):
    with pytest.raises(ValueError, match=match):
        quick("classifier", **options)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="two or more classes"):
        RealMLPClassifier().fit(FRAME, ["a"] * N)


def test_a_new_class_in_validation_data_is_refused():
    with pytest.raises(ValueError, match=r"validation_data\[1\]: .*'c', which fit did not see"):
        RealMLPClassifier(**QUICK).fit(FRAME, CLASSES, validation_data=(FRAME[:2], ["large", "c"]))


def test_validation_data_without_weight_is_refused():
    with pytest.raises(ValueError, match=r"validation_data\[2\]: .*non-zero"):
        RealMLPClassifier(**QUICK).fit(FRAME, CLASSES, validation_data=(FRAME[:2], CLASSES[:2], [0, 0]))


def test_a_fit_that_fails_changes_nothing():
    model = quick("classifier", n_epochs=2)
    before, P = dict(vars(model)), answers(model)
    model.set_params(drop=["nothing"])
    with pytest.raises(ValueError, match="drop"):
        model.fit(FRAME[["size"]], np.arange(N) % 3)
    assert vars(model) == before | {"drop": ["nothing"]}
    assert np.array_equal(answers(model), P)
    fresh = RealMLPClassifier(drop=["nothing"])
    with pytest.raises(ValueError, match="drop"):
        fresh.fit(FRAME, CLASSES)
    with pytest.raises(NotFittedError):
        fresh.predict(FRAME)


def interrupt_after(epochs: int, monkeypatch) -> None:
    """Let Ctrl-C come when so many epochs are done."""
    call, measure = Course.call, BestEpoch.on_epoch_end

    def called(course, seconds=0.001):
        call(course, 1e-4)
        if course.epochs_done >= epochs:
            signal.raise_signal(signal.SIGINT)

    def measured(best, trainer, epoch, values):
        if epoch > epochs:
            signal.raise_signal(signal.SIGINT)
        return measure(best, trainer, epoch, values)

    monkeypatch.setattr(Course, "call", called)
    monkeypatch.setattr(BestEpoch, "on_epoch_end", measured)


@pytest.mark.parametrize("metric", ["log_loss", "accuracy"])
def test_ctrl_c_keeps_the_best_epoch(metric, tmp_path, monkeypatch):
    interrupt_after(3, monkeypatch)
    with pytest.warns(UserWarning, match="interrupted_ is True"):
        model = quick("classifier", n_epochs=10_000, metric=metric)
    assert model.interrupted_
    assert 3 <= model.n_iter_ < 10_000
    assert model.validation_loss_ == model.validation_losses_.min()
    monkeypatch.undo()
    model.save(tmp_path / "model.npz")
    loaded = tabular.load(tmp_path / "model.npz")
    assert loaded.interrupted_
    assert np.array_equal(answers(loaded), answers(model))
    assert not quick("classifier", n_epochs=2).interrupted_


@pytest.mark.parametrize("metric", ["log_loss", "accuracy"])
def test_ctrl_c_before_an_epoch_changes_nothing(metric, monkeypatch):
    interrupt_after(0, monkeypatch)
    monkeypatch.setattr(Course, "best_epoch", property(lambda course: -1))
    model = RealMLPClassifier(**QUICK, metric=metric)
    with pytest.raises(KeyboardInterrupt):
        model.fit(FRAME, CLASSES)
    with pytest.raises(NotFittedError):
        model.predict(FRAME)


def test_divergence_is_told():
    with pytest.raises(DivergenceError, match="try a smaller learning_rate"):
        quick("regressor", learning_rate=1e30)


@pytest.mark.parametrize("method", ["predict", "save"])
def test_before_fit(method):
    with pytest.raises(NotFittedError):
        getattr(RealMLPRegressor(), method)(FRAME)


# scikit-learn's own checks

CHECKED = {"n_epochs": 8, "hidden_layer_sizes": (16,), "batch_size": 16, "random_state": 0}
WEIGHTS = {
    "check_sample_weight_equivalence_on_dense_data": "a row with weight 2 is in one batch, two equal rows may be in two"
}
CHECKS = [
    pair
    for kind in (RealMLPClassifier, RealMLPRegressor)
    for pair in estimator_checks_generator(kind(**CHECKED), expected_failed_checks=WEIGHTS, mark="skip")
]


@pytest.mark.filterwarnings("ignore")  # theirs, of what they do on purpose
@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=name_of_check)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
