"""Files of tabular estimators: they keep everything, hold no code, and are checked."""

from __future__ import annotations

import errno
import json
import random
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeRegressor

from fastbp import ModelFileError, Trainer, tabular
from fastbp._files import archive
from fastbp.tabular import TabularClassifier, TabularRegressor
from fastbp.tabular._configurations import Configuration
from fastbp.tabular._networks import NetworkMember
from tests.stress import mutated_ensembles as stress
from tests.stress._mutations import MUTATIONS

OPTIONS = {"max_seconds": None, "n_networks": 8, "cv": 2, "n_jobs": 1, "random_state": 3}
X, Y, CODES = stress.table()
NEW = pd.concat([X[:5], pd.DataFrame({"size": [9.0], "price": [1e9], "colour": ["black"], "day": [pd.NaT]})])
pytestmark = pytest.mark.filterwarnings("ignore:column:UserWarning")


@pytest.fixture(scope="module")
def regressor():
    return TabularRegressor(**OPTIONS, drop=["size"], metric="mae").fit(X, Y)


@pytest.fixture(scope="module")
def classifier():
    return TabularClassifier(**OPTIONS, types={"size": "number"}).fit(X, CODES)


@pytest.fixture(scope="module")
def contents(regressor, tmp_path_factory) -> bytes:
    """Return what the regressor's file has in it."""
    path = tmp_path_factory.mktemp("file") / "model.npz"
    regressor.save(path)
    return path.read_bytes()


@pytest.fixture
def saved(contents, tmp_path) -> Path:
    """Return a file of the regressor that a test may spoil."""
    path = tmp_path / "model.npz"
    path.write_bytes(contents)
    return path


def same(a, b) -> None:
    """Both give the same answers, bit for bit."""
    assert type(a) is type(b)
    methods = ["predict", "predict_std", "predict_proba" if isinstance(a, TabularClassifier) else "predict_interval"]
    for name in methods:
        np.testing.assert_array_equal(getattr(a, name)(NEW), getattr(b, name)(NEW), strict=True)
    pd.testing.assert_frame_equal(a.leaderboard(), b.leaderboard())
    pd.testing.assert_frame_equal(a.feature_importance(repeats=2), b.feature_importance(repeats=2))
    np.testing.assert_array_equal(a.explain(NEW[:2]).values, b.explain(NEW[:2]).values)
    assert str(a.explain(NEW[:1])) == str(b.explain(NEW[:1]))


@pytest.mark.parametrize("kind", ["regressor", "classifier"])
def test_everything_comes_back(kind, request, tmp_path):
    fitted = request.getfixturevalue(kind)
    fitted.save(tmp_path / "model.npz")
    loaded = tabular.load(tmp_path / "model.npz")
    same(fitted, loaded)
    assert set(vars(fitted)) - set(vars(loaded)) == {"oof_prediction_"}
    expected = fitted.get_params() | {"drop": tuple(fitted.drop)}
    assert loaded.get_params() == expected
    for name in ("columns_", "left_out_", "metric_", "interrupted_", "n_features_in_", "n_networks_"):
        assert getattr(loaded, name) == getattr(fitted, name), name
    assert loaded.feature_names_in_.tolist() == fitted.feature_names_in_.tolist()


@pytest.mark.parametrize("option", [{"pbld": 3, "sigma": 0.5}, {"scale": 5.0}, {"parametric": True}], ids=str)
def test_networks_of_layers(option, tmp_path, monkeypatch):
    chosen = Configuration(hidden=(9, 8), epochs=3, **option)
    monkeypatch.setattr("fastbp.tabular._search.proposed", lambda *_, **__: chosen)
    plain = TabularRegressor(**OPTIONS).fit(X, Y)
    fitted = next(member for member in plain.members_ if isinstance(member, NetworkMember))
    assert type(fitted.architecture.trainer(0, 1).network).__name__ != "Network"
    plain.save(tmp_path / "model.npz")
    same(plain, tabular.load(tmp_path / "model.npz"))


@pytest.mark.parametrize(
    ("metric", "y"), [("quantile:0.9", Y), (("quantile", 0.2), Y), ("poisson", Y.round()), ("r2", Y)]
)
def test_metrics_of_numbers(metric, y, tmp_path):
    fitted = TabularRegressor(**OPTIONS, metric=metric).fit(X, y)
    fitted.save(tmp_path / "model.npz")
    same(fitted, TabularRegressor.load(tmp_path / "model.npz"))


