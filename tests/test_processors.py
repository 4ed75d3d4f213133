"""How many processors fastbp uses: what affinity, containers, PYTHON_CPU_COUNT and Apple's efficiency cores leave."""

from __future__ import annotations

import math
import os
import sys
from types import SimpleNamespace

import pytest

from fastbp._engine import processors, team as teams
from fastbp._engine.team import TeamSize, fast_cores, rows_team_size, usable_cores


@pytest.fixture(autouse=True)
def nothing_known():
    """What other tests and this one read is forgotten."""

    def forget() -> None:
        processors.quota.cache_clear()
        processors.fast.cache_clear()

    forget()
    yield
    forget()


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A function that makes a machine of so many processors with these files of control groups."""

    def make(groups: str, files: dict[str, str], count: int = 16) -> None:
        all_files = {"proc/self/cgroup": groups} | {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
        for name, content in all_files.items():
            place = tmp_path / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content)
        monkeypatch.setattr(processors, "ROOT", str(tmp_path))
        monkeypatch.setattr(processors, "of_process", lambda: count)

    return make


V1 = "5:cpuset:/\n4:cpu,cpuacct:/docker/ab\n1:name=systemd:/docker/ab\n0::/docker/ab\n"


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, 16),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "6400000 100000\n"}, 16),
        ("0::/\n", {"cpu.max": "200000 0\n"}, 16),
        ("0::/\n", {"cpu.max": "\n"}, 16),
        ("0::/\n", {}, 16),
        ("0::/pod/box\n", {"pod/box/cpu.max": "max 100000\n", "pod/cpu.max": "300000 100000\n"}, 3),
        ("0::/pod/box\n", {"pod/box/cpu.max": "200000 100000", "pod/cpu.max": "300000 100000", "cpu.max": "max 1"}, 2),
        ("0::/pod/a:b\n", {"pod/a:b/cpu.max": "200000 100000"}, 2),
        ("0::/../other\n", {"other/cpu.max": "200000 100000"}, 2),  # seen from another namespace
        (V1, {"cpu,cpuacct/docker/ab/cpu.cfs_quota_us": "-1", "cpu,cpuacct/docker/ab/cpu.cfs_period_us": "100000"}, 16),
        (V1, {"cpu,cpuacct/docker/cpu.cfs_quota_us": "250000", "cpu,cpuacct/docker/cpu.cfs_period_us": "100000"}, 3),
        (V1, {"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "25000\n"}, 2),  # its own group is the root
        (V1, {"unified/docker/ab/cpu.max": "400000 100000"}, 4),
        ("nonsense\n", {"cpu.max": "200000 100000"}, 16),
    ],
)
def test_a_container_has_as_many_processors_as_it_may_use(machine, groups, files, cores):
    machine(groups, files)
    assert usable_cores() == cores
    assert rows_team_size(64, 10**12, 10**6) == rows_team_size("auto", 10**12, 10**6) == cores
    assert TeamSize((784, 128, 10), 128, 4, 64).team == cores


def test_a_larger_quota_adds_no_processors(machine):
    machine("0::/\n", {"cpu.max": "400000 100000"}, count=2)
    assert usable_cores() == 2


@pytest.mark.parametrize("root", ["none", "file"])
def test_without_files_of_control_groups_there_is_no_quota(tmp_path, monkeypatch, root):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(processors, "ROOT", str(tmp_path / root))
    assert processors.quota() == math.inf


@pytest.fixture
def before_3_13(monkeypatch):
    monkeypatch.delattr(os, "process_cpu_count", raising=False)


@pytest.mark.parametrize(("told", "cores"), [("3", 3), ("default", 5), ("", 5), ("0", 5), ("-1", 5), ("x", 5)])
def test_python_cpu_count_decides(monkeypatch, before_3_13, told, cores):
    monkeypatch.setattr(processors, "allowed", lambda: set(range(5)))
    monkeypatch.setenv("PYTHON_CPU_COUNT", told)
    assert processors.of_process() == cores


def test_python_itself_decides_where_it_can(monkeypatch):
    monkeypatch.setattr(os, "process_cpu_count", lambda: 7, raising=False)
    assert processors.of_process() == 7


def refused(*_):
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("count", [refused, lambda: None])
def test_where_python_cannot_say_the_machine_does(monkeypatch, count):
    monkeypatch.setattr(os, "process_cpu_count", count, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", refused, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.delenv("PYTHON_CPU_COUNT", raising=False)
    assert processors.of_process() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


@pytest.mark.parametrize(("told", "fast"), [(4, 4), (0, 10), (None, 10), ("no sysctl", 10)])
def test_a_team_keeps_to_performance_cores_unless_asked(monkeypatch, told, fast):
    """told: what macOS says; an Intel Mac doesn't know the name."""

    def sysctlbyname(name, value, size, new, new_size) -> int:
        assert name == b"hw.perflevel0.logicalcpu"
        if told is None:
            return -1
        value._obj.value = told
        return 0

    known = {} if told == "no sysctl" else {"sysctlbyname": sysctlbyname}
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(processors, "libc", SimpleNamespace(**known))
    monkeypatch.setattr(teams, "usable_cores", lambda: 10)
    assert fast_cores() == fast
    assert rows_team_size("auto", 10**12, 10**6) == fast
    assert rows_team_size(8, 10**12, 10**6) == 8
    size = TeamSize((2048, 2048, 2048), 256, 4, "auto")
    assert size.team == fast
    assert TeamSize((2048, 2048, 2048), 256, 4, 9).team == 9


def test_few_rows_cost_no_question_to_the_system(monkeypatch):
    monkeypatch.setattr(teams, "usable_cores", lambda: pytest.fail("asked"))
    assert rows_team_size("auto", 10**4, 1) == rows_team_size(4, 10**4, 50) == 1
