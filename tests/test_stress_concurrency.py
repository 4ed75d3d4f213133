"""A little of what tests/stress does by the thousand: threads, processes, epochs, bad calls, guard pages."""

from __future__ import annotations

import sys

import pytest

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
