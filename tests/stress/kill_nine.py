"""Kill a training that saves without pause, at random moments, and look at what it leaves.

    python -m tests.stress.kill_nine --count 500

After each kill −9 the file must load, with finite weights, and be no older than the last epoch that the child said was
saved. The next child goes on from that file. Temporary files left behind show how many kills hit a write.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import struct
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from fastbp import Trainer

SIZES = [500, 500, 2]  # a file of three megabytes: saving takes much longer than training
SAVES = 0.1  # seconds: a child lives no longer after it has begun
EPOCH = struct.Struct("q")
X = np.random.default_rng(0).normal(size=(1, SIZES[0])).astype("f")
Y = np.zeros((1, SIZES[-1]), "f")


def train_and_save(path: Path, pipe: int) -> None:
    """Train from the file on, save after each epoch, and then say so; never ends."""
    trainer = Trainer.load(path)
    os.write(pipe, EPOCH.pack(trainer.epochs_trained))
    while True:
        trainer.fit(X, Y, verbose=0)
        trainer.save(path)
        os.write(pipe, EPOCH.pack(trainer.epochs_trained))


def killed(path: Path, delay: float) -> tuple[int, int]:
    """Start a child and kill it so long after its first word; the epochs of its first and its last word."""
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            train_and_save(path, writes)
        finally:
            os._exit(1)
    os.close(writes)
    with os.fdopen(reads, "rb") as said:
        words = said.read(EPOCH.size)
        time.sleep(delay)
        os.kill(pid, signal.SIGKILL)
        words += said.read()
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        raise AssertionError(f"the child ended by itself, with status {status}")
    epochs = [epoch for (epoch,) in EPOCH.iter_unpack(words[: len(words) // EPOCH.size * EPOCH.size])]
    return epochs[0], epochs[-1]


def run(folder: Path, count: int, seed: int) -> int:
    """How many kills left something wrong."""
    path = folder / "model.npz"
    delays = random.Random(seed)
    trainer = Trainer(SIZES, optimizer="adam", n_threads=1, seed=seed)
    trainer.fit(X, Y, verbose=0)  # compiles once, for all children
    trainer.save(path)
    in_write = saved = failed = 0
    for i in range(count):
        first, last = killed(path, delays.uniform(0, SAVES))
        try:
            loaded = Trainer.load(path)
            finite = all(np.isfinite(array).all() for array in loaded.get_weights())
            assert finite, "weights that are not finite"
            assert loaded.epochs_trained >= last, f"epoch {loaded.epochs_trained} where {last} was saved"
        except Exception as error:
            print(f"kill {i} (seed {seed}): {type(error).__name__}: {error}")
            failed += 1
            trainer.save(path)  # for the next child
        left = [item for item in folder.iterdir() if item != path]
        in_write += bool(left)
        saved += last - first
        for item in left:
            item.unlink()
    print(f"{count} kills, {in_write} in the middle of a write, {saved} saves in between, {failed} failed")
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500, help="kills")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder), options.count, options.seed)


if __name__ == "__main__":
    sys.exit(main() != 0)
