"""Kill a rank of an MPI job that trains and saves without pause, at random moments, and start it again with --resume.

    python -m tests.stress.killed_ranks --count 60

After each kill −9 the job must end by itself within BOUND seconds, with a message and no process left; the model must
load, with finite weights, and be no older than it was before. The next job, of 2 or 3 ranks, must go on from it. One
kill in four comes at any time since the start; the others once an epoch is saved, so that they hit a step, an
all-reduce or a write.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fastbp import Trainer

from ._mpi import ENVIRONMENT, MISSING

BOUND = 20.0  # seconds in which a job ends once a rank is dead
START = 60.0  # in which one saves its first epoch
LATER = 0.3  # within which a rank is killed after that
BEGINS = 1.5  # the same, since the processes are there
HIDDEN = "700,700"  # a file of six megabytes, with what Adam keeps


def start(folder: Path, ranks: int, epochs: int) -> subprocess.Popen[str]:
    """A job that goes on with the model of the folder."""
    train = [sys.executable, "-m", "fastbp", "train", "data.npz", "--out=model.npz", "--resume", "--quiet"]
    options = [f"--hidden={HIDDEN}", f"--epochs={epochs}", "--seed=0", "--validation=0", "--threads=1"]
    return subprocess.Popen(
        ["mpiexec", "-n", str(ranks), *train, *options],
        env=ENVIRONMENT, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def ranks_of(job: subprocess.Popen[str], count: int) -> list[int]:
    """The processes that mpiexec has started, once there are so many."""
    children = Path(f"/proc/{job.pid}/task/{job.pid}/children")
    wait_until(lambda: len(children.read_text().split()) == count, START, "the ranks don't start")
    return [int(pid) for pid in children.read_text().split()]


def wait_until(holds: Callable[[], bool], seconds: float, message: str) -> None:
    end = time.perf_counter() + seconds
    while not holds():
        if time.perf_counter() > end:
            raise AssertionError(message)
        time.sleep(0.002)


def killed(folder: Path, chance: random.Random) -> tuple[float, bool]:
    """Start a job and kill one of its ranks; how long the job then took to end, and whether it was writing."""
    model, count = folder / "model.npz", chance.choice((2, 3))
    before = model.stat().st_mtime_ns
    job = start(folder, count, 1_000_000_000)
    try:
        ranks = ranks_of(job, count)
        if chance.random() < 0.25:
            time.sleep(chance.uniform(0, BEGINS))
        else:
            wait_until(lambda: model.stat().st_mtime_ns != before, START, "no epoch is saved")
            time.sleep(chance.uniform(0, LATER))
        os.kill(chance.choice(ranks), signal.SIGKILL)
        writes, dead = any(folder.glob(".model*")), time.perf_counter()
        said, _ = job.communicate(timeout=BOUND)
        seconds = time.perf_counter() - dead
        assert job.returncode != 0, "the job ends as if nothing had been"
        assert "signal 9" in said, f"no message: {said}"
        wait_until(lambda: not any(Path(f"/proc/{rank}").exists() for rank in ranks), BOUND, "a rank lives on")
    finally:
        job.kill()
    return seconds, writes


def run(folder: Path, count: int, seed: int) -> int:
    """How many kills left something wrong."""
    path, chance = folder / "model.npz", random.Random(seed)
    X = np.random.default_rng(0).normal(size=(64, 3))
    np.savez(folder / "data.npz", X=X, y=X @ [1.0, 2.0, 3.0])
    job = start(folder, 2, 1)  # compiles once, for all
    said, _ = job.communicate()
    assert job.returncode == 0, said
    epochs, failed, in_write, times = Trainer.load(path).epochs_trained, 0, 0, [0.0]
    for i in range(count):
        try:
            seconds, writes = killed(folder, chance)
            times.append(seconds)
            in_write += writes
            loaded = Trainer.load(path)
            assert all(np.isfinite(array).all() for array in loaded.get_weights()), "weights that are not finite"
            assert loaded.epochs_trained >= epochs, f"epoch {loaded.epochs_trained} where {epochs} was saved"
            epochs = loaded.epochs_trained
        except Exception as error:
            print(f"kill {i} (seed {seed}): {type(error).__name__}: {error}")
            failed += 1
        for item in folder.glob(".model*"):
            item.unlink()
    job = start(folder, 2, epochs + 2)
    said, _ = job.communicate(timeout=START)
    ended = job.returncode == 0 and Trainer.load(path).epochs_trained == epochs + 2
    print(
        f"{count} kills, {in_write} in the middle of a write, {epochs} epochs in between, "
        f"jobs over in {max(times):.1f} s at the most, {failed} failed; "
        f"the last job {'came to its end' if ended else f'failed: {said}'}"
    )
    return failed + (not ended)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60, help="kills")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if MISSING:
        print(f"nobody is killed: no {' and no '.join(MISSING)} on this machine")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder), options.count, options.seed)


if __name__ == "__main__":
    sys.exit(main() != 0)
