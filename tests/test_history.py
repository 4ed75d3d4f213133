from __future__ import annotations

import copy
import json
import math
import pickle
import sys
import threading

import numpy as np
import pandas
import pytest

from fastbp import History, Trainer
from fastbp.history import LazyHistory


@pytest.fixture
def history() -> History:
    h = History()
    h.extend(1, [0.5, 0.25])
    h.extend(3, [0.125])
    h.add({"val_loss": 0.2, "accuracy": 0.9})
    return h


def test_is_a_mapping_of_equally_long_lists(history):
    assert list(history) == ["loss", "val_loss", "accuracy"]
    assert "val_loss" in history
    assert "mae" not in history
    assert history["loss"] == [0.5, 0.25, 0.125]
    assert math.isnan(history["accuracy"][0])
    assert history["accuracy"][2] == 0.9
    assert {len(column) for column in dict(history).values()} == {3}
    assert history.epochs == [1, 2, 3]


def test_a_column_that_ends_early_is_filled(history):
    history.extend(4, [0.1])
    assert math.isnan(history["accuracy"][3])
    assert len(history["val_loss"]) == 4


def test_unknown_name_says_what_there_is(history):
    with pytest.raises(KeyError, match="there is loss, val_loss, accuracy"):
        history["accurracy"]


def test_to_frame(history):
    frame = history.to_frame()
    assert list(frame.columns) == list(history)
    assert list(frame.index) == [1, 2, 3]
    assert frame.index.name == "epoch"
    np.testing.assert_array_equal(frame["loss"], history["loss"])


def test_repr(history):
    assert repr(history) == "History(3 epochs; epoch 3: loss=0.125, val_loss=0.2, accuracy=0.9)"
    assert repr(History()) == "History(no epochs)"


def test_what_takes_a_dict_takes_it(history):
    frame = pandas.DataFrame(history)
    np.testing.assert_array_equal(frame["loss"], [0.5, 0.25, 0.125])
    assert json.loads(json.dumps({"loss": history["loss"]}))["loss"] == history["loss"]
    assert json.loads(json.dumps(history))["loss"] == history["loss"]
    history.to_dict()["loss"].append(9)
    assert len(history["loss"]) == 3


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda h: pickle.loads(pickle.dumps(h))], ids=["copy", "pickle"])
def test_copies_are_whole_and_apart(history, clone):
    twin = clone(history)
    assert (twin.epochs, twin.interrupted, list(twin)) == (history.epochs, False, list(history))
    twin.extend(4, [0.1])
    assert len(history["loss"]) == 3


def test_fit_returns_its_own_epochs_and_the_trainer_keeps_all(xor):
    trainer = Trainer([2, 2, 1], seed=0)
    first = trainer.fit(*xor, epochs=2, verbose=0)
    second = trainer.fit(*xor, epochs=3, metrics=["mse"], verbose=0)
    assert first.epochs == [1, 2]
    assert second.epochs == [3, 4, 5]
    assert trainer.history.epochs == [1, 2, 3, 4, 5]
    assert trainer.history["loss"] == first["loss"] + second["loss"]
    assert np.isnan(trainer.history["mse"][:2]).all()
    assert trainer.history["mse"][2:] == second["mse"]


@pytest.mark.parametrize(("package", "method"), [("pandas", "to_frame"), ("matplotlib", "plot")])
def test_a_missing_package_is_named_with_its_extra(history, monkeypatch, package, method):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"pip install 'fastbp\["):
        getattr(history, method)()


@pytest.fixture
def pyplot(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def test_plot_draws_each_name(history, pyplot):
    ax = history.plot()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["loss", "val_loss", "accuracy", "best val_loss: epoch 3"]
    assert ax.get_xlabel() == "epoch"
    assert ax.get_ylabel() == "loss"
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), history["loss"])


def test_plot_takes_axes(history, pyplot):
    _, ax = pyplot.subplots()
    assert history.plot(ax=ax) is ax
    assert len(pyplot.get_fignums()) == 1


def test_a_history_that_is_read_late_is_the_same(history):
    lazy = LazyHistory(history)
    lazy.extend(4, np.array([0.1, 0.05]))
    lazy.extend(6, np.array([0.02]))
    lazy.interrupted = True
    assert len(lazy) == 6
    assert lazy.read() is history
    assert history.epochs == [1, 2, 3, 4, 5, 6]
    assert history["loss"] == [0.5, 0.25, 0.125, 0.1, 0.05, 0.02]
    assert [type(loss) for loss in history["loss"][3:]] == [float] * 3  # as of any fit, for json
    assert math.isnan(history["accuracy"][5])
    assert history.interrupted
    assert (lazy.read(), len(lazy)) == (history, 6)
    lazy.extend(7, np.array([0.01]))
    assert len(lazy) == 7
    assert pickle.loads(pickle.dumps(lazy)).read()["loss"][-1] == 0.01


class Interrupted(list):
    """Losses whose lists Ctrl-C interrupts when they are half made."""

    def tolist(self):
        return self

    def __iter__(self):
        yield from list.__getitem__(self, slice(1))
        raise KeyboardInterrupt


def test_a_history_whose_reading_was_interrupted_is_read_again():
    lazy = LazyHistory()
    lazy.extend(1, np.array([0.5, 0.4]))
    lazy._unread.append((2, 3, Interrupted([0.3, 0.2])))
    with pytest.raises(KeyboardInterrupt):
        lazy.read()
    lazy._unread[0] = (2, 3, np.array([0.3, 0.2]))
    assert lazy.read().epochs == [1, 2, 3, 4]
    assert lazy.read()["loss"] == [0.5, 0.4, 0.3, 0.2]


def test_threads_read_one_history():
    for _ in range(30):
        lazy, lengths = LazyHistory(), []
        for k in range(5):
            lazy.extend(1 + 2000 * k, np.arange(2000) + 2000.0 * k)
        threads = [threading.Thread(target=lambda: lengths.append(len(lazy.read()["loss"]))) for _ in range(4)]  # noqa: B023
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert lengths == [10_000] * 4
        assert lazy.read().epochs == list(range(1, 10_001))
        assert lazy.read()["loss"] == [float(k) for k in range(10_000)]
