"""The scripts of tests/stress that mistreat files, or stream more than memory holds, in small."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stress.__main__ import SCRIPTS

ROOT = Path(__file__).parent.parent
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="forks, limits and /proc are Linux's here")


def stress(name: str, *options: str) -> str:
    """What a script says, when nothing failed."""
    command = [sys.executable, "-m", f"tests.stress.{name}", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@LINUX
def test_ten_kills():
    assert re.search(
        r"^10 kills, \d+ in the middle of a write, \d+ saves in between, 0 failed$",
        stress("kill_nine", "--count=10"),
        re.M,
    )


@LINUX
def test_full_disks():
    assert "limit on files: 30 saves, 0 failed" in stress("full_disk", "--count=30")


@LINUX
def test_spoilt_files():
    """Few enough to be quick, enough for every way to spoil one."""
    said = stress("mutated_files", "--count=300")
    assert "300 files, 0 failed" in said
    for name in ("flip_bits", "cut", "grow", "edit_archive", "edit_json", "edit_npy", "edit_members", "pickle_arrays"):
        assert re.search(rf"^{name} +refused", said, re.M), name


@LINUX
def test_more_data_than_training_may_take_memory():
    said = stress("stream_20gb", "--gigabytes=0.4")
    assert re.match(r"0\.40 GB in 100,000 rows, .* MB of memory before, .* 1000 allowed; r2 from", said), said


def test_make_stress_finds_the_scripts():
    assert {"full_disk", "kill_nine", "killed_ranks", "mutated_files", "stream_20gb"} <= set(SCRIPTS)
