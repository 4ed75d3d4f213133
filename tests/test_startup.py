"""Starting up: kernels found, built and announced, python -m fastbp.warmup; in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastbp
from fastbp import fit_many
from fastbp.__main__ import main
from fastbp._kernels.levels import LEVEL
from fastbp._library import announce, build, library, store
from fastbp._library.image import Image
from fastbp._training.run import Run
from fastbp.sklearn import MLPClassifier

ROOT = Path(__file__).parent.parent


def python(code: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def finished(process: subprocess.Popen) -> tuple[str, str]:
    out, err = process.communicate(timeout=110)
    assert process.returncode == 0, err
    return out, err


# In place of half a minute of compilation: a build returns the kernels that this process finds.
QUICK_BUILD = """
import sys
from fastbp._kernels.levels import LEVEL
from fastbp._library import build, store
images = {dtype: store.find(store.Kind(dtype, LEVEL.name)) for dtype in ("float32", "float64")}
built = []
def quick(dtype, level, system, kernels):
    built.append(dtype if kernels == "network" else kernels + "-" + dtype)
    return images[dtype]
build.build = quick
store._folder_of_package = lambda: "/nowhere"
"""
ELSEWHERE = """
import os
os.environ["FASTBP_CACHE_DIR"] = {folder!r}
"""
TRAIN = """
import numpy as np
from fastbp import Trainer
X = np.random.default_rng(0).uniform(size=(9, 3))
for dtype in ("float32", "float32", "float64"):
    trainer = Trainer([3, 4, 1], dtype=dtype, seed=0)
    trainer.fit(X, X[:, 0], epochs=2, verbose={verbose})
    print(trainer.predict(X).tobytes().hex())
print(*built, "numba" in sys.modules)
"""


def trained(folder: Path, verbose: int = 2) -> tuple[list[str], list[str], str]:
    """Train with a cache in some folder: the predictions, which kernels were built, and what was said."""
    code = QUICK_BUILD + ELSEWHERE.format(folder=str(folder)) + TRAIN.format(verbose=verbose)
    out, err = finished(python(code))
    *predictions, built = out.splitlines()
    *kernels, numba = built.split()
    assert numba == "False"
    return predictions, kernels, err


def test_kernels_are_built_once_and_found_by_later_processes(tmp_path):
    first, built, said = trained(tmp_path / "cache")
    assert built == ["float32", "float64"]
    assert said.count(announce.MESSAGE) == 1
    assert said.startswith(announce.MESSAGE)
    again, built, said = trained(tmp_path / "cache")
    assert built == []
    assert announce.MESSAGE not in said
    assert again == first


def test_without_a_folder_for_the_cache_there_is_one_warning_and_kernels_work(tmp_path):
    (tmp_path / "file").write_text("where a folder would be")
    results = [trained(tmp_path / "cache", verbose=0), trained(tmp_path / "file" / "cache", verbose=0)]
    assert results[0][0] == results[1][0]
    assert results[1][1] == ["float32", "float64"]
    assert results[0][2] == ""
    assert results[1][2].count("RuntimeWarning: fastbp: the cache folder for kernels cannot be written") == 1
    assert results[1][2].count("Warning:") == 1


WARM_UP = """
from fastbp import warmup
warmup.warm_up(["float32"])
print(*built)
warmup.warm_up(["float32"])
warmup.warm_up()
"""


def test_warm_up_builds_what_is_asked_for_and_says_nothing(tmp_path):
    code = QUICK_BUILD + ELSEWHERE.format(folder=str(tmp_path)) + WARM_UP + "print(*built, 'numba' in sys.modules)"
    assert finished(python(code)) == ("float32 graph-float32\nfloat32 graph-float32 float64 graph-float64 False\n", "")
    assert trained(tmp_path)[1] == []


@pytest.fixture
def builds(monkeypatch):
    """A function that finds or builds kernels as a process does that has none, and returns what it has heard."""
    monkeypatch.setattr(announce, "_said", set())
    monkeypatch.setattr(store, "save", lambda image, kind: None)

    def load(capsys, is_stored: bool = False) -> list[str]:
        heard, image = [], Image(b"", {})
        monkeypatch.setattr(store, "find", lambda kind: image if is_stored else None)
        monkeypatch.setattr(build, "build", lambda *kind: heard.append(capsys.readouterr().err) or image)
        assert library._image(store.Kind("float32", LEVEL.name)) is image
        return heard

    return load


def test_a_build_is_announced_before_it_begins_and_once_a_process(builds, capsys):
    assert builds(capsys) == [f"{announce.MESSAGE}\n"]
    assert builds(capsys) == [""]
    assert capsys.readouterr() == ("", "")
    assert "`python -m fastbp.warmup`" in announce.MESSAGE


def test_what_is_stored_or_silent_is_not_announced(builds, capsys):
    with announce.silent_if(True):
        assert builds(capsys) == [""]
    assert builds(capsys, is_stored=True) == []
    assert capsys.readouterr() == ("", "")
    assert builds(capsys) == [f"{announce.MESSAGE}\n"]


@pytest.mark.parametrize("verbose", [0, 2])
@pytest.mark.parametrize("n_jobs", [None, 1])
def test_silence_reaches_the_threads_that_build(monkeypatch, xor, capsys, verbose, n_jobs):
    """Those of fit_many, and joblib's."""
    monkeypatch.setattr(announce, "_said", set())
    real, seen = Run.go, []

    def go(self, *arguments):
        seen.append(announce.is_silent())
        return real(self, *arguments)

    monkeypatch.setattr(Run, "go", go)
    fit_many([fastbp.Trainer([2, 2, 1], optimizer="adam")], *xor, n_threads=2, n_jobs=n_jobs, verbose=verbose)
    fastbp.Trainer([2, 2, 1]).fit(*xor, verbose=verbose)
    assert seen == [verbose == 0] * 2
    assert not announce.is_silent()


