"""One process builds and the others wait, but none waits for ever."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import pytest

from fastbp._library import locks

ROOT = Path(__file__).parent.parent
NAME = "float32-x86-64-v3"

posix = pytest.mark.skipif(os.name != "posix", reason="processes of POSIX")


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", f"from fastbp._library import locks, store\n{code}", *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, cwd="/", **pipes)


def ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


HOLDER = f"""
import sys
with locks.alone({NAME!r}, sys.argv[1]):
    print("has it", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has the lock."""
    with start(HOLDER, tmp_path) as process:
        assert process.stdout.readline() == "has it\n"
        yield process
        process.kill()


BUILDER = """
import sys, time
from fastbp._library.kernel_file import Image
store._folder_of_package = lambda: "/nowhere"  # where an installation has built them
kind = store.Kind("float32", "x86-64-v3")
with store.building(kind):
    if store.find(kind) is None:
        print("builds", flush=True)
        time.sleep(0.3)
        store.save(Image(bytes(9), {}), kind)
assert store.find(kind) == Image(bytes(9), {})
"""


def test_of_many_processes_one_builds(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTBP_CACHE_DIR", str(tmp_path / "cache"))
    with ExitStack() as stack:  # waits for each, also after one has failed
        processes = [stack.enter_context(start(BUILDER)) for _ in range(4)]
        assert "".join(map(ended, processes)) == "builds\n"


def test_of_many_threads_one_is_in_the_block(tmp_path):
    inside, seen = [], []

    def enter(folder):
        with locks.alone(NAME, folder):
            inside.append(None)
            seen.append(len(inside))
            inside.pop()

    for folder in (str(tmp_path), None):
        threads = [threading.Thread(target=enter, args=(folder,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert seen == [1] * 16


def test_other_kernels_dont_wait(tmp_path):
    with locks.alone(NAME, str(tmp_path)), locks.alone("float64-x86-64-v3", str(tmp_path)):
        pass


@posix
def test_a_killed_builder_ends_its_lock(tmp_path, holder):
    waiting = start(HOLDER, tmp_path)
    holder.send_signal(signal.SIGKILL)
    assert ended(waiting) == "has it\n"


def test_a_builder_that_never_ends_is_not_waited_for(tmp_path, holder, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE", 0.2)
    with locks.alone(NAME, str(tmp_path)):
        assert holder.poll() is None


def test_a_thread_that_never_ends_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE", 0.2)
    with locks.alone(NAME, None), locks.alone(NAME, None):
        pass
    with locks.alone(NAME, None):
        assert locks._of_threads[NAME].locked()
    assert not locks._of_threads[NAME].locked()


FORKING = f"""
import os, sys, threading, time
left = threading.Event()
def hold():
    with locks.alone({NAME!r}, sys.argv[1]):
        has_it.set()
        left.wait()
has_it = threading.Event()
thread = threading.Thread(target=hold)
thread.start()
has_it.wait()
reader, writer = os.pipe()
if os.fork() == 0:
    with locks.alone({NAME!r}, sys.argv[1]):
        os.write(writer, b"child")
    os._exit(0)
time.sleep(0.2)
os.write(writer, b"parent ")
left.set()
os.wait()
print(os.read(reader, 99).decode())
"""


@posix
def test_a_forked_child_waits_for_its_parents_thread_and_no_longer(tmp_path):
    assert ended(start(FORKING, tmp_path)) == "parent child\n"


def test_a_folder_that_cannot_be_written_has_no_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "open", lambda *_: (_ for _ in ()).throw(OSError(errno.EROFS, "read-only")))
    with locks.alone(NAME, str(tmp_path)):
        assert list(tmp_path.iterdir()) == []


@posix
def test_a_file_system_without_locks_does_not_stop_anybody(tmp_path, monkeypatch):
    import fcntl

    def fail(*_):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "lockf", fail)
    with locks.alone(NAME, str(tmp_path)):
        pass


@posix
def test_other_users_cannot_hold_the_lock(tmp_path):
    with locks.alone(NAME, str(tmp_path)):
        (path,) = tmp_path.iterdir()
        assert path.stat().st_mode & 0o777 == 0o600


def test_windows_locks_a_byte(tmp_path, monkeypatch):
    calls, busy = [], [True]

    def locking(file, mode, size):
        calls.append((mode, size))
        if busy.pop() if busy else False:
            raise PermissionError(errno.EACCES, "another process has it")

    windows = ModuleType("msvcrt")
    windows.locking, windows.LK_NBLCK = locking, 2
    monkeypatch.setitem(sys.modules, "msvcrt", windows)
    monkeypatch.setattr(sys, "platform", "win32")
    with locks.alone(NAME, str(tmp_path)):
        assert calls == [(2, 1), (2, 1)]
