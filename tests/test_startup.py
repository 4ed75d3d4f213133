"""Starting up: the cache on disk, the word about compiling, python -m fastbp.warmup; in processes of their own."""

from __future__ import annotations

import compileall
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numba
import numpy as np
import pytest

import fastbp
from fastbp import fit_many
from fastbp.__main__ import main
from fastbp._engine.team import run_together
from fastbp._kernels import compiling, disk, finite, jit
from fastbp._training.run import Run
from fastbp.sklearn import MLPClassifier

ROOT = Path(__file__).parent.parent
COMPILING = "fastbp: compiling the kernels for this machine"


def python(code: str, root: Path = ROOT, **environment: str) -> subprocess.Popen:
    own = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**own, "PYTHONPATH": str(root), **environment},
    )


def finished(process: subprocess.Popen) -> tuple[str, str]:
    out, err = process.communicate(timeout=110)
    assert process.returncode == 0, err
    return out, err


@pytest.fixture
def copy(tmp_path) -> Path:
    """A copy of the package, without its cache."""
    shutil.copytree(ROOT / "fastbp", tmp_path / "fastbp", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


WAIT_AND_COMPILE = """
import sys, numpy as np
from fastbp._kernels.finite import is_finite
print("ready", flush=True)
sys.stdin.readline()
print(is_finite(np.ones(99)))
"""


def test_processes_that_compile_into_an_empty_cache_at_once(tmp_path):
    processes = [python(WAIT_AND_COMPILE, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [finished(process) for process in processes] == [("True\n", "")] * 4


WITHOUT_FOLDER = """
import numpy as np
from fastbp import Trainer
from fastbp._kernels import finite, jit
kernel = jit.kernel(finite.is_finite.py_func)
print([kernel(np.ones(9, dtype)) for dtype in ("float32", "float64")], Trainer([2, 1]).fit)
"""


def test_without_a_folder_for_the_cache_there_is_one_warning_and_kernels_work(copy):
    (copy / "fastbp" / "_kernels" / "__pycache__").write_text("a file, where the folder would be")
    nowhere = str(copy / "fastbp" / "_kernels" / "__pycache__" / "below a file")
    out, err = finished(python(WITHOUT_FOLDER, copy, HOME=nowhere, XDG_CACHE_HOME=nowhere, PYTHONDONTWRITEBYTECODE="1"))
    assert out.startswith("[True, True]")
    assert err.count("RuntimeWarning: fastbp: no folder to keep compiled kernels in") == 1
    assert err.count(COMPILING) == 1


IS_FINITE = """
import numpy as np
from fastbp._kernels.finite import is_finite
print(is_finite(np.ones(9)), sum(is_finite.stats.cache_misses.values()))
"""


def as_it_is(package: Path, place: Path) -> Path:
    return package.parent


def zipped(package: Path, place: Path) -> Path:
    """The package in a zip."""
    with zipfile.ZipFile(place / "fastbp.zip", "w") as archive:
        for path in package.rglob("*.py"):
            archive.write(path, path.relative_to(package.parent))
    return place / "fastbp.zip"


def byte_code(package: Path, place: Path) -> Path:
    """The package without its sources."""
    shutil.copytree(package, place / "installed" / "fastbp", dirs_exist_ok=True)
    assert compileall.compile_dir(place / "installed", legacy=True, quiet=1)
    for path in (place / "installed").rglob("*.py"):
        path.unlink()
    return place / "installed"


@pytest.mark.parametrize("install", [as_it_is, zipped, byte_code])
def test_machine_code_is_kept_until_any_kernel_file_changes(copy, install):
    """Numba alone would look at the kernel's own file, and run the old functions of others inside it.

    Without source files machine code is kept in the user's folder.
    """
    callee, user = copy / "fastbp" / "_kernels" / "bits.py", copy / "user"
    user.mkdir()

    def run(code: str = IS_FINITE) -> str:
        place = str(install(copy / "fastbp", copy))
        out, err = finished(python(code, user, PYTHONPATH=place, XDG_CACHE_HOME=str(user)))
        assert err == ""
        return out

    assert [run(), run()] == ["True 1\n", "True 0\n"]
    callee.write_text(callee.read_text() + "\nEDITED = True\n")
    facts = (
        "from fastbp._cli.machine import facts; f = facts()['cache']; print(f['folder'], f['writable'], f['pieces'])"
    )
    found = run(IS_FINITE + facts).split()
    assert found[:2] == ["True", "1"]
    kept = copy / "fastbp" if install is as_it_is else user
    assert (found[2].startswith(str(kept)), found[3:]) == (True, ["True", "1"])


USE = """
import sys, numpy as np, fastbp
from fastbp import warmup
from fastbp._kernels import epoch, small
from tests.cases import one_of_one
entries = (epoch.train, epoch.evaluate, small.train, small.train_each, epoch.update, epoch.reorder)
def signatures():
    return [len(entry.signatures) for entry in entries]
print(signatures())
sys.argv = ["warmup", "--dtype", "float32", "--only", "tiny"]
warmup.main()
print(signatures())
warmup.warm_up(["float32"], [*warmup.USES, warmup.MPI])
print(signatures())
for sizes, batch in (((40, 30, 1), 9), ((2, 2, 1), 9), ((2, 2, 1), 2)):
    trainer = fastbp.Trainer(sizes, batch_size=batch, seed=0)
    X = np.ones((9, sizes[0]), np.float32)
    trainer.fit(X, np.ones(9), verbose=0)
    trainer.predict(X)
one_of_one(fastbp.Trainer((40, 30, 1), seed=0)).fit(np.ones((9, 40), np.float32), np.ones(9), verbose=0)
print(signatures())
print([sum(entry.stats.cache_misses.values()) for entry in entries], entries[0].stats.cache_path)
"""


def test_warm_up_leaves_nothing_to_compile():
    """The kernels that are asked for, in one process; all of them, in those that warmed up before the first test."""
    out, err = finished(python(USE))
    before, ready, tiny, everything, used, compiled = out.splitlines()
    assert before == "[0, 0, 0, 0, 0, 0]"
    assert re.fullmatch(r"kernels ready in \d+\.\d s, stored in .+", ready)
    assert tiny == "[0, 0, 1, 1, 0, 0]"
    assert everything == used == "[1, 1, 1, 1, 1, 1]"
    assert compiled == f"[0, 0, 0, 0, 0, 0] {ready.partition(' stored in ')[2]}"
    assert err == ""


@pytest.fixture
def compiles(monkeypatch):
    """A function that calls a kernel which is compiled for that, and another time is on disk."""
    monkeypatch.setattr(compiling, "_said", set())

    def call(folder: Path, quick: bool = False) -> bool:
        monkeypatch.setattr(numba.config, "CACHE_DIR", str(folder))
        kernel = jit._kept(finite.is_finite.py_func, quick=quick)
        return bool(kernel(np.ones(9)))

    return call


def test_a_compilation_is_announced_before_it_begins_and_once_a_process(compiles, tmp_path, capsys):
    assert compiles(tmp_path / "a")
    assert compiles(tmp_path / "b")
    message = f"{COMPILING}, which can take half a minute; `python -m fastbp.warmup` compiles them beforehand\n"
    assert capsys.readouterr() == ("", message)


def test_what_is_on_disk_or_quick_is_not_announced(compiles, tmp_path, capsys):
    with compiling.silent_if(True):
        assert compiles(tmp_path)
    assert compiles(tmp_path)
    assert compiles(tmp_path / "quick", quick=True)
    assert capsys.readouterr() == ("", "")


def test_where_nothing_is_kept_warming_up_is_not_recommended(compiles, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(disk.Disk, "__init__", lambda *_: (_ for _ in ()).throw(RuntimeError("no folder")))
    disk.warn_of_no_cache.cache_clear()
    with pytest.warns(RuntimeWarning, match="no folder to keep compiled kernels in"):
        assert compiles(tmp_path)
    assert capsys.readouterr().err == f"{COMPILING}, which can take half a minute\n"


@pytest.mark.parametrize("verbose", [0, 2])
@pytest.mark.parametrize("n_jobs", [None, 1])
def test_silence_reaches_the_threads_that_compile(monkeypatch, xor, capsys, verbose, n_jobs):
    """Those of fit_many, those that share rows, and joblib's."""
    monkeypatch.setattr(compiling, "_said", set())
    real, seen = Run.go, []

    def go(self, *arguments):
        run_together(lambda _: seen.append(compiling.is_silent()), 2, lambda: None)
        return real(self, *arguments)

    monkeypatch.setattr(Run, "go", go)
    fit_many([fastbp.Trainer([2, 2, 1], optimizer="adam")], *xor, n_threads=2, n_jobs=n_jobs, verbose=verbose)
    fastbp.Trainer([2, 2, 1]).fit(*xor, verbose=verbose)
    assert seen == [verbose == 0] * 4
    assert not compiling.is_silent()


@pytest.mark.parametrize("verbose", [0, 1])
def test_silence_holds_while_a_sweep_measures(monkeypatch, xor, verbose):
    seen, real = [], fastbp.Trainer.evaluate

    def evaluate(self, *arguments, **options):
        seen.append(compiling.is_silent())
        return real(self, *arguments, **options)

    monkeypatch.setattr(fastbp.Trainer, "evaluate", evaluate)
    sweep = fastbp.Sweep({"layer_sizes": [[2, 2, 1]], "learning_rate": [0.1, 0.2]}, seed=0)
    sweep.fit(*xor, epochs=2, validation_data=xor, verbose=verbose)
    assert seen == [verbose == 0] * 2


def test_an_estimator_announces_a_compilation(monkeypatch, xor):
    """Its default is verbose=False, which is about epochs: a first fit must not wait without a word."""
    seen = []
    monkeypatch.setattr(MLPClassifier, "_fit_stochastic", lambda *_: seen.append(compiling.is_silent()))
    MLPClassifier((2,)).fit(*xor)
    assert seen == [False]


def test_the_command_line_announces_a_compilation_unless_it_is_quiet(monkeypatch, tmp_path):
    (tmp_path / "t.csv").write_text("a,y\n" + "1,0\n2,1\n" * 9)
    seen, real = [], Run.go

    def go(self, *arguments):
        seen.append(compiling.is_silent())
        return real(self, *arguments)

    monkeypatch.setattr(Run, "go", go)
    for options in ([], ["--json"], ["--quiet"]):
        assert main(["train", f"{tmp_path}/t.csv", "--out", f"{tmp_path}/m.npz", "--epochs", "1", *options]) == 0
    assert seen == [False, False, True]


def test_kernels_from_the_cache_need_no_compiler():
    """Nothing is imported that a compilation alone would need: it takes longer than to load them."""
    ask = "import sys; from fastbp.warmup import MPI, USES, warm_up; warm_up(['float32'], [*USES, MPI])"
    assert finished(python(f"{ask}; print('numba.np.arraymath' in sys.modules)"))[0] == "False\n"


IMPORTS = """
import sys, numpy as np
from fastbp import Callback, Trainer
class Imported(Callback):
    def on_fit_begin(self, trainer, epochs): self.before = set(sys.modules)
    def on_epoch_end(self, trainer, epoch, measured): print(sorted(set(sys.modules) - self.before))
Trainer([3, 4, 1]).fit(np.ones((9, 3)), np.ones(9), callbacks=Imported(), verbose=0)
"""


def test_ctrl_c_in_a_fit_cannot_leave_half_of_numba():
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