@pytest.mark.parametrize("verbose", [0, 1])
def test_silence_holds_while_a_sweep_measures(monkeypatch, xor, verbose):
    seen, real = [], fastbp.Trainer.evaluate

    def evaluate(self, *arguments, **options):
        seen.append(announce.is_silent())
        return real(self, *arguments, **options)

    monkeypatch.setattr(fastbp.Trainer, "evaluate", evaluate)
    sweep = fastbp.Sweep({"layer_sizes": [[2, 2, 1]], "learning_rate": [0.1, 0.2]}, seed=0)
    sweep.fit(*xor, epochs=2, validation_data=xor, verbose=verbose)
    assert seen == [verbose == 0] * 2


def test_an_estimator_announces_a_build(monkeypatch, xor):
    """Its default is verbose=False, which is about epochs: a first fit must not wait without a word."""
    seen = []
    monkeypatch.setattr(MLPClassifier, "_fit_stochastic", lambda *_: seen.append(announce.is_silent()))
    MLPClassifier((2,)).fit(*xor)
    assert seen == [False]


def test_the_command_line_announces_a_build_unless_it_is_quiet(monkeypatch, tmp_path):
    (tmp_path / "t.csv").write_text("a,y\n" + "1,0\n2,1\n" * 9)
    seen, real = [], Run.go

    def go(self, *arguments):
        seen.append(announce.is_silent())
        return real(self, *arguments)

    monkeypatch.setattr(Run, "go", go)
    for option in ("--networks=1", "--networks=5", "--json", "--quiet"):
        seen.clear()
        assert main(["train", f"{tmp_path}/t.csv", "--out", f"{tmp_path}/m.npz", "--epochs", "1", option]) == 0
        assert set(seen) == {option == "--quiet"}


IMPORTS = """
import sys, numpy as np
from fastbp import Callback, Trainer
class Imported(Callback):
    def on_fit_begin(self, trainer, epochs): self.before = set(sys.modules)
    def on_epoch_end(self, trainer, epoch, measured): print(sorted(set(sys.modules) - self.before))
Trainer([3, 4, 1]).fit(np.ones((9, 3)), np.ones(9), callbacks=Imported(), verbose=0)
"""


def test_ctrl_c_in_a_fit_cannot_leave_half_of_a_module():
    """What is imported within the epochs, where Ctrl-C ends training, can't be imported again after it."""
    assert finished(python(IMPORTS))[0] == "[]\n"


def test_names_are_imported_when_they_are_asked_for():
    ask = "import sys, fastbp; print('numpy' in sys.modules, fastbp.metrics.__name__, 'numpy' in sys.modules)"
    assert finished(python(ask))[0] == "False fastbp.metrics True\n"
    lines = ["import threading, fastbp", "names, threads = [], []", "for name in ('Summary', 'Trainer'):"]
    lines += [
        "    look = lambda name=name: names.append(getattr(fastbp, name))",
        "    threads.append(threading.Thread(target=look))",
    ]
    lines += [f"for thread in threads: thread.{what}()" for what in ("start", "join")]
    lines += ["from fastbp import *", "print(len(names), Trainer([2, 1]).n_parameters)"]
    assert finished(python("\n".join(lines)))[0] == "2 3\n"


def test_what_is_not_there_is_an_attribute_error():
    assert "Trainer" in dir(fastbp)
    with pytest.raises(AttributeError, match="has no attribute 'Trainr'"):
        fastbp.Trainr  # noqa: B018
    with pytest.raises(AttributeError):
        fastbp.__wrapped__  # noqa: B018
    assert not hasattr(fastbp, "interop.torch")