@pytest.mark.parametrize(
    "classes",
    [
        np.array(["no", "yes", "é"]),
        np.array(["no", "yes", "perhaps"], object),
        np.array([2, -(2**40), 5]),
        np.array([2, 7, 5], np.uint8),
        np.array([0.0, -4.0, 3.0]),
        np.array([True, False, True]),
        np.array([3, 2**40, 5], object),
    ],
    ids=lambda classes: str(classes.dtype),
)
def test_classes_keep_their_kind(classes, tmp_path):
    fitted = TabularClassifier(**OPTIONS | {"n_networks": 1}).fit(X[["price"]], classes[CODES])
    fitted.save(tmp_path / "model.npz")
    loaded = tabular.load(tmp_path / "model.npz")
    assert loaded.classes_.tolist() == fitted.classes_.tolist()
    assert loaded.classes_.dtype.kind == fitted.classes_.dtype.kind
    np.testing.assert_array_equal(loaded.predict(X[["price"]]), fitted.predict(X[["price"]]))


def test_a_table_without_useful_columns_and_weights(tmp_path):
    fitted = TabularRegressor(**OPTIONS).fit(np.ones((9, 2)), np.arange(9.0), sample_weight=np.arange(9))
    fitted.save(tmp_path / "model.npz")
    loaded = tabular.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.predict(np.ones((2, 2))), fitted.predict(np.ones((2, 2))))
    assert not hasattr(loaded, "feature_names_in_")
    assert loaded._sample.weights.tolist() == fitted._sample.weights.tolist()


def test_equal_arrays_are_written_once(saved, regressor):
    with zipfile.ZipFile(saved) as file:
        contents = [file.read(name) for name in file.namelist()]
    assert len(set(contents)) == len(contents)
    networks = sum(member.parameters.nbytes for member in regressor.members_ if hasattr(member, "parameters"))
    assert saved.stat().st_size < networks + 300_000


def test_members_of_scikit_learn_are_refused(tmp_path):
    alone = TabularRegressor(**OPTIONS | {"n_networks": 1}, estimators=[("tree", DecisionTreeRegressor())])
    alone.fit(np.repeat(np.arange(30.0), 4)[:, None], np.repeat(np.random.default_rng(0).normal(size=30), 4))
    assert "tree" in [member.name for member in alone.members_]
    with pytest.raises(TypeError, match=r"contains 'tree' of estimators=.* use pickle"):
        alone.save(tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())


def test_classes_that_a_file_cannot_name(tmp_path):
    days = np.array(["2020-01-01", "2021-01-01"], "M8[D]")[(CODES > 0).astype(int)]
    fitted = TabularClassifier(**OPTIONS | {"n_networks": 1}).fit(X, days)
    with pytest.raises(TypeError, match=r"classes_: expected .*use pickle, or convert them with y.astype\(str\)"):
        fitted.save(tmp_path / "model.npz")


def test_an_estimator_that_is_not_fitted(tmp_path):
    with pytest.raises(ValueError, match="not fitted"):
        TabularRegressor().save(tmp_path / "model.npz")


def test_another_kind(saved):
    with pytest.raises(ModelFileError, match=r"expected a classifier, got 'regressor'; use fastbp.tabular.load"):
        TabularClassifier.load(saved)


def test_files_of_trainers_and_of_estimators_are_told_apart(saved, tmp_path):
    Trainer([2, 1]).save(tmp_path / "trainer.npz")
    with pytest.raises(ModelFileError, match=r"a tabular estimator, got the file of a Trainer; use Trainer\.load"):
        tabular.load(tmp_path / "trainer.npz")
    with pytest.raises(ModelFileError, match=r"use fastbp\.tabular\.load"):
        Trainer.load(saved)


def test_a_missing_file_and_another_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        tabular.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(ModelFileError, match="a file that a tabular estimator's save wrote"):
        tabular.load(tmp_path / "text.npz")


