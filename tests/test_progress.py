"""The bar, the lines, and which of them `verbose` asks for."""

from __future__ import annotations

import math
import re
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from fastbp import Trainer, progress


def test_silent(xor, capsys):
    Trainer([2, 2, 1]).fit(*xor, epochs=3, metrics=["mse"], verbose=0)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize("verbose", ["auto", 2])
def test_a_line_an_epoch_where_there_is_no_terminal(xor, capsys, verbose):
    trainer = Trainer([2, 2, 1], seed=0)
    trainer.fit(*xor, epochs=1, verbose=0)
    trainer.fit(*xor, epochs=3, metrics=["mse"], verbose=verbose)
    lines = capsys.readouterr().out.splitlines()
    assert [re.sub(r"\d\.\d+", "x", line) for line in lines] == [f"epoch {e}/4  loss x  mse x" for e in (2, 3, 4)]


@pytest.mark.parametrize("terminal", [True, False])
def test_auto_takes_the_bar_in_a_terminal(monkeypatch, terminal):
    monkeypatch.setattr(progress, "interactive", lambda: terminal)
    kind = progress.ProgressBar if terminal else progress.EpochLines
    assert [type(c) for c in progress.progress("auto")] == [kind]


def test_auto_falls_back_to_lines_without_tqdm_and_a_bar_asked_for_says_what_to_install(monkeypatch, xor):
    monkeypatch.setattr(progress, "interactive", lambda: True)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    assert [type(c) for c in progress.progress("auto")] == [progress.EpochLines]
    with pytest.raises(ImportError, match=r"fastbp\[progress\]"):
        Trainer([2, 2, 1]).fit(*xor, verbose=1)


def test_a_notebook_without_ipywidgets_gets_the_terminals_bar_and_no_warning(monkeypatch, xor, capsys):
    for name in ("tqdm.auto", "tqdm.autonotebook", "tqdm.notebook"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    shell = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with warnings.catch_warnings(record=True) as warned:  # tqdm would take the error that pytest makes of it for ours
        warnings.simplefilter("always")
        Trainer([2, 2, 1]).fit(*xor, epochs=3)
    assert warned == []
    assert "epoch 3/3" in capsys.readouterr().err


def test_bar_shows_epochs_and_measures_in_eighty_columns(xor, capsys):
    trainer = Trainer([2, 2, 1], seed=0)
    trainer.fit(*xor, epochs=30, verbose=0)
    trainer.fit(*xor, epochs=30, metrics=["mse"], validation_data=xor, verbose=1)
    frames = capsys.readouterr().err.split("\r")
    assert frames[1].startswith("epoch 30/60")
    last = frames[-1].rstrip()
    assert re.fullmatch(
        r"epoch 60/60 ██████ 00:\d\d, loss 0\.\d{4} \(val 0\.\d{4}\) mse 0\.\d{4} \(val 0\.\d{4}\)", last
    ), last
    assert len(last) < 80


@pytest.mark.parametrize(
    ("value", "text"), [(0.12345, "0.1235"), (-2.0, "-2.0000"), (0.0001234, "0.000123"), (math.nan, "nan")]
)
def test_numbers_in_four_decimals_or_three_digits(value, text):
    assert progress.number_text(value) == text


@pytest.mark.parametrize("verbose", [3, -1, "loud", None, 0.5, [1], np.ones(2)])
def test_unknown_verbose(xor, verbose):
    with pytest.raises(ValueError, match="verbose: expected 'auto', 0 "):
        Trainer([2, 2, 1]).fit(*xor, verbose=verbose)
