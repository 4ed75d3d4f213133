"""Standard streams that are missing, closed, broken or of another encoding: whatever they are, training goes on."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import warnings
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris

from fastbp import Ensemble, Sweep, Trainer, _messages, fit_many
from fastbp.__main__ import main
from fastbp.sklearn import MLPClassifier


class WriteOnly:
    """What many programs put in the place of a stream."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


class Broken(io.StringIO):
    """A pipe whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")

    def flush(self) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    def isatty(self) -> bool:
        raise ValueError("I/O operation on closed file")


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


def ascii_only() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")


KINDS = {"None": lambda: None, "closed": closed, "write only": WriteOnly, "broken": Broken, "ascii": ascii_only}


@pytest.fixture(params=KINDS)
def streams(request, monkeypatch):
    """A function that replaces both streams; pytest puts its own back between a fixture and its test."""

    def replace() -> None:
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, KINDS[request.param]())

    return replace


@pytest.mark.parametrize("verbose", ["auto", 1, 2])
def test_a_fit_goes_on_whatever_the_streams_are(streams, xor, verbose):
    streams()
    assert Trainer([2, 2, 1]).fit(*xor, epochs=3, verbose=verbose).epochs == [1, 2, 3]


@pytest.mark.parametrize("verbose", [1, 2])
def test_fits_of_many_go_on_whatever_the_streams_are(streams, xor, verbose):
    streams()
    outcomes = fit_many([{"layer_sizes": [2, 2, 1], "seed": i} for i in range(3)], *xor, epochs=3, verbose=verbose)
    assert [outcome.epochs for outcome in outcomes] == [3, 3, 3]
    outcomes = Ensemble(2, [2, 2, 1]).fit(*xor, epochs=2, verbose=verbose)
    assert [outcome.epochs for outcome in outcomes] == [2, 2]
    sweep = Sweep({"layer_sizes": [[2, 2, 1]], "learning_rate": [0.1, 0.2]}, seed=0)
    sweep.fit(*xor, epochs=2, validation_data=xor, verbose=verbose)
    assert [row["epochs"] for row in sweep.table] == [2, 2]


def test_joblib_can_flush_the_streams_whatever_they_are(streams, xor):
    def flush_as_joblib_does(_: Any) -> None:  # before it starts a process
        sys.stdout.flush()
        sys.stderr.flush()

    networks = [Trainer([2, 3, 1], seed=seed) for seed in range(2)]
    streams()
    with joblib.parallel_config("threading", n_jobs=2):
        outcomes = fit_many(networks, *xor, epochs=2, on_finish=flush_as_joblib_does, verbose=1)
    assert [outcome.epochs for outcome in outcomes] == [2, 2]


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_an_estimator_goes_on_whatever_the_streams_are(streams, xor):
    streams()
    assert MLPClassifier((2,), max_iter=3, verbose=True).fit(*xor).n_iter_ == 3


def test_a_warning_cannot_end_what_it_is_about(monkeypatch):
    monkeypatch.setattr(sys, "stderr", closed())
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", lambda message, *_: sys.stderr.write(f"{message}"))  # as Python's
        _messages.warn("it went on", RuntimeWarning)
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="it went on"):
            _messages.warn("it went on", RuntimeWarning)


def test_what_an_encoding_lacks_is_escaped():
    stream = ascii_only()
    _messages.write(stream, "η = −1\n")
    assert stream.buffer.getvalue() == b"\\u03b7 = \\u22121\n"


def test_lines_reach_a_stream_that_can_only_write(monkeypatch, xor):
    monkeypatch.setattr(sys, "stdout", stream := WriteOnly())
    Trainer([2, 2, 1]).fit(*xor, epochs=2, verbose=2)
    assert [line[:9] for line in stream.text.splitlines()] == ["epoch 1/2", "epoch 2/2"]


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Here, with a table."""
    monkeypatch.chdir(tmp_path)
    X, y = load_iris(return_X_y=True)
    rows = [",".join(map(str, row)) for row in np.column_stack([X[::9], y[::9]])]
    (tmp_path / "data.csv").write_text("\n".join(["a,b,c,d,y", *rows]))
    return tmp_path


def test_commands_without_standard_streams(table, monkeypatch, capsys):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert main(["train", "data.csv", "--out", "model.npz", "--epochs", "2"]) == 0
    assert Trainer.load("model.npz").epochs_trained == 2
    assert main(["evaluate", "model.npz", "data.csv"]) == main(["info", "--json"]) == 0
    assert main(["predict", "model.npz", "data.csv", "--out", "out.csv"]) == 0
    assert len((table / "out.csv").read_text().splitlines()) == 18
    assert main(["predict", "model.npz", "none.csv"]) == 2  # a complaint that nobody hears


