"""The time and memory of processes that do little: import, one epoch, one prediction, the help of the command line.

    python -m bench.startup [--rounds 9]

It prints the medians of processes that run in turn, and those of NumPy's import for comparison. The machine code of the
kernels is on disk, and so is Python's byte code. The classes are asv's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .workloads import new_trainer

EMPTY_CACHE = """
import os, tempfile
folder = tempfile.TemporaryDirectory()
os.environ["FASTBP_CACHE_DIR"] = folder.name
"""
READY = """
import numpy as np
from fastbp import Trainer
trainer = Trainer((64, 32, 10), activation="sigmoid", output_activation="sigmoid")
X, y = np.zeros((32, 64), np.float32), np.zeros((32, 10), np.float32)
"""
FIT = "trainer.fit(X, y, verbose=0)"
FIRST_EPOCH = """
import numpy as np, fastbp
X = np.zeros((569, 30), np.float32)
fastbp.Trainer([30, 16, 2], activation="sigmoid", loss="cross_entropy").fit(X, np.zeros(569, int), verbose=0)
"""
PREDICT = """
import fastbp
fastbp.Trainer.load("model.npz").predict([[0.1, 0.2, 0.3]])
"""
MODEL = ["train", "table.csv", "--out", "model.npz", "--epochs", "1", "--quiet"]


def uses() -> dict[str, list[str]]:
    """Return the arguments of Python for each figure, in a folder that `prepare` has filled."""
    return {
        "Python alone": ["-c", "pass"],
        "NumPy's import": ["-c", "import numpy"],
        "import fastbp, and a Trainer": ["-c", "import fastbp; fastbp.Trainer([64, 32, 10])"],
        "the first epoch of 30-16-2": ["-c", FIRST_EPOCH],
        "load a model, and predict a row": ["-c", PREDICT],
        "fastbp --help": ["-m", "fastbp", "--help"],
        "fastbp predict, one row": ["-m", "fastbp", "predict", "model.npz", "row.csv"],
    }


def prepare(folder: Path) -> None:
    """Write a model, and the tables that it was trained on and predicts."""
    rows = "".join(f"{i % 7},{i % 5},{i % 3},{i % 2}\n" for i in range(60))
    (folder / "table.csv").write_text(f"a,b,c,y\n{rows}")
    (folder / "row.csv").write_text("a,b,c\n1,2,3\n")
    subprocess.run([sys.executable, "-m", "fastbp", *MODEL], check=True, cwd=folder, env=environment())


def environment() -> dict[str, str]:
    """Return the variables for the processes: they import this fastbp, and may store byte code."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    paths = [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    return own | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def measured(arguments: list[str], folder: Path) -> tuple[float, float]:
    """Return the seconds of a process from its start to its end, and its largest memory in MB (0 where unknown)."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, cwd=folder, env=environment())
    if not hasattr(os, "wait4"):
        process.wait()
        status, most = process.returncode, 0.0
    else:
        _, status, usage = os.wait4(process.pid, 0)
        most = usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
        process.returncode = status
    seconds = time.perf_counter() - started
    if status:
        raise RuntimeError(f"{' '.join(arguments)} failed")
    return seconds, most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder, figures = Path(name), {use: [] for use in uses()}
        prepare(folder)
        for turn in range(rounds + 1):
            for use, arguments in uses().items():
                figure = measured(arguments, folder)
                figures[use] += [figure] if turn else []  # the first round warms up
    print("| | seconds | MB |\n| --- | ---: | ---: |")
    for use, found in figures.items():
        seconds, most = (statistics.median(values) for values in zip(*found, strict=True))
        print(f"| {use} | {seconds:.3f} | {most:.0f} |")


class Import:
    number = 1

    def timeraw_fastbp(self) -> str:
        return "import fastbp"

    def timeraw_trainer(self) -> str:
        """Import what fastbp imports only when it is first used."""
        return "from fastbp import Trainer"

    def timeraw_numpy(self) -> str:
        """The baseline: fastbp can't do without NumPy."""
        return "import numpy"

    def timeraw_numba(self) -> str:
        """What fastbp imports only to build kernels."""
        return "import numba"


class FirstFit:
    """The first fit of a process that has already imported fastbp."""

    number = 1
    timeout = 300

    def setup(self) -> None:
        new_trainer((64, 32, 10)).fit([[0.0] * 64], [[0.0] * 10], verbose=0)  # fills the cache

    def timeraw_warm_cache(self) -> tuple[str, str]:
        return FIT, READY

    def timeraw_cold_cache(self) -> tuple[str, str]:
        return FIT, EMPTY_CACHE + READY

    # Runs once, because it takes long and varies little.
    timeraw_cold_cache.repeat = 1  # type: ignore[attr-defined]
    timeraw_cold_cache.rounds = 1  # type: ignore[attr-defined]
    timeraw_cold_cache.warmup_time = 0  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
