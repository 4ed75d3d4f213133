"""Several processes that train one network: the weights of one process, errors on one rank, and a kill of one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from fastbp import Trainer, distributed
from fastbp.__main__ import main
from tests import ranks
from tests.stress._mpi import ENVIRONMENT, MISSING, ROOT

MPI = pytest.mark.skipif(bool(MISSING), reason=f"no {' and no '.join(MISSING)} on this machine")
START = """
import sys, numpy as np
from mpi4py import MPI
from fastbp import Trainer, Callback, Checkpoint, EarlyStopping, Stream
comm = MPI.COMM_WORLD
rng = np.random.default_rng(0)
X, y = rng.normal(size=(203, 20)).astype("f"), rng.integers(0, 5, 203)
def trainer(**options):
    return Trainer([20, 40, 5], loss="cross_entropy", **{"batch_size": 32, "seed": 1, "comm": comm} | options)
"""


def job(n: int, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["mpiexec", "-n", str(n), sys.executable, "-W", "error", "-c", START + code, *arguments]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=100, check=False, cwd=ROOT)


def together(n: int, names: Iterable[str], folder: Path) -> dict[str, str]:
    """What the ranks say of each check: "passed", or how it failed."""
    found: dict[str, str] = {}
    left = list(names)
    while left:
        run = folder / f"from {len(found)}"
        run.mkdir()
        command = ["mpiexec", "-n", str(n), sys.executable, "-W", "error", "-m", "tests.ranks", str(run), *left]
        done = subprocess.run(
            command, env=ENVIRONMENT, capture_output=True, text=True, timeout=100, check=False, cwd=ROOT
        )
        lines = [list(map(json.loads, path.read_text("utf-8").splitlines())) for path in sorted(run.glob("*.jsonl"))]
        begun = max((dict.fromkeys(name for name, _ in rank) for rank in lines), key=len, default={})
        assert begun, done.stderr
        for name in begun:
            said = [what for rank in lines for check, what in rank if check == name and what != "begun"]
            failed = [what for what in said if what != "passed"] + [done.stderr] * (len(said) < n)
            found[name] = "\n".join(failed) or "passed"
        left = [name for name in left if name not in found]  # after a failure the others go on in another job
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("two")


@pytest.fixture(scope="module")
def two(folder) -> dict[str, str]:
    return together(2, ranks.FOR_TWO, folder)


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> dict[str, str]:
    return together(3, ranks.FOR_ANY_NUMBER, tmp_path_factory.mktemp("three"))


@MPI
@pytest.mark.parametrize("name", ranks.FOR_TWO)
def test_two_ranks(name, two):
    """The checks of tests/ranks.py."""
    assert two[name] == "passed", two[name]


@MPI
@pytest.mark.parametrize("name", ranks.FOR_ANY_NUMBER)
def test_three_ranks(name, three):
    assert three[name] == "passed", three[name]


def test_a_shard_is_not_enough_for_everything():
    X, y = np.ones((9, 2)), np.arange(9) % 2
    for options, message in (
        ({"validation_split": 0.5}, "validation_split: expected nothing with sharded=True"),
        ({"class_weight": "balanced"}, "class_weight: expected a dict, because sharded=True"),
        ({"metrics": "accuracy"}, "metrics: expected validation_data to measure, because sharded=True"),
        ({"sharded": 1}, "sharded: expected True or False"),
        ({"sample_weight": np.zeros(9)}, "sample_weight: expected a number > 0 among the weights, got only 0"),
        ({"class_weight": {0: 0, 1: 0}}, "class_weight: expected a weight > 0 for some sample, got only 0"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            Trainer([2, 2], loss="cross_entropy").fit(X, y, **{"sharded": True} | options, verbose=0)
    with pytest.raises(ValueError, match="X: expected an array, because sharded=True, got an iterable of batches"):
        Trainer([2, 2], loss="cross_entropy").fit([(X, y)], sharded=True, verbose=0)
    alone, sharded = (Trainer([2, 2], seed=0, loss="cross_entropy") for _ in "12")
    alone.fit(X, y, verbose=0)
    sharded.fit(X, y, class_weight={}, sharded=True, verbose=0)
    np.testing.assert_array_equal(alone.weights[0], sharded.weights[0])


@MPI
def test_an_error_of_one_rank_ends_the_job():
    done = job(2, "t = trainer()\nif comm.rank: t._state.engine.part = None\nt.fit(X, y, verbose=0)")
    assert done.returncode != 0
    assert "fastbp: rank 1 of 2 failed, so the job ends: TypeError" in done.stderr


@MPI
def test_after_a_kill_the_checkpoint_is_whole_and_training_goes_on(tmp_path):
    path, whole = tmp_path / "last.npz", tmp_path / "whole.npz"
    code = """
import os, signal
def train(path, kills):
    t = trainer() if not os.path.exists(path) else Trainer.load(path, comm=comm)
    while t.epochs_trained < 6:
        if kills and t.epochs_trained == 3 and comm.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        t.fit(X, y, verbose=0, callbacks=Checkpoint(path))
"""
    done = job(2, f"{code}train({str(path)!r}, True)")
    assert done.returncode != 0
    assert "signal 9" in done.stderr + done.stdout
    assert Trainer.load(path).epochs_trained == 3
    done = job(2, f"{code}for path in sys.argv[1:]: train(path, False)", str(path), str(whole))
    assert done.returncode == 0, done.stderr
    for got, expected in zip(Trainer.load(path).get_weights(), Trainer.load(whole).get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.nightly
@MPI
def test_two_kills_at_random_moments():
    command = [sys.executable, "-m", "tests.stress.killed_ranks", "--count=2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(r"2 kills, \d in the middle .* 0 failed; the last job came to its end\n", done.stdout)


@MPI
def test_the_command_line(two, folder, tmp_path, monkeypatch):
    """Two ranks train the model of one process, and end together if something is wrong."""
    assert two["command line"] == "passed"
    (path,) = folder.glob("*/shared.npz")
    monkeypatch.chdir(tmp_path)
    command = ["train", str(path.with_name("data.npz")), "--seed=1", "--out=model.npz", "--epochs=5", "--resume"]
    assert main([*command, "--quiet"]) == 0
    shared, alone = Trainer.load(path), Trainer.load("model.npz")
    assert shared.epochs_trained == alone.epochs_trained == 5
    for got, expected in zip(shared.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)
    job = ["mpiexec", "-n", "2", sys.executable, "-m", "fastbp", *command, "--hidden=4"]
    other = subprocess.run(job, env=ENVIRONMENT, capture_output=True, text=True, timeout=100, check=False)
    assert other.returncode == 2
    assert "to continue this training, use the same layer_sizes" in other.stderr


def test_what_is_no_communicator_is_refused():
    with pytest.raises(
        TypeError, match=r"comm: expected None or a communicator of mpi4py, such as MPI.COMM_WORLD, got 4"
    ):
        Trainer([2, 1], comm=4)


def test_a_job_without_mpi4py_is_told_what_to_install(monkeypatch):
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ImportError, match=r"pip install 'fastbp\[mpi\]'"):
        distributed.communicator()
