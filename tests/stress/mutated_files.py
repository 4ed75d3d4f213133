"""Spoil model files in every way and load them.

    python -m tests.stress.mutated_files --count 10000

Each must load as a trainer with the good file's numbers, bit for bit, or be refused with a ModelFileError, in less than
a second, and all of them together without 200 MB more of memory. What fails is printed with the seed and the number
that repeat it: ``--seed 0 --only 1234``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from fastbp import ModelFileError, Trainer, losses, optimizers
from fastbp._files.columns import Categories, Numbers, Table

from ._spoilt import asked, failures

COLUMNS = Numbers("size", 2.5, 0.5, fill=True), Categories("colour", ("red", "blue", "é"), fill="red")
TABLE = Table(COLUMNS, Categories("kind", ("a", "b", "c"), fill=None))  # as of `fastbp train`
CONFIGURATIONS = (
    {"layer_sizes": [2, 2, 1]},
    {"layer_sizes": [3, 4, 2], "optimizer": "adam", "activation": "tanh", "dropout": 0.5, "schedule": "cosine"},
    {"layer_sizes": [4, 6, 5, 3], "dtype": "float64", "use_bias": False, "optimizer": optimizers.RMSprop(), "l2": 0.1},
    {"layer_sizes": [5, 3], "loss": losses.Quantile([0.1, 0.5, 0.9]), "optimizer": "momentum", "clip_norm": 1.0},
    {"layer_sizes": [6, 30, 2], "loss": "cross_entropy", "optimizer": "lbfgs", "n_threads": 1},
    {"layer_sizes": [4, 5, 3], "loss": TABLE.loss, "optimizer": "adam", "table": TABLE},
)


def numbers_of(trainer: Trainer) -> bytes:
    """Its weights, and what its optimizer keeps."""
    return b"".join(
        array.tobytes()
        for array in (trainer.network.packed(), *trainer._state.engine.packed(trainer._state.memory)[:2])
    )


def good_files(folder: Path) -> list[tuple[bytes, bytes]]:
    """Files of several configurations, with their numbers."""
    files = []
    rng = np.random.default_rng(0)
    for i, configuration in enumerate(CONFIGURATIONS):
        options = {"initializer": "he", "table": None, **configuration}
        table = options.pop("table")
        trainer = Trainer(seed=i, **options)
        trainer._table = table
        memory = trainer._state.engine.packed(trainer._state.memory)
        first, second = (rng.uniform(size=moment.shape).astype(moment.dtype) for moment in memory[:2])
        trainer._state.memory = trainer._state.engine.unpacked(memory._replace(first=first, second=second))
        trainer.history.extend(1, [0.5, 0.25, float("nan")])
        trainer.history.add({"val_loss": 0.125})
        trainer.save(folder / "good.npz")
        files.append(((folder / "good.npz").read_bytes(), numbers_of(trainer)))
    return files


def load(path: Path, numbers: bytes) -> tuple[str, float]:
    """What came of it, and after how many seconds."""
    start = time.perf_counter()
    try:
        trainer = Trainer.load(path)
    except ModelFileError as error:
        if isinstance(error.__cause__, MemoryError):
            return "asked for too much memory", time.perf_counter() - start
        return "refused", time.perf_counter() - start
    except Exception as error:
        return f"{type(error).__name__}: {error}", time.perf_counter() - start
    seconds = time.perf_counter() - start
    if numbers_of(trainer) != numbers:
        return "loaded with other numbers", seconds
    n_in, n_out = trainer.layer_sizes[0], trainer.layer_sizes[-1]
    if trainer.predict(np.zeros((1, n_in))).shape != (1, n_out):
        return "loaded to no use", seconds
    trainer.save(path)
    if repr(Trainer.load(path)) != repr(trainer):
        return "loaded to something else when saved again", seconds
    return "loaded", seconds


def run(folder: Path, numbers: range, seed: int) -> int:
    """How many files failed."""
    files = good_files(folder)
    goods = [good for _, good in files]
    return failures([data for data, _ in files], folder, lambda path, i: load(path, goods[i]), numbers, seed)


if __name__ == "__main__":
    sys.exit(asked(run, __doc__) != 0)
