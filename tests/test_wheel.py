"""Wheels: what is in them, and that one works where Numba, a compiler and writable folders are missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import fastbp
from fastbp._kernels.levels import LEVEL, LEVELS
from fastbp._library import store
from fastbp._library.kernel_file import Image
from fastbp._library.library import library
from tests.cases import DTYPES

ROOT = Path(__file__).parent.parent
KINDS = [store.Kind(dtype, LEVEL.name, kernels=kernels) for dtype in DTYPES for kernels in store.KERNELS]
NAMES = sorted(kind.name for kind in KINDS)
MISSING = "raise ImportError('there is no Numba')\n"  # what a package in its place does


@pytest.fixture(scope="module")
def without_numba(tmp_path_factory) -> Path:
    """A folder in front of others, which hides Numba and llvmlite."""
    folder = tmp_path_factory.mktemp("without_numba")
    for package in ("numba", "llvmlite"):
        (folder / f"{package}.py").write_text(MISSING)
    return folder


@pytest.fixture
def tree(tmp_path) -> Path:
    """A copy of the sources, with the kernels of this process, so that a wheel of it takes a second."""
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "fastbp", tree / "fastbp", ignore=shutil.ignore_patterns("__pycache__", "built"))
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, tree)
    for kind in KINDS:
        library(kind.dtype, kind.kernels)
        image = store.find(kind)
        assert image is not None
        assert store.save(image, kind, str(tree / "fastbp" / "_library" / "built")) is not None
    return tree


def hatchling(tree: Path, code: str, **environment: str) -> subprocess.CompletedProcess:
    own = {name: value for name, value in os.environ.items() if not name.startswith("FASTBP_BUILD")}
    given = {"capture_output": True, "text": True, "env": own | environment}
    code = f"from hatchling import build; print(build.{code})"
    return subprocess.run([sys.executable, "-c", code], cwd=tree, check=False, timeout=100, **given)


def built(tree: Path, to: str = "dist", **environment: str) -> Path:
    done = hatchling(tree, f"build_wheel({to!r})", **environment)
    assert done.returncode == 0, done.stderr
    return tree / to / done.stdout.split()[-1]


def kernels_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return sorted(name.rpartition("/")[2] for name in archive.namelist() if name.endswith(store.ENDING))


def test_a_wheel_is_for_a_platform_and_for_every_python(tree):
    wheel = built(tree)
    assert wheel.name.startswith(f"fastbp-{fastbp.__version__}-py3-none-")
    assert not wheel.name.endswith("-any.whl")
    assert kernels_in(wheel) == NAMES
    with zipfile.ZipFile(wheel) as archive:
        told = archive.read(f"fastbp-{fastbp.__version__}.dist-info/WHEEL").decode()
    assert "Root-Is-Purelib: false" in told
    assert "Tag: py3-none-" in told


def test_two_wheels_have_the_same_bytes(tree):
    first = built(tree, "first").read_bytes()
    for path in tree.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o640)
        os.utime(path, (0, 0))
    assert built(tree, "second", PYTHONHASHSEED="1", TZ="Asia/Tokyo").read_bytes() == first


@pytest.mark.parametrize(
    ("platform", "tag"),
    [
        ("linux-x86_64", "manylinux_2_17_x86_64.musllinux_1_1_x86_64"),
        ("linux-aarch64", "manylinux_2_17_aarch64.musllinux_1_1_aarch64"),
        ("darwin-aarch64", "macosx_11_0_arm64"),
        ("win32-x86_64", "win_amd64"),
    ],
)
def test_a_wheel_for_another_system_has_all_of_its_levels(tree, platform, tag):
    system, _, machine = platform.partition("-")
    levels = [name for name, level in LEVELS.items() if level.machine == machine and name != "x86-64"]
    kinds = [store.Kind(*kind) for kind in product(DTYPES, levels, (system,), store.KERNELS)]
    for kind in kinds:  # not built here, which would take minutes
        store.save(Image(b"code", {"train": 0}), kind, str(tree / "fastbp" / "_library" / "built"))
    wheel = built(tree, FASTBP_BUILD_PLATFORM=platform)
    assert wheel.name == f"fastbp-{fastbp.__version__}-py3-none-{tag}.whl"
    assert kernels_in(wheel) == sorted(kind.name for kind in kinds)


def test_an_installation_without_kernels_is_for_every_machine(tree):
    wheel = built(tree, FASTBP_BUILD_LEVELS="none")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert kernels_in(wheel) == []


def test_if_kernels_cannot_be_built_the_installation_goes_on(tree, without_numba):
    shutil.rmtree(tree / "fastbp" / "_library" / "built")
    done = hatchling(tree, "build_wheel('dist')", PYTHONPATH=str(without_numba))
    assert done.returncode == 0, done.stderr
    assert "fastbp is installed without kernels, and builds them at their first use" in done.stderr
    assert "there is no Numba" in done.stderr
    assert kernels_in(tree / "dist" / done.stdout.split()[-1]) == []


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("FASTBP_BUILD_LEVELS", f"{LEVEL.name},x86-64-v5", "expected levels of .*, got x86-64-v5"),
        ("FASTBP_BUILD_PLATFORM", "plan9", "must be one of linux-x86_64, .*, but it is 'plan9'"),
    ],
)
def test_a_level_or_platform_that_is_none_is_an_error(tree, variable, value, message):
    done = hatchling(tree, "build_wheel('dist')", **{variable: value})
    assert done.returncode != 0
    assert re.search(f"ValueError: {variable}:? {message}", done.stderr)


def test_numba_is_asked_for_only_if_kernels_are_missing(tree):
    ready = hatchling(tree, "get_requires_for_build_editable()")
    assert "numba" not in ready.stdout
    shutil.rmtree(tree / "fastbp" / "_library" / "built")
    assert "numba" in hatchling(tree, "get_requires_for_build_editable()").stdout
    assert "numba" not in hatchling(tree, "get_requires_for_build_editable()", FASTBP_BUILD_LEVELS="none").stdout
    assert "numba" not in hatchling(tree, "get_requires_for_build_sdist()").stdout


def test_an_editable_installation_has_kernels_in_its_folder(tree, without_numba):
    """Here, those of the cache, so that nothing is built."""
    folder = tree / "fastbp" / "_library" / "built"
    shutil.rmtree(folder)
    done = hatchling(tree, "build_editable('dist')", FASTBP_CACHE_DIR=cache_with_kernels(tree))
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in folder.iterdir()) == NAMES
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()]
    done = hatchling(tree, "build_editable('dist')", PYTHONPATH=str(without_numba))
    assert done.returncode == 0, done.stderr
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()] == before
    assert kernels_in(tree / "dist" / done.stdout.split()[-1]) == []


def cache_with_kernels(tree: Path) -> str:
    cache = tree / "cache"
    with pytest.MonkeyPatch.context() as patch:
        images = [store.find(kind) for kind in KINDS]
        patch.setenv("FASTBP_CACHE_DIR", str(cache))
        for kind, image in zip(KINDS, images, strict=True):
            assert image is not None
            store.save(image, kind)
    return str(cache)


def test_the_source_distribution_has_no_kernels_but_what_builds_them(tree):
    done = hatchling(tree, "build_sdist('dist')")
    assert done.returncode == 0, done.stderr
    with tarfile.open(tree / "dist" / done.stdout.split()[-1]) as archive:
        names = archive.getnames()
    assert not [name for name in names if name.endswith(store.ENDING)]
    assert f"fastbp-{fastbp.__version__}/hatch_build.py" in names


# A wheel at work

USE = """
import os, sys
sys.dont_write_bytecode = True
places, uid, model, table = sys.argv[1].split(os.pathsep), int(sys.argv[2]), sys.argv[3], sys.argv[4]
sys.path[:0] = places