@pytest.mark.parametrize("command", ["predict", "explain"])
def test_what_has_nowhere_to_go_is_an_error(table, monkeypatch, capsys, command):
    assert main(["train", "data.csv", "--out", "model.npz", "--epochs", "1", "--quiet"]) == 0
    monkeypatch.setattr(sys, "stdout", None)
    assert main([command, "model.npz", "data.csv"]) == 2
    assert capsys.readouterr().err == "fastbp: --out: expected a file, because standard output is closed, got none\n"


def test_help_and_explanations_in_any_encoding_but_never_a_label(table, monkeypatch, capsys):
    (table / "data.csv").write_text("a,y\n1,б\n2,в\n3,б\n4,в\n")
    monkeypatch.setattr(sys, "stdout", ascii_only())
    assert main(["train", "data.csv", "--out", "model.npz", "--epochs", "1", "--validation", "0"]) == 0
    assert main(["explain", "model.npz", "data.csv"]) == 0
    with pytest.raises(SystemExit, match="0"):
        main(["train", "--help"])
    assert main(["predict", "model.npz", "data.csv"]) == 2
    assert "standard output uses the encoding ascii, which does not have '\\u043" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="cp1252"))
    assert main(["predict", "model.npz", "data.csv"]) == 2
    assert "standard output uses the encoding cp1252, which does not have '\\u043" in capsys.readouterr().err


def as_on_windows(errors: str = "strict") -> io.TextIOWrapper:
    """A pipe of Windows in Western Europe: few characters, and \\n is written as \\r\\n."""
    return io.TextIOWrapper(io.BytesIO(), encoding="cp1252", errors=errors, newline="\r\n")


COMMANDS = {
    **{
        f"{name} --help": f"usage: fastbp {name}"
        for name in ("train", "predict", "evaluate", "explain", "importance", "bench")
    },
    "--help": "usage: fastbp",
    "--version": "fastbp ",
    "--print-completion bash": "# AUTOMATICALLY GENERATED",
    "train data.csv --out new.npz --epochs 1": "Wrote new.npz.",
    "train data.csv --out new.npz --epochs 1 --json": '{"model": ',
    "predict model.npz data.csv": "y\r\n",
    "predict model.npz data.csv --probabilities": "y,probability_0,",
    "predict model.npz data.csv --json": '{"rows": 17',
    "evaluate model.npz data.csv": "class frequencies\r\nrows              17\r\n",
    "explain model.npz data.csv": "  #",
    "explain model.npz data.csv --row 1-3": "Average contributions to 3 rows",
    "explain model.npz data.csv --steps": "f\\u2032(z)",
    "importance model.npz data.csv": "log loss of 17 rows",
    "explain model.npz data.csv --row 1-2 --weight 1,1,1": "\\u2202J/\\u2202",
    "info": "fastbp ",
    "bench --sizes 2-2-1 --rounds 1 --quick --threads 1 --peers numpy": "NumPy",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_into_a_pipe_of_windows(table, monkeypatch, command):
    assert main(["train", "data.csv", "--out", "model.npz", "--epochs", "1", "--quiet"]) == 0
    monkeypatch.setattr(sys, "stdout", out := as_on_windows())
    monkeypatch.setattr(sys, "stderr", err := as_on_windows("backslashreplace"))
    try:
        code = main(command.split())
    except SystemExit as end:
        code = end.code
    assert (code, err.buffer.getvalue()) == (0, b"")
    written = out.buffer.getvalue().decode("cp1252")
    assert COMMANDS[command] in written
    assert "\r\r" not in written
    assert written.endswith("\r\n")
    assert written.count("\n") == written.count("\r\n")


def test_a_file_of_predictions_has_the_same_bytes_on_every_system(table, monkeypatch):
    monkeypatch.setattr(os, "linesep", "\r\n")
    assert main(["train", "data.csv", "--out", "model.npz", "--epochs", "1", "--quiet"]) == 0
    assert main(["predict", "model.npz", "data.csv", "--out", "out.csv"]) == 0
    monkeypatch.setattr(sys, "stdout", out := as_on_windows())
    assert main(["predict", "model.npz", "data.csv"]) == 0
    there = (table / "out.csv").read_bytes()
    assert b"\r" not in there
    assert out.buffer.getvalue().replace(b"\r\n", b"\n") == there


def test_a_process_whose_locale_has_few_characters(table):
    """As Windows starts it with a pipe."""
    code = "import sys; from fastbp.__main__ import main; sys.exit(main())"
    start = [sys.executable, "-X", "utf8=0", "-c", code]
    environment = os.environ | {"PYTHONIOENCODING": "cp1252", "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    main(["train", "data.csv", "--out", "model.npz", "--epochs", "1", "--quiet"])
    for arguments in (["explain", "model.npz", "data.csv"], ["explain", "--help"]):
        ran = subprocess.run([*start, *arguments], env=environment, capture_output=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, b"")
        assert ran.stdout.decode("cp1252")