def test_a_full_disk_keeps_the_old_file(saved, regressor, monkeypatch):
    before = saved.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(archive.np, "savez", full)
    with pytest.raises(OSError, match="free space"):
        regressor.save(saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["model.npz"]


def forged(path: Path, change) -> None:
    """Change the header and the arrays of a file."""
    with zipfile.ZipFile(path) as file:
        members = {name.removesuffix(".npy"): np.load(file.open(name)) for name in file.namelist()}
    header = json.loads(members.pop("header").tobytes())
    change(header, members)
    with open(path, "wb") as out:
        np.savez(out, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **members)


def block(header: dict, kind: str) -> dict:
    return next(block for view in header["views"] for block in view if block["kind"] == kind)


def network(header: dict) -> dict:
    return next(member for member in header["members"] if member["kind"] == "network")


def narrow(header: dict, arrays: dict) -> None:
    name = block(header, "lookup")["values"]["npy"]
    arrays[name] = arrays[name][:-1]


def falling(header: dict, arrays: dict) -> None:
    name = header["weights"]["npy"]
    arrays[name] = -arrays[name]


def lost_parameters(header: dict, arrays: dict) -> None:
    name = network(header)["parameters"]["npy"]
    arrays[name] = arrays[name][:, 1:]


def without_a_number(header: dict, arrays: dict) -> None:
    name = network(header)["parameters"]["npy"]
    arrays[name] = arrays[name].copy()
    arrays[name][0, 0] = np.nan


CHANGES = {
    "another version": lambda header, arrays: header.update(version=2),
    "a field more": lambda header, arrays: header.update(more=1),
    "a category without features": narrow,
    "weights below 0": falling,
    "parameters of another network": lost_parameters,
    "NaN": without_a_number,
    "a column that there isn't": lambda header, arrays: block(header, "lookup").update(column=3),
    "a negative column": lambda header, arrays: block(header, "lookup").update(column=-1),
    "another kind of block": lambda header, arrays: block(header, "lookup").update(kind="code"),
    "another view": lambda header, arrays: network(header).update(view=99),
    "no such activation": lambda header, arrays: network(header)["configuration"].update(activation="eval"),
    "a huge network": lambda header, arrays: network(header)["configuration"].update(hidden=[1 << 30, 1 << 30]),
    "no members": lambda header, arrays: header.update(members=[]),
    "another metric": lambda header, arrays: header.update(metric="log_loss"),
    "an unknown parameter": lambda header, arrays: header["parameters"].update(verbosity=1),
    "a bad parameter": lambda header, arrays: header["parameters"].update(cv="five"),
    "no array": lambda header, arrays: header.update(weights={"npy": "header"}),
    "folds": lambda header, arrays: header.update(folds=3),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_forged_file_is_refused(change, saved):
    forged(saved, change)
    with pytest.raises(ModelFileError):
        tabular.load(saved)


def test_a_file_that_is_written_again_is_loaded(saved, regressor):
    forged(saved, lambda header, arrays: None)
    np.testing.assert_array_equal(tabular.load(saved).predict(NEW), regressor.predict(NEW))


def test_a_file_of_networks_that_lacks_a_later_option_is_loaded(saved, regressor):
    def earlier(header, arrays):
        for member in header["members"]:
            assert "view" not in member.get("configuration", {})  # which may get other fields
            member.get("configuration", {}).pop("label_smoothing", None)

    forged(saved, earlier)
    np.testing.assert_array_equal(tabular.load(saved).predict(NEW), regressor.predict(NEW))


def test_overlapping_members_are_refused(saved):
    """Each would be a copy of the same bytes in memory."""
    with zipfile.ZipFile(saved) as file:
        largest = max(file.infolist(), key=lambda member: member.file_size)
        names = [member.filename for member in file.infolist()]
    with zipfile.ZipFile(saved, "a") as file:
        for i in range(9):
            copy = zipfile.ZipInfo(f"array_{len(names) - 1 + i}.npy")
            for field in ("header_offset", "file_size", "compress_size", "CRC"):
                setattr(copy, field, getattr(largest, field))
            file.filelist.append(copy)
            file.NameToInfo[copy.filename] = copy
        file._didModify = True
    with pytest.raises(ModelFileError, match=r"members of .* bytes in a file of"):
        tabular.load(saved)


@pytest.mark.parametrize("number", range(40))
def test_a_spoilt_file_is_refused_or_works(number, saved):
    chance = random.Random(number)
    saved.write_bytes(chance.choice(MUTATIONS)(saved.read_bytes(), chance))
    came, _ = stress.tried(saved)
    assert came in ("loaded", "refused")


def test_no_code_is_run(saved):
    with zipfile.ZipFile(saved) as file:
        text = b"".join(file.read(name)[:100] for name in file.namelist())
    assert not re.search(rb"'descr': '\|O'", text)


def test_sklearn_members_with_weight_0_do_not_matter(tmp_path):
    useless = ("bad", LogisticRegression(C=1e-9))
    fitted = TabularClassifier(**OPTIONS, estimators=[useless]).fit(X, CODES)
    assert "bad" not in [member.name for member in fitted.members_]
    fitted.save(tmp_path / "model.npz")
    assert tabular.load(tmp_path / "model.npz").estimators == ()
