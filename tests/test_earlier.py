"""Pickles and model files that earlier commits wrote, each in a zip that is named after its commit."""

from __future__ import annotations

import pickle
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

import fastbp
from fastbp import Trainer
from fastbp._moved import MOVED

ZIPS = sorted((Path(__file__).parent / "earlier").glob("*.zip"))
KINDS = {
    "callbacks": list,
    "ensemble": fastbp.Ensemble,
    "explanation": fastbp.explanation.Explanation,
    "outcomes": list,
    "parts": list,
    "range_test": fastbp.RangeTest,
    "stream": fastbp.Stream,
    "sweep": fastbp.Sweep,
    "trainer": Trainer,
}


@pytest.fixture(params=ZIPS, ids=lambda path: path.stem)
def folder(request, tmp_path, monkeypatch):
    """A folder with the files of a commit, which is the current one, since a Stream names its file."""
    zipfile.ZipFile(request.param).extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(path: Path):
    return pickle.loads(path.read_bytes())


def test_there_are_earlier_files():
    assert len(ZIPS) >= 2


def test_everything_pickled_is_what_it_was(folder):
    pytest.importorskip("pyarrow")
    expected = np.load("expected.npz")
    found = {name: read(folder / f"{name}.pickle") for name in KINDS}
    for name, kind in KINDS.items():
        assert type(found[name]) is kind
        assert repr(found[name])
    np.testing.assert_allclose(found["ensemble"].predict(expected["X"]), expected["ensemble"], rtol=1e-6)
    (outcome,) = found["outcomes"]
    assert (outcome.epochs, outcome.trainer.epochs_trained) == (2, 2)
    assert found["sweep"].best.epochs_trained == 1
    assert "∂J" in found["explanation"].text()
    assert len(list(found["stream"])) > 0
    assert [type(callback).__name__ for callback in found["callbacks"]] == [
        "EarlyStopping",
        "ReduceLROnPlateau",
        "Checkpoint",
        "CSVLogger",
    ]


@pytest.mark.parametrize("load", [lambda: read(Path("trainer.pickle")), lambda: Trainer.load("trainer.npz")])
def test_a_training_continues(folder, load):
    expected, trainer = np.load("expected.npz"), load()
    # Not to the bit: the last one depends on the level of the processor that wrote the file.
    np.testing.assert_allclose(trainer.predict(expected["X"]), expected["before"], rtol=1e-6)
    assert trainer.epochs_trained == expected["epochs"]
    assert trainer.epsilon == 0.12  # the default of that time
    trainer.fit(expected["X"], expected["y"], epochs=2, verbose=0)
    np.testing.assert_allclose(trainer.predict(expected["X"]), expected["after"], rtol=1e-5)
    trainer.save("again.npz")
    assert Trainer.load("again.npz").history == trainer.history


class Noted(Trainer):
    """A subclass of a user, as an earlier commit would have pickled it: with an attribute of its own."""

    def __setstate__(self, state):
        super().__setstate__(state | {"note": "mine"})


class OfNoted(pickle.Unpickler):
    def find_class(self, module, name):
        return Noted if name == "Trainer" else super().find_class(module, name)


def test_a_subclass_keeps_its_own_attributes_and_no_others(folder):
    trainer = OfNoted(BytesIO((folder / "trainer.pickle").read_bytes())).load()
    assert trainer.note == "mine"
    assert {name for name in vars(trainer) if name != "_table"} == {"note", "_state"}


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")  # one epoch converges nowhere
@pytest.mark.parametrize("name", ["classifier", "regressor"])
def test_an_estimator_predicts_and_learns_on(folder, name):
    pytest.importorskip("sklearn")
    expected, model = np.load("expected.npz"), read(folder / f"{name}.pickle")
    X, y = expected["X"], expected["y"]
    if name == "classifier":
        np.testing.assert_array_equal(model.predict(X), expected["classes"])
        model.partial_fit(X, y)
    model.set_params(warm_start=True, max_iter=1, early_stopping=False).fit(X, y)
    assert np.isfinite(model.loss_)


@pytest.mark.parametrize(("solver", "code"), [("sgd", 3), ("adam", 6)])
def test_the_optimizer_of_an_estimator_is_pickled_by_name(solver, code):
    pytest.importorskip("sklearn")
    from fastbp.sklearn import MLPClassifier

    X, y = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 2
    model = MLPClassifier(solver=solver, random_state=0)
    pace = model.partial_fit(X, y, classes=[0, 1])._optimizer
    assert pickle.loads(pickle.dumps(pace)) == pace
    assert isinstance(pace.__getstate__()["rule"][0], str)
    earlier = type(pace).__new__(type(pace))
    earlier.__setstate__(vars(pace) | {"rule": pace.rule._replace(code=code)})  # as earlier pickles have it
    assert earlier == pace


@pytest.mark.parametrize("name", MOVED)
def test_an_old_module_has_what_the_new_one_has(name):
    old = __import__(f"fastbp.{name}", fromlist=["*"])
    new = __import__(f"fastbp.{MOVED[name]}", fromlist=["*"])
    kinds = [kind for kind in vars(new).values() if isinstance(kind, type) and kind.__module__.startswith(new.__name__)]
    assert kinds
    assert all(getattr(old, kind.__name__) is kind for kind in kinds)
