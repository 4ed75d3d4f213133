"""Save onto a disk that is full at a random byte.

    python -m tests.stress.full_disk --count 300

The disk's end is a limit on the size of files, and, where the system lets us mount one, a small file system in memory
that other data has filled. The save must raise an OSError that says so, the old file must be as it was and load, and
nothing else may be left in the folder.
"""

from __future__ import annotations

import argparse
import errno
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from fastbp import Trainer

from ._process import in_child

DISK = 400_000  # bytes of the file system; a model takes some 120,000
Limit = Callable[[int], None]  # leaves room for so many bytes; −1: for as many as there were


def limit_files(size: int) -> None:
    """Let no file grow beyond the size."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size < 0 else size, hard))


def fill(ballast: Path, room: int) -> None:
    """Leave room for so many bytes on the ballast's file system, by whole pages."""
    if room < 0:
        ballast.unlink(missing_ok=True)
        return
    disk = os.statvfs(ballast.parent)
    ballast.write_bytes(bytes(max(0, disk.f_bavail * disk.f_frsize - room)))


@contextmanager
def mounted(folder: Path) -> Iterator[bool]:
    """A small file system in memory at the folder, if the system lets us."""
    options = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    done = os.geteuid() == 0 and subprocess.run(options, capture_output=True, check=False).returncode == 0
    try:
        yield done
    finally:
        if done:
            subprocess.run(["umount", str(folder)], check=True)


def run(kind: str, folder: Path, limit: Limit, count: int, seed: int) -> int:
    """How many saves onto a full disk went wrong."""
    path = folder / "model.npz"
    numbers = random.Random(seed)
    trainer = Trainer([50, 180, 2], optimizer="adam", seed=seed)
    trainer.save(path)
    old, failed = path.read_bytes(), 0
    for i in range(count):
        size = numbers.randrange(len(old) - 4096)  # a page is the least that a disk gives
        limit(size)
        try:
            trainer.save(path)
            came = "no error"
        except Exception as error:
            expected = isinstance(error, OSError) and error.errno in (errno.EFBIG, errno.ENOSPC)
            came = "" if expected else f"{type(error).__name__}: {error}"
        limit(-1)
        left = [item.name for item in folder.iterdir() if item != path]
        if came or left or path.read_bytes() != old or Trainer.load(path).seed != seed:
            print(f"{kind}, save {i} (seed {seed}), room for {size} bytes: {came or 'a changed file'}; left {left}")
            failed += 1
    print(f"{kind}: {count} saves, {failed} failed")
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300, help="saves onto each kind of disk")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        failed = in_child(partial(run, "limit on files", folder, limit_files, options.count, options.seed)) != 0
    with tempfile.TemporaryDirectory() as name, mounted(Path(name)) as done:
        if done:
            limit = partial(fill, Path(name) / "ballast")
            failed |= run("full file system", Path(name), limit, options.count, options.seed) > 0
        else:
            print("full file system: not tried, as this user may not mount one")
    return failed


if __name__ == "__main__":
    sys.exit(main())
