"""fastbp bench: its table and its JSON, and peers that fail, are missing or are interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fastbp.__main__ import main
from fastbp.benchmark import peers, report, server, turns
from fastbp.benchmark.workloads import Workload, multiplications, samples

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
SMALL = "bench --sizes 3-4-2 --batch 8 --quick --rounds 1 --threads 1 --peers numpy"


@pytest.fixture
def asked(monkeypatch) -> list[tuple[str, object]]:
    """What servers are asked that answer at once, without a process: peers take four times as long as fastbp."""
    asked = []

    class Server:
        def __init__(self, peer, threads, settings):
            self.peer, self.question = peer, ""

        def answer(self):
            if isinstance(self.question, float):
                return {"fastbp": 1.0}.get(self.peer, 4.0)
            return None if self.question else "1.0"

        def ask(self, question):
            self.question = question
            asked.append((self.peer, question))

        def release(self):
            pass

        def end(self, seconds):
            pass

    monkeypatch.setattr(turns, "Server", Server)
    return asked


@pytest.mark.usefixtures("asked")
def test_a_table_of_what_is_measured(capsys):
    assert main(SMALL.split()) == 0
    out, err = capsys.readouterr()
    assert err == ""
    training, row, *_ = out.splitlines()
    assert training.split("  ") == ["training, ns per sample", "fastbp", "NumPy", "× best peer"]
    assert row.startswith("3-4-2, batch 8 ")
    assert "3-4-2, rows 4,096" in out
    assert "; float32; on 1 thread; median of 1 round in turns.\n" in out


def test_the_same_for_machines(capsys):
    assert main(f"{SMALL} --dtype float64 --json".split()) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["dtype"], found["threads"], found["rounds"]) == ("float64", [1], 1)
    assert set(found["versions"]) == {"fastbp", "NumPy"}
    assert found["failed"] == found["not_installed"] == {}
    (trained,), (one, many) = found["training"], found["prediction"]
    assert (trained["sizes"], trained["rows"], one["rows"], many["rows"]) == ([3, 4, 2], 8, 1, 4096)
    for record in (trained, one, many):
        assert record["threads"] == {"fastbp": 1, "NumPy": 1}
        assert record["times_best_peer"] == pytest.approx(record["ns"]["NumPy"] / record["ns"]["fastbp"])
        assert min(record["ns"].values()) > 0


@pytest.mark.usefixtures("asked")
def test_a_peer_that_is_not_installed_is_named(monkeypatch, capsys):
    monkeypatch.setitem(peers.PACKAGES, "JAX scan", ("no_such_package",))
    assert main([*SMALL.split(), "jax"]) == 0
    assert "JAX scan is not installed (no_such_package)" in capsys.readouterr().out


@pytest.mark.usefixtures("asked")
def test_without_any_peer_there_is_no_ratio(monkeypatch, capsys):
    monkeypatch.setitem(peers.PACKAGES, "NumPy", ("no_such_package",))
    assert main([*SMALL.split(), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["training"][0]["times_best_peer"] is None
    assert found["not_installed"] == {"NumPy": ["no_such_package"]}


def test_a_peer_that_fails_says_why_and_the_others_go_on():
    impossible = Workload("prediction", (3, 0, 2), 8)
    with turns.Turns(["NumPy", "scikit-learn"], (1,)) as both:
        assert set(both.measure(["NumPy", "scikit-learn"], impossible, 1, "float32", 0.01)) == {"NumPy"}
        assert both.failures["scikit-learn"].startswith("ValueError: hidden_layer_sizes must be > 0")
        assert "\n" not in both.failures["scikit-learn"]
    with turns.Turns(["NumPy"], (1,)) as one:
        one._servers["NumPy", 1, 0]._process.kill()
        assert one.measure(["NumPy"], Workload("prediction", (3, 2), 1), 1, "float32", 0.01) == {}
        assert one.failures == {"NumPy": "ended with exit code -9"}


def test_when_fastbp_itself_fails_that_is_the_error(monkeypatch, capsys):
    monkeypatch.setattr(turns, "START", "import sys; print(0.1, flush=True); sys.exit('no cores left')")
    assert main(SMALL.split()) == 1
    assert capsys.readouterr().err == "fastbp: no cores left\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--sizes 64", "--sizes: expected sizes such as 64-32-10, got '64'"),
        ("--sizes 64-0-1", "--sizes: expected sizes such as 64-32-10, got '64-0-1'"),
        ("--threads 0", "--threads: expected numbers of threads such as 1,2, got '0'"),
        ("--threads auto", "--threads: expected numbers of threads such as 1,2, got 'auto'"),
        ("--peers keras", "--peers: invalid choice: 'keras' (choose from "),
        ("--rounds 0", "--rounds: expected an integer ≥ 1, got 0"),
        ("--batch 0", "--batch: expected an integer ≥ 1, got 0"),
        ("--sizes 9000000-9000000", "--sizes: expected what fits into"),
    ],
)
def test_bad_options(options, message, capsys):
    assert main(["bench", *options.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_every_peer_has_a_name_for_the_command_line():
    assert set(report.PEERS.values()) == set(peers.TRAINING | peers.PREDICTION) - {"fastbp"}
    assert set(peers.PACKAGES) == set(peers.TRAINING | peers.PREDICTION)


def test_shorter_rounds_have_fewer_samples_and_whole_batches():
    sizes = (64, 32, 10)
    long, short = samples(sizes, 32), samples(sizes, 32, 0.03)
    assert 5 < long / short < 20
    assert short % 32 == 0
    assert Workload("training", sizes, 32).flop == 2 * multiplications(sizes)
    assert Workload("prediction", sizes, 32).flop == 2 * (64 * 32 + 32 * 10)


def test_a_round_takes_about_as_long_as_asked():
    started = time.perf_counter()
    rounds = server.Rounds("NumPy", 1, Workload("prediction", (3, 2), 1), "float32")
    assert 0 < rounds.ns(0.02) < 1e9
    assert 0 < rounds.ns(0.04) < 1e9
    assert time.perf_counter() - started < 20


def children(process: int) -> set[int]:
    return set(map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()))


# Ctrl-C must work even if this process ignores SIGINT, and without the current folder on the path
START = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.pop(0)
from fastbp.__main__ import main
sys.exit(main())
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks Linux for a process's children")
def test_ctrl_c_ends_it_and_its_processes(tmp_path):
    """The current folder has files with names of the standard library."""
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    arguments = ["bench", "--sizes", "64-32-10", "--rounds", "1000", "--threads", "1", "--peers", "numpy"]
    command = [sys.executable, "-c", START, *arguments]
    process = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    try:
        limit = time.monotonic() + 60
        started: set[int] = set()
        while len(started) < 2 and time.monotonic() < limit:
            time.sleep(0.1)
            started = children(process.pid)
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "fastbp: interrupted\n")
    assert len(started) == 2
    assert not any(Path(f"/proc/{child}").exists() for child in started)


def test_a_peer_that_is_far_behind_has_one_short_round(monkeypatch, asked):
    monkeypatch.setattr(turns, "FAR", 0.5)  # so that even the fastest peer is behind itself
    with turns.Turns(["fastbp", "NumPy"], (1,)) as both:
        best = both.measure(["fastbp", "NumPy"], Workload("prediction", (3, 4, 2), 8), 3, "float32", 0.001)
    assert [asked.count((peer, 0.001)) for peer in ("fastbp", "NumPy")] == [3, 0]
    assert [asked.count((peer, turns.GLANCE_SECONDS)) for peer in ("fastbp", "NumPy")] == [1, 1]
    assert best == {"fastbp": (1.0, 1), "NumPy": (4.0, 1)}


def test_torch_compiles_only_if_it_may_be_fast(monkeypatch, asked):
    work, names = Workload("training", (3, 4, 2), 8), ["fastbp", "NumPy", "PyTorch eager", "torch.compile"]
    with turns.Turns(names, (1,)) as four:
        assert set(four.measure(names, work, 1, "float32", 0.001)) == set(names)
        monkeypatch.setattr(turns, "HOPELESS", 0.5)
        assert set(four.measure(names, work, 1, "float32", 0.001)) == set(names[:3])
    assert asked.count(("torch.compile", [work, "float32"])) == 1


@pytest.mark.usefixtures("asked")
def test_a_peer_has_a_process_for_each_of_its_settings():
    with turns.Turns(["fastbp", "JAX scan"], (1, 2)) as both:
        assert list(both._servers) == [
            *(("fastbp", count, 0) for count in (1, 2)),
            *(("JAX scan", count, which) for count in (1, 2) for which in (0, 1)),
        ]


@pytest.mark.usefixtures("asked")
def test_a_peer_is_not_asked_for_what_it_cannot_do():
    with turns.Turns(["fastbp", "FANN"], (1,)) as both:
        few, many = (
            both.measure(["fastbp", "FANN"], Workload("training", (3, 1), n), 1, "float32", 0.01) for n in (1, 2)
        )
    assert (set(few), set(many)) == ({"fastbp", "FANN"}, {"fastbp"})
