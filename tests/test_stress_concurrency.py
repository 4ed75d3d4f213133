"""A little of what tests/stress does by the thousand: threads, processes, epochs, bad calls, guard pages, caches."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from fastbp._kernels import finite
from fastbp._kernels.disk import Disk
from fastbp._kernels.jit import OPTIONS
from tests.stress import bad_calls, guard_pages, million_epochs, processes, threads
from tests.stress._models import models

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, /proc and mprotect are Linux's")


def test_trainers_in_sixteen_threads_have_the_bits_of_trainers_alone():
    counts, wrong = threads.together(models()[::3], seconds=0, rounds=1)
    assert wrong == []
    assert counts["rounds"] >= 22
    assert counts["refusals"] > 0


@pytest.mark.filterwarnings("ignore:os.fork")  # JAX warns, if another test imported it
def test_children_forked_while_a_thread_trains_have_the_same_bits():
    assert processes.forks(6) == {"right": 6}


@pytest.mark.filterwarnings("ignore:os.fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("way", ["multiprocessing fork", "joblib threading", "asyncio"])  # the others start slowly
def test_other_processes_threads_and_loops_have_the_same_bits(way):
    assert processes.wrong_by(way, processes.SOME[::4]) == []


def test_memory_does_not_grow_with_epochs():
    assert not million_epochs.run(50_000)


def test_bad_calls_do_no_harm():
    counts = bad_calls.run(200)
    assert counts["refused"] > 100


def test_guard_pages_find_no_index_outside():
    assert guard_pages.run("end", ["tests/test_engine.py", "-k", "many_python_threads or workspace"]) == 0


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A function that compiles `finite.is_finite` anew, with a cache in a folder of its own, and calls it."""
    from numba import config, njit

    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))

    def use(dtype: str = "float64") -> tuple[int, int]:
        kernel = njit(**OPTIONS)(finite.is_finite.py_func)
        kernel._cache = Disk(kernel.py_func)
        assert kernel(np.ones(9, dtype))
        assert not kernel(np.full(9, np.nan, dtype))
        return sum(kernel.stats.cache_misses.values()), len(list(tmp_path.rglob("*")))

    return use


def test_a_kernel_comes_from_the_cache(shelf):
    assert [shelf()[0], shelf()[0], shelf("float32")[0], shelf("float32")[0], shelf()[0]] == [1, 0, 1, 0, 0]


@pytest.mark.parametrize("harm", [lambda whole: b"", lambda whole: whole[: len(whole) // 2]], ids=["empty", "half"])
def test_a_piece_that_was_cut_short_is_compiled_again(shelf, tmp_path, harm):
    shelf()
    (piece,) = tmp_path.rglob("*.nbc")
    piece.write_bytes(harm(piece.read_bytes()))
    assert [shelf()[0], shelf()[0]] == [1, 0]


def test_a_piece_under_another_name_is_not_believed(shelf, tmp_path):
    shelf("float64"), shelf("float32")
    a, b = tmp_path.rglob("*.nbc")
    wholes = a.read_bytes(), b.read_bytes()
    a.write_bytes(wholes[1])
    b.write_bytes(wholes[0])
    assert shelf("float64")[0] == shelf("float32")[0] == 1


def test_pieces_of_another_processor_stay_apart(shelf, monkeypatch):
    from numba.core.codegen import JITCPUCodegen

    shelf()
    with monkeypatch.context() as other:
        other.setattr(JITCPUCodegen, "magic_tuple", lambda self: ("another", "processor", ""))
        assert [shelf()[0], shelf()[0]] == [1, 0]
    assert shelf()[0] == 0


def test_pieces_of_an_older_version_go(shelf, tmp_path, monkeypatch):
    shelf()
    (old,) = tmp_path.rglob("*.nbc")
    monkeypatch.setattr("fastbp._kernels.disk.SOURCES", "newer")
    assert shelf()[0] == 1
    (new,) = tmp_path.rglob("*.nbc")
    assert new != old


def test_on_a_full_disk_kernels_are_compiled_and_one_warning_says_so(shelf, tmp_path):
    import resource

    from fastbp._kernels.disk import warn_of_no_cache

    warn_of_no_cache.cache_clear()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.warns(RuntimeWarning, match="no folder to keep compiled kernels in"):
            shelf()
        shelf("float32")  # a second warning would be an error
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.rglob("*.*")) == []  # nothing half-written either
    assert shelf()[0] == 1
