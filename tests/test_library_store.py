"""Files with kernels are loaded whole, for what they are, and only from whom one trusts."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastbp._library import folders, kernel_file, store
from fastbp._library.kernel_file import Image
from fastbp._library.sources import Sources
from fastbp._library.store import Kind

ROOT = Path(__file__).parent.parent
IMAGE = Image(bytes(range(40)), {"predict": 0, "train": 8})
KIND = Kind("float32", "x86-64-v3")

posix = pytest.mark.skipif(os.name != "posix", reason="owners and modes of POSIX")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """The cache folder of the test, not made yet; and no kernels in the package."""
    store._warn.cache_clear()
    monkeypatch.setenv("FASTBP_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "_folder_of_package", lambda: str(tmp_path / "package"))
    return tmp_path / "cache"


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def run(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], **options(environment), timeout=60, check=False)


def options(environment: dict[str, str]) -> dict:
    path = {"PYTHONPATH": str(ROOT)} | environment
    return {"capture_output": True, "text": True, "env": os.environ | path, "cwd": "/"}


# The file


def test_a_file_holds_what_was_put_in_and_always_the_same_bytes():
    facts = {"level": "arm64", "dtype": "float64"}
    data = kernel_file.packed(IMAGE, facts)
    assert data == kernel_file.packed(IMAGE, dict(reversed(facts.items())))
    assert kernel_file.unpacked(data) == (facts, IMAGE)
    assert kernel_file.facts_of(data) == facts


def test_a_file_with_a_wrong_bit_anywhere_is_none():
    data = kernel_file.packed(IMAGE, {"dtype": "float32"})
    for place in range(len(data)):
        for bit in range(8):
            wrong = bytearray(data)
            wrong[place] ^= 1 << bit
            assert kernel_file.unpacked(bytes(wrong)) is None, (place, bit)


def test_a_file_that_ends_early_or_goes_on_is_none():
    data = kernel_file.packed(IMAGE, {"dtype": "float32"})
    for length in range(len(data)):
        assert kernel_file.unpacked(data[:length]) is None
    assert kernel_file.unpacked(data + b"\0") is None
    assert kernel_file.unpacked(data + data) is None


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\n",
        b"[]\n",
        b"7\n",
        b"{}\n",
        b"\xff\n",
        b'{"entries":[]}\n',
        b'{"entries":{"train":null}}\n',
        b'{"entries":{"train":40}}\n',
        b'{"entries":{"train":-1}}\n',
        b"[" * 60_000 + b"\n",
    ],
)
def test_a_file_with_a_right_digest_of_nonsense_is_none(header):
    code = bytes(40)
    assert kernel_file.unpacked(header + hashlib.sha256(header + code).digest() + code) is None
    assert kernel_file.facts_of(header) is None or b"entries" in header


# The cache


def test_what_is_stored_is_found(folder):
    assert store.find(KIND) is None
    path = store.save(IMAGE, KIND)
    assert path == str(only_file(folder))
    assert store.find(KIND) == IMAGE
    assert store.stored() == [(path, KIND.facts)]
    for other in (KIND._replace(dtype="float64"), KIND._replace(level="x86-64-v2"), KIND._replace(system="win32")):
        assert store.find(other) is None


@pytest.mark.parametrize("what", ["dtype", "level", "system", "sources", "numba", "llvmlite", "fastbp"])
def test_a_file_that_says_it_is_something_else_is_not_loaded(folder, what):
    path = Path(store.save(IMAGE, KIND))
    path.write_bytes(kernel_file.packed(IMAGE, {**KIND.facts, what: "other"}))
    assert store.find(KIND) is None


def test_other_sources_and_other_compilers_have_other_files(folder, monkeypatch):
    store.save(IMAGE, KIND)
    with monkeypatch.context() as changed:
        changed.setattr(store, "sources", lambda kernels: Sources("0" * 64, True))
        assert store.find(KIND) is None
        store.save(IMAGE._replace(code=bytes(9)), KIND)
    monkeypatch.setattr(store, "compilers", lambda: {"numba": "0.1", "llvmlite": "0.1"})
    assert store.find(KIND) is None
    store.save(IMAGE, KIND)
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize("broken", [b"", b"\n", b"{}", kernel_file.packed(IMAGE, {})[:-1]])
def test_a_broken_file_is_ignored_and_replaced(folder, broken):
    path = Path(store.save(IMAGE, KIND))
    path.write_bytes(broken)
    assert store.find(KIND) is None
    assert store.save(IMAGE, KIND) == str(path)
    assert store.find(KIND) == IMAGE


def test_a_folder_in_the_files_place_is_no_error(folder):
    (folder / KIND.name_in_cache).mkdir(parents=True, mode=0o755)
    assert store.find(KIND) is None
    with pytest.warns(RuntimeWarning, match="cannot be written"):
        assert store.save(IMAGE, KIND) is None


# Trust


@posix
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757, 0o1777])
def test_a_folder_that_others_can_write_to_is_refused(folder, mode, recwarn):
    store.save(IMAGE, KIND)
    folder.chmod(mode)
    assert store.find(KIND) is None
    with store.building(KIND):
        assert store.find(KIND) is None
    assert store.save(IMAGE, KIND) is None
    (warning,) = recwarn.list  # not for each attempt
    assert warning.category is RuntimeWarning
    assert f"other users can write to {folder}; run `chmod go-w {folder}`" in str(warning.message)
    folder.chmod(0o755)
    assert store.find(KIND) == IMAGE


@posix
@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646])
def test_a_file_that_others_can_write_is_refused(folder, mode):
    path = Path(store.save(IMAGE, KIND))
    path.chmod(mode)
    with pytest.warns(RuntimeWarning, match=f"chmod go-w {path}"):
        assert store.find(KIND) is None
    store.save(IMAGE, KIND)  # a new file, with a mode of its own
    assert store.find(KIND) == IMAGE


@posix
def test_a_link_is_as_trusted_as_what_it_leads_to(folder, tmp_path):
    place = tmp_path / "elsewhere"
    place.mkdir(mode=0o755)
    folder.symlink_to(place)
    store.save(IMAGE, KIND)
    assert store.find(KIND) == IMAGE
    place.chmod(0o777)
    with pytest.warns(RuntimeWarning, match="other users can write"):
        assert store.find(KIND) is None


@posix
@pytest.mark.parametrize(("owner", "is_trusted"), [(1000, True), (0, True), (1001, False)])
def test_only_this_user_and_root_are_trusted(monkeypatch, owner, is_trusted):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    status = SimpleNamespace(st_uid=owner, st_mode=stat.S_IFDIR | 0o755)
    if is_trusted:
        folders._check("/x", status)
    else:
        with pytest.raises(folders.Untrusted, match="/x belongs to another user"):
            folders._check("/x", status)


@posix
@pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("given", ["folder", "file"])
def test_root_runs_no_code_of_another_user(folder, given):
    path = store.save(IMAGE, KIND)
    os.chown(folder if given == "folder" else path, 12345, -1)
    with pytest.warns(RuntimeWarning, match="belongs to another user"):
        assert store.find(KIND) is None


@posix
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")  # of JAX, if a test of the benchmarks has imported it
@pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="only root can become another user")
def test_what_root_stored_another_user_loads_but_cannot_write(monkeypatch):
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        monkeypatch.setenv("FASTBP_CACHE_DIR", os.path.join(place, "cache"))
        store.save(IMAGE, KIND)
        child = os.fork()
        if child == 0:  # no assertion leaves this block: it would go on with the other tests
            status = 1
            try:
                os.setuid(65534)
                is_loaded = store.find(KIND) == IMAGE
                with warnings.catch_warnings(record=True) as told, store.building(KIND):
                    warnings.simplefilter("always")
                    is_written = store.save(IMAGE, KIND) is not None
                is_told = "Permission denied" in str(told[0].message)
                status = 0 if is_loaded and is_told and not is_written else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@posix
@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022])
def test_others_may_read_but_not_write_what_is_made(tmp_path, monkeypatch, umask):
    monkeypatch.setenv("FASTBP_CACHE_DIR", str(tmp_path / "a" / "b"))
    before = os.umask(umask)
    try:
        path = store.save(IMAGE, KIND)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(os.stat(each).st_mode) for each in (tmp_path / "a", tmp_path / "a" / "b", path)]
    assert modes == [0o755, 0o755, 0o644]


def test_windows_has_no_owners_to_check(monkeypatch, folder):
    store.save(IMAGE, KIND)
    path = folder / KIND.name_in_cache
    data = path.read_bytes()
    path.chmod(0o666)
    without = {key: value for key, value in vars(os).items() if key != "geteuid"}
    monkeypatch.setattr(folders, "os", SimpleNamespace(**without))
    assert folders.read(str(path)) == data


# What goes wrong


NUMBERS = [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_what_cannot_be_written_is_said_once_and_leaves_nothing(folder, monkeypatch, recwarn, call, number):
    folder.mkdir(mode=0o755)

    def fail(*_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as failing:
        failing.setattr(os, call, fail)
        assert store.save(IMAGE, KIND) is None
        assert store.save(IMAGE, KIND) is None
    (warning,) = recwarn.list
    assert os.strerror(number) in str(warning.message)
    assert "set FASTBP_CACHE_DIR" in str(warning.message)
    assert list(folder.iterdir()) == []


@posix
def test_a_full_disk_leaves_no_part_of_a_file(folder):
    code = f"""
