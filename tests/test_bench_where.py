"""Where the time goes: samples of the program counter, the kernels that they are in, and the peak."""

from __future__ import annotations

import shutil
import sys
import threading
import time

import pytest

from bench import counter, peak, where
from fastbp._kernels.levels import LEVEL
from fastbp._library.image import PAGE, Piece
from fastbp._library.kernel_file import Image

MANGLED = "_ZN6fastbp8_kernels4tile8sum_rowsB3v55B112c8tJTIeFIjxB2IKSgI4"


def computed(seconds: float) -> None:
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        sum(range(1000))


def test_samples_are_of_the_threads_that_compute():
    try:
        sampler = counter.Sampler(1000)
    except OSError as error:
        pytest.skip(str(error))
    before = sampler.samples()
    with sampler:
        computed(0.1)
        thread = threading.Thread(target=computed, args=(0.1,))
        thread.start()
        thread.join()
    found = sampler.samples()
    assert not before
    assert 20 < len(found) < 1000
    assert {sample.thread for sample in found} >= {threading.get_native_id()}
    assert len({sample.thread for sample in found}) == 2
    computed(0.05)
    assert not sampler.samples()


@pytest.mark.parametrize(
    ("name", "words", "group"),
    [
        (MANGLED, "tile.sum_rows", "updates"),
        ("apart_multiply_wide_float32", "multiply_wide", "products"),
        ("apart_pack_rows_float64", "pack_rows", "copies"),
        ("apart_output_errors_float32", "output_errors", "epilogues"),
        ("train_tiny", "train_tiny", "tiny"),
        ("train", "train", "rest"),
    ],
)
def test_names_of_kernels(name, words, group):
    assert where.readable(name) == words
    assert where.first_fit(where.GROUPS, words) == group


def test_kernels_lie_where_the_pieces_are_joined():
    pieces = [
        Piece(Image(bytes(PAGE + 1), {}), [], 62, {"b": (64, 32), "a": (0, 16)}),
        Piece(Image(bytes(8), {}), [], 62, {"c": (4, 4)}),
    ]
    assert where.functions_of(pieces) == [(0, 16, "a"), (64, 32, "b"), (2 * PAGE + 4, 4, "c")]


@pytest.mark.skipif(not shutil.which("objdump") or LEVEL.machine != "x86_64", reason="reads x86-64 with objdump")
def test_samples_beside_a_pause_are_waiting():
    code = bytes.fromhex("c4e27db8c1") + b"\x90" * 59 + bytes.fromhex("f390") + b"\x90" * 30  # vfmadd231ps; pause
    functions = [where.Function(0, len(code), "train")]
    split = where.Split(code, 1000, functions, [1000] * 5 + [1066] * 3 + [1] * 2)
    assert split.shares() == {"train": 0.5, "waiting": 0.3, "other code": 0.2}
    assert split.families("train") == "multiply-adds 100%"
    assert "vfmadd231ps" in "".join(split.annotated("train"))


@pytest.mark.skipif(sys.platform not in ("linux", "darwin", "win32"), reason="makes code for these systems")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_peak_is_finite(dtype, monkeypatch):
    monkeypatch.setattr(peak, "SECONDS", 0.001)
    monkeypatch.setattr(peak, "ROUNDS", 1)
    assert 0.1 < peak.peak.__wrapped__(dtype, 2) < 10_000


def test_a_line_of_the_table(monkeypatch):
    monkeypatch.setattr(where, "peak", lambda dtype, threads: 100.0)
    functions = [where.Function(0, 10, "apart_multiply_float32"), where.Function(10, 10, "train")]
    split = where.Split(bytes(20), 0, functions, [1] * 3 + [11])
    line = where.table_row("64-32-10, 32", "float32", 2, 200.0, 0.9, split)
    assert line.startswith("| 64-32-10, 32 | float32 | 2 | 200 | 51 | 67 |")
    assert line.endswith("| 75 |  | 25 | 10 |")
    assert line.count("|") == len(where.HEADS) + 1
