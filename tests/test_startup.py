"""Starting up: the cache on disk, the word about compiling, python -m fastbp.warmup; in processes of their own."""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numba
import numpy as np
import pytest

import fastbp
from fastbp import fit_many, warmup
from fastbp.__main__ import main
from fastbp._engine.team import run_together
from fastbp._kernels import compiling, disk, finite, jit
from fastbp._training.run import Run
from fastbp.sklearn import MLPClassifier

ROOT = Path(__file__).parent.parent
COMPILING = "fastbp: compiling the kernels for this machine"
PREDICT = "import numpy as np, fastbp; print(fastbp.Trainer([2, 1], seed=0).predict(np.ones((1, 2), np.float32))[0, 0])"


def python(code: str, root: Path = ROOT, **environment: str) -> subprocess.Popen:
    own = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    return subprocess.Popen(
        [sys.executable, "-c", code],
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


def test_eight_processes_on_an_empty_cache(tmp_path):
    code = "import numpy as np; from fastbp._kernels.finite import is_finite; print(is_finite(np.ones(99)))"
    processes = [python(code, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(8)]
    assert [finished(process) for process in processes] == [("True\n", "")] * 8


def test_an_edit_of_any_kernel_file_makes_all_machine_code_old(copy):
    """Numba alone would look at activations.py, and run the old function of elementary.py inside it."""
    code = (
        "import numpy as np; from fastbp._kernels import activations, codes, jit; z = np.full(64, -1.0); "
        "jit.kernel(activations.activate_run.py_func)(z, 64, codes.RELU); print(z[0])"
    )
    assert float(finished(python(code, copy))[0]) == 0
    path = copy / "fastbp" / "_kernels" / "elementary.py"
    source = path.read_text()
    assert "return where_less(x, bound, bound, x)" in source
    path.write_text(source.replace("return where_less(x, bound, bound, x)", "return where_less(x, bound, -7, x)"))
    assert float(finished(python(code, copy))[0]) == -7


def test_without_a_folder_for_the_cache_there_is_one_warning_and_everything_works(copy):
    (copy / "fastbp" / "_kernels" / "__pycache__").write_text("a file, where the folder would be")
    nowhere = str(copy / "fastbp" / "_kernels" / "__pycache__" / "below a file")
    out, err = finished(python(PREDICT, copy, HOME=nowhere, XDG_CACHE_HOME=nowhere, PYTHONDONTWRITEBYTECODE="1"))
    assert float(out) != 0
    assert err.count("RuntimeWarning: fastbp: no folder to keep compiled kernels in") == 1
    assert err.count(COMPILING) == 1  # also by a call without a verbose


IS_FINITE = """
import numpy as np
from fastbp._kernels.finite import is_finite
print(is_finite(np.ones(9)), sum(is_finite.stats.cache_misses.values()))
"""


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


@pytest.mark.parametrize("install", [zipped, byte_code])
def test_a_package_without_source_files_keeps_machine_code_of_what_it_runs(copy, install):
    """In the user's folder, and never that of another version."""
    source, user = copy / "fastbp" / "_kernels" / "bits.py", copy / "user"  # of a function that is a part of the kernel
    user.mkdir()

    def run(code: str = IS_FINITE) -> str:
        place = str(install(copy / "fastbp", copy))
        out, err = finished(python(code, user, PYTHONPATH=place, XDG_CACHE_HOME=str(user)))
        assert err == ""
        return out

    assert [run(), run()] == ["True 1\n", "True 0\n"]
    source.write_text(source.read_text().replace("builder.fadd(a, b)", "builder.fdiv(a, b)"))  # 0 / 0
    facts = (
        "from fastbp._cli.machine import facts; f = facts()['cache']; print(f['folder'], f['writable'], f['pieces'])"
    )
    found = run(IS_FINITE + facts).split()
    assert found[:2] == ["False", "1"]
    assert (found[2].startswith(str(user)), found[3:]) == (True, ["True", "1"])


USE = """
import numpy as np, fastbp
from fastbp._kernels import epoch, small
for sizes, batch in (((40, 30, 1), 9), ((2, 2, 1), 9), ((2, 2, 1), 2)):
    trainer = fastbp.Trainer(sizes, batch_size=batch, seed=0)
    X = np.ones((9, sizes[0]), np.float32)
    trainer.fit(X, np.ones(9), verbose=2)
    trainer.predict(X)
entries = (epoch.train, epoch.evaluate, small.train)
print([sum(entry.stats.cache_misses.values()) for entry in entries])
"""

SHARE = """
import numpy as np, fastbp
from fastbp._kernels import epoch
from tests.cases import one_of_one
trainer = one_of_one(fastbp.Trainer((40, 30, 1), seed=0))
trainer.fit(np.ones((9, 40), np.float32), np.ones(9), verbose=0)
stats = [entry.stats for entry in (epoch.train, epoch.update, epoch.reorder)]
print([[sum(each.cache_misses.values()), sum(each.cache_hits.values())] for each in stats])
"""


def test_warm_up_fills_the_cache(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "fastbp.warmup",
            "--dtype",
            "float32",
            "--only",
            "training",
            "prediction",
            "tiny",
            "mpi",
        ],
        capture_output=True,
        text=True,
        env=environment,
        timeout=110,
        check=True,
    )
    assert done.stdout.startswith("kernels ready in ")
    assert str(tmp_path) in done.stdout
    out, err = finished(python(USE, NUMBA_CACHE_DIR=str(tmp_path)))
    assert out.splitlines()[-1] == "[0, 0, 0]"
    assert err == ""
    out, _ = finished(python(SHARE, NUMBA_CACHE_DIR=str(tmp_path)))
    assert out.splitlines()[-1] == "[[0, 1], [0, 1], [0, 1]]"


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


@pytest.mark.parametrize("use", [*warmup.USES, warmup.MPI])
def test_kernels_from_the_cache_need_no_compiler(use):
    """Nothing is imported that a compilation alone would need: it takes longer than to load them."""
    ask = f"import sys; from fastbp.warmup import warm_up; warm_up(['float32'], [{use!r}])"
    finished(python(ask))  # fills the cache
    out, _ = finished(python(f"{ask}; print('numba.np.arraymath' in sys.modules)"))
    assert out == "False\n"


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
    finished(python(IMPORTS))  # fills the cache
    assert finished(python(IMPORTS))[0] == "[]\n"


def test_names_are_imported_when_they_are_asked_for():
    ask = "import sys, fastbp; print('numba' in sys.modules, fastbp.metrics.__name__, 'numba' in sys.modules)"
    lines = ["import threading, fastbp", "names, threads = [], []", "for name in ('Summary', 'Trainer'):"]
    lines += [
        "    look = lambda name=name: names.append(getattr(fastbp, name))",
        "    threads.append(threading.Thread(target=look))",
    ]
    lines += [f"for thread in threads: thread.{what}()" for what in ("start", "join")]
    assert finished(python("\n".join([*lines, "print(len(names))"])))[0] == "2\n"
    assert finished(python(ask))[0] == "False fastbp.metrics True\n"
    assert finished(python("from fastbp import *; print(Trainer([2, 1]).n_parameters)"))[0] == "3\n"


def test_what_is_not_there_is_an_attribute_error():
    assert "Trainer" in dir(fastbp)
    with pytest.raises(AttributeError, match="has no attribute 'Trainr'"):
        fastbp.Trainr  # noqa: B018
    with pytest.raises(AttributeError):
        fastbp.__wrapped__  # noqa: B018
    assert not hasattr(fastbp, "interop.torch")