import resource, warnings
from fastbp._library import store
from fastbp._library.kernel_file import Image
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
warnings.simplefilter("ignore")
assert store.save(Image(bytes(5000), {{}}), store.{KIND!r}) is None
"""
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []


@posix
@pytest.mark.parametrize(("call", "is_there"), [("fsync", False), ("replace", False), ("scandir", True)])
def test_a_killed_writer_leaves_a_whole_file_or_none(folder, call, is_there):
    code = f"""
import os, signal
from fastbp._library import store
from fastbp._library.kernel_file import Image
os.{call} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
store.save(Image(**{IMAGE._asdict()!r}), store.{KIND!r})
"""
    assert run(code).returncode == -signal.SIGKILL
    assert store.find(KIND) == (IMAGE if is_there else None)
    left = [path for path in folder.iterdir() if path.suffix == ".tmp"]
    assert len(left) == (0 if is_there else 1)
    store.save(IMAGE, KIND)
    assert [path for path in folder.iterdir() if path.suffix == ".tmp"] == left  # it might be of a writer that lives
    for path in left:
        os.utime(path, (time.time() - 2 * folders.DAY,) * 2)
    store.save(IMAGE, KIND)
    assert only_file(folder).name == KIND.name_in_cache


def test_files_that_nobody_uses_are_removed(folder):
    store.save(IMAGE, KIND)
    used, unused, foreign = (KIND._replace(level=name) for name in ("used", "unused", "foreign"))
    for kind in (used, unused):
        path = store.save(IMAGE, kind)
        os.utime(path, (time.time() - 89 * folders.DAY,) * 2)
    assert store.find(used) == IMAGE
    os.utime(folder / unused.name_in_cache, (time.time() - 91 * folders.DAY,) * 2)
    (folder / "notes.txt").write_text("of the user")
    os.utime(folder / "notes.txt", (0, 0))
    store.save(IMAGE, foreign)
    assert (store.find(used), store.find(unused)) == (IMAGE, None)
    assert time.time() - (folder / used.name_in_cache).stat().st_mtime < folders.DAY
    assert (folder / "notes.txt").exists()


def test_a_file_that_is_being_read_on_windows_is_as_good_as_the_new_one(folder, monkeypatch):
    def fail(*_):
        raise PermissionError(errno.EACCES, "in use")

    path = store.save(IMAGE, KIND)
    monkeypatch.setattr(os, "replace", fail)
    assert store.save(IMAGE, KIND) == path
    with pytest.warns(RuntimeWarning, match="in use"):
        assert store.save(IMAGE._replace(code=bytes(9)), KIND) is None
    assert only_file(folder).name == KIND.name_in_cache
    assert store.find(KIND) == IMAGE


@pytest.mark.parametrize("is_file", [True, False])
def test_a_place_that_is_no_folder_is_said(tmp_path, monkeypatch, is_file):
    place = tmp_path / "place"
    if is_file:
        place.write_text("")
    else:
        place.symlink_to(tmp_path / "nowhere")
    monkeypatch.setenv("FASTBP_CACHE_DIR", str(place))
    with pytest.warns(RuntimeWarning, match="every process builds them again"):
        assert store.save(IMAGE, KIND) is None
    with store.building(KIND):
        assert store.find(KIND) is None


# Places


@pytest.mark.parametrize(
    ("system", "environment", "expected"),
    [
        ("linux", {}, "/home/u/.cache/fastbp"),
        ("linux", {"XDG_CACHE_HOME": "/scratch"}, "/scratch/fastbp"),
        ("linux", {"XDG_CACHE_HOME": "not/absolute"}, "/home/u/.cache/fastbp"),
        ("freebsd14", {}, "/home/u/.cache/fastbp"),
        ("darwin", {"XDG_CACHE_HOME": "/scratch"}, "/home/u/Library/Caches/fastbp"),
        ("win32", {"LOCALAPPDATA": "/home/u/Local"}, "/home/u/Local/fastbp"),
        ("win32", {}, "/home/u/AppData/Local/fastbp"),
        ("linux", {"FASTBP_CACHE_DIR": "~/kernels"}, "/home/u/kernels"),
        ("linux", {"FASTBP_CACHE_DIR": "/k"}, "/k"),
        ("linux", {"FASTBP_CACHE_DIR": ""}, "/home/u/.cache/fastbp"),
    ],
)
def test_the_cache_is_where_each_system_has_caches(monkeypatch, system, environment, expected):
    for name in ("FASTBP_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/u", **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", system)
    assert store.cache_folder() == expected


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    monkeypatch.delenv("FASTBP_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert store.cache_folder() is None
    assert store.find(KIND) is None
    with pytest.warns(RuntimeWarning, match="no home folder.*FASTBP_CACHE_DIR"):
        assert store.save(IMAGE, KIND) is None


def test_kernels_of_the_package_come_first(tmp_path):
    ours = IMAGE._replace(code=bytes(50))
    store.save(IMAGE, KIND)
    assert store.save(ours, KIND, "package") == str(tmp_path / "package" / "built" / "float32-x86-64-v3.kernels")
    assert store.find(KIND) == ours
    assert [facts for _, facts in store.stored()] == [KIND.facts] * 2


def test_kernels_of_the_package_serve_with_any_numba_but_not_with_other_sources(tmp_path, monkeypatch):
    store.save(IMAGE, KIND, "package")
    monkeypatch.setattr(store, "compilers", lambda: {"numba": "", "llvmlite": ""})
    assert store.find(KIND) == IMAGE
    monkeypatch.setattr(store, "sources", lambda kernels: Sources("0" * 64, are_text=True))
    assert store.find(KIND) is None
    monkeypatch.setattr(
        store, "sources", lambda kernels: Sources("0" * 64, are_text=False)
    )  # the version stands for them
    assert store.find(KIND) == IMAGE
    monkeypatch.setattr(store, "version", lambda: "0.0.0")
    assert store.find(KIND) is None


@pytest.mark.parametrize("what", ["dtype", "level", "system"])
def test_a_file_in_the_package_with_a_wrong_name_is_not_loaded(tmp_path, what):
    store.save(IMAGE, KIND._replace(**{what: "other"}), "package")
    built = tmp_path / "package" / "built"
    only_file(built).rename(built / KIND.name)
    assert store.find(KIND) is None


def test_kernels_for_a_wheel_go_into_any_folder(tmp_path):
    kind = KIND._replace(system="win32")
    path = store.save(IMAGE, kind, str(tmp_path / "wheel"))
    assert path == str(tmp_path / "wheel" / "float32-x86-64-v3.kernels")
    assert json.loads(Path(path).read_bytes().split(b"\n")[0])["system"] == "win32"


def test_a_package_that_cannot_be_written_is_no_error(tmp_path, folder, recwarn):
    (tmp_path / "package").write_text("a zip, perhaps")
    assert store.save(IMAGE, KIND, "package") is None
    assert not recwarn.list
    assert not folder.exists()
