"""`python -m fastbp.warmup` and `fastbp info`: where kernels are stored, and what serves. Nothing is built here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from fastbp import warmup
from fastbp.__main__ import main
from fastbp._kernels.levels import LEVEL
from fastbp._library import announce, build, library, store
from fastbp._library.image import Image
from tests.cases import DTYPES

ROOT = Path(__file__).parent.parent
IMAGE = Image(b"code", {"train": 0})
OTHER = next(name for name in warmup.LEVELS_HERE if name != LEVEL.name) if len(warmup.LEVELS_HERE) > 1 else None


@pytest.fixture(autouse=True)
def built(tmp_path, monkeypatch) -> list[store.Kind]:
    """What was built; in a process that has no kernels yet, with empty folders for them."""
    built: list[store.Kind] = []
    monkeypatch.setenv("FASTBP_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "_folder_of_package", lambda: str(tmp_path / "package"))
    monkeypatch.setattr(library, "_loaded", {})
    monkeypatch.setattr(library, "_is_finite", {})
    monkeypatch.setattr(library, "Library", Mock())  # because IMAGE is no machine code
    monkeypatch.setattr(build, "build", lambda *kind: built.append(store.Kind(*kind)) or IMAGE)
    store._warn.cache_clear()
    return built


def kinds(*dtypes: str, level: str = LEVEL.name) -> list[store.Kind]:
    """Those for plain networks and for networks of layers."""
    return [store.Kind(dtype, level, kernels=kernels) for dtype in dtypes for kernels in store.KERNELS]


def test_kernels_for_this_machine_go_into_the_cache(built, tmp_path, capsys):
    assert warmup.warm_up() >= 0
    assert built == kinds(*DTYPES)
    assert [kind for kind in built if store.path_in(store.CACHE, kind) is None] == []
    warmup.warm_up()
    assert len(built) == 4
    assert capsys.readouterr() == ("", "")


def test_kernels_in_the_package_serve_and_those_of_the_cache_are_copied_there(built, tmp_path):
    warmup.warm_up(["float32"])
    warmup.warm_up(["float32"], into="package")
    assert built == kinds("float32")
    for kind in built:
        assert store.in_package(kind) == IMAGE
        os.unlink(str(store.path_in(store.CACHE, kind)))
    warmup.warm_up(["float32"], into="package")
    warmup.warm_up(["float32"])
    assert built == kinds("float32")


@pytest.mark.skipif(OTHER is None, reason="arm64 is one level")
@pytest.mark.parametrize("into", warmup.PLACES)
def test_kernels_of_other_levels_are_built_for_other_machines(built, into):
    warmup.warm_up(["float64"], into, [OTHER, LEVEL.name])
    warmup.warm_up(["float64"], into, [OTHER, LEVEL.name])
    assert built == [kind for name in (OTHER, LEVEL.name) for kind in kinds("float64", level=name)]
    assert [kind for kind in built if store.path_in(into, kind) is None] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["float16"],), "dtypes: "),
        ((["float32"], ["training", "tiny"]), "into: "),  # its second argument was another one
        ((["float32"], "cache", ["x86-64-v9"]), "levels: "),
    ],
)
def test_a_wrong_argument_is_an_error_before_anything_is_built(built, arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        warmup.warm_up(*arguments)
    assert built == []


def test_the_command_says_what_it_builds_before_it_does_and_where_it_is(built, capsys, monkeypatch):
    heard = []
    monkeypatch.setattr(build, "build", lambda *kind: heard.append(capsys.readouterr()) or IMAGE)
    assert warmup.main(["--dtype", "float32"]) == 0
    whats = [f"float32 for {LEVEL.name}{more}" for more in ("", ", networks of layers")]
    assert [err for _, err in heard] == [
        f"building the kernels, {what}, which can take half a minute\n" for what in whats
    ]
    out, err = capsys.readouterr()
    for kind, what, said in zip(kinds("float32"), whats, (heard[1].out, out), strict=True):
        assert said.endswith(f" s, {what}, in {store.path_in(store.CACHE, kind)}\n")
    assert (err, announce.MESSAGE in out) == ("", False)
    assert warmup.main(["--dtype", "float32", "--into", "package"]) == 0
    paths = [store.path_in(store.PACKAGE, kind) for kind in kinds("float32")]
    told = [f"kernels ready in 0.0 s, {what}, in {path}\n" for what, path in zip(whats, paths, strict=True)]
    assert capsys.readouterr() == ("".join(told), "")


def test_a_folder_that_cannot_be_written_is_said(built, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(store, "_folder_of_package", lambda: str(tmp_path / "file"))
    assert warmup.main(["--dtype", "float32", "--into", "package"]) == 1
    assert capsys.readouterr().err.endswith(f"fastbp's own folder cannot be written: {tmp_path / 'file' / 'built'}\n")
    monkeypatch.setenv("FASTBP_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.warns(RuntimeWarning, match="cannot be written"):
        assert warmup.main(["--dtype", "float32"]) == 0
    assert capsys.readouterr().out.endswith("but not stored; set FASTBP_CACHE_DIR to a writable folder\n")


def test_a_build_that_fails_ends_the_command_with_its_message(monkeypatch, capsys):
    def fail(*kind):
        raise RuntimeError("fastbp could not build its kernels")

    monkeypatch.setattr(build, "build", fail)
    assert warmup.main(["--dtype", "float32"]) == 1
    assert capsys.readouterr().err.endswith("fastbp: fastbp could not build its kernels\n")


# fastbp info


def info(capsys) -> dict:
    assert main(["info", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_info_shows_which_files_serve(capsys, tmp_path):
    nothing = info(capsys)
    assert nothing["level"] == LEVEL.name
    assert nothing["kernels"] == dict.fromkeys(DTYPES, "not built yet; python -m fastbp.warmup builds them")
    assert nothing["cache"] == {
        "folder": str(tmp_path / "cache"),
        "writable": True,
        "trusted": True,
        "other_files": {},
    }
    kind = store.Kind("float32", LEVEL.name)
    cached = store.save(IMAGE, kind)
    found = info(capsys)
    assert (found["kernels"]["float32"]["from"], found["kernels"]["float32"]["file"]) == ("cache", cached)
    assert found["kernels"]["float32"]["built_with"].startswith("numba ")
    assert found["kernels"]["float64"] == nothing["kernels"]["float64"]
    packaged = store.save(IMAGE, kind, store.PACKAGE)
    found = info(capsys)
    assert (found["kernels"]["float32"]["from"], found["kernels"]["float32"]["file"]) == ("package", packaged)


def test_info_shows_files_that_do_not_serve(capsys, tmp_path):
    store.save(IMAGE, store.Kind("float32", "x86-64-v9"))
    path = store.save(IMAGE, store.Kind("float32", LEVEL.name))
    damaged = Path(str(path))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    found = info(capsys)
    assert isinstance(found["kernels"]["float32"], str)
    others = found["cache"]["other_files"]
    assert sorted(name.partition(",")[0] for name in others.values()) == sorted(["x86-64-v9", LEVEL.name])
    assert main(["info"]) == 0
    assert str(path) in capsys.readouterr().out


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_info_shows_that_others_can_write_to_the_cache(capsys, tmp_path):
    store.save(IMAGE, store.Kind("float32", LEVEL.name))
    (tmp_path / "cache").chmod(0o777)
    with pytest.warns(RuntimeWarning, match="is not used"):
        found = info(capsys)
    assert isinstance(found["kernels"]["float32"], str)
    assert found["cache"]["trusted"].startswith("no: other users can write to ")


def test_info_imports_no_compiler():
    code = "import sys; from fastbp.__main__ import main; main(['info']); print({'numba', 'llvmlite'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
