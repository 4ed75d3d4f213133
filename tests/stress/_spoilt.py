"""Loads spoilt files, and counts those that neither load nor are refused."""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ._mutations import MUTATIONS
from ._process import in_child

LIMIT_SECONDS, LIMIT_BYTES = 1.0, 200_000_000  # of one load; of all loads together
GUARD_BYTES = 1 << 30  # of addresses; an allocation beyond it fails, and so does the test
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def guard_memory() -> None:
    """Let allocations fail that are beyond all reason."""
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (in_use + GUARD_BYTES, hard))


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT


def failures(
    files: Sequence[bytes], folder: Path, tried: Callable[[Path, int], tuple[str, float]], numbers: range, seed: int
) -> int:
    """How many files failed.

    files : good ones
    tried : loads a file that was made from the good one of a number; what came of it, and after how many seconds
    numbers, seed : which spoilt files to make
    """
    path = folder / "model.npz"
    for number, data in enumerate(files):  # compiles what will be asked for, before memory is looked at
        path.write_bytes(data)
        came = tried(path, number)[0]
        assert came == "loaded", came
    guard_memory()
    before, slowest, failed = peak_bytes(), 0.0, 0
    outcomes: Counter[tuple[str, str]] = Counter()
    for i in numbers:
        chance = random.Random(f"{seed}/{i}")
        number = chance.randrange(len(files))
        mutation = chance.choice(MUTATIONS)
        path.write_bytes(mutation(files[number], chance))
        outcome, seconds = tried(path, number)
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


def asked(run: Callable[[Path, range, int], int], about: str | None) -> int:
    """Run what the command line asks for, in a process of its own. about: the script's docstring."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of the one file to try")
    options = parser.parse_args()
    numbers = range(options.count) if options.only is None else range(options.only, options.only + 1)
    with tempfile.TemporaryDirectory() as folder:
        return in_child(partial(run, Path(folder), numbers, options.seed))
