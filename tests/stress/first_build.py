"""First builds of the kernels, into a cache that is shared, empty, missing, full, cut short, or another level's.

    python -m tests.stress.first_build --processes 8

Each process trains and predicts with networks of both dtypes, must give what the others give, to the bit, and may warn
once. A file is never used wrongly: not by processes of another level (FASTBP_LEVEL), and not if it was cut short or
belongs to something else.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from fastbp._kernels.levels import LEVEL, LEVELS

ROOT = Path(__file__).parent.parent.parent
HANGS = 1800  # seconds: builds of everything take minutes on two cores
WORK = """
import resource, sys
import numpy as np
import fastbp
from fastbp._library import build, store
store._folder_of_package = lambda: "/nowhere"
built, real = [], build.build
build.build = lambda dtype, level: built.append(dtype) or real(dtype, level)
full = {full}
if full is not None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (full, full))
digests = []
for dtype in {dtypes}:
    for sizes in ((2, 2, 1), (40, 30, 1)):
        rng = np.random.default_rng(0)
        X, y = rng.uniform(size=(16, sizes[0])).astype(dtype), rng.uniform(size=(16, 1)).astype(dtype)
        trainer = fastbp.Trainer(sizes, batch_size=4, dtype=dtype, seed=0)
        trainer.fit(X, y, epochs=2, verbose=0)
        digests.append(trainer.predict(X).tobytes().hex())
print(len(built))
print(*digests)
"""
EVERYTHING = ("float32", "float64")
SMALL = ("float32",)
LOWER = [name for name, level in LEVELS.items() if level.machine == LEVEL.machine]
LOWER = LOWER[: LOWER.index(LEVEL.name)]


class Outcome:
    """What a process printed, once it has ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        out, self.errors = process.communicate(timeout=HANGS)
        lines = out.splitlines()
        self.worked = process.returncode == 0 and len(lines) == 2
        self.built, self.digests = (int(lines[0]), lines[1]) if self.worked else (0, "")

    @property
    def warnings(self) -> int:
        return self.errors.count("Warning:")


class Shelf:
    """A folder for a cache, and processes that use it."""

    def __init__(self, folder: Path, dtypes: Sequence[str]) -> None:
        self.folder, self.dtypes = folder, dtypes

    def start(self, full: int | None = None, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", WORK.format(full=full, dtypes=(*self.dtypes,))],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "FASTBP_CACHE_DIR": str(self.folder), **environment},
        )

    def run(self, full: int | None = None, **environment: str) -> Outcome:
        return Outcome(self.start(full, **environment))

    def data(self) -> list[Path]:
        """The files that hold machine code."""
        return sorted(self.folder.glob("*.kernels"))


def at_once(shelf: Shelf, processes: int) -> list[Outcome]:
    """Several on an empty cache, of which one builds while the others wait, and one after them."""
    outcomes = [Outcome(process) for process in [shelf.start() for _ in range(processes)]]
    last = shelf.run()
    assert last.built == 0, f"{last.built} libraries were built again"
    builds = sum(outcome.built for outcome in outcomes)
    assert builds == len(shelf.dtypes), f"{builds} builds of {len(shelf.dtypes)} libraries"
    return [*outcomes, last]


def no_folder(shelf: Shelf, _: int) -> list[Outcome]:
    """No folder can be made where the cache should be."""
    (shelf.folder / "file").write_text("where a folder would be")
    return [shelf.run(FASTBP_CACHE_DIR=str(shelf.folder / "file" / "cache"))]


def full_disk(shelf: Shelf, _: int) -> list[Outcome]:
    """Room for small files only; and one more process, once there is room again."""
    outcome = shelf.run(full=4096)
    assert not shelf.data(), "a part of a file is left"
    return [outcome, shelf.run()]


def cut_short(shelf: Shelf, _: int) -> list[Outcome]:
    """The files of a cache are half of what they were, as a loss of power leaves them; or one another's."""
    outcomes = [shelf.run()]
    for path in shelf.data():
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    outcomes.append(shelf.run())
    files = shelf.data()
    wholes = [path.read_bytes() for path in files]
    for path, whole in zip(files, wholes[1:] + wholes[:1], strict=True):
        path.write_bytes(whole)
    outcomes.append(shelf.run())
    expected = [len(shelf.dtypes), len(shelf.dtypes), len(shelf.dtypes) if len(files) > 1 else 0]
    assert [outcome.built for outcome in outcomes] == expected, "a bad file was used"
    return outcomes


def another_level(shelf: Shelf, _: int) -> list[Outcome]:
    """A process of another level builds for itself, and neither uses nor spoils what the first one left."""
    if not LOWER:
        return [shelf.run()]
    first, other, again, other_again = (shelf.run(FASTBP_LEVEL=level) for level in (LEVEL.name, LOWER[-1]) * 2)
    assert other.worked, other.errors
    assert other.built > 0, "nothing was built for another level"
    assert again.built == other_again.built == 0, "kernels were built again"
    assert other.digests == other_again.digests, "other results from the cache"
    return [first, again]


WAYS: dict[str, Callable[[Shelf, int], list[Outcome]]] = {
    way.__name__: way for way in (at_once, no_folder, full_disk, cut_short, another_level)
}


def wrong_with(way: str, dtypes: Sequence[str], processes: int) -> list[str]:
    """What went wrong with a cache of that kind."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            outcomes = WAYS[way](Shelf(Path(folder), dtypes), processes)
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
    parser.add_argument("--small", action="store_true", help="float32 only")
    options = parser.parse_args()
    failed = False
    for way in options.ways:
        wrong = wrong_with(way, SMALL if options.small else EVERYTHING, options.processes)
        print(f"{way}: {'right' if not wrong else 'WRONG'}", *wrong, sep="\n", flush=True)
        failed |= bool(wrong)
    return failed


if __name__ == "__main__":
    sys.exit(main())
