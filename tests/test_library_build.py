"""How kernels are built: in processes of their own, to the same bytes each time, whatever surrounds them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fastbp._kernels.levels import LEVEL
from fastbp._library import build

ROOT = Path(__file__).parents[1]
MODULES = ("numba", "pickle", "html", "numpy")  # what Numba imports, too


@pytest.fixture
def small(monkeypatch):
    """A library with the check of numbers only, which takes a second."""
    monkeypatch.setattr(build, "PARTS", dict.fromkeys(("network", "graph"), ("finite", "finite")))


def test_neither_environment_nor_folder_change_a_build(small, tmp_path, monkeypatch):
    image = build.build("float32", LEVEL.name)
    assert {"is_finite_float32", "is_finite_float64"} == set(image.entries)
    assert build.build("float32", LEVEL.name, kernels="graph") == image  # the same kernels in this library, too
    for module in MODULES:
        (tmp_path / f"{module}.py").write_text(f"raise SystemExit('this is not {module}')")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("print('hello', flush=True)")
    (tmp_path / ".numba_config.yaml").write_text("disable_jit: 1\nopt: 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), str(tmp_path / "site"), *sys.path])
    for name, value in {
        "NUMBA_DISABLE_JIT": "1",
        "NUMBA_OPT": "3",
        "NUMBA_CPU_NAME": "no such processor",
        "PYTHONHASHSEED": "7",
        "PYTHONWARNINGS": "error",
        "PYTHONINSPECT": "1",
        "PYTHONOPTIMIZE": "2",
    }.items():
        monkeypatch.setenv(name, value)
    assert build.build("float32", LEVEL.name) == image


def test_a_build_that_fails_says_why(small, monkeypatch):
    monkeypatch.setattr(build, "PARTS", {"network": ("finite", "missing")})
    with pytest.raises(RuntimeError, match=r"could not build its kernels:[\s\S]*missing"):
        build.build("float32", LEVEL.name)


INTERRUPTED = """
import signal, sys
from fastbp._library import build
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may have been ignored
code = "import os, sys, time; print(os.getpid(), file=open(sys.argv[1], 'a'), flush=True); time.sleep(600)"
command = [sys.executable, "-c", code, sys.argv[1]]
try:
    build._outputs([command] * 3, {})
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_an_interrupted_build_leaves_no_process(tmp_path):
    started = tmp_path / "started"
    started.touch()
    command = [sys.executable, "-c", INTERRUPTED, str(started)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        while len(started.read_text().split()) < min(3, os.cpu_count() or 1):
            time.sleep(0.01)
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.communicate()[0].split() == [b"interrupted"]
    for number in started.read_text().split():
        with pytest.raises(ProcessLookupError):
            os.kill(int(number), 0)


@pytest.mark.parametrize(("name", "value"), [("frozen", True), ("executable", ""), ("executable", None)])
def test_a_program_without_python_is_told_to_bring_its_kernels(monkeypatch, name, value):
    """Such a program would start itself, again and again."""
    monkeypatch.setattr(sys, name, value, raising=False)
    with pytest.raises(build.BuildError, match=r"fastbp\.warmup --into package"):
        build.build("float32", LEVEL.name)


def test_a_process_that_builds_does_not_build_in_another(monkeypatch):
    monkeypatch.setattr(build, "BUILDING", True)
    with pytest.raises(build.BuildError):
        build.build("float32", LEVEL.name)


def test_without_numba_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(build, "find_spec", lambda name: None)
    with pytest.raises(build.BuildError, match="install numba"):
        build.build("float32", LEVEL.name)


def test_the_environment_needs_neither_arguments_nor_a_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", [])
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    places = build._environment(LEVEL.name)["PYTHONPATH"].split(os.pathsep)
    assert set(filter(os.path.isabs, sys.path)) - {str(gone)} <= set(places)
