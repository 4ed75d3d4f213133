"""First compilations into a cache that is shared, empty, read-only, full, cut short, or another processor's.

    python -m tests.stress.first_compilation --processes 8

Each process trains and predicts with networks of both dtypes, must give what the others give, to the bit, and may warn
once. A cache is never used wrongly: not by processes with another processor (NUMBA_CPU_NAME), and not where a file was
cut short or belongs to something else.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
HANGS = 900  # seconds: eight processes that compile everything take minutes on two cores
WORK = """
import resource, sys
import numpy as np
import fastbp
from fastbp._kernels import epoch, small
full = {full}
if full is not None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (full, full))
digests = []
for dtype in {dtypes}:
    for sizes in {sizes}:
        rng = np.random.default_rng(0)
        X, y = rng.uniform(size=(16, sizes[0])).astype(dtype), rng.uniform(size=(16, 1)).astype(dtype)
        trainer = fastbp.Trainer(sizes, batch_size=4, dtype=dtype, seed=0)
        trainer.fit(X, y, epochs=2, verbose=0)
        digests.append(trainer.predict(X).tobytes().hex())
print(sum(sum(entry.stats.cache_misses.values()) for entry in (epoch.train, epoch.evaluate, small.train)))
print(*digests)
"""
EVERYTHING = {"dtypes": ("float32", "float64"), "sizes": ((2, 2, 1), (40, 30, 1))}
SMALL = {"dtypes": ("float32",), "sizes": ((2, 2, 1),)}  # the smallest kernels: five seconds to compile
ANOTHER = {"NUMBA_CPU_NAME": "generic"}


class Outcome:
    """What a process printed, once it has ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        out, self.errors = process.communicate(timeout=HANGS)
        lines = out.splitlines()
        self.worked = process.returncode == 0 and len(lines) == 2
        self.compiled, self.digests = (int(lines[0]), lines[1]) if self.worked else (0, "")

    @property
    def warnings(self) -> int:
        return self.errors.count("Warning:")


class Shelf:
    """A folder for a cache, and processes that use it."""

    def __init__(self, folder: Path, work: dict[str, Sequence[object]]) -> None:
        self.folder, self.work = folder, work

    def start(self, full: int | None = None, root: Path = ROOT, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", WORK.format(full=full, **self.work)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root), "NUMBA_CACHE_DIR": str(self.folder), **environment},
        )

    def run(self, full: int | None = None, root: Path = ROOT, **environment: str) -> Outcome:
        return Outcome(self.start(full, root, **environment))

    def data(self) -> list[Path]:
        """The files that hold machine code."""
        return sorted(self.folder.rglob("*.nbc"))


def at_once(shelf: Shelf, processes: int) -> list[Outcome]:
    """Several on an empty cache, and one after them, which finds all it needs."""
    outcomes = [Outcome(process) for process in [shelf.start() for _ in range(processes)]]
    last = shelf.run()
    assert last.compiled == 0, f"{last.compiled} kernels were compiled again"
    return [*outcomes, last]


def read_only(shelf: Shelf, _: int) -> list[Outcome]:
    """No folder can be made where the cache should be, nor beside the package."""
    root = shelf.folder / "copy"
    shutil.copytree(ROOT / "fastbp", root / "fastbp", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "fastbp" / "_kernels" / "__pycache__").write_text("a file, where the folder would be")
    nowhere = str(root / "fastbp" / "_kernels" / "__pycache__" / "below a file")
    environment = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"), nowhere)
    return [shelf.run(root=root, PYTHONDONTWRITEBYTECODE="1", **environment)]


def full_disk(shelf: Shelf, _: int) -> list[Outcome]:
    """Room for small files only, or for none; and one more process, once there is room again."""
    outcomes = [shelf.run(full=size, PYTHONDONTWRITEBYTECODE="1") for size in (0, 4096)]
    return [*outcomes, shelf.run()]


def cut_short(shelf: Shelf, _: int) -> list[Outcome]:
    """The files of a cache are empty, or half of what they were, as a loss of power leaves them; or one another's."""
    outcomes = [shelf.run()]
    harms: tuple[Callable[[bytes], bytes], ...] = (lambda whole: b"", lambda whole: whole[: len(whole) // 2])
    for harm in harms:
        for path in shelf.data():
            path.write_bytes(harm(path.read_bytes()))
        outcomes.append(shelf.run())
    files = shelf.data()
    wholes = [path.read_bytes() for path in files]
    for path, whole in zip(files, wholes[1:] + wholes[:1], strict=True):
        path.write_bytes(whole)
    return [*outcomes, shelf.run()]


def another_processor(shelf: Shelf, _: int) -> list[Outcome]:
    """A process with another processor compiles for itself, and neither uses nor spoils what the first one left."""
    first, other, again, other_again = shelf.run(), shelf.run(**ANOTHER), shelf.run(), shelf.run(**ANOTHER)
    assert other.worked, other.errors
    assert other.compiled > 0, "nothing was compiled for another processor"
    assert again.compiled == other_again.compiled == 0, "a kernel was compiled again"
    assert other.digests == other_again.digests, "other results from the cache"
    return [first, again]


WAYS: dict[str, Callable[[Shelf, int], list[Outcome]]] = {
    way.__name__: way for way in (at_once, read_only, full_disk, cut_short, another_processor)
}


def wrong_with(way: str, work: dict[str, Sequence[object]], processes: int) -> list[str]:
    """What went wrong with a cache of that kind."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            outcomes = WAYS[way](Shelf(Path(folder), work), processes)
        except AssertionError as error:
            return [f"{way}: {error}"]
    wrong = [f"{way}: {outcome.errors}" for outcome in outcomes if not outcome.worked]
    wrong += [f"{way}: {outcome.errors}" for outcome in outcomes if outcome.warnings > 1]
    if len({outcome.digests for outcome in outcomes if outcome.worked}) > 1:
        wrong.append(f"{way}: processes with different results")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=[*WAYS])
    parser.add_argument("--small", action="store_true", help="only the kernels that are compiled fastest")
    options = parser.parse_args()
    failed = False
    for way in options.ways:
        wrong = wrong_with(way, SMALL if options.small else EVERYTHING, options.processes)
        print(f"{way}: {'right' if not wrong else 'WRONG'}", *wrong, sep="\n", flush=True)
        failed |= bool(wrong)
    return failed


if __name__ == "__main__":
    sys.exit(main())
