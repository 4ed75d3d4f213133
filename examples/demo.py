"""Learn handwritten digits, and show what came of it: `make demo`."""

from __future__ import annotations

import time

import matplotlib as mpl

mpl.use("Agg")  # a picture file, with or without a screen

import numpy as np
from matplotlib import pyplot
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from fastbp import Trainer

PICTURE = "demo.png"


def main() -> None:
    images, digits = load_digits(return_X_y=True)  # 1,797 images of 8 × 8 pixels, 0 to 16
    X, X_test, y, y_test = train_test_split(images / 16, digits, test_size=0.2, random_state=1, stratify=digits)

    trainer = Trainer([64, 64, 10], activation="relu", loss="cross_entropy", learning_rate=0.2, seed=0)
    print(trainer.summary())
    print(f"\n{len(X)} digits to learn from, {len(X_test)} held out")
    trainer.predict(X[:1])  # if the kernels are not built yet, this builds them before the clock starts
    started = time.perf_counter()
    history = trainer.fit(X, y, epochs=60, validation_data=(X_test, y_test), metrics=["accuracy"])
    seconds = time.perf_counter() - started

    accuracy = trainer.evaluate(X_test, y_test, metrics=["accuracy"])["accuracy"]
    print(f"\ntest accuracy {accuracy:.1%} after {len(history.epochs)} epochs in {seconds:.1f} s")
    draw(history, X_test, y_test, trainer.predict_classes(X_test))
    print(f"loss curves and the digits it got wrong: {PICTURE}")
    print(
        "\nThe same in three lines of Python:\n\n"
        '    trainer = fastbp.Trainer([64, 64, 10], activation="relu", loss="cross_entropy", learning_rate=0.2)\n'
        "    trainer.fit(X, y, epochs=60)\n"
        "    trainer.predict_classes(X_test)"
    )


def draw(history, X_test: np.ndarray, y_test: np.ndarray, predicted: np.ndarray) -> None:
    """Loss curves on the left, every wrong digit on the right."""
    wrong = np.flatnonzero(predicted != y_test)
    columns = 4
    rows = max(3, -(-len(wrong) // columns))
    figure = pyplot.figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(3, 2))
    ax = left.subplots()
    history.plot(ax=ax)
    ax.set_title("learning")
    right.suptitle(f"{len(wrong)} of {len(y_test)} held-out digits wrong")
    for ax, i in zip(right.subplots(rows, columns).flat, [*wrong, *[None] * (rows * columns)], strict=False):
        ax.axis("off")
        if i is not None:
            ax.imshow(X_test[i].reshape(8, 8), cmap="gray_r")
            ax.set_title(f"{y_test[i]}, said {predicted[i]}", fontsize=9)
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main()
