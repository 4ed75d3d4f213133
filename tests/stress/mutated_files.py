"""Spoil model files in every way and load them.

    python -m tests.stress.mutated_files --count 10000

Each must load as a trainer with the good file's numbers, bit for bit, or be refused with a ModelFileError, in less than
a second, and all of them together without 200 MB more of memory. What fails is printed with the seed and the number
that repeat it: ``--seed 0 --only 1234``.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np

from fastbp import ModelFileError, Trainer, losses, optimizers
from fastbp._files.columns import Categories, Numbers, Table

from ._mutations import MUTATIONS
from ._process import in_child

LIMIT_SECONDS, LIMIT_BYTES = 1.0, 200_000_000  # of one load; of all loads together
GUARD_BYTES = 1 << 30  # of addresses; an allocation beyond it fails, and so does the test
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
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


def guard_memory() -> None:
    """Let allocations fail that are beyond all reason."""
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (in_use + GUARD_BYTES, hard))


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT


def run(folder: Path, numbers: range, seed: int) -> int:
    """How many files failed."""
    files = good_files(folder)
    path = folder / "model.npz"
    for data, good in files:  # compiles what will be asked for, before memory is looked at
        path.write_bytes(data)
        assert load(path, good)[0] == "loaded"
    guard_memory()
    before, slowest, failed = peak_bytes(), 0.0, 0
    outcomes: Counter[tuple[str, str]] = Counter()
    for i in numbers:
        chance = random.Random(f"{seed}/{i}")
        data, good = chance.choice(files)
        mutation = chance.choice(MUTATIONS)
        path.write_bytes(mutation(data, chance))
        outcome, seconds = load(path, good)
        slowest = max(slowest, seconds)
        if outcome not in ("loaded", "refused") or seconds > LIMIT_SECONDS:
            print(f"seed {seed}, number {i}, {mutation.__name__}: {outcome} after {seconds:.3f} s")
            outcome, failed = "FAILED", failed + 1
        outcomes[mutation.__name__, outcome] += 1
    growth = peak_bytes() - before
    for (name, outcome), count in sorted(outcomes.items()):
        print(f"{name:16} {outcome:8} {count:6}")
    print(f"{len(numbers)} files, {failed} failed; slowest {slowest:.3f} s; {growth / 1e6:.0f} MB more at the peak")
    return failed + (growth > LIMIT_BYTES)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of the one file to try")
    options = parser.parse_args()
    numbers = range(options.count) if options.only is None else range(options.only, options.only + 1)
    with tempfile.TemporaryDirectory() as folder:
        return in_child(partial(run, Path(folder), numbers, options.seed))


if __name__ == "__main__":
    sys.exit(main() != 0)
