"""What decides the machine code has a digest, wherever the package is."""

from __future__ import annotations

import compileall
import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import fastbp
from fastbp._library import kernel_file, sources
from fastbp._library.kernel_file import Image
from fastbp._library.store import Kind

PACKAGE = Path(fastbp.__file__).parent
KIND = Kind("float32", "x86-64-v3")
IMAGE = Image(bytes(40), {"train": 8})

ASK = """
import json, sys
from fastbp._library import sources, store
found = store.in_package(store.Kind("float32", "x86-64-v3"))
print(json.dumps([*sources.sources(), sources.compilers(), found is not None, "numba" in sys.modules]))
"""


@pytest.fixture
def copy(tmp_path):
    """A copy of the package with kernels of this version in it."""
    ignored = shutil.ignore_patterns("__pycache__", "*.kernels")
    shutil.copytree(PACKAGE, tmp_path / "site" / "fastbp", ignore=ignored)
    built = tmp_path / "site" / "fastbp" / "_library" / "built"
    built.mkdir(exist_ok=True)
    (built / KIND.name).write_bytes(kernel_file.packed(IMAGE, KIND.facts))
    return tmp_path / "site"


def ask(place: Path, *options: str, **environment: str) -> list:
    """Return the digest, if it is of source text, the compilers, if kernels are found, and if Numba is imported."""
    environment = os.environ | {"PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"} | environment
    command = [sys.executable, *options, "-c", ASK]
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


HERE = [*sources.sources(), sources.compilers(), True, False]


def test_the_digest_is_the_same_in_every_place_with_sources(copy, tmp_path):
    assert ask(copy) == HERE
    assert ask(copy, "-O", PYTHONHASHSEED="7") == HERE
    archive = tmp_path / "fastbp.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(copy.rglob("*")):
            file.write(path, path.relative_to(copy))
    assert ask(archive) == HERE


def test_without_source_text_kernels_of_the_same_version_are_found(copy):
    compileall.compile_dir(copy, legacy=True, quiet=1)
    for path in copy.rglob("*.py"):
        path.unlink()
    first, second = ask(copy), ask(copy, PYTHONHASHSEED="7")
    assert first == second
    assert first[1:] == [False, *HERE[2:]]
    assert first[0] != HERE[0]


@pytest.mark.parametrize(
    "module", ["_kernels/tile.py", "_kernels/codes.py", "_kernels/__init__.py", "_library/image.py"]
)
def test_a_change_of_a_module_changes_the_digest(copy, module):
    with (copy / "fastbp" / module).open("a") as file:
        file.write("\n# another line\n")
    digest, _, _, is_found, _ = ask(copy)
    assert digest != HERE[0]
    assert not is_found


def test_kernels_for_layers_change_only_their_own_digest(copy):
    with (copy / "fastbp" / "_kernels" / "graph" / "affine.py").open("a") as file:
        file.write("\n# another line\n")
    assert ask(copy) == HERE
    code = "from fastbp._library import sources; print(sources.sources('graph').digest)"
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd="/", capture_output=True, check=True)
    assert done.stdout.decode().strip() not in (sources.sources("graph").digest, HERE[0])


def test_a_new_module_of_the_kernels_changes_the_digest(copy):
    (copy / "fastbp" / "_kernels" / "another.py").write_text("")
    assert ask(copy)[0] != HERE[0]


def test_what_is_no_module_changes_nothing(copy):
    kernels = copy / "fastbp" / "_kernels"
    for name in ("._tile.py", "tile.py~", ".tile.py.swp", "notes.txt", "tile.orig"):
        (kernels / name).write_text("# not a module")
    (copy / "fastbp" / "sklearn" / "extra.py").write_text("")
    compileall.compile_dir(copy, quiet=1)
    assert ask(copy) == HERE


def test_the_compilers_versions_are_those_of_their_packages():
    assert sources.compilers() == {"numba": version("numba"), "llvmlite": version("llvmlite")}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder where a package called numba is, and nothing else counts."""
    monkeypatch.setattr(sources, "COMPILERS", ("fastbp_no_numba", "fastbp_no_llvmlite"))
    sources.compilers.cache_clear()
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sources.compilers.cache_clear()


def test_a_compiler_that_is_missing_has_no_version(site):
    assert sources.compilers() == {"fastbp_no_numba": "", "fastbp_no_llvmlite": ""}


def test_what_an_unfinished_installation_left_is_no_version(site):
    (site / "fastbp_no_numba").mkdir()
    (site / "fastbp_no_numba" / "__init__.py").write_text("")
    for name, said in (("fastbp_no_numba-1.0", "1.0"), ("fastbp_no_llvmlite-2.0", "2.0")):
        (site / f"{name}.dist-info").mkdir()
        (site / f"{name}.dist-info" / "METADATA").write_text(f"Name: {name.split('-')[0]}\nVersion: {said}\n")
    assert sources.compilers() == {"fastbp_no_numba": "1.0", "fastbp_no_llvmlite": "2.0"}
    (site / "fastbp_no_numba-0.9.dist-info").mkdir()
    sources.compilers.cache_clear()
    assert sources.compilers()["fastbp_no_numba"] in ("1.0", "")  # whichever importlib.metadata finds first
