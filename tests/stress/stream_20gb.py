"""Train on more than fits: 20 GB, generated, streamed, shuffled and not kept, in a process that may have one.

    python -m tests.stress.stream_20gb --gigabytes 20

The limit is on all of the process's addresses (RLIMIT_AS), code and libraries too, and is there before anything is
imported. What training itself takes, by the peak of resident memory, must be little for any number of gigabytes. The
network has to learn, too: a linear function of X.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time

GIGABYTE = 10**9
FEATURES = 1000
CHUNK = 2000  # rows: 8 MB
ALLOWED = 150.0  # MB that training takes: slabs, the shuffle buffer, a chunk, the network; what an allocator keeps


def memory(field: str) -> float:
    """MB of this process: VmRSS now, VmHWM at the peak."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024 / 1e6


def run(gigabytes: float, limit: float) -> int:
    """How many of the things promised were not so."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # each of them takes addresses, on every core
    resource.setrlimit(resource.RLIMIT_AS, (int(limit * GIGABYTE), int(limit * GIGABYTE)))
    import numpy as np

    from fastbp import Stream, Trainer

    theta = np.random.default_rng(0).normal(size=FEATURES).astype("f") / 10
    count = max(1, round(gigabytes * GIGABYTE / (4 * FEATURES * CHUNK)))
    read = 0

    def chunk(seed: int) -> tuple[np.ndarray, np.ndarray]:
        X = np.random.default_rng([1, seed]).random((CHUNK, FEATURES), "f")
        X -= np.float32(0.5)
        return X, X @ theta

    def chunks():
        nonlocal read
        for i in range(count):
            X, y = chunk(i)
            read += X.nbytes
            yield X, y

    trainer = Trainer([FEATURES, 16, 1], activation="tanh", learning_rate=0.05, batch_size=128, seed=0)
    test = chunk(10**9)
    Trainer([3, 2, 1]).fit(test[0][:, :3], test[1], verbose=0)  # kernels are there from here on
    first = trainer.evaluate(*test, "r2")["r2"]
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")  # set it to what is used now
    before, started = memory("VmRSS"), time.perf_counter()
    trainer.fit(Stream(chunks, rows=count * CHUNK), verbose=0)
    seconds, most, addresses = time.perf_counter() - started, memory("VmHWM"), memory("VmPeak")
    last = trainer.evaluate(*test, "r2")["r2"]
    print(
        f"{read / GIGABYTE:.2f} GB in {count * CHUNK:,} rows, {seconds:.0f} s: {before:.0f} MB of memory before, "
        f"{most:.0f} at the peak, {addresses:.0f} of addresses, {1000 * limit:.0f} allowed; "
        f"r2 from {first:.2f} to {last:.3f}"
    )
    wrongs = {
        f"more than {ALLOWED:.0f} MB for training": most - before > ALLOWED,
        "over the limit": addresses > 1000 * limit,
        "not learnt": not last > 0.9,
        "not all read": read != 4 * FEATURES * CHUNK * count,
    }
    for name, is_so in wrongs.items():
        if is_so:
            print(name)
    return sum(wrongs.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=20)
    parser.add_argument("--limit", type=float, default=1, help="gigabytes of memory")
    options = parser.parse_args()
    return run(options.gigabytes, options.limit)


if __name__ == "__main__":
    sys.exit(main())