def use():
    import numpy as np
    import fastbp
    from fastbp.__main__ import main
    assert fastbp.__file__.startswith(places[1]), fastbp.__file__
    rng = np.random.default_rng(0)
    X, y = rng.uniform(size=(90, 9)), rng.uniform(size=(90, 4))
    for dtype in ("float32", "float64"):
        trainers = [fastbp.Trainer([9, 70, 4], optimizer="adam", dtype=dtype, seed=i) for i in range(2)]
        trainers[0].fit(X, y, epochs=2, validation_split=0.2, verbose=0)
        fastbp.fit_many(trainers, X, y, epochs=2, verbose=0)
        trainers[0].evaluate(X, y)
    same = fastbp.Trainer.load(model)
    assert main(["predict", table + ".npz", table]) == 0
    assert main(["info"]) == 0
    print(same.predict(np.ones((2, 5))).tolist())
    wrong = {"numba", "llvmlite"} & set(sys.modules)
    assert not wrong, wrong

if uid:
    use()  # loads what else is needed: another user may be unable to read this Python's own files
    for name in [name for name in sys.modules if name.partition(".")[0] == "fastbp"]:
        del sys.modules[name]
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
use()
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that other users can read."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def seen(folder: Path) -> list[tuple[str, int, int]]:
    return sorted((str(path), path.stat().st_mtime_ns, path.stat().st_mode) for path in folder.rglob("*"))


def read_only(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


@pytest.mark.skipif(os.name != "posix", reason="a folder that the owner can't write is POSIX's")
@pytest.mark.parametrize("install", ["folder", "zip"])
def test_a_wheel_needs_no_numba_no_compiler_and_no_writable_folder(tree, place, without_numba, install):
    """Read-only folders, a home like that, no programs, and, if root runs the tests, another user."""
    wheel, site, home = built(tree), place / "site", place / "home"
    home.mkdir()
    shutil.copytree(without_numba, place / "without_numba")
    if install == "folder":
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
        read_only(site)
    else:
        site = Path(shutil.copy(wheel, place))
    trainer = fastbp.Trainer([5, 3, 1], seed=0)
    trainer.save(place / "model.npz")
    table = place / "table.csv"
    table.write_text("a,y\n" + "1,0\n2,1\n" * 9)
    train = ["train", str(table), "--out", f"{table}.npz", "--epochs", "1", "--quiet"]
    subprocess.run([sys.executable, "-m", "fastbp", *train], cwd=ROOT, check=True)
    for path in place.glob("*.*"):
        path.chmod(0o644)
    read_only(home)
    before = seen(place)
    uid = 65534 if os.geteuid() == 0 else 0
    places = os.pathsep.join((str(place / "without_numba"), str(site)))
    done = subprocess.run(
        [sys.executable, "-I", "-c", USE, places, str(uid), str(place / "model.npz"), str(table)],
        env={"PATH": "", "HOME": str(home), "TMPDIR": str(home)},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == str(trainer.predict(np.ones((2, 5))).tolist())
    assert seen(place) == before
    if install == "folder":
        for path in (site, *site.rglob("*")):  # so that it can be removed
            path.chmod(0o755)
    home.chmod(0o755)
