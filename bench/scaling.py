"""Measure training with several MPI processes, compare it with a theoretical model, and print when it is worthwhile.

    python -m bench.scaling [--only NAME …] [--ranks 1 2 4] [--seconds 1] [--write]

It starts a job for each number of ranks, with one thread per rank. The time of an update step is divided into
computation, the all-reduce (that of the last rank, which does not wait) and waiting. With P ranks and a batch of B
rows, the model is

    t_step(P) = t_compute(B/P) + 2 ⌈log₂ P⌉ α + 2 (P − 1)/P · bytes/β

t_compute is the time of one process for that many rows, times P/cores if there are more ranks than cores. α is the
latency of a message and β the bandwidth in bytes per second. Both are fitted to all-reduces of 8 bytes to 16 MB between
two ranks. With --write, the tables go into docs/distributed.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from fastbp._cli.machine import processor

from .compare import ROOT, write_between
from .workloads import GRID, new_trainer, uniform

NAMES = ("64-32-10, 32", "784-128-10, 128", "784-512-512-10, 128", "1024-1024-1024-10, 256")
MARKS = ("<!-- scaling -->", "<!-- /scaling -->")
SIZES = tuple(8 << 3 * k for k in range(8))  # bytes of the all-reduces that α and β are fitted to
ROWS_BYTES = 1 << 26  # the most bytes of X, which limits the steps of an epoch
ENVIRONMENT = {  # allow more ranks than cores, and root, which may be a container's only user
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
}
ITEMSIZE = 4  # bytes of a float32
NODE = 16  # threads per node of the clusters in the second table


class Link(NamedTuple):
    """A connection between ranks: α in seconds, β in bytes per second, and the number of threads at each end."""

    alpha: float
    beta: float
    threads: int = NODE


class Pace(NamedTuple):
    """Seconds per weight of one thread: for each sample of a batch, and for the update."""

    sample: float
    update: float


ASSUMED = {
    "10 Gb Ethernet": Link(30e-6, 1.2e9),
    "25 Gb Ethernet": Link(20e-6, 3e9),
    "100 Gb Ethernet": Link(10e-6, 12e9),
    "InfiniBand HDR": Link(1.5e-6, 24e9),
}


def reduce_seconds(ranks: int, size: float, link: Link) -> float:
    """Return the seconds of an all-reduce of `size` bytes by the model."""
    rounds = 2 * math.ceil(math.log2(ranks))
    return rounds * link.alpha + 2 * (ranks - 1) / ranks * size / link.beta


def fitted(ranks: int, seconds: Mapping[int, float]) -> Link:
    """Fit α and β to the seconds of all-reduces by their bytes: the line with the smallest relative errors."""
    sizes, times = np.array(list(seconds), float), np.array(list(seconds.values()))
    columns = np.stack([np.full(len(sizes), 2 * math.ceil(math.log2(ranks))), 2 * (ranks - 1) / ranks * sizes], axis=1)
    (alpha, pace), *_ = np.linalg.lstsq(columns / times[:, None], np.ones(len(times)), rcond=None)
    return Link(float(alpha), float(1 / pace), 1)


def pace_of(weights: int, steps: Mapping[int, float]) -> Pace:
    """Fit the pace to the seconds of steps by their rows: a straight line."""
    sample, update = np.polyfit(list(steps), np.array(list(steps.values())) / weights, 1)
    return Pace(float(sample), max(0.0, float(update)))


def least_batch(pace: Pace, link: Link) -> float:
    """Return the batch size above which several ranks can be faster than one, for any network and any number of ranks.

    They save (1 − 1/P) B · weights · pace and spend 2 (1 − 1/P) ITEMSIZE · weights / β.
    """
    return 2 * ITEMSIZE / link.beta / (pace.sample / link.threads)


def least_weights(batch: int, ranks: int, pace: Pace, link: Link) -> float:
    """Return the number of weights from which this many ranks are faster than one; infinity if they never are."""
    saved_each = (1 - 1 / ranks) * (batch * pace.sample / link.threads - 2 * ITEMSIZE / link.beta)
    return reduce_seconds(ranks, 0, link) / saved_each if saved_each > 0 else math.inf


def best_ranks(weights: int, batch: int, pace: Pace, link: Link, most: int = 1024) -> tuple[int, float]:
    """Return the fastest number of ranks, a power of two, and its speed relative to one rank."""
    samples, update = (weights * seconds / link.threads for seconds in (batch * pace.sample, pace.update))
    gains = {1: 1.0}
    for ranks in (2 << k for k in range(int(math.log2(most)))):
        shared = samples / ranks + update + reduce_seconds(ranks, weights * ITEMSIZE, link)
        gains[ranks] = (samples + update) / shared
    best = max(gains, key=gains.__getitem__)
    return best, gains[best]


class Timed:
    """A communicator that records when each all-reduce begins and ends."""

    def __init__(self, comm: Any) -> None:
        self.comm = comm
        self.times: list[tuple[float, float]] = []
        self.size_of_last = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.comm, name)

    def Allreduce(self, sent: Any, received: Any) -> None:
        began = perf_counter()
        self.comm.Allreduce(sent, received)
        self.times.append((began, perf_counter()))
        self.size_of_last = received.nbytes


def split(times: Sequence[Sequence[tuple[float, float]]]) -> dict[str, float]:
    """Return the median seconds of a step, its computation, its all-reduce and its waiting.

    times has the begin and end of all all-reduces of each rank, with None after each epoch.
    """
    steps, reduces, computing = [], [], []
    for first, second in pairwise(zip(*times, strict=True)):
        if second[0] is None or first[0] is None:  # between two epochs
            continue
        steps.append(statistics.mean(b[0] - a[0] for a, b in zip(first, second, strict=True)))
        reduces.append(min(end - began for began, end in first))
        computing.append(statistics.mean(b[0] - a[1] for a, b in zip(first, second, strict=True)))
    whole, reduce, compute = map(statistics.median, (steps, reduces, computing))
    return {"step": whole, "computing": compute, "reduce": reduce, "waiting": max(0.0, whole - compute - reduce)}


def measured_steps(name: str, batch: int, seconds: float, comm: Any) -> dict[str, float]:
    """Measure a step of all ranks together with a batch of that many rows."""
    from fastbp.distributed import Ranks

    sizes, _ = GRID[name]
    rows = batch * max(4, min(200, ROWS_BYTES // (ITEMSIZE * sizes[0] * batch)))
    X, y = uniform(rows, sizes[0]), uniform(rows, sizes[-1], seed=1)
    timed = Timed(comm)
    trainer = new_trainer(sizes, batch_size=batch, shuffle=False, n_threads=1)
    trainer._state.ranks = Ranks(timed)  # one process then takes the same path through the code
    trainer.fit(X[: 4 * batch], y[: 4 * batch], verbose=0)
    timed.times.clear()
    started, marked = perf_counter(), list[Any]()
    while comm.bcast(perf_counter() - started < seconds):
        trainer.fit(X, y, verbose=0)
        marked += [*timed.times, None]
        timed.times.clear()
    everyone = comm.gather(marked)
    found = split(everyone) if comm.Get_rank() == 0 else {}
    return found | {"bytes": timed.size_of_last, "weights": trainer.n_parameters}


def measured_reduces(seconds: float, comm: Any) -> dict[int, float]:
    """Measure the median seconds of an all-reduce by its bytes."""
    found = {}
    for size in SIZES:
        buffer, times = np.zeros(size // ITEMSIZE, np.float32), []
        started = perf_counter()
        while comm.bcast(perf_counter() - started < seconds / 4 or len(times) < 5):
            comm.Barrier()
            began = perf_counter()
            comm.Allreduce(None, buffer)  # in place
            times.append(perf_counter() - began)
        found[size] = statistics.median(times)
    return found


def serve(names: Sequence[str], seconds: float) -> None:
    """Measure as one rank of a job. The first rank prints the results."""
    from mpi4py import MPI

    comm, found = MPI.COMM_WORLD, dict[str, Any]()
    ranks = comm.Get_size()
    for name in names:
        _, batch = GRID[name]
        batches = (batch, batch // 2, batch // 4) if ranks == 1 else (batch, batch * ranks)
        found[name] = {rows: measured_steps(name, rows, seconds, comm) for rows in batches}
    reduces = measured_reduces(seconds, comm) if ranks > 1 else {}
    if comm.Get_rank() == 0:
        print(json.dumps({"steps": found, "reduces": reduces}), flush=True)


def job(ranks: int, names: Sequence[str], seconds: float) -> dict[str, Any]:
    """Start a job with that many ranks and return what it measured."""
    command = ["mpiexec", "-n", str(ranks), sys.executable, "-m", "bench.scaling", f"--seconds={seconds}"]
    done = subprocess.run(
        [*command, "--serve", "--only", *names],
        env=os.environ | ENVIRONMENT, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    steps = {name: {int(rows): each for rows, each in by_rows.items()} for name, by_rows in found["steps"].items()}
    return {"steps": steps, "reduces": {int(size): each for size, each in found["reduces"].items()}}


def table(found: Mapping[int, Any], link: Link, cores: int) -> list[str]:
    """Return a Markdown table of the steps of all jobs: measured, and by the model."""
    lines = [
        "| network, batch | ranks | step, µs | computing | all-reduce | waiting | by the model | × one rank |",
        "| --- |" + " ---: |" * 7,
    ]
    for name, alone in found[1]["steps"].items():
        batch = max(alone)
        base = alone[batch]["step"]
        for ranks, rows in [
            (1, batch),
            *((n, batch) for n in found if n > 1),
            *((n, n * batch) for n in found if n > 1),
        ]:
            each = found[ranks]["steps"][name][rows]
            crowd = max(1.0, ranks / cores)
            compute = alone[rows // ranks]["step"] if rows // ranks in alone else math.nan
            model = crowd * compute + (reduce_seconds(ranks, each["bytes"], link) if ranks > 1 else 0)
            gain = rows / batch * base / each["step"]
            cells = [f"{each[key] * 1e6:,.0f}" for key in ("step", "computing", "reduce", "waiting")]
            what = f"{name.split(', ')[0]}, {rows:,}"
            lines.append(f"| {what} | {ranks} | {' | '.join(cells)} | {model * 1e6:,.0f} | {gain:.2f} |")
    return lines


def pays(pace: Pace, link: Link, cores: int) -> list[str]:
    """Return a Markdown table of the batches, networks and numbers of nodes that are worthwhile by the model."""
    sizes = GRID["784-512-512-10, 128"][0]
    weights = sum((n + 1) * n_next for n, n_next in pairwise(sizes))
    lines = [
        "| | α, µs | β, GB/s | pays from batch | weights from which 2 pay at batch 256 | at 4,096 "
        "| best for 784-512-512-10 at 4,096 |",
        "| --- |" + " ---: |" * 6,
    ]
    for name, each in {"threads of this machine": link, **ASSUMED}.items():
        fewest = [least_weights(batch, 2, pace, each) for batch in (256, 4096)]
        cells = ["none" if math.isinf(number) else f"{number:,.0f}" for number in fewest]
        ranks, gain = best_ranks(weights, 4096, pace, each, cores if each is link else 1024)
        lines.append(
            f"| {name} | {each.alpha * 1e6:.1f} | {each.beta / 1e9:.1f} | {least_batch(pace, each):,.0f} "
            f"| {' | '.join(cells)} | {ranks}: {gain:.1f} × |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=NAMES, choices=list(GRID), metavar="NAME", help="; ".join(GRID))
    parser.add_argument(
        "--ranks", nargs="+", type=int, default=[2, 4], help="numbers of ranks to measure in addition to 1 and 2"
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each step is measured")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/distributed.md")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.only, options.seconds)
        return
    found = {ranks: job(ranks, options.only, options.seconds) for ranks in sorted({1, 2, *options.ranks})}
    cores = len(os.sched_getaffinity(0))
    link = fitted(2, found[2]["reduces"])
    largest = max(found[1]["steps"].values(), key=lambda by_rows: by_rows[max(by_rows)]["weights"])
    pace = pace_of(largest[max(largest)]["weights"], {rows: each["step"] for rows, each in largest.items()})
    lines = [
        f"{processor()}, {cores} cores, one thread a rank; α {link.alpha * 1e6:.1f} µs, β {link.beta / 1e9:.1f} GB/s, "
        f"{pace.sample * 1e12:.0f} ps a weight and sample, {pace.update * 1e12:.0f} ps a weight and update.",
        "",
        *table(found, link, cores),
        "",
        *pays(pace, link, cores),
    ]
    print("\n".join(lines))
    if options.write:
        write_between(lines, ROOT / "docs" / "distributed.md", MARKS)


if __name__ == "__main__":
    main()
