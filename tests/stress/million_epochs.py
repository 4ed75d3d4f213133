"""A million epochs of XOR in fits of all lengths, after which memory is what it was.

    python -m tests.stress.million_epochs --epochs 1000000

Measured is the memory that the process holds (RSS), after a tenth of the epochs and at the end. A trainer's history is
meant to grow, by its numbers of each epoch, so the trainer gets a new one before each fit; how much it grows by is
printed too, for one fit of a tenth of the epochs. Garbage that waits for its collector isn't counted.
"""

from __future__ import annotations

import argparse
import gc
import resource
import sys
from itertools import cycle
from typing import Any

import numpy as np

from fastbp import Trainer, callbacks
from fastbp.history import LazyHistory

ALLOWED = 4.0  # MB: what the allocators of Python and C keep for later
X, Y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), np.array([0, 1, 1, 0])
FITS: tuple[tuple[int, dict[str, Any]], ...] = (  # epochs, and what else the fit is given
    (1, {}),
    (10, {"callbacks": lambda trainer, epoch, measured: None}),
    (100, {"callbacks": [callbacks.EarlyStopping(patience=1000), lambda *_: None]}),
    (100, {"validation_data": (X, Y), "metrics": ["accuracy"]}),
    (2_000, {}),
)


def resident() -> float:
    """MB of memory that this process holds."""
    gc.collect()
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1]) * resource.getpagesize() / 1e6


def train(trainer: Trainer, epochs: int) -> None:
    """So many epochs, in fits of the lengths above in turn."""
    for length, options in cycle(FITS):
        if epochs <= 0:
            break
        trainer._state.history = LazyHistory()
        trainer.fit(X, Y, epochs=min(length, epochs), verbose=0, **options)
        epochs -= length


def run(epochs: int) -> int:
    """Whether memory grew, or XOR wasn't learnt."""
    trainer = Trainer(
        [2, 2, 1],
        activation="sigmoid",
        output_activation="sigmoid",
        learning_rate=5,
        epsilon=1,
        batch_size=4,
        seed=1,
    )
    train(trainer, epochs // 10)
    before = resident()
    train(trainer, epochs - epochs // 10)
    after = resident()
    trainer._state.history = LazyHistory()
    trainer.fit(X, Y, epochs=epochs // 10, verbose=0)
    history = resident() - after
    learnt = trainer.predict_classes(X).tolist() == Y.tolist()
    print(
        f"{epochs} epochs: {before:.1f} MB after a tenth of them, {after:.1f} at the end; "
        f"the history of one fit of {epochs // 10}: {history:.1f} MB; XOR is {'' if learnt else 'not '}learnt"
    )
    return after - before > ALLOWED or not learnt


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=1_000_000)
    return run(parser.parse_args().epochs)


if __name__ == "__main__":
    sys.exit(main())
