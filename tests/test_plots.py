from __future__ import annotations

import sys

import numpy as np
import pytest

from fastbp import History, Trainer, plots
from fastbp.__main__ import main


@pytest.fixture(autouse=True)
def pyplot(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


@pytest.fixture
def spots():
    """Return a network, and samples of three classes with two inputs."""
    rng = np.random.default_rng(0)
    y = np.arange(30) % 3
    X = np.array([[0, 0], [3, 0], [0, 3]])[y] + rng.normal(0, 0.3, (30, 2))
    return Trainer([2, 4, 3], loss="cross_entropy", seed=0), X, y


DRAWN = {
    "weights": lambda trainer, X, y, ax: plots.weights(trainer, ax=ax),
    "activations": lambda trainer, X, y, ax: plots.activations(trainer, X, ax=ax),
    "gradients": lambda trainer, X, y, ax: plots.gradients(trainer, X, y, ax=ax),
    "decision_boundary": lambda trainer, X, y, ax: plots.decision_boundary(trainer, X, y, ax=ax),
    "confusion_matrix": lambda trainer, X, y, ax: plots.confusion_matrix(trainer, X, y, ax=ax),
    "network": lambda trainer, X, y, ax: plots.network(trainer, ax=ax),
    "range_test": lambda trainer, X, y, ax: trainer.find_learning_rate(X, y, steps=5).plot(ax=ax),
}


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_draws_into_the_axes_given_without_pyplot(draw, spots, pyplot):
    from matplotlib.figure import Figure

    figure = Figure()
    ax = figure.add_subplot()
    assert draw(*spots, ax) is ax
    assert not pyplot.get_fignums()
    figure.canvas.draw()


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_makes_a_figure(draw, spots, pyplot):
    assert draw(*spots, None).figure.number == pyplot.get_fignums()[0]


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_axes_are_checked(draw, spots):
    with pytest.raises(TypeError, match="ax: expected a matplotlib Axes, got 'here'"):
        draw(*spots, "here")


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_a_missing_matplotlib_is_named_with_its_extra(draw, spots, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'fastbp\[plot\]'"):
        draw(*spots, None)


@pytest.mark.parametrize("draw", [draw for name, draw in DRAWN.items() if name != "range_test"])
def test_the_trainer_is_checked(draw, spots):
    with pytest.raises(TypeError, match=r"trainer: expected a fastbp\.Trainer, got the class Trainer"):
        draw(Trainer, *spots[1:], None)


def histories():
    history = History()
    history.extend(1, [0.5, 0.2, 0.3])
    yield history, "best loss: epoch 2", (2, 0.2)
    history = History()
    history.extend(1, [0.5, 0.2, 0.3])
    history["val_loss"] = [0.4, 0.5, 0.1]
    yield history, "best val_loss: epoch 3", (3, 0.1)
    history = History()
    history.extend(1, [0.5, 0.2, 0.3])
    history["val_loss"] = [np.nan] * 3
    yield history, "best loss: epoch 2", (2, 0.2)


@pytest.mark.parametrize(("history", "label", "place"), list(histories()))
def test_the_best_epoch_is_marked(history, label, place):
    ax = history.plot()
    star = ax.lines[-1]
    assert star.get_label() == ax.get_legend().get_texts()[-1].get_text() == label
    np.testing.assert_array_equal(np.ravel(star.get_data()), place)


def test_no_epoch_is_best_of_none():
    assert not [line for line in History().plot().lines if line.get_marker() == "*"]


@pytest.mark.parametrize("n_hidden", [1, 7])
def test_histograms_have_a_row_a_layer(n_hidden):
    trainer = Trainer([3, *[5] * n_hidden, 2], activation="tanh", initializer="glorot", seed=0)
    X, y = np.eye(3), np.eye(3)[:, :2]
    for ax, first in (
        (plots.weights(trainer), "Θ¹"),
        (plots.activations(trainer, X), "a², tanh"),
        (plots.gradients(trainer, X, y), "∂J/∂Θ¹"),
    ):
        labels = [text.get_text() for text in ax.get_yticklabels()]
        assert len(labels) == len(ax.patches) == n_hidden + 1
        assert labels[0] == first
        assert ax.get_yticks()[0] > ax.get_yticks()[-1]
        assert ax.get_title().endswith("by layer")


def test_gradients_say_how_many_are_0():
    trainer = Trainer([2, 3, 1], activation="sigmoid", initializer="zeros", seed=0)
    ax = plots.gradients(trainer, np.eye(2), [0, 1])
    assert ax.get_yticklabels()[0].get_text() == "∂J/∂Θ¹, 100% are 0"
    assert len(ax.patches) == 1


def test_decision_boundary(spots):
    trainer, X, y = spots
    ax = plots.decision_boundary(trainer, X, y)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("input 1", "input 2")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["0", "1", "2"]
    assert [len(part.get_offsets()) for part in ax.collections] == [10, 10, 10]
    regions = ax.images[0].get_array()
    left, right, bottom, top = ax.images[0].get_extent()
    assert left < X[:, 0].min()
    assert top > X[:, 1].max()
    assert regions[0, -1] == trainer.predict_classes([[right, bottom]])[0]


def test_decision_boundary_wants_two_inputs():
    with pytest.raises(ValueError, match="trainer: expected a network with two inputs, for a decision boundary, got 3"):
        plots.decision_boundary(Trainer([3, 2]), np.eye(3), [[0, 1]] * 3)


def test_confusion_matrix_counts(spots):
    trainer, X, y = spots
    ax = plots.confusion_matrix(trainer, X, y)
    expected = np.zeros((3, 3), int)
    np.add.at(expected, (y, trainer.predict_classes(X)), 1)
    assert [text.get_text() for text in ax.texts] == [str(count) for count in expected.flat]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    assert ax.get_title() == f"accuracy {trainer.evaluate(X, y, 'accuracy')['accuracy']:.3g} of 30 samples"


def test_a_single_output_has_two_classes(xor):
    assert len(plots.confusion_matrix(Trainer([2, 2, 1]), *xor).texts) == 4


def test_many_classes_are_colors_alone():
    trainer = Trainer([1, 31], loss="cross_entropy")
    assert not plots.confusion_matrix(trainer, [[0.0]], [3]).texts


@pytest.mark.parametrize("draw", [plots.confusion_matrix, plots.decision_boundary])
def test_classes_are_wanted(draw):
    with pytest.raises(ValueError, match="y: expected classes"):
        draw(Trainer([2, 1]), np.eye(2), [0.3, 0.5])
    with pytest.raises(ValueError, match="trainer: expected a network with exclusive classes"):
        draw(Trainer([2, 2], loss="binary_cross_entropy"), np.eye(2), np.eye(2))


def test_network_draws_weights_and_units():
    trainer = Trainer([2, 3, 1], seed=0)
    ax = plots.network(trainer)
    lines, *layers = ax.collections
    np.testing.assert_allclose(lines.get_array(), np.concatenate([theta.ravel() for theta in trainer.weights]))
    assert [len(layer.get_offsets()) for layer in layers] == [2, 3, 1]
    assert lines.norm.vmin == -lines.norm.vmax
    assert [text.get_text() for text in ax.texts] == ["input\n2 units", "tanh\n3 units", "identity\n1 unit"]


def test_network_says_what_it_leaves_out():
    ax = plots.network(Trainer([784, 10]))
    assert [text.get_text() for text in ax.texts] == ["input\n784 units\n12 drawn", "⋮", "identity\n10 units"]
    assert len(ax.collections[0].get_segments()) == 12 * 10
    with pytest.raises(ValueError, match="trainer: expected a network with at most 9 layers, got 10 layers"):
        plots.network(Trainer([1] * 10))


@pytest.mark.parametrize("name", [name for name in DRAWN if name != "range_test"])
def test_a_network_with_numbers_that_are_not_finite_is_refused(name, spots, pyplot):
    trainer, X, y = spots
    trainer.weights[-1][1, 0] = np.nan
    with pytest.raises(ValueError, match=r"trainer: expected finite .*, got .* that are not finite, such as nan"):
        DRAWN[name](trainer, X, y, None)
    assert not pyplot.get_fignums()


def test_confusion_matrix_names_the_classes(spots):
    trainer, X, y = spots
    names = np.array(["setosa", "versicolor", "virginica"])
    ax = plots.confusion_matrix(trainer, X, y, class_names=names)
    for labels in (ax.get_xticklabels(), ax.get_yticklabels()):
        assert [label.get_text() for label in labels] == list(names)
    numbered = plots.confusion_matrix(trainer, X, y)
    assert [label.get_text() for label in numbered.get_xticklabels()] == ["0", "1", "2"]
    with pytest.raises(ValueError, match="class_names: expected 3 names, one for each class, got 2"):
        plots.confusion_matrix(trainer, X, y, class_names=["a", "b"])
    with pytest.raises(TypeError, match="class_names: expected 3 names, got 'abc'"):
        plots.confusion_matrix(trainer, X, y, class_names="abc")


def test_confusion_matrix_names_the_classes_of_a_table(tmp_path):
    rows = "\n".join(f"{i % 3},{'yes' if i % 3 else 'no'}" for i in range(60))
    (tmp_path / "table.csv").write_text(f"x,likes\n{rows}\n")
    model = str(tmp_path / "model.npz")
    main(["train", str(tmp_path / "table.csv"), "--target", "likes", "--epochs", "2", "--out", model])
    trainer = Trainer.load(model)
    X = np.zeros((4, trainer.layer_sizes[0]))
    ax = plots.confusion_matrix(trainer, X, [0, 1, 1, 0])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["no", "yes"]
